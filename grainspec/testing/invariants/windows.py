"""Windows of long clips: their frames and weights, and the plans for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from grainspec.diagnostics import GrainError
from grainspec.model.spec import Context
from grainspec.plan.windows import FrameWindow, frame_windows, plan_of_frames
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.blend import blend, kept
from grainspec.testing.invariants.classes import classes, size
from grainspec.testing.invariants.expected import groups_of
from grainspec.testing.invariants.provenance import provenance
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.relations import regions
from grainspec.testing.invariants.schedule import levels, scope
from grainspec.testing.invariants.sometimes import chosen, once
from grainspec.testing.invariants.strengths import strengths
from grainspec.testing.invariants.structure import structure

_OF_WINDOWS = (structure, provenance, classes, size, regions, blend, kept, strengths, scope, levels)


@invariant("windows")
def windows(case: Case) -> None:
    """The plan of some frames is that of a clip with only these frames.

    Frames are latent frames. Those that are none, out of range or not in order are refused with a
    ValueError; so are those without the first one, if it stands for another number of frames.
    """
    plan, count = case.plan, len(groups_of(case))
    for frames in ([], [count], [-1], [-1, 0], [0, 0], [1, 0], [0, count]):
        _require_refused(case, frames)
    if plan_of_frames(plan, range(count)) != plan:
        raise Broken("windows", "the plan of all frames is not the plan of the clip")
    some = {(0,), (count - 1,), tuple(range(0, count, 2)), tuple(range(1, count))} - {()}
    if plan.first_frames != plan.frames_per_latent:
        for part in some:
            if part[0] != 0:
                _require_refused(case, part)
        some = {tuple(sorted({0, *part})) for part in some}
    groups = groups_of(case)
    for part in chosen(case, sorted(some), 1):
        frames = [frame for index in part for frame in groups[index]]
        window = Case(
            case.spec,
            case.layout.at(frames),
            case.backbone,
            plan_of_frames(plan, part),
            None if case.kept is None else case.kept[frames],
        )
        for check in _OF_WINDOWS:
            try:
                check(window)
            except Broken as broken:
                message = f"the plan of the frames {[*part]} is not one for them: {broken}"
                raise Broken("windows", message) from broken


def _require_refused(case: Case, frames: Sequence[int]) -> None:
    title = f"the frames {frames} of {len(groups_of(case))} latent frames"
    try:
        plan_of_frames(case.plan, frames)
    except ValueError:
        return
    except Exception as error:
        message = f"{title} are refused with {type(error).__name__}, not ValueError"
        raise Broken("windows", message) from error
    raise Broken("windows", f"{title} are not refused")


_CONTEXTS = (
    (Context(frames=6, overlap=2, keys=1), 11),
    (Context(frames=6, overlap=0, keys=0), 13),
    (Context(frames=2, overlap=1, keys=0), 5),
    (Context(frames=8, overlap=1, keys=3), 40),
    (Context(frames=9, overlap=5, keys=2), 10),
    (Context(frames=16, overlap=4, keys=2), 16),
    (Context(frames=16, overlap=4, keys=2), 3),
    (None, 4),
)
"""Contexts, and the numbers of frames that they divide."""


@invariant("context")
def context(case: Case) -> None:
    """The windows of a clip have as many frames as asked, and overlap by at least as many.

    Every window has the key frames, and a span of neighbours; the spans are as few as possible, and
    evenly placed from the first to the last frame. The weights of a frame sum to one; within the
    spans, they are in proportion to the distance from the span's nearer end.

    Where latent frames stand for several frames, as many are in a window as cover the frames asked
    for. If the first one is unlike the others, every window has it; what has none is refused.
    """
    once("context", lambda: _divisions(_CONTEXTS))
    once("context of latent frames", _grouped)
    own = case.spec.context
    if own:
        _divisions([(own, length) for length in (own.frames, own.frames + 1, 3 * own.frames)])


def _divisions(contexts: Sequence[tuple[Context | None, int]]) -> None:
    for settings, count in contexts:
        found = frame_windows(count, settings)
        if settings is None or count <= settings.frames:
            if found != (FrameWindow(tuple(range(count)), (1.0,) * count),):
                message = f"a clip of {count} frames is not one window"
                raise Broken("context", message, context=settings)
        else:
            _windows(found, settings, count)


_GROUPED = (
    (Context(frames=17, overlap=5, keys=1), 21, 4, 1, (5, 2, 1)),
    (Context(frames=16, overlap=4, keys=2), 21, 4, 1, (5, 1, 2)),
    (Context(frames=16, overlap=4, keys=0), 21, 4, 4, (4, 1, 0)),
    (Context(frames=14, overlap=0, keys=1), 9, 8, 5, (3, 0, 1)),
    (Context(frames=6, overlap=3, keys=0), 9, 2, 2, (3, 2, 0)),
)
"""Contexts, latent frames of a clip, frames of each and of the first; and the windows' numbers."""

