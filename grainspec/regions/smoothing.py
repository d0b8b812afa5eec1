"""Regions smoothed over time: each pixel by majority over neighbouring frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from grainspec.regions.layout import Mask


def neighbours(index: int, count: int, window: int) -> range:
    """The indices of the frames that are counted for one of ``count`` frames: those that exist.

    >>> neighbours(5, 10, 3), neighbours(0, 10, 5)
    (range(4, 7), range(0, 3))
    """
    return range(max(0, index - window // 2), min(count, index + window // 2 + 1))


def counted(at: Sequence[int], count: int, window: int) -> list[int]:
    """The indices of all frames that are counted for the frames ``at``, in order."""
    return sorted({near for index in at for near in neighbours(index, count, window)})


def smoothed(
    mask_NHW: Mask, known: Sequence[int], at: Sequence[int], window: int
) -> Iterator[Mask]:
    """Yield the smoothed mask of each frame ``at``, bool ``[H, W]``.

    ``mask_NHW`` has the region on the frames ``known``, which are those of :func:`counted`; both
    lists rise. A pixel is set where it is set on more than half of the neighbours that exist, and
    where it is set on exactly half of them and on the frame itself.
    """
    place = {index: number for number, index in enumerate(known)}
    count = known[-1] + 1 if known else 0
    sums_HW = np.zeros(mask_NHW.shape[1:], np.int32)
    inside = range(0)
    for index in at:
        near = neighbours(index, count, window)
        for entering in range(max(near.start, inside.stop), near.stop):
            sums_HW += mask_NHW[place[entering]]
        for leaving in range(inside.start, min(near.start, inside.stop)):
            sums_HW -= mask_NHW[place[leaving]]
        inside = near
        yield (2 * sums_HW > len(near)) | ((2 * sums_HW == len(near)) & mask_NHW[place[index]])
