"""Regions at the resolution of a model's attention levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.regions.layout import Layout


def at_level(plan: MaskPlan, level: PlanLevel) -> Layout:
    """The edits' regions on a level's grid of latent tokens, enlarged to the frame size.

    Frames of one latent frame are alike.
    """
    rows, columns = level.labels_FHW.shape[1:]
    down = np.arange(plan.height) * rows // plan.height
    across = np.arange(plan.width) * columns // plan.width
    labels = level.labels_FHW[latent_frames(plan)[:, None, None], down[:, None], across]
    masks = {edit.region: plan.members_CE[labels, i] for i, edit in enumerate(plan.edits)}
    return Layout.of(masks, plan.frames)


def vanished_frames(plan: MaskPlan, level: PlanLevel, edit: int) -> list[int]:
    """The source frames in which an edit's region vanishes at this level."""
    here = plan.members_CE[level.labels_FHW, edit].any(axis=(1, 2))
    finest = plan.members_CE[plan.levels[0].labels_FHW, edit].any(axis=(1, 2))
    vanished = (finest & ~here)[latent_frames(plan)]
    return [frame for frame, gone in zip(plan.frames, vanished, strict=True) if gone]


def latent_frames(plan: MaskPlan) -> npt.NDArray[np.int64]:
    """The latent frame of every frame of a plan, ``[frames]``."""
    return np.repeat(np.arange(len(plan.groups)), [len(group) for group in plan.groups])