_REFUSED = (
    (Context(frames=17, overlap=5, keys=0), 21, 4, 1),
    (Context(frames=16, overlap=4, keys=4), 21, 4, 1),
    (Context(frames=4, overlap=3, keys=0), 21, 4, 4),
)


def _grouped() -> None:
    """Windows of latent frames that stand for several frames."""
    for settings, count, per, first, (frames, overlap, keys) in _GROUPED:
        latent = Context(frames=frames, overlap=overlap, keys=keys)
        shown = {"context": settings, "frames": f"{first} and {per} to a latent frame"}
        found = frame_windows(count, settings, per, first)
        if found != frame_windows(count, latent):
            message = f"the windows are not those of {frames} latent frames"
            raise Broken("context", message, **shown)
        if first != per and any(window.frames[0] != 0 for window in found):
            raise Broken("context", "a window is without the first latent frame", **shown)
    for settings, count, per, first in _REFUSED:
        shown = {"context": settings, "frames": f"{first} and {per} to a latent frame"}
        try:
            frame_windows(count, settings, per, first)
        except GrainError as error:
            if [finding.code for finding in error.diagnostics] != ["G419"]:
                raise Broken("context", f"it is refused with {error}", **shown) from error
        else:
            raise Broken("context", "it is not refused", **shown)


def _windows(found: Sequence[FrameWindow], settings: Context, count: int) -> None:
    """Check the windows of a clip that is longer than the context."""
    keys, own = settings.keys, settings.frames - settings.keys
    shown = f"frames {settings.frames} overlap {settings.overlap} keys {keys}"
    where = {"context": shown, "clip": f"of {count} frames"}
    number = 1 + math.ceil((count - own) / (own - settings.overlap))
    if len(found) != number:
        raise Broken("context", f"there are {len(found)} windows, not {number}", **where)
    key_frames = _evenly(keys, count - 1)
    spans = []
    for window, start in zip(found, _evenly(number, count - own), strict=True):
        span = [f for f, weight in zip(window.frames, window.weights, strict=True) if weight > 0]
        spans.append(span)
        frames = [*window.frames]
        if frames != sorted({*span, *key_frames}) or len(frames) != settings.frames:
            message = f"a window has the frames {frames}, not {settings.frames} with {key_frames}"
            raise Broken("context", message, **where)
        first = start
        while len({*key_frames, *range(first, span[-1] + 1)}) < settings.frames:
            first -= 1  # no frames are left after the span
        if span != [*range(first, span[-1] + 1)] or (first < start and span[-1] != count - 1):
            message = f"a span has the frames {span}; it should begin at {start}"
            raise Broken("context", message, **where)
    for one, other in pairwise(spans):
        if len({*one} & {*other}) < settings.overlap:
            message = f"the spans {_ends(one)} and {_ends(other)} overlap by less"
            raise Broken("context", message, **where)
    _weights(found, spans, count, where)


def _weights(
    found: Sequence[FrameWindow],
    spans: Sequence[Sequence[int]],
    count: int,
    where: dict[str, object] | dict[str, str],
) -> None:
    """In proportion to the distance from the span's nearer end, and in sum one."""
    distances = np.zeros((len(spans), count))
    for row, span in zip(distances, spans, strict=True):
        for frame in span:
            row[frame] = 1 + min(frame - span[0], span[-1] - frame)
    if not distances.any(axis=0).all():
        missing = np.flatnonzero(~distances.any(axis=0)).tolist()
        raise Broken("context", f"the frames {missing} are in no span", **where)
    expected = distances / distances.sum(axis=0)
    for window, row in zip(found, expected, strict=True):
        for frame, weight in zip(window.frames, window.weights, strict=True):
            if not math.isclose(weight, row[frame], abs_tol=1e-9):
                message = f"the weight of frame {frame} is {weight:.4f}, not {row[frame]:.4f}"
                raise Broken("context", message, **where)


def _evenly(count: int, last: int) -> list[int]:
    """Whole numbers next to evenly spaced ones from 0 to ``last``, halves up."""
    gaps = max(1, count - 1)
    exact = [Fraction(index * last, gaps) for index in range(count)]
    return [math.floor(place + Fraction(1, 2)) for place in exact]


def _ends(span: Sequence[int]) -> str:
    return f"{span[0]} to {span[-1]}"
