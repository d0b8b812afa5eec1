"""The error of a violated property."""

from __future__ import annotations


class Broken(AssertionError):
    """An invariant is violated; the message says which, and where.

    >>> str(Broken("words", "the word “hat” is not positive", region="hat", level=1))
    'words: the word “hat” is not positive (region hat, level 1)'
    """

    def __init__(self, invariant: str, message: str, **where: object) -> None:
        self.invariant = invariant
        self.where = where
        places = ", ".join(f"{name} {value}" for name, value in where.items())
        super().__init__(f"{invariant}: {message}{f' ({places})' if places else ''}")
