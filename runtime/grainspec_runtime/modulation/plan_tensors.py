"""A mask plan's arrays on the model's device, and its state at a sampling step.

Dimensions: F frames, N tokens of a frame, C classes, T text tokens, E edits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
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

    ``key_frames_FK`` are the frames that each frame attends to; None means all. With ``one_clip``
    the frames are one sequence in cross-attention, too; otherwise they are entries of the batch.
    With ``sort_by_class`` the class orders of the fused kernels are computed once.
    """

    def __init__(
        self,
        plan: MaskPlan,
        *,
        device: torch.device | str,
        key_frames_FK: Tensor | None,
        sort_by_class: bool,
        one_clip: bool = False,
    ) -> None:
        self.plan = plan
        self.self_relation_CC = torch.from_numpy(plan.self_relation_CC).to(device)
        self.cross_relation_CT = torch.from_numpy(plan.cross_relation_CT).to(device)
        self.soft_T: Tensor | None = None  # text tokens that repel by a share
        self.soft_share = 1.0
        if plan.attention.unbound < 1:
            padding = plan.neutral_T | plan.masked_T
            self.soft_T = torch.from_numpy((plan.repel_shares_T < 1) & ~padding).to(device)
            self.soft_share = plan.attention.unbound
        self._padding = {
            name: torch.from_numpy(keys_T).to(device)
            for name, keys_T in (("neutral", plan.neutral_T), ("masked", plan.masked_T))
            if keys_T.any()
        }
        self._columns_T: Tensor | None = None
        if plan.attention.columns:
            self._columns_T = torch.from_numpy(column_strengths(plan)).to(device)
        self.active = False
        # A tensor, so that a compiled denoiser is not recompiled for every step.
        self.share = torch.zeros((), device=device)
        self._key_frames_FK = key_frames_FK
        self._one_clip = one_clip
        self._words_T = torch.arange(plan.words_ET.shape[1], device=device)
        self._levels: dict[int, LevelTensors] = {}
        self._orders: dict[tuple[int, ...], ClassOrder] = {}
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

    @property
    def pulls_columns(self) -> bool:
        """Whether words are pulled along their columns."""
        return self._columns_T is not None

    def self_modulation(self, level: LevelTensors, tokens: slice | None = None) -> dict[str, Any]:
        """Return the operator's arguments for self-attention at this step.

        ``tokens`` are those of the clip whose queries the call has; None for all. For some,
        :meth:`keys_of_slice` returns the arguments that are missing.
        """
        labels, keys = self._self_labels(level)
        attract = self._strength(level.self_attract_FC, level.labels_FN).view_as(labels)
        repel = self._strength(level.self_repel_FC, level.labels_FN).view_as(labels)
        of_keys: dict[str, Any] = {"key_labels": keys, "order": level.self_order}
        if tokens is not None:
            labels, attract, repel = (it[:, tokens] for it in (labels, attract, repel))
            of_keys = {}
        return {
            "query_labels": labels,
            "relation": self.self_relation_CC,
            "attract": attract,
            "repel": repel,
            **of_keys,
        }

    def keys_of_slice(self, level: LevelTensors, queries: slice, keys: slice) -> dict[str, Any]:
        """Return the operator's arguments for self-attention that depend on its keys.

        ``queries`` and ``keys`` are the tokens of the clip that the call has. The order of their
        classes is computed once; None if levels have none.
        """
        labels, key_labels = self._self_labels(level)
        key_labels = key_labels[:, keys]
        order = None
        if level.self_order is not None:
            place = (id(level), queries.start, queries.stop, keys.start, keys.stop)
            if place not in self._orders:
                self._orders[place] = ClassOrder.of(
                    labels[:, queries], key_labels, self.self_relation_CC
                )
            order = self._orders[place]
        return {"key_labels": key_labels, "order": order}

    def cross_modulation(self, level: LevelTensors, tokens: slice | None = None) -> dict[str, Any]:
        """Return the operator's arguments for cross-attention at this step.

        ``tokens`` are those of the clip whose queries the call has; None for all.
        """
        labels = whole = self._cross_labels(level)
        attract = self._strength(level.cross_attract_FC, level.labels_FN).view_as(whole)
        repel = self._strength(level.cross_repel_FC, level.labels_FN).view_as(whole)
        order = level.cross_order
        if tokens is not None:
            labels, attract, repel = (it[:, tokens] for it in (whole, attract, repel))
            order = self._order_of(level, tokens)
        pulled: dict[str, Any] = {}
        if self._columns_T is not None:
            pulled["columns"] = (self._columns_T * self.share).clamp_(max=1.0)
        return {
            "query_labels": labels,
            "key_labels": self._words_T,
            "relation": self.cross_relation_CT,
            "attract": attract,
            "repel": repel,
            "soft": self.soft_T,
            "soft_share": self.soft_share,
            "order": order,
            **self._padding,
            **pulled,
        }

    def _strength(self, table_FC: Tensor, labels_FN: Tensor) -> Tensor:
        """Return the strength λ of every latent token at this step, ``[F, N]``."""
        return (table_FC.gather(1, labels_FN) * self.share).clamp_(max=1.0)

    def _self_labels(self, level: LevelTensors) -> tuple[Tensor, Tensor]:
        """Return the labels of queries and keys in self-attention: one sequence, or per frame."""
        labels_FN = level.labels_FN
        if self._key_frames_FK is None:
            return labels_FN.reshape(1, -1), labels_FN.reshape(1, -1)
        return labels_FN, labels_FN[self._key_frames_FK].flatten(1)

    def _cross_labels(self, level: LevelTensors) -> Tensor:
        """Return the labels of queries in cross-attention: one sequence, or per frame."""
        return level.labels_FN.reshape(1, -1) if self._one_clip else level.labels_FN

    def _sorted(self, level: LevelTensors) -> LevelTensors:
        return replace(
            level,
            self_order=ClassOrder.of(*self._self_labels(level), self.self_relation_CC),
            cross_order=self._cross_order(self._cross_labels(level)),
        )

    def _cross_order(self, labels: Tensor) -> ClassOrder:
        words = self._words_T.expand(len(labels), -1)
        relation = self.cross_relation_CT
        return ClassOrder.of(labels, words, relation, self.soft_T, **self._padding)

    def _order_of(self, level: LevelTensors, tokens: slice) -> ClassOrder | None:
        """Return the order of some tokens' classes, computed once; None if levels have none."""
        if level.cross_order is None:
            return None
        place = (id(level), tokens.start, tokens.stop)
        if place not in self._orders:
            self._orders[place] = self._cross_order(self._cross_labels(level)[:, tokens])
        return self._orders[place]


def column_strengths(plan: MaskPlan) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return κ of every text token before the schedule, float32 ``[T]``: 0 for words of no edit.

    Like λ, it is the setting times the weight of the word's edit, the largest if there are several.
    """
    weights_E = np.array([edit.weight for edit in plan.edits], np.float32)
    largest_T = np.where(plan.words_ET, weights_E[:, None], 0).max(axis=0, initial=0)
    return np.asarray(plan.attention.columns * largest_T, np.float32)


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
