"""Windows of editing methods that divide a clip in their own ways.

`context` says how many frames the model processes at once. These methods take that number from it;
its `overlap` and `keys` are for windows that are averaged, which theirs are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isqrt

from grainspec.plan.windows import FrameWindow

_BATCH = 16


def at_once(windows: Sequence[FrameWindow]) -> int:
    """How many frames a batch has, for the windows of a spec: as many as theirs, otherwise 16."""
    return _BATCH if len(windows) == 1 else max(len(window.frames) for window in windows)


def batches(frames: Sequence[int], most: int) -> tuple[FrameWindow, ...]:
    """Divide frames into windows of at most so many, which have none in common.

    >>> [window.frames for window in batches(range(5), 2)]
    [(0, 1), (2, 3), (4,)]
    """
    parts = (tuple(frames[start : start + most]) for start in range(0, len(frames), most))
    return tuple(FrameWindow(part, (1.0,) * len(part)) for part in parts)


def hierarchy(count: int, interval: int | None = None) -> tuple[FrameWindow, ...]:
    """Divide a clip as ControlVideo's hierarchical sampler: its key frames, then each interval.

    The key frames are every ``interval``-th frame, by default every (⌊√F⌋ - 1)-th as in its code,
    and the last. An interval has its two key frames, with weight 0: their prediction is that of the
    first window.

    >>> [window.frames for window in hierarchy(6, 3)]
    [(0, 3, 5), (0, 1, 2, 3), (3, 4, 5)]
    >>> hierarchy(6, 3)[2].weights
    (0.0, 1.0, 0.0)
    """
    distance = interval or max(1, isqrt(count) - 1)
    keys = tuple(sorted({*range(0, count, distance), count - 1}))
    windows = [FrameWindow(keys, (1.0,) * len(keys))]
    for first, last in pairwise(keys):
        between = last - first - 1
        if between:
            weights = (0.0, *(1.0,) * between, 0.0)
            windows.append(FrameWindow(tuple(range(first, last + 1)), weights))
    return tuple(windows)
