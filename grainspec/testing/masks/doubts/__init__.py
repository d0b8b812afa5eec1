"""Masks that are doubtful, with the finding that is due, and good ones, which must have none."""
