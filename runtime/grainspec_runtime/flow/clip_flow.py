"""The flow between the consecutive frames of a clip, in both directions.

Dimensions: F frames, P = F - 1 pairs of consecutive frames, H rows, W columns, 2 for x and y.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from grainspec_runtime.flow.warp import at_points, inside, moved

FloatsHW = npt.NDArray[np.float32]
Seen = npt.NDArray[np.bool_]

_SHARE = 0.01
_SLACK = 0.5


@dataclass(frozen=True, eq=False)
class ClipFlow:
    """Forward and backward flow, float32 ``[P, H, W, 2]`` in pixels.

    >>> still = np.zeros((2, 4, 6, 2), np.float32)
    >>> flow = ClipFlow(still, still)
    >>> flow.frames, flow.size, bool(flow.seen_after_PHW.all())
    (3, (4, 6), True)
    """

    forward_PHW2: FloatsHW
    backward_PHW2: FloatsHW

    @property
    def frames(self) -> int:
        """The number of frames, F."""
        return len(self.forward_PHW2) + 1

    @property
    def size(self) -> tuple[int, int]:
        """The frame size, ``(H, W)``."""
        return self.forward_PHW2.shape[1], self.forward_PHW2.shape[2]

    @cached_property
    def seen_after_PHW(self) -> Seen:
        """Pixels of each pair's first frame that are visible in the second, bool ``[P, H, W]``."""
        pairs = zip(self.forward_PHW2, self.backward_PHW2, strict=True)
        return _stacked([consistent(there, back) for there, back in pairs], self.size)

    @cached_property
    def seen_before_PHW(self) -> Seen:
        """Pixels of each pair's second frame that are visible in the first, bool ``[P, H, W]``."""
        pairs = zip(self.forward_PHW2, self.backward_PHW2, strict=True)
        return _stacked([consistent(back, there) for there, back in pairs], self.size)


def consistent(there_HW2: FloatsHW, back_HW2: FloatsHW) -> Seen:
    """Check forward-backward consistency of two flows: bool ``[H, W]``, true where they agree.

    Let w be the flow at a pixel and w' the opposite flow at the point that w leads to. The pixel
    counts as visible in both frames if |w + w'|² < 0.01 (|w|² + |w'|²) + 0.5 (Sundaram, Brox and
    Keutzer, ECCV 2010) and the point is inside the frame. Otherwise the pixel is occluded, or the
    flow is wrong.

    >>> right = np.zeros((1, 4, 2), np.float32) + np.float32([1, 0])
    >>> consistent(right, -right)
    array([[ True,  True,  True, False]])
    """
    points = moved(there_HW2)
    back = at_points(back_HW2, points)
    gap = np.square(there_HW2 + back).sum(-1)
    length = np.square(there_HW2).sum(-1) + np.square(back).sum(-1)
    return np.asarray((gap < _SHARE * length + _SLACK) & inside(points, there_HW2.shape[:2]))


def _stacked(masks: list[Seen], size: tuple[int, int]) -> Seen:
    return np.stack(masks) if masks else np.zeros((0, *size), np.bool_)
