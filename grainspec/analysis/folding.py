"""The parts of a text that an editor can fold: variants, long statements, runs of comments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from grainspec.analysis.document import Document


class Fold(NamedTuple):
    """Lines that fold into their first one, counted from 0."""

    first: int
    last: int
    comment: bool = False


def folds(document: Document) -> Iterator[Fold]:
    """The foldable lines.

    >>> text = "# one\\n# two\\nvariant v {\\nkeep sky\\n}"
    >>> list(folds(Document(text, None)))
    [Fold(first=2, last=4, comment=False), Fold(first=0, last=1, comment=True)]
    """
    place = document.positions.position
    parts = [(one.start, one.end) for one in document.variants]
    parts += [(one.start, one.end) for one in document.statements if one.keyword != "variant"]
    for start, end in parts:
        first, last = place(start)[0], place(end)[0]
        if last > first:
            yield Fold(first, last)
    yield from _comments(document)


def _comments(document: Document) -> Iterator[Fold]:
    first: int | None = None
    for number in range(document.positions.lines):
        is_comment = document.positions.line(number).lstrip().startswith("#")
        if is_comment and first is None:
            first = number
        elif not is_comment and first is not None:
            if number - first > 1:
                yield Fold(first, number - 1, comment=True)
            first = None
    last = document.positions.lines - 1
    if first is not None and last > first:
        yield Fold(first, last, comment=True)
