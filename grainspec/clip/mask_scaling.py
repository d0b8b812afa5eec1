"""Crop and scale masks.

A pixel of the result stands for a block of the source: its share of the crop, and at least one
pixel wide and high. Coordinates are rounded to a millionth of a pixel, so that what lies on the
edge of a block does not depend on how far the crop reaches. (Pillow computes with 32 bits, so its
results depend on that.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grainspec.model.expressions import ResizeRule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    Numbers = npt.NDArray[np.float64]
    Indices = npt.NDArray[np.intp]

_DECIMALS = 6


def resize_mask(
    image: Image.Image,
    size: tuple[int, int],
    rule: ResizeRule,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Crop a mask to ``box`` and scale it to ``size``, width and height.

    A pixel is in the result if the source pixel at its block's centre is (``nearest``), or at least
    half of the pixels of its block (``area``), or any of them (``any``). A source pixel is in a
    block if its centre is. The mask is 8-bit grey with the values 0 and 255.

    >>> import numpy as np
    >>> from PIL import Image
    >>> mask = Image.fromarray(np.array([[255, 0, 0, 0, 255, 255]], np.uint8))
    >>> for rule in ("nearest", "area", "any"):
    ...     print(np.asarray(resize_mask(mask, (2, 1), rule)))
    [[  0 255]]
    [[  0 255]]
    [[255 255]]
    """
    import numpy as np
    from PIL import Image

    pixels = np.asarray(image) >= 128
    left, top, right, bottom = box or (0, 0, *image.size)
    x, wide = _blocks(left, right, size[0])
    y, high = _blocks(top, bottom, size[1])
    if rule == "nearest":
        rows = np.clip(np.floor(y).astype(np.intp), 0, image.height - 1)
        columns = np.clip(np.floor(x).astype(np.intp), 0, image.width - 1)
        chosen = pixels[rows][:, columns]
    else:
        first_row, end_row = _inside(y, high, image.height)
        first_column, end_column = _inside(x, wide, image.width)
        tall = _sums(pixels, first_row, end_row)
        counts = _sums(tall.T, first_column, end_column).T
        areas = np.outer(end_row - first_row, end_column - first_column)
        chosen = counts > 0 if rule == "any" else 2 * counts >= areas
    return Image.fromarray(chosen.astype(np.uint8) * 255)


def _blocks(first: float, last: float, count: int) -> tuple[Numbers, float]:
    """The centres of equal blocks between two coordinates, and the blocks' size, at least 1."""
    import numpy as np

    side = (last - first) / count
    centres = first + (np.arange(count) + 0.5) * side
    return np.round(centres, _DECIMALS), max(side, 1.0)


def _inside(centres: Numbers, side: float, extent: int) -> tuple[Indices, Indices]:
    """The first pixel whose centre lies in each block, and the one after the last.

    A centre on the lower edge of a block is not in it; one on the upper edge is.
    """
    import numpy as np

    first = np.floor(np.round(centres - side / 2 - 0.5, _DECIMALS)).astype(np.intp) + 1
    end = np.floor(np.round(centres + side / 2 + 0.5, _DECIMALS)).astype(np.intp)
    return np.clip(first, 0, extent), np.clip(end, 0, extent)


def _sums(rows: npt.NDArray[np.generic], first: Indices, end: Indices) -> npt.NDArray[np.int32]:
    """The sum of the rows from each of ``first`` to the one before each of ``end``."""
    import numpy as np

    sums = np.zeros((len(rows) + 1, rows.shape[1]), np.int32)
    rows.cumsum(axis=0, dtype=np.int32, out=sums[1:])
    return np.asarray(sums[end] - sums[first])
