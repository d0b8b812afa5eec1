"""Checks of a model family against the contract of families."""
