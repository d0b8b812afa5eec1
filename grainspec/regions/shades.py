"""Whether the shades of masks are those of black and white masks; other shades are never guessed.

A mask may have noise from compression near black and near white, and grey pixels along its edges.
Object ids, several greys, soft mattes and pictures are something else: without an option they are
reported with the values found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

Verdict = Literal["binary", "soft", "labels", "greys", "dark"]
"""Two shades; two shades with some grey between; several values with areas of their own; many
greys; or nothing that is bright enough."""

_NEAR = 32 / 256
"""Shades this close to black or white count as noise of black or white."""
_EDGE = 1 / 120
"""Grey pixels so close to both black and white, in shares of the shorter side, are an edge."""
_SOLID = 0.2
"""A value with this share of its pixels inside areas of it is an object's, not an edge's."""
_MANY_VALUES = 4096
_LEVEL = 6 / 256
"""Compression changes the grey of an object by less from one pixel to the next."""
_PLATEAU = 16
"""So many pixels in a frame with level grey around them are an object, not an edge."""


class Shades:
    """The values of masks over all frames; ``white`` is the largest that they can have."""

    def __init__(self, white: int, *, lossy: bool = False) -> None:
        self.white = white
        self.lossy = lossy
        self.counts: Counter[int] = Counter()
        self.solid: Counter[int] = Counter()
        self.grey = self.soft = self.bright = self.pixels = 0
        self.plateau = 0

    def add_image(self, image: Image.Image) -> None:
        """Count the values of an 8-bit grey image; NumPy is only needed for unusual ones."""
        histogram = image.histogram()
        if sum(histogram[1:-1]) == 0:
            self._count({0: histogram[0], 255: histogram[-1]}.items())
            return
        import numpy as np

        self.add(np.asarray(image))

    def add(self, values_HW: npt.NDArray[Any]) -> None:
        """Count the values of a frame of whole numbers."""
        import numpy as np

        if values_HW.dtype.kind == "b":
            values_HW = values_HW.astype(np.uint8)
        values, counts = _counted(values_HW)
        self._count(zip(values.tolist(), counts.tolist(), strict=True))
        if set(values.tolist()) <= {0, self.white}:
            return
        inside = values_HW[1:-1, 1:-1][_constant(values_HW)]
        if inside.size:
            solid_values, solid_counts = _counted(inside)
            pairs = zip(solid_values.tolist(), solid_counts.tolist(), strict=True)
            self.solid.update(dict(pairs))
        self.soft += _soft_pixels(values_HW, self.white)
        if self.lossy:
            self.plateau = max(self.plateau, _level_grey(values_HW, self.white))

    def _count(self, pairs: Iterable[tuple[int, int]]) -> None:
        for value, count in pairs:
            if not count:
                continue
            self.pixels += count
            self.bright += count * (2 * value >= self.white)
            self.grey += count * (not self._near_black(value) and not self._near_white(value))
            if value in self.counts or len(self.counts) < _MANY_VALUES:
                self.counts[value] += count

    @property
    def values(self) -> list[int]:
        """The values found, in ascending order."""
        return sorted(self.counts)

    def verdict(self) -> Verdict:
        """What the masks are, judged over all frames."""
        values = self.values
        if not values or values in ([0], [self.white], [0, self.white]):
            return "binary"
        if not self.bright:
            noise = self.lossy and values[-1] < _NEAR * self.white
            return "binary" if noise else "dark"
        if len(values) == 2:
            told_apart = self.bright < self.pixels or self._near_white(values[0])
            return "binary" if told_apart else "labels"
        if not self.lossy and self._has_labels():
            return "labels"
        of_frame, of_region = self.soft / self.pixels, self.soft / self.bright
        if of_frame > 0.05 or (of_frame > 0.005 and of_region > 1):
            return "greys"
        if self.grey > 0.25 * self.pixels:
            return "greys"  # a picture is full of edges
        if self.plateau >= _PLATEAU:
            return "soft"
        return "soft" if of_frame > 0.01 or (of_frame > 0.002 and of_region > 0.2) else "binary"

    def _has_labels(self) -> bool:
        """Whether three or more values are those of objects, and not noise.

        A value is an object's if it has areas of its own; white also as the line around objects.
        Compression makes noise at both ends: a bit brighter than black and a bit darker than white.
        """
        areas = {v for v, count in self.counts.items() if self.solid[v] >= _SOLID * count}
        inner = [value for value in self.values if 0 < value < self.white]
        ends = {self._near_white(v) for v in inner if self._near_white(v) or self._near_black(v)}
        noise = len(ends) == 2 and all(self._near_white(v) or self._near_black(v) for v in areas)
        return len(areas | ({self.white} & {*self.counts})) > 2 and not noise

    def _near_black(self, value: int) -> bool:
        return value < _NEAR * self.white

    def _near_white(self, value: int) -> bool:
        return value >= (1 - _NEAR) * self.white


def _counted(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The distinct values of an array, and how often each occurs."""
    import numpy as np

    if values.min() < 0 or values.max() > 65535:
        return np.unique(values, return_counts=True)
    counts = np.bincount(values.reshape(-1))
    found = np.flatnonzero(counts)
    return found, counts[found]


