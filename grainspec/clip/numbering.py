"""Frame numbers in file names: the number that varies from file to file.

In ``frame00003_obj1.png``, ``shot02_0001.png`` or ``0003-a81f9e_1080p.png`` only one number counts
the frames. What is equal in all names is no frame number, and neither is a number inside a word
whose letters differ from name to name, such as a hash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath

_WORD = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"\d+")
_MOST_DIGITS = 15


@dataclass(frozen=True)
class Numbering:
    """A frame number for each name, read at ``places``, the start and end in each name."""

    values: tuple[int, ...]
    places: tuple[tuple[int, int], ...]


class AmbiguousNumbers(ValueError):
    """Several numbers vary in the names, and each could be the frame number."""

    def __init__(self, names: Sequence[str], candidates: Sequence[Numbering]) -> None:
        self.names = tuple(names)
        self.candidates = tuple(candidates)
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """What is ambiguous, with an example."""
        name = self.names[0]
        shown = [
            f"`{name[slice(*one.places[0])]}`"
            for one in sorted(self.candidates, key=lambda one: one.places[0])
        ]
        several = f"{', '.join(shown[:-1])} or {shown[-1]}"
        return f"the frame number in names such as {name} may be {several}"

    @property
    def same_order(self) -> bool:
        """Whether all candidates put the files in the same order."""
        orders = {
            tuple(sorted(range(len(self.names)), key=one.values.__getitem__))
            for one in self.candidates
        }
        return len(orders) == 1

    def glob(self, candidate: Numbering) -> str | None:
        """A glob that matches all names, whose `*` stands for this candidate; None if none does.

        >>> names = ["f0_t00.png", "f1_t40.png"]
        >>> try:
        ...     number_names(names)
        ... except AmbiguousNumbers as error:
        ...     [error.glob(candidate) for candidate in error.candidates]
        ['f*_t?0.png', 'f?_t*.png']
        """
        return glob_of(self.names, candidate.places)


def glob_of(names: Sequence[str], places: Sequence[tuple[int, int]]) -> str | None:
    """A glob that matches all names, with one `*` at their ``places``.

    Characters that differ elsewhere become `?`. None if the names differ there in length.
    """
    before = [name[:start] for name, (start, _) in zip(names, places, strict=True)]
    after = [name[end:] for name, (_, end) in zip(names, places, strict=True)]
    if len({*map(len, before)}) > 1 or len({*map(len, after)}) > 1:
        return None
    found = f"{_joined(before)}*{_joined(after)}"
    return None if "[" in found else found


def _joined(texts: Sequence[str]) -> str:
    columns = zip(*texts, strict=True)
    return "".join(column[0] if len({*column}) == 1 else "?" for column in columns)


def number_names(names: Sequence[str], pattern: str | None = None) -> Numbering | None:
    """Read the frame number of each file name; the names have one or more digits each.

    ``pattern`` is the glob that matched them: with a single `*`, the number is what it stands for.
    Numbers may occur twice if no numbering is without repetition. Returns None if no number is in
    the same place of every name. Raises AmbiguousNumbers if several could be the frame number.

    >>> number_names(["frame00003_obj1.png", "frame00007_obj1.png"]).values
    (3, 7)
    >>> number_names(["0003-a81f9e_1080p.png", "0004-07bb1c_1080p.png"]).values
    (3, 4)
    >>> number_names(["shot1_2.png", "shot1_3.png"]).values
    (2, 3)
    """
    candidates = _candidates(names)
    starred = [one for one in candidates if pattern and _under_star(names, one, pattern)]
    candidates = starred or candidates
    if len(names) > 1:
        candidates = [one for one in candidates if len({*one.values}) > 1] or candidates[-1:]
        most = max((len({*one.values}) for one in candidates), default=0)
        candidates = [one for one in candidates if len({*one.values}) == most]
        if len(candidates) > 1:
            candidates = [one for one in candidates if looks_counted(one.values)] or candidates
    if len(candidates) > 1:
        raise AmbiguousNumbers(names, candidates)
    return candidates[0] if candidates else None


def has_number(name: str) -> bool:
    """Whether a file name has a digit before its suffix; hidden files have no frame number."""
    return not name.startswith(".") and bool(_DIGITS.search(_stem(name)))


def looks_counted(numbers: Sequence[int]) -> bool:
    """Whether numbers look like a count of frames, with gaps at most, and not like random ones.

    >>> looks_counted([0, 5, 10, 20]), looks_counted([81, 907, 3, 455212])
    (True, False)
    """
    known = sorted({*numbers})
    if len(known) < 2:
        return True
    step = math.gcd(*(high - low for low, high in pairwise(known)))
    return (known[-1] - known[0]) // step < 2 * len(known) + 8


def _candidates(names: Sequence[str]) -> list[Numbering]:
    """The numbers that stand in the same place of every name, each reading once."""
    stems = [_stem(name) for name in names]
    runs = [[run.span() for run in _DIGITS.finditer(stem)] for stem in stems]
    if all(len(spans) == 1 for spans in runs):
        return [_numbering([spans[0] for spans in runs], stems)]
    found: dict[tuple[int, ...], Numbering] = {}
    if _differ_in_digits(stems):
        columns = [_numbering(places, stems) for places in zip(*runs, strict=True)]
        return list({one.values: one for one in columns}.values())
    words = [[word.span() for word in _WORD.finditer(stem)] for stem in stems]
    fewest = min(map(len, words), default=0)
    for places in (range(-fewest, 0), range(fewest)):  # from the end, else from the beginning
        for place in places:
            for one in _in_column([row[place] for row in words], stems):
                found.setdefault(one.values, one)
        if any(len({*values}) > 1 for values in found):
            break
    return list(found.values())


def _differ_in_digits(texts: Sequence[str]) -> bool:
    """Whether texts are equal but for their digits, and for upper and lower case."""
    first = _DIGITS.sub("0", texts[0]).casefold() if texts else ""
    return all(_DIGITS.sub("0", text).casefold() == first for text in texts)


def _in_column(words: Sequence[tuple[int, int]], stems: Sequence[str]) -> Iterator[Numbering]:
    """The numbers of a column of words that differ in their digits only."""
    texts = [stem[slice(*word)] for stem, word in zip(stems, words, strict=True)]
    if not _differ_in_digits(texts):
        return
    spans = [
        [(start + run.start(), start + run.end()) for run in _DIGITS.finditer(text)]
        for text, (start, _) in zip(texts, words, strict=True)
    ]
    for places in zip(*spans, strict=True):
        yield _numbering(places, stems)


def _stem(name: str) -> str:
    """A file name without its suffix."""
    return name.rpartition(".")[0] or name


def _numbering(places: Sequence[tuple[int, int]], stems: Sequence[str]) -> Numbering:
    values = (_value(stem[slice(*place)]) for stem, place in zip(stems, places, strict=True))
    return Numbering(tuple(values), tuple(places))


def _value(digits: str) -> int:
    return int(digits[-_MOST_DIGITS:])


def _under_star(names: Sequence[str], numbering: Numbering, pattern: str) -> bool:
    """Whether the only `*` of a glob stands for this number, in all names."""
    before, star, after = PurePath(pattern).name.partition("*")
    if not star or "*" in after:
        return False
    left, right = _width(before), _width(after)
    return all(
        left < end and start < len(name) - right
        for name, (start, end) in zip(names, numbering.places, strict=True)
    )


def _width(pattern: str) -> int:
    """How many characters a part of a glob without `*` matches."""
    return len(re.sub(r"\[!?\]?[^\]]*\]", "?", pattern))
