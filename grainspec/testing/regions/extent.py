"""Masks as far as they are certain, and their comparison with those of a binding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken


class Extent(NamedTuple):
    """The pixels that are surely in a region, and those that may be.

    They differ where rounding decides: at centres of pixels that lie on an edge, if the numbers of
    the edge or of the crop are not exact.
    """

    sure: Mask
    possible: Mask

    def inverted(self) -> Extent:
        """All other pixels."""
        return Extent(~self.possible, ~self.sure)

    def __or__(self, other: Extent) -> Extent:
        return Extent(self.sure | other.sure, self.possible | other.possible)

    def __and__(self, other: Extent) -> Extent:
        return Extent(self.sure & other.sure, self.possible & other.possible)


def exactly(mask: Mask) -> Extent:
    """The extent of a mask without doubt."""
    return Extent(mask, mask)


def require(
    invariant: str,
    what: str,
    expected: Extent | Mask,
    actual: Mask,
    frames: Sequence[int],
    *,
    source: str = "it should",
    **where: object,
) -> None:
    """Raise Broken at the first pixel, ``[F, H, W]``, that differs from what is expected.

    ``what`` begins the message, and ``source`` says where the expectation comes from.
    """
    extent = expected if isinstance(expected, Extent) else exactly(expected)
    if actual.shape != extent.sure.shape:
        message = f"{what} has the shape {actual.shape}, not {extent.sure.shape}"
        raise Broken(invariant, message, **where)
    wrong = (actual & ~extent.possible) | (extent.sure & ~actual)
    if not wrong.any():
        return
    frame, row, column = (int(at) for at in np.unravel_index(int(wrong.argmax()), wrong.shape))
    verdict = "has" if actual[frame, row, column] else "lacks"
    count = int(wrong[frame].sum())
    more = f" and {count - 1} more" if count > 1 else ""
    message = f"{what} {verdict} the pixel {column},{row}{more}; {source}"
    raise Broken(invariant, message, **where, frame=frames[frame], pixel=f"{column},{row}")
