"""Checks of a spec and of the files that it names."""
