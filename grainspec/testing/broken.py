"""The error of a violated property."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb


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


def described(error: Exception) -> str:
    """An unexpected error and where it was raised, outside installed packages if it can be.

    >>> try:
    ...     [][1]
    ... except IndexError as error:
    ...     described(error)[:46]
    'IndexError: list index out of range (line 2 of'
    """
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or list(frames)
    place = ""
    if own:
        name = own[-1].filename
        place = f" (line {own[-1].lineno} of {name if name[0] == '<' else Path(name).name})"
    return f"{type(error).__name__}: {error}{place}"
