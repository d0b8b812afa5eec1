"""Objects that were outlined with a labelling tool, in one form for all formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from grainspec.clip.numbering import AmbiguousNumbers, has_number, number_names
from grainspec.diagnostics import visible

MAX_FRAMES = 1_000_000

_HASH = re.compile(r"(?<![^\W_])(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{8,}(?![^\W_])", re.IGNORECASE)
"""Eight or more hex digits, of which some are letters and some are not."""


class Ellipse(NamedTuple):
    """An ellipse by its sides, in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float


class PlacedRuns(NamedTuple):
    """Run lengths of the rows of a box, which begin outside the object."""

    left: int
    top: int
    width: int
    height: int
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Labelled:
    """One object on one frame.

    ``frame`` is its place in the document, ``number`` the object's id over all frames if it has
    one. ``segmentation`` is what :func:`grainspec.regions.draw.draw` takes.
    """

    frame: int
    segmentation: Any
    number: int | None = None
    category: int | None = None
    label: str = ""


@dataclass
class Labels:
    """The objects of a document, and its frames.

    ``numbers`` are the frames' numbers, in ascending order; without them, frames are numbered by
    their place. ``sizes`` are each frame's height and width, not yet checked; None if the document
    gives none. ``by_order`` says why frames with names have no numbers; ``random`` is one of these
    names if they are hashes, so that their order means nothing.
    """

    sizes: list[Any]
    objects: list[Labelled] = field(default_factory=list)
    numbers: Sequence[int] | None = None
    by_order: str = ""
    random: str = ""

    def number_by_names(self, names: Sequence[str]) -> None:
        """Number and sort the frames by the names of their images, else sort them by name.

        Raises ValueError if two have the same number.
        """
        numbers = self._numbers_in(names)
        hashes = [name for name in names if _HASH.search(name)]
        if self.by_order and 2 * len(hashes) > len(names) > 1:
            self.random = visible(hashes[0])
        order: Sequence[int | str] = numbers or names
        ranked = sorted(range(len(names)), key=order.__getitem__)
        place = {index: frame for frame, index in enumerate(ranked)}
        self.sizes = [self.sizes[index] for index in ranked]
        self.objects = [replace(found, frame=place[found.frame]) for found in self.objects]
        self.numbers = sorted(numbers) if numbers else None

    def _numbers_in(self, names: Sequence[str]) -> tuple[int, ...]:
        """The frame numbers in names, each once; none if there are none, which is then said."""
        if not names or not all(map(has_number, names)):
            self.by_order = "the names of its images have no frame numbers"
            return ()
        try:
            numbering = number_names(names)
        except AmbiguousNumbers as error:
            self.by_order = error.message
            return ()
        if numbering is None:
            self.by_order = "the names of its images have no frame number in the same place"
            return ()
        values = numbering.values
        if len({*values}) < len(values):
            twice = Counter(values).most_common(1)[0][0]
            same = [name for name, value in zip(names, values, strict=True) if value == twice]
            raise ValueError(f"{same[0]} and {same[1]} are both frame {twice}")
        return values


def file_name(path: str) -> str:
    """The last part of a path as any system writes it."""
    return path.replace("\\", "/").rpartition("/")[2]
