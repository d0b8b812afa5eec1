"""A run's folder: writing it, and reading it back."""
