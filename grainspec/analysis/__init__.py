"""What editors show and change: pure functions over a spec's text."""
