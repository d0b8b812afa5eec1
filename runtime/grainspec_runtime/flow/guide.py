"""A spec's ``flow`` statement: its checks before a model loads, and the motion paths per level."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from grainspec.checks.smoothing import is_default, is_smoothed
from grainspec.diagnostics import Diagnostic, fail
from grainspec.model.spec import Flow, Method, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.trajectories import Trajectories, trajectories

_PACKAGES = {"dis": ("cv2", "opencv-python-headless"), "raft": ("torchvision", "torchvision")}


def check_flow(flow: Flow, base: Path, plan: MaskPlan) -> None:
    """Raise GrainError if ``flow`` cannot run.

    G404: the model lacks one of its levels; G501: a package is not installed; G502: the weights do
    not exist.
    """
    missing = sorted(set(_levels(flow, plan)) - {level.index for level in plan.levels})
    if missing:
        message = f"the model has no level {missing[0]}"
        levels = " ".join(str(level.index) for level in plan.levels)
        cure = f"Choose from `levels {levels}`; 0 is the finest."
        raise fail("G404", message, cure, flow.span_of("levels"))
    module, package = _PACKAGES[flow.method]
    if find_spec(module) is None:
        message = f"`flow {{ method {flow.method} }}` requires {package}, which is not installed"
        raise fail("G501", message, f"Install it with: pip install {package}", flow.span)
    if flow.weights is not None and not os.path.exists(base / flow.weights):
        message = f"the weights of `flow` do not exist: {base / flow.weights}"
        raise fail("G502", message, "Check the path.", flow.span_of("weights"))


def check_interpolation(
    owner: Sampler | Method, *, frames: int, steps: int
) -> Iterator[Diagnostic]:
    """Check what smooths a clip of so many frames: ``owner`` has `smooth_from`.

    Warns (G111) if no frame has two neighbours, unless `smooth_from` has its default, or was
    warned of because of the ``steps``. Raises GrainError (G501) if frames are interpolated
    along optical flow, and OpenCV is missing.
    """
    if frames < 3:
        if is_default(owner) or not is_smoothed(owner, steps):
            return
        few = "1 frame" if frames == 1 else f"{frames} frames"
        message = f"`smooth_from` has no effect on {few}: it replaces frames between two others"
        yield Diagnostic("G111", message, "Remove it.", owner.span_of("smooth_from"))
        return
    module, package = _PACKAGES["dis"]
    if find_spec(module) is not None:
        return
    what, instead, span = "smooth_from", "remove it", owner.span_of("smooth_from")
    if isinstance(owner, Method):
        if owner.middle != "flow":
            return
        what, instead, span = "middle flow", "write `middle mean`", owner.span_of("middle")
    message = f"`{what}` requires {package}, which is not installed"
    raise fail("G501", message, f"Install it with: pip install {package}; or {instead}.", span)


def guiding_paths(
    flow: Flow, motion: ClipFlow, plan: MaskPlan, frames: Sequence[int] | None = None
) -> dict[int, Trajectories]:
    """Compute the motion paths for the levels that ``flow`` names, keyed by the level's index.

    A path never leaves the region it starts in, so that attention along paths does not mix regions
    that modulation keeps apart. ``frames`` are the plan's frames as indices into the clip of
    ``motion``; None means all.
    """
    chosen = set(_levels(flow, plan))
    paths_by_level = {}
    for level in plan.levels:
        if level.index in chosen:
            labels_FN = level.labels_FHW.reshape(len(level.labels_FHW), -1)
            h, w = level.labels_FHW.shape[1:]
            paths_by_level[level.index] = trajectories(motion, (h, w), labels_FN, frames)
    return paths_by_level


def _levels(flow: Flow, plan: MaskPlan) -> tuple[int, ...]:
    if isinstance(flow.levels, str):
        return tuple(level.index for level in plan.levels)
    return flow.levels
