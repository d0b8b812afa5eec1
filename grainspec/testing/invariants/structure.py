"""Whether a plan has the arrays that its clip, spec and backbone call for."""

from __future__ import annotations

from typing import Any

import numpy as np

from grainspec.plan.mask_plan import MaskPlan, PlanLevel, PlannedEdit
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import latent_frames, latent_grid, level_grids
from grainspec.testing.invariants.registry import invariant

_LABELS = (np.uint8, np.uint16)
TABLES = ("cross_attract", "cross_repel", "self_attract", "self_repel")


@invariant("structure")
def structure(case: Case) -> None:
    """A plan has all frames, edits, levels and text tokens, in arrays of the right shape and type.

    Labels are numbers of classes. Class 0 belongs to no edit, is attracted by nothing, and repelled
    only with `outside repelled`. Strengths are finite and not negative. Each frame attends to
    frames of the clip.
    """
    plan = case.plan
    if not isinstance(plan, MaskPlan):
        raise Broken("structure", f"the plan is a {type(plan).__name__}, not a MaskPlan")
    _counts(case)
    groups = len(latent_frames(len(plan.frames), plan.frames_per_latent, plan.first_frames))
    classes = len(plan.members_CE)
    edits, (rows, columns) = len(plan.edits), latent_grid(case)
    _has("members_CE", plan.members_CE, (np.bool_,), (classes, edits))
    if classes == 0 or plan.members_CE[0].any():
        raise Broken("structure", "class 0 is not the class of no edit")
    _has("words_ET", plan.words_ET, (np.bool_,), (edits, case.backbone.max_tokens))
    _has("neutral_T", plan.neutral_T, (np.bool_,), (case.backbone.max_tokens,))
    _has("masked_T", plan.masked_T, (np.bool_,), (case.backbone.max_tokens,))
    keys = plan.key_frames_FK
    _has("key_frames_FK", keys, (np.int32,), (groups, None))
    if keys.min() < 0 or keys.max() >= groups:
        message = f"key_frames_FK has {keys.min()} to {keys.max()}, with {groups} latent frames"
        raise Broken("structure", message)
    _has("edited_FHW", plan.edited_FHW, (np.bool_,), (groups, rows, columns))
    for level in plan.levels:
        _level(case, level, groups, classes)


def _counts(case: Case) -> None:
    """The plan's frames, size, edits and levels are as many as the case's."""
    plan, (frames, height, width) = case.plan, case.layout.bits_FHW.shape
    expected = {
        "frames": (len(plan.frames), frames),
        "first_frames": (plan.first_frames, case.backbone.first_frames),
        "frames_per_latent": (plan.frames_per_latent, case.backbone.frames_per_latent),
        "patch": (plan.patch, case.backbone.patch),
        "noise": (plan.noise, case.backbone.noise),
        "width": (plan.width, width),
        "height": (plan.height, height),
        "edits": (len(plan.edits), len(case.spec.claims)),
        "levels": (len(plan.levels), case.backbone.level_count),
    }
    for name, (actual, wanted) in expected.items():
        if actual != wanted:
            raise Broken("structure", f"{name}: the plan has {actual}, not {wanted}")
    if not all(isinstance(edit, PlannedEdit) for edit in plan.edits):
        raise Broken("structure", "edits: some are not PlannedEdit")
    indices = [level.index for level in plan.levels]
    if indices != [*range(len(indices))]:
        raise Broken("structure", f"levels: their numbers are {indices}")


def _level(case: Case, level: PlanLevel, groups: int, classes: int) -> None:
    index, grid = level.index, level_grids(case)[level.index]
    labels = level.labels_FHW
    _has("labels_FHW", labels, _LABELS, (groups, *grid), level=index)
    if not isinstance(level.modulated, bool):
        raise Broken("structure", f"modulated is {level.modulated!r}", level=index)
    if level.tokens != grid[0] * grid[1]:
        message = f"`tokens` is {level.tokens}, not {grid[0] * grid[1]}"
        raise Broken("structure", message, level=index)
    if labels.max() >= classes:
        message = f"labels_FHW has the class {labels.max()}, and there are {classes}"
        raise Broken("structure", message, level=index)
    for name in TABLES:
        table = getattr(level, f"{name}_FC")
        _has(f"{name}_FC", table, (np.float32,), (groups, classes), level=index)
        if not np.isfinite(table).all() or table.min() < 0:
            message = f"{name}_FC has a value that is negative, NaN or infinite"
            raise Broken("structure", message, level=index)
        repelled = case.spec.modulation.outside == "repelled" and name.endswith("repel")
        if table[:, 0].any() and not repelled:
            message = f"{name}_FC is not 0 for class 0, which belongs to no edit"
            raise Broken("structure", message, level=index)


def _has(
    name: str, array: Any, types: tuple[Any, ...], shape: tuple[int | None, ...], **where: object
) -> None:
    """Require the type and shape of an array; None is any length but 0."""
    if not isinstance(array, np.ndarray):
        message = f"{name} is a {type(array).__name__}, not an array"
        raise Broken("structure", message, **where)
    if array.dtype not in types:
        wanted = " or ".join(np.dtype(kind).name for kind in types)
        raise Broken("structure", f"{name} is {array.dtype}, not {wanted}", **where)
    fits = array.ndim == len(shape) and all(
        length == wanted or (wanted is None and length > 0)
        for length, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise Broken("structure", f"{name} has the shape {array.shape}, not ({wanted})", **where)
