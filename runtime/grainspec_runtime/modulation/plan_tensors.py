"""A mask plan's arrays on the model's device, and its state at a sampling step.

Dimensions: F frames, N tokens of a frame, C classes, T text tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec_runtime.attention import ClassOrder


@dataclass(frozen=True)
class LevelTensors:
    """A plan's level on the device: labels ``[F, N]``, strengths ``[F, C]`` before the schedule."""

    labels_FN: Tensor
    cross_attract_FC: Tensor
    cross_repel_FC: Tensor
    self_attract_FC: Tensor
    self_repel_FC: Tensor
    # Sorted by class once for all layers and steps, if the backend needs this order.
    self_order: ClassOrder | None = None
    cross_order: ClassOrder | None = None


class PlanTensors:
    """A plan on ``device``: its modulated levels by index, its relations, and the step's factor ξ.

    ``key_frames_FK`` are the frames that each frame attends to; None means all. With
    ``sort_by_class`` the class orders of the fused kernels are computed once.
    """

    def __init__(
        self,
        plan: MaskPlan,
        *,
        device: torch.device | str,
        key_frames_FK: Tensor | None,
        sort_by_class: bool,
    ) -> None:
        self.plan = plan
        self.self_relation_CC = torch.from_numpy(plan.self_relation_CC).to(device)
        self.cross_relation_CT = torch.from_numpy(plan.cross_relation_CT).to(device)
        self.soft_T: Tensor | None = None  # text tokens that repel by a share
        self.soft_share = 1.0
        if plan.attention.unbound < 1:
            self.soft_T = torch.from_numpy(plan.repel_shares_T < 1).to(device)
            self.soft_share = plan.attention.unbound
        self.active = False
        # A tensor, so that a compiled denoiser is not recompiled for every step.
        self.share = torch.zeros((), device=device)
        self._key_frames_FK = key_frames_FK
        self._levels: dict[int, LevelTensors] = {}
        for level in plan.levels:
            if level.modulated:
                tensors = _to_device(level, device)
                self._levels[level.index] = self._sorted(tensors) if sort_by_class else tensors

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Set the schedule's factor ξ(t) for sampling step ``step`` of ``steps``."""
        share = self.plan.schedule(timestep)
        self.active = self.plan.is_active(step, steps, timestep) and share > 0
        self.share.fill_(share if self.active else 0.0)

    def level(self, index: int) -> LevelTensors | None:
        """Return the level with this index; None if it is not modulated."""
        return self._levels.get(index)

    def strength(self, table_FC: Tensor, labels_FN: Tensor) -> Tensor:
        """Return the strength λ of every latent token at this step, ``[F, N]``."""
        return (table_FC.gather(1, labels_FN) * self.share).clamp_(max=1.0)

    def labels(self, level: LevelTensors) -> tuple[Tensor, Tensor]:
        """Return the labels of queries and keys in self-attention: one sequence, or per frame."""
        labels_FN = level.labels_FN
        if self._key_frames_FK is None:
            return labels_FN.reshape(1, -1), labels_FN.reshape(1, -1)
        return labels_FN, labels_FN[self._key_frames_FK].flatten(1)

    def _sorted(self, level: LevelTensors) -> LevelTensors:
        words = torch.arange(self.cross_relation_CT.shape[1], device=self.cross_relation_CT.device)
        return replace(
            level,
            self_order=ClassOrder.of(*self.labels(level), self.self_relation_CC),
            cross_order=ClassOrder.of(
                level.labels_FN,
                words.expand(len(level.labels_FN), -1),
                self.cross_relation_CT,
                self.soft_T,
            ),
        )


def _to_device(level: PlanLevel, device: torch.device | str) -> LevelTensors:
    frames = len(level.labels_FHW)
    labels_FN = torch.from_numpy(level.labels_FHW.reshape(frames, -1).astype("int64"))
    return LevelTensors(
        labels_FN=labels_FN.to(device),
        cross_attract_FC=torch.from_numpy(level.cross_attract_FC).to(device),
        cross_repel_FC=torch.from_numpy(level.cross_repel_FC).to(device),
        self_attract_FC=torch.from_numpy(level.self_attract_FC).to(device),
        self_repel_FC=torch.from_numpy(level.self_repel_FC).to(device),
    )
