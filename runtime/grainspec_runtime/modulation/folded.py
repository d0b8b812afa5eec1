"""Attention over a clip whose frames are folded into the batch dimension of an image denoiser.

Tensors are ``[passes * F, …]`` with the unconditional pass first; the denoiser itself needs no
change. Self-attention covers the frames in scope. In the conditional pass, the plan modulates
self-attention and cross-attention.

Dimensions: P passes (1, or 2 with guidance), F frames, K key frames of a frame, N tokens of a
frame, H heads, d head size, C classes, T text tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.model.spec import FrameScope
from grainspec.plan.mask_plan import MaskPlan, key_frames
from grainspec_runtime.attention import modulated_attention
from grainspec_runtime.flow.trajectories import Trajectories
from grainspec_runtime.modulation.layers import (
    AttentionLayer,
    AttentionRecorder,
    CrossAttentionRule,
)
from grainspec_runtime.modulation.paths import attend_along_paths
from grainspec_runtime.modulation.plan_tensors import LevelTensors, PlanTensors


class FoldedAttention:
    """The attention of an image denoiser over a clip of ``frames`` frames.

    The sampling loop calls :meth:`begin_step` before every forward pass. Without a plan, or after
    the modulated steps, attention covers the frames in ``scope`` and is not modulated. ``norm`` is
    the scope of group norm statistics, each frame or the clip, at all steps. ``paths`` are the
    motion paths of `flow`, keyed by level. ``cross_rule`` replaces cross-attention by that of
    another method. ``recorder`` records the attention of every layer, and changes nothing.

    Raises GrainError (G404) if the plan has another number of frames.
    """

    def __init__(
        self,
        frames: int,
        *,
        plan: MaskPlan | None = None,
        scope: FrameScope = "full",
        norm: Literal["each", "clip"] = "each",
        backend: str = "auto",
        device: torch.device | str = "cpu",
        paths: Mapping[int, Trajectories] | None = None,
        cross_rule: CrossAttentionRule | None = None,
        recorder: AttentionRecorder | None = None,
    ) -> None:
        self.frames = frames
        self.norm = norm
        self.backend = backend
        self.full = scope == "full"
        self.key_frames_FK = torch.from_numpy(key_frames(scope, frames)).to(device)
        self.cross_rule = cross_rule
        self.recorder = recorder
        self._paths = {
            level: tuple(torch.from_numpy(table).to(device) for table in paths_of.by_length_TL)
            for level, paths_of in (paths or {}).items()
        }
        self._plan: PlanTensors | None = None
        if plan is not None:
            if len(plan.groups) != frames:
                counted = f"{len(plan.groups)} frame{'s' * (len(plan.groups) > 1)}"
                message = f"the plan is for {counted}, but the clip has {frames}"
                raise fail("G404", message, "Compile the plan for this clip.")
            self._plan = self._plan_tensors(plan)

    def _plan_tensors(self, plan: MaskPlan) -> PlanTensors:
        device = self.key_frames_FK.device
        return PlanTensors(
            plan,
            device=device,
            key_frames_FK=None if self.full else self.key_frames_FK,
            sort_by_class=self.backend == "triton" or device.type == "cuda",
        )

    def to(self, device: torch.device) -> None:
        """Move to a device, where the denoiser was moved; then :meth:`begin_step` comes next."""
        if device == self.key_frames_FK.device:
            return
        self.key_frames_FK = self.key_frames_FK.to(device)
        self._paths = {
            level: tuple(table.to(device) for table in tables)
            for level, tables in self._paths.items()
        }
        if self._plan is not None:
            self._plan = self._plan_tensors(self._plan.plan)

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
        """Compute self-attention over the frames in scope; all tensors ``[P * F, H, N, d]``."""
        attend = partial(self._self_attention, layer)
        out = attend(query, key, value, modulated=self.modulated)
        if self.recorder is not None:
            self.recorder.record(layer, attend, query, key, out)
        return out

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention; query ``[P * F, H, N, d]``, key and value ``[…, T, d]``."""
        if self.cross_rule is not None:
            return self.cross_rule(query, key, value, frames=self.frames)
        attend = partial(self._cross_attention, layer)
        out = attend(query, key, value, modulated=self.modulated)
        if self.recorder is not None:
            self.recorder.record(layer, attend, query, key, out)
        return out

    def _self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool
    ) -> Tensor:
        tokens = query.shape[2]
        level = self._level(layer, tokens) if modulated else None
        q, k, v = (tensor.unflatten(0, (-1, self.frames)) for tensor in (query, key, value))
        out = torch.empty_like(q)
        for index in range(len(q)):
            conditional = index == len(q) - 1
            qi, ki, vi = self._in_scope(q[index], k[index], v[index])
            if conditional and level is not None:
                part = self._modulated_frames(level, qi, ki, vi)
            else:
                part = F.scaled_dot_product_attention(qi, ki, vi)
            if self.full:  # [1, H, F * N, d] to [F, H, N, d]
                part = part.unflatten(2, (self.frames, tokens))[0].transpose(0, 1)
            if layer.level in self._paths:
                part = attend_along_paths(q[index], k[index], part, self._paths[layer.level])
            out[index] = part
        return out.flatten(0, 1)

    def _modulated_frames(
        self, level: LevelTensors, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        assert self._plan is not None
        labels, keys = self._plan.labels(level)
        attract = self._plan.strength(level.self_attract_FC, level.labels_FN).view_as(labels)
        repel = self._plan.strength(level.self_repel_FC, level.labels_FN).view_as(labels)
        return modulated_attention(
            query,
            key,
            value,
            query_labels=labels,
            key_labels=keys,
            relation=self._plan.self_relation_CC,
            attract=attract,
            repel=repel,
            backend=self.backend,
            order=level.self_order,
        )

    def _cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool
    ) -> Tensor:
        level = self._level(layer, query.shape[2]) if modulated else None
        if level is None:
            return F.scaled_dot_product_attention(query, key, value)
        assert self._plan is not None
        relation = self._plan.cross_relation_CT
        first = len(query) - self.frames  # where the conditional pass begins
        if key.shape[2] != relation.shape[1]:
            message = (
                f"the plan is for {relation.shape[1]} text tokens, "
                f"but the model received {key.shape[2]}"
            )
            raise fail("G404", message, "Compile the plan for this model.")
        part = modulated_attention(
            query[first:],
            key[first:],
            value[first:],
            query_labels=level.labels_FN,
            key_labels=torch.arange(key.shape[2], device=key.device),
            relation=relation,
            attract=self._plan.strength(level.cross_attract_FC, level.labels_FN),
            repel=self._plan.strength(level.cross_repel_FC, level.labels_FN),
            soft=self._plan.soft_T,
            soft_share=self._plan.soft_share,
            backend=self.backend,
            order=level.cross_order,
        )
        if not first:
            return part
        plain = F.scaled_dot_product_attention(query[:first], key[:first], value[:first])
        return torch.cat([plain, part])

    def _level(self, layer: AttentionLayer, tokens: int) -> LevelTensors | None:
        """Return the plan's level for a layer; None if the layer is not modulated.

        Raises GrainError (G404) if the layer has another number of latent tokens than the plan.
        """
        level = None if self._plan is None else self._plan.level(layer.level)
        if level is not None and level.labels_FN.shape[1] != tokens:
            message = (
                f"the plan has {level.labels_FN.shape[1]} latent tokens a frame at level "
                f"{layer.level}, but the layer {layer.name} has {tokens}"
            )
            raise fail("G404", message, "Compile the plan for this model and frame size.")
        return level

    def _in_scope(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gather the keys of the frames in scope: as one long sequence, or as one per frame."""
        if self.full:  # [F, H, N, d] to [1, H, F * N, d]
            q, k, v = (tensor.transpose(0, 1).flatten(1, 2)[None] for tensor in (q, k, v))
            return q, k, v
        k, v = (  # [F, K, H, N, d] to [F, H, K * N, d]
            tensor[self.key_frames_FK].transpose(1, 2).flatten(2, 3) for tensor in (k, v)
        )
        return q, k, v
