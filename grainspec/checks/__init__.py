"""What can be found wrong with a spec and its files."""
