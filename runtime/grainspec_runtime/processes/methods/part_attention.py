"""The attention of some frames of a clip, as if only they were the clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grainspec.model.spec import FrameScope
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import plan_of_frames
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.modulation.layers import Attention


def part_attention(
    checkpoint: Checkpoint,
    plan: MaskPlan,
    frames: Sequence[int],
    scope: FrameScope,
    *,
    modulated: bool,
    backend: str,
    **settings: Any,
) -> Attention:
    """Return the attention over ``frames``, of which each attends to those in ``scope``.

    ``modulated`` says whether the plan modulates it. ``settings`` replace those of the plan's
    attention.
    """
    if modulated:
        plan = plan_of_frames(plan, frames, scope)
    return checkpoint.attention(
        len(frames),
        plan.attention.replaced({}, frames=scope, **settings),
        plan=plan if modulated else None,
        backend=backend,
    )
