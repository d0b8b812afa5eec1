"""Layouts as text: one character per block of pixels, a letter for each set of regions.

regions left right      all regions, in order
frames 0 2              the source frames
block 8 8               width and height of a character's block of pixels
a left                  the regions of the pixels drawn as `a`
b left right

aab.                    the first frame, row by row; `.` is in no region
....

.aab
....
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.unsignedinteger]

MOST_CHARACTERS = 2000
"""Larger layouts have no text."""

_LETTERS = string.ascii_letters + string.digits


def layout_text(names: Sequence[str], bits_FHW: Bits, frames: Sequence[int]) -> str | None:
    """The text of a layout; None if it would be too long, or would need too many letters."""
    wide, high = _block(bits_FHW, 2), _block(bits_FHW, 1)
    blocks = bits_FHW[:, ::high, ::wide]
    sets = [value for value in np.unique(blocks).tolist() if value]
    if blocks.size > MOST_CHARACTERS or len(sets) > len(_LETTERS):
        return None
    letters = dict(zip(sets, _LETTERS, strict=False)) | {0: "."}
    head = [
        f"regions {' '.join(names)}",
        f"frames {' '.join(map(str, frames))}",
        f"block {wide} {high}",
        *(
            f"{letters[value]} {' '.join(name for i, name in enumerate(names) if value >> i & 1)}"
            for value in sets
        ),
    ]
    pictures = [
        "\n".join("".join(letters[value] for value in row) for row in frame)
        for frame in blocks.tolist()
    ]
    return "\n\n".join(["\n".join(head), *pictures])


def _block(bits_FHW: Bits, axis: int) -> int:
    """The largest side of blocks, from the frame's edge on, in which all pixels are alike."""
    along = np.moveaxis(bits_FHW, axis, 0)
    changes = np.flatnonzero((along[1:] != along[:-1]).any(axis=(1, 2))) + 1
    return math.gcd(len(along), *changes.tolist())


def read_layout(text: str) -> tuple[tuple[str, ...], list[list[list[int]]], tuple[int, ...]]:
    """The names, the bit sets ``[F][H][W]`` and the source frames of a layout's text.

    Raises ValueError if the text is not complete or not consistent.
    """
    plain = "\n".join(line.strip() for line in text.strip().splitlines())
    head, *pictures = re.split("\n\n+", plain)
    lines = {key: values for key, *values in (line.split() for line in head.splitlines())}
    try:
        names, frames = tuple(lines["regions"]), tuple(map(int, lines["frames"]))
        wide, high = map(int, lines["block"])
        sets = {
            letter: sum(1 << names.index(name) for name in regions)
            for letter, regions in lines.items()
            if len(letter) == 1
        } | {".": 0}
        drawn = [
            [
                [sets[letter] for letter in row for _ in range(wide)]
                for row in picture.split()
                for _ in range(high)
            ]
            for picture in pictures
        ]
    except (KeyError, ValueError) as error:
        message = f"not a layout's text: {error.args[0]!r}; it begins with `regions`, `frames`"
        raise ValueError(f"{message} and `block`, and has a letter per set of regions") from error
    heights, widths = {len(frame) for frame in drawn}, {len(row) for f in drawn for row in f}
    if len(drawn) != len(frames) or len(heights) != 1 or len(widths) != 1:
        raise ValueError(f"a picture of the same size is needed for each of {len(frames)} frames")
    return names, drawn, frames
