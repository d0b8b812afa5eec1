"""What the attentions of all kinds of denoisers share: the plan at a step, and the recorder.

Dimensions: P passes, F frames, N tokens of a frame, H heads, d head size, T text tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.modulation.layers import (
    Attend,
    AttentionLayer,
    AttentionRecorder,
    CrossAttentionRule,
)
from grainspec_runtime.modulation.plan_tensors import LevelTensors, PlanTensors


class PlannedAttention(ABC):
    """Attention that a mask plan modulates at some steps, and that a recorder may record.

    A subclass computes it for its layout of passes, frames and tokens. Without a plan, or after the
    modulated steps, attention is not modulated.

    Raises GrainError (G404) if the plan has another number of frames.
    """

    def __init__(
        self,
        frames: int,
        *,
        plan: MaskPlan | None,
        backend: str,
        device: torch.device | str,
        cross_rule: CrossAttentionRule | None,
        recorder: AttentionRecorder | None,
    ) -> None:
        self.frames = frames
        self.norm: Literal["each", "clip"] = "each"
        self.backend = backend
        self.device = torch.device(device)
        self.cross_rule = cross_rule
        self.recorder = recorder
        self._plan: PlanTensors | None = None
        if plan is not None:
            if len(plan.groups) != frames:
                counted = f"{len(plan.groups)} frame{'s' * (len(plan.groups) > 1)}"
                message = f"the plan is for {counted}, but the clip has {frames}"
                raise fail("G404", message, "Compile the plan for this clip.")
            self._plan = self._plan_tensors(plan)

    @abstractmethod
    def _plan_tensors(self, plan: MaskPlan) -> PlanTensors:
        """Move a plan to the device, for this layout."""

    @abstractmethod
    def _self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool
    ) -> Tensor:
        """Compute self-attention of all passes."""

    @abstractmethod
    def _cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool
    ) -> Tensor:
        """Compute cross-attention of all passes."""

    def to(self, device: torch.device) -> None:
        """Move to a device, where the denoiser was moved; then :meth:`begin_step` comes next."""
        if device == self.device:
            return
        self.device = device
        if self._plan is not None:
            self._plan = self._plan_tensors(self._plan.plan)

    @property
    def sort_by_class(self) -> bool:
        """Whether the backend needs the order of classes."""
        return self.backend == "triton" or self.device.type == "cuda"

    @property
    def modulated(self) -> bool:
        """Whether attention is modulated at this step."""
        return self._plan is not None and self._plan.active

    @property
    def share(self) -> float:
        """The schedule's factor ξ(t) at this step; 0 if attention is not modulated."""
        return 0.0 if self._plan is None else float(self._plan.share)

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Set the schedule's factor ξ(t) for sampling step ``step`` of ``steps``."""
        if self._plan is not None:
            self._plan.begin_step(step, steps, timestep)
        if self.recorder is not None:
            self.recorder.begin_step(step, steps, modulated=self.modulated)

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention; shapes as in :class:`.layers.Attention`."""
        return self._recorded(layer, partial(self._self_attention, layer), query, key, value)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention; shapes as in :class:`.layers.Attention`."""
        if self.cross_rule is not None:
            return self._by_rule(self.cross_rule, query, key, value)
        return self._recorded(layer, partial(self._cross_attention, layer), query, key, value)

    def _recorded(
        self, layer: AttentionLayer, attend: Attend, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute a layer's attention, and show it to the recorder."""
        out = attend(query, key, value, modulated=self._modulates(layer))
        if self._records:
            assert self.recorder is not None
            self.recorder.record(layer, attend, query, key, out)
        return out

    def _by_rule(
        self, rule: CrossAttentionRule, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention by another method's rule."""
        return rule(query, key, value, frames=self.frames)

    def _modulates(self, layer: AttentionLayer) -> bool:
        """Return whether the layer's next attention is modulated."""
        return self.modulated

    @property
    def _records(self) -> bool:
        """Whether the next attention is recorded."""
        return self.recorder is not None

    def _level(self, layer: AttentionLayer, tokens: int, frames: int = 1) -> LevelTensors | None:
        """Return the plan's level for a layer of this many latent tokens in ``frames`` frames.

        None if the layer is not modulated. Raises GrainError (G404) if the plan has another number.
        """
        level = None if self._plan is None else self._plan.level(layer.level)
        if level is not None and level.labels_FN.shape[1] * frames != tokens:
            message = (
                f"the plan has {level.labels_FN.shape[1]} latent tokens a frame at level "
                f"{layer.level}, but the layer {layer.name} has {tokens / frames:g}"
            )
            raise fail("G404", message, "Compile the plan for this model and frame size.")
        return level

    def _check_text(self, key: Tensor) -> None:
        """Raise GrainError (G404) if the plan is for another number of text tokens."""
        assert self._plan is not None
        planned = self._plan.cross_relation_CT.shape[1]
        if key.shape[2] != planned:
            message = (
                f"the plan is for {planned} text tokens, but the model received {key.shape[2]}"
            )
            raise fail("G404", message, "Compile the plan for this model.")
