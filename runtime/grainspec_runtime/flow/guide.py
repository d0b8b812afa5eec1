"""What a spec's ``flow`` asks for: its checks before a model loads, and the paths of each level."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from grainspec.diagnostics import fail
from grainspec.model.spec import Flow
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.trajectories import Trajectories, trajectories

_PACKAGES = {"dis": ("cv2", "opencv-python-headless"), "raft": ("torchvision", "torchvision")}


def check_flow(flow: Flow, base: Path, plan: MaskPlan) -> None:
    """Raise GrainError for a flow that cannot be: G404 for levels that the backbone lacks, G501
    for a package that is not installed, G502 for weights that are not there."""
    missing = sorted(set(_levels(flow, plan)) - {level.index for level in plan.levels})
    if missing:
        message = f"the model has no level {missing[0]}"
        cure = f"It has the levels 0 to {len(plan.levels) - 1}, 0 the finest."
        raise fail("G404", message, cure, flow.span_of("levels"))
    module, package = _PACKAGES[flow.method]
    if find_spec(module) is None:
        message = f"`flow` by `{flow.method}` needs {package}, which is not installed"
        raise fail("G501", message, f"Install it with: pip install {package}", flow.span)
    if flow.weights is not None and not (base / flow.weights).exists():
        message = f"there are no weights at {base / flow.weights}"
        raise fail("G502", message, "Check the path.", flow.span_of("weights"))


def guiding_paths(
    flow: Flow, motion: ClipFlow, plan: MaskPlan, frames: Sequence[int] | None = None
) -> dict[int, Trajectories]:
    """The paths of the levels that ``flow`` names, by the level's index.

    They stay inside the regions of the plan's edits: what is kept apart elsewhere in attention
    must not meet here. ``frames`` are the plan's, by index in the clip of ``motion``; all, if None.
    """
    chosen = set(_levels(flow, plan))
    found = {}
    for level in plan.levels:
        if level.index in chosen:
            labels_FN = level.labels_FHW.reshape(len(level.labels_FHW), -1)
            h, w = level.labels_FHW.shape[1:]
            found[level.index] = trajectories(motion, (h, w), labels_FN, frames)
    return found


def _levels(flow: Flow, plan: MaskPlan) -> tuple[int, ...]:
    if isinstance(flow.levels, str):
        return tuple(level.index for level in plan.levels)
    return flow.levels
