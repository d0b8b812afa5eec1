"""Windows over a long clip: which frames the networks see at once, and what counts of each.

A window is a stretch of the clip and, besides, the key frames: a few, spread over the clip from its
first frame to its last, that every window sees, so that what is far apart looks alike. In a window
attention is as in a clip of its frames alone: :func:`plan_of_frames` is the plan for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from grainspec.model.spec import Context
from grainspec.plan.mask_plan import NO_CLASS, MaskPlan, key_frames
from grainspec.plan.strengths import labels_dtype, level_of


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """Frames that are seen at once, by their index in the clip, in its order.

    weights: how much of a frame's prediction this window's makes up, 0 to 1; over all windows they
    sum to 1. It is 0 for key frames that are only looked at here.
    """

    frames: tuple[int, ...]
    weights: tuple[float, ...]


def frame_windows(count: int, context: Context | None) -> tuple[FrameWindow, ...]:
    """The windows over a clip of ``count`` frames; one, if ``context`` is None or it fits into one.

    All windows have ``frames`` frames. Their stretches are evenly placed, and have at least
    ``overlap`` frames in common with the next; one that has key frames in it is as much longer. A
    frame counts by its distance from the nearer end of the stretch, 1 at the end itself: where two
    overlap, the one fades out as the other fades in. The key frames' own prediction is made up the
    same way, by the stretches that they are in: it is the neighbours' that it has to agree with.

    >>> for window in frame_windows(10, Context(frames=6, overlap=2, keys=1)):
    ...     print(window.frames, [round(weight, 2) for weight in window.weights])
    (0, 1, 2, 3, 4, 5) [1.0, 1.0, 1.0, 0.75, 0.5, 0.2]
    (0, 3, 4, 5, 6, 7) [0.0, 0.25, 0.5, 0.6, 0.5, 0.25]
    (0, 5, 6, 7, 8, 9) [0.0, 0.2, 0.5, 0.75, 1.0, 1.0]
    """
    if context is None or count <= context.frames:
        return (FrameWindow(tuple(range(count)), (1.0,) * count),)
    own = context.frames - context.keys
    gaps = -(-(count - own) // (own - context.overlap))
    keys = evenly(context.keys, count - 1)
    stretches = []
    for start in evenly(gaps + 1, count - own):
        stretch = range(start, start + own)
        while len({*keys, *stretch}) < context.frames:
            more = stretch.stop < count
            stretch = range(stretch.start - (not more), stretch.stop + more)
        stretches.append(stretch)
    counts = np.zeros((len(stretches), count))
    for row, stretch in zip(counts, stretches, strict=True):
        steps = np.arange(1.0, len(stretch) + 1)
        row[stretch.start : stretch.stop] = np.minimum(steps, steps[::-1])
    weights = counts / counts.sum(axis=0)
    return tuple(
        FrameWindow(frames := tuple(sorted({*keys, *stretch})), tuple(row[list(frames)].tolist()))
        for stretch, row in zip(stretches, weights, strict=True)
    )


def evenly(count: int, last: int) -> list[int]:
    """``count`` numbers from 0 to ``last``, evenly spread; one is 0.

    >>> evenly(3, 9), evenly(1, 9), evenly(0, 9)
    ([0, 5, 9], [0], [])
    """
    gaps = max(count - 1, 1)
    return [(2 * index * last + gaps) // (2 * gaps) for index in range(count)]


def plan_of_frames(plan: MaskPlan, frames: Sequence[int]) -> MaskPlan:
    """The plan of some of a clip's frames, by index and in order: what compiling just them gives.

    Their areas, and with them the strengths, are those within these frames; so is the scope: the
    first is the first of them, and the one before is the one before among them.

    Raises ValueError for frames that are not there, not in order or none, and for plans whose
    latent frames stand for several frames each.
    """
    chosen = list(frames)
    if plan.frames_per_latent != 1:
        raise ValueError("latent frames that stand for several frames cannot be taken apart")
    if (
        not chosen
        or chosen != sorted(set(chosen))
        or not 0 <= chosen[0] <= chosen[-1] < len(plan.frames)
    ):
        raise ValueError(f"frames must be some of 0 to {len(plan.frames) - 1}, in order")
    if len(chosen) == len(plan.frames):
        return plan
    labels = [level.labels_FHW[chosen] for level in plan.levels]
    seen = np.unique(np.concatenate([[NO_CLASS], *(np.unique(each) for each in labels)]))
    anew = np.zeros(len(plan.members_CE), labels_dtype(len(seen)))
    anew[seen] = np.arange(len(seen))
    members = plan.members_CE[seen]
    scope = key_frames(plan.attention.frames, len(chosen))
    return replace(
        plan,
        frames=tuple(plan.frames[index] for index in chosen),
        members_CE=members,
        key_frames_FK=scope,
        edited_FHW=plan.edited_FHW[chosen],
        levels=tuple(
            level_of(
                level.index,
                anew[each],
                members,
                plan.edits,
                plan.attention,
                scope,
                level.modulated,
            )
            for level, each in zip(plan.levels, labels, strict=True)
        ),
        _cache={},
    )