def _constant(values_HW: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether a pixel's eight neighbours have its value, for all pixels that have eight."""
    import numpy as np

    same = values_HW[:, 1:] == values_HW[:, :-1]
    row = same[:, 1:] & same[:, :-1]
    column = values_HW[1:] == values_HW[:-1]
    rows = row[1:-1] & row[:-2] & row[2:]
    return np.asarray(rows & column[1:, 1:-1] & column[:-1, 1:-1])


def _level_grey(values_HW: npt.NDArray[Any], white: int) -> int:
    """How many grey pixels differ little from their eight neighbours."""
    import numpy as np

    inner = values_HW[1:-1, 1:-1]
    grey = (inner >= _NEAR * white) & (inner < (1 - _NEAR) * white)
    ys, xs = np.nonzero(grey)
    own = inner[ys, xs].astype(np.int64)
    level = np.ones(len(own), np.bool_)
    for y in range(3):
        for x in range(3):
            level &= np.abs(values_HW[ys + y, xs + x] - own) <= _LEVEL * white
    return int(level.sum())


def _soft_pixels(values_HW: npt.NDArray[Any], white: int) -> int:
    """How many grey pixels are not at an edge between black and white."""
    import numpy as np

    dark, light = values_HW < _NEAR * white, values_HW >= (1 - _NEAR) * white
    grey = ~(dark | light)
    if not grey.any():
        return 0
    block = max(4, round(_EDGE * min(values_HW.shape)))
    edge = _near(_blocks(dark, block, "any")) & _near(_blocks(light, block, "any"))
    return int(_blocks(grey, block, "count")[~edge].sum(dtype=np.int64))


def _blocks(
    mask_HW: npt.NDArray[np.bool_], block: int, what: Literal["any", "count"]
) -> npt.NDArray[Any]:
    """Whether any pixel of each block is set, or how many are."""
    import numpy as np

    high, wide = (-side % block for side in mask_HW.shape)
    padded = np.pad(mask_HW, ((0, high), (0, wide)))
    blocks = padded.reshape(padded.shape[0] // block, block, padded.shape[1] // block, block)
    return np.asarray(blocks.any(axis=(1, 3)) if what == "any" else blocks.sum(axis=(1, 3)))


def _near(blocks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Blocks that are set, and those next to them."""
    import numpy as np

    high, wide = blocks.shape
    padded = np.pad(blocks, 1)
    shifted = [padded[y : y + high, x : x + wide] for y in range(3) for x in range(3)]
    return np.asarray(np.logical_or.reduce(shifted))
