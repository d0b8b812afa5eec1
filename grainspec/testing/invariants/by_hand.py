"""A plan made by hand, for properties of plans that no case matters to."""

from __future__ import annotations

import numpy as np

from grainspec.model.spec import PROFILES
from grainspec.plan.mask_plan import MaskPlan, PlanLevel, PlannedEdit


def plan_by_hand() -> MaskPlan:
    """Two edits, a class each, on two frames at two levels."""
    attention = PROFILES["stable_diffusion"].model_copy(update={"frames": "sparse_causal"})
    return MaskPlan(
        target="a bear with a hat",
        frames=(3, 5),
        first_frames=1,
        frames_per_latent=1,
        noise="ddpm",
        edits=(
            PlannedEdit("bear", "edit", "instance", None, "bear", 1.5, 0.5, ((2, 6),), ((2,),)),
            PlannedEdit("hat", "add", "part", "bear", "hat", 1.0, 1.0, ((14, 17),), ((5,),)),
        ),
        attention=attention,
        backbone="words",
        training_steps=1000,
        width=64,
        height=32,
        members_CE=np.array([[0, 0], [1, 0], [0, 1]], bool),
        words_ET=np.arange(7) == np.array([[2], [5]]),
        neutral_T=np.arange(7) == 3,
        masked_T=np.zeros(7, bool),
        key_frames_FK=np.array([[0, 0], [0, 0]], np.int32),
        edited_FHW=np.tile([[0, 1, 1, 0], [1, 1, 0, 0]], (2, 1, 1)).astype(bool),
        levels=(_level(0, [[0, 1, 2, 0], [1, 2, 0, 0]]), _level(1, [[1, 2]])),
    )


def _level(index: int, labels: list[list[int]]) -> PlanLevel:
    tables = [
        np.array([[0, first, 0.5], [0, 0.25, first]], np.float32) for first in (1, 0.75, 2, 0.375)
    ]
    return PlanLevel(
        index=index,
        labels_FHW=np.array([labels, labels[::-1]], np.uint8),
        cross_attract_FC=tables[0],
        cross_repel_FC=tables[1],
        self_attract_FC=tables[2],
        self_repel_FC=tables[3],
        modulated=index == 0,
    )
