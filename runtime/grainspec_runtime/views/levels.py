"""What of each region is left on the token grids that a model attends on."""

from __future__ import annotations

import numpy as np

from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.regions.layout import Layout


def at_level(plan: MaskPlan, level: PlanLevel) -> Layout:
    """The edits' regions as the tokens of a level have them, enlarged to the frames' size."""
    rows, columns = level.labels_FHW.shape[1:]
    down = np.arange(plan.height) * rows // plan.height
    across = np.arange(plan.width) * columns // plan.width
    labels = level.labels_FHW[:, down[:, None], across]
    masks = {edit.region: plan.members_CE[labels, i] for i, edit in enumerate(plan.edits)}
    return Layout.of(masks, plan.frames)


def lost(plan: MaskPlan, level: PlanLevel, edit: int) -> list[int]:
    """The source frames on which nothing of an edit's region is left at a level."""
    inside = plan.members_CE[level.labels_FHW, edit].any(axis=(1, 2))
    there = plan.members_CE[plan.levels[0].labels_FHW, edit].any(axis=(1, 2))
    return [frame for frame, i, o in zip(plan.frames, inside, there, strict=True) if o and not i]
