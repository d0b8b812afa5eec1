"""Attention over a clip whose frames are folded into the batch dimension of an image denoiser.

Tensors are ``[passes * F, …]`` with the unconditional pass first; the denoiser itself needs no
change. Self-attention covers the frames in scope. In the conditional pass, the plan modulates
self-attention and cross-attention.

Dimensions: P passes (1, or 2 with guidance), F frames, K key frames of a frame, N tokens of a
frame, H heads, d head size, C classes, T text tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

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
from grainspec_runtime.modulation.planned import PlannedAttention


class FoldedAttention(PlannedAttention):
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
        self.full = scope == "full"
        self.key_frames_FK = torch.from_numpy(key_frames(scope, frames)).to(device)
        self._paths = {
            level: tuple(torch.from_numpy(table).to(device) for table in paths_of.by_length_TL)
            for level, paths_of in (paths or {}).items()
        }
        super().__init__(
            frames,
            plan=plan,
            backend=backend,
            device=device,
            cross_rule=cross_rule,
            recorder=recorder,
        )
        self.norm = norm

    def _plan_tensors(self, plan: MaskPlan) -> PlanTensors:
        return PlanTensors(
            plan,
            device=self.device,
            key_frames_FK=None if self.full else self.key_frames_FK,
            sort_by_class=self.sort_by_class,
        )

    def to(self, device: torch.device) -> None:
        """Move to a device, where the denoiser was moved; then :meth:`begin_step` comes next."""
        self.key_frames_FK = self.key_frames_FK.to(device)
        self._paths = {
            level: tuple(table.to(device) for table in tables)
            for level, tables in self._paths.items()
        }
        super().to(device)

    def begin_pass(self, index: int, passes: int) -> None:
        """Do nothing: an image denoiser runs all passes at once."""

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return True: every layer attends to the frames in scope."""
        return True

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return False: attention covers other frames than the layer's own would."""
        return False

    def _self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool
    ) -> Tensor:
        """Compute self-attention over the frames in scope; all tensors ``[P * F, H, N, d]``."""
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
        modulation = self._plan.self_modulation(level)
        return modulated_attention(query, key, value, **modulation, backend=self.backend)

    def _cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool
    ) -> Tensor:
        """Compute cross-attention; query ``[P * F, H, N, d]``, key and value ``[…, T, d]``."""
        level = self._level(layer, query.shape[2]) if modulated else None
        if level is None:
            return F.scaled_dot_product_attention(query, key, value)
        assert self._plan is not None
        self._check_text(key)
        first = len(query) - self.frames  # where the conditional pass begins
        part = modulated_attention(
            query[first:],
            key[first:],
            value[first:],
            **self._plan.cross_modulation(level),
            backend=self.backend,
        )
        if not first:
            return part
        plain = F.scaled_dot_product_attention(query[:first], key[:first], value[:first])
        return torch.cat([plain, part])

    def _in_scope(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gather the keys of the frames in scope: as one long sequence, or as one per frame."""
        if self.full:  # [F, H, N, d] to [1, H, F * N, d]
            q, k, v = (tensor.transpose(0, 1).flatten(1, 2)[None] for tensor in (q, k, v))
            return q, k, v
        k, v = (  # [F, K, H, N, d] to [F, H, K * N, d]
            tensor[self.key_frames_FK].transpose(1, 2).flatten(2, 3) for tensor in (k, v)
        )
        return q, k, v
