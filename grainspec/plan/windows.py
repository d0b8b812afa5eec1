"""Windows over a long clip: the frames that the model sees at once, and their weights.

A window is a span of frames plus the key frames. The key frames are a few frames spread over the
whole clip; every window sees them, so that distant parts of the clip look alike. Within a window,
attention is that of a clip with only its frames; :func:`plan_of_frames` gives the plan for it.

Where a latent frame stands for several frames of the clip, windows are made of latent frames: as
many as cover the frames that the spec asks for. Where the first latent frame stands for fewer
frames than the others (in causal VAEs), every window has it, as its first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import Context, FrameScope
from grainspec.plan.backbone import frame_groups
from grainspec.plan.mask_plan import NO_CLASS, MaskPlan, key_frames
from grainspec.plan.strengths import labels_dtype, level_of


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """The latent frames that the model sees at once, as ascending indices into the clip's.

    weights: the weight of this window in the prediction of each frame, 0 to 1. Over all windows the
    weights of a frame sum to 1. It is 0 for key frames outside the window's span.
    """

    frames: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LatentContext:
    """A context in latent frames: how many a window has, shares with the next, and all share."""

    frames: int
    overlap: int
    keys: int

    @classmethod
    def of(cls, context: Context, per: int = 1, first: int = 1) -> LatentContext:
        """The latent frames that cover the frames of a context, at least.

        ``first`` frames are one latent frame at the start of a clip, then ``per``. Each key frame
        is in a latent frame, so there are as many.

        >>> LatentContext.of(Context(frames=17, overlap=5, keys=1), per=4)
        LatentContext(frames=5, overlap=2, keys=1)
        """
        frames = len(frame_groups(context.frames, per, first))
        return cls(frames, -(-context.overlap // per), context.keys)


def check_context(count: int, context: Context | None, per: int = 1, first: int = 1) -> None:
    """Raise GrainError (G203, G419) if a clip of ``count`` latent frames has no windows.

    None of the windows would have a new frame, or they lack the first latent frame, which they need
    if it stands for another number of frames than the others.
    """
    if context is None:
        return
    if (contradiction := context.contradiction) is not None:
        raise GrainError([contradiction])
    if per == 1 and first == 1:
        return
    latent = LatentContext.of(context, per, first)
    if count <= latent.frames:
        return
    keys = max(latent.keys, int(first != per))
    needed = keys + latent.overlap + 1
    more = f"frames {first + (needed - 1) * per}"
    if keys != latent.keys:
        message = "windows with `keys 0` lack the first latent frame, which the model needs"
        cure = f"Write `keys {keys}`, which adds the first frame of the clip to every window."
        if needed > latent.frames:
            whole = f"context {{ {more}  overlap {context.overlap}  keys {keys} }}"
            cure = f"Write `{whole}`: a key frame is the first frame of the clip."
        raise fail("G419", message, cure, context.span_of("keys"))
    if needed > latent.frames:
        message = (
            f"windows of {context.frames} frames with `overlap {context.overlap}` and "
            f"`keys {context.keys}` contain no new latent frame"
        )
        cure = f"Write `{more}`: each key frame takes {per} frames of a window."
        raise fail("G419", message, cure, context.span_of("frames"))


def frame_windows(
    count: int, context: Context | None, per: int = 1, first: int = 1
) -> tuple[FrameWindow, ...]:
    """Divide ``count`` latent frames into windows; one if ``context`` is None or the clip fits.

    ``context`` counts frames of the clip, of which ``first`` are the first latent frame, and each
    ``per`` after them another one. Raises GrainError as :func:`check_context` does.

    All windows have ``frames`` frames. Their spans are evenly placed and overlap by at least
    ``overlap`` frames; a span that contains key frames is longer by their number. The weight of a
    frame grows with its distance from the nearer end of the span, so that one window fades out
    while the next fades in. Key frames get their prediction from the spans that contain them, like
    their neighbours, with which it has to agree.

    >>> for window in frame_windows(10, Context(frames=6, overlap=2, keys=1)):
    ...     print(window.frames, [round(weight, 2) for weight in window.weights])
    (0, 1, 2, 3, 4, 5) [1.0, 1.0, 1.0, 0.75, 0.5, 0.2]
    (0, 3, 4, 5, 6, 7) [0.0, 0.25, 0.5, 0.6, 0.5, 0.25]
    (0, 5, 6, 7, 8, 9) [0.0, 0.2, 0.5, 0.75, 1.0, 1.0]
    """
    check_context(count, context, per, first)
    latent = LatentContext.of(context, per, first) if context else None
    if latent is None or count <= latent.frames:
        return (FrameWindow(tuple(range(count)), (1.0,) * count),)
    own = latent.frames - latent.keys
    gaps = -(-(count - own) // (own - latent.overlap))
    keys = evenly(latent.keys, count - 1)
    spans = []
    for start in evenly(gaps + 1, count - own):
        span = range(start, start + own)
        while len({*keys, *span}) < latent.frames:
            more = span.stop < count
            span = range(span.start - (not more), span.stop + more)
        spans.append(span)
    counts = np.zeros((len(spans), count))
    for row, span in zip(counts, spans, strict=True):
        steps = np.arange(1.0, len(span) + 1)
        row[span.start : span.stop] = np.minimum(steps, steps[::-1])
    weights = counts / counts.sum(axis=0)
    return tuple(
        FrameWindow(frames := tuple(sorted({*keys, *span})), tuple(row[list(frames)].tolist()))
        for span, row in zip(spans, weights, strict=True)
    )


def windows_of(plan: MaskPlan, context: Context | None) -> tuple[FrameWindow, ...]:
    """The windows in which the networks process the clip of a plan; one if all of it at once."""
    return frame_windows(len(plan.groups), context, plan.frames_per_latent, plan.first_frames)


def evenly(count: int, last: int) -> list[int]:
    """``count`` evenly spaced whole numbers from 0 to ``last``; a single number is 0.

    >>> evenly(3, 9), evenly(1, 9), evenly(0, 9)
    ([0, 5, 9], [0], [])
    """
    gaps = max(count - 1, 1)
    return [(2 * index * last + gaps) // (2 * gaps) for index in range(count)]


def plan_of_frames(
    plan: MaskPlan, frames: Sequence[int], scope: FrameScope | None = None
) -> MaskPlan:
    """The plan for some frames of the clip, by ascending index, as if only they were compiled.

    Areas, strengths and scope are those within these frames: in ``sparse_causal``, for example, the
    first frame is the first of them, and the previous frame is the previous one among them.
    ``scope`` says which of them a frame attends to; None: as in the plan.

    ``frames`` count latent frames. The first one must be among them if it stands for another number
    of frames than the others, as in causal VAEs. Raises ValueError if it is not, and if ``frames``
    is empty, not ascending or out of range.
    """
    chosen, count = list(frames), len(plan.groups)
    if not chosen or chosen != sorted(set(chosen)) or not 0 <= chosen[0] <= chosen[-1] < count:
        raise ValueError(f"frames must be numbers from 0 to {count - 1}, in order")
    scope = scope or plan.attention.frames
    if len(chosen) == count and scope == plan.attention.frames:
        return plan
    if plan.first_frames != plan.frames_per_latent and chosen[0] != 0:
        raise ValueError("the first latent frame stands for other frames: it must be among them")
    labels = [level.labels_FHW[chosen] for level in plan.levels]
    classes = np.unique(np.concatenate([[NO_CLASS], *map(np.unique, labels)]))
    renumbered = np.zeros(len(plan.members_CE), labels_dtype(len(classes)))
    renumbered[classes] = np.arange(len(classes))
    members = plan.members_CE[classes]
    attention = plan.attention.replaced({}, frames=scope)
    scope_FK = key_frames(scope, len(chosen))
    return replace(
        plan,
        attention=attention,
        frames=tuple(plan.frames[frame] for index in chosen for frame in plan.groups[index]),
        members_CE=members,
        key_frames_FK=scope_FK,
        edited_FHW=plan.edited_FHW[chosen],
        levels=tuple(
            level_of(
                level.index,
                renumbered[labels_FHW],
                members,
                plan.edits,
                attention,
                scope_FK,
                level.modulated,
            )
            for level, labels_FHW in zip(plan.levels, labels, strict=True)
        ),
        _cache={},
    )
