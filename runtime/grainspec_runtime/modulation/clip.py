"""Attention of video transformers: a clip's latent tokens are one sequence.

Queries are ``[P, H, F * N, d]``, tokens in the order of frames, rows and columns. Self-attention
covers the clip, as these models were trained; there is no other scope. The plan modulates the
conditional pass, which is the last.

Dimensions: P passes in a call of the network, F latent frames, N tokens of a frame, H heads, d head
size, T text tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.attention import attention_partials, modulated_attention
from grainspec_runtime.attention.partial_result import Part, Partials, joined
from grainspec_runtime.attention.plain import plain_part
from grainspec_runtime.modulation.layers import (
    AttentionLayer,
    AttentionRecorder,
    CrossAttentionRule,
)
from grainspec_runtime.modulation.plan_tensors import LevelTensors, PlanTensors
from grainspec_runtime.modulation.planned import PlannedAttention


class ClipAttention(PlannedAttention):
    """The attention of a video transformer over ``frames`` latent frames.

    :meth:`begin_step` comes before the passes of a step. Where they run one at a time,
    :meth:`begin_pass` comes before each; otherwise a call is taken to run all of them. Only the
    last pass is modulated, at the modulated steps, in the transformer blocks of the plan's
    ``layers``. What is not modulated is plain attention, which the layer's own processor may
    compute (:meth:`is_plain`).

    Padding of the prompt is neutral or masked, as the plan says. With ``columns``, κ is the
    setting times the edit's weight and the schedule's factor, for the words of edits.

    Raises GrainError (G404) if the plan has another number of latent frames.
    """

    def __init__(
        self,
        frames: int,
        *,
        plan: MaskPlan | None = None,
        backend: str = "auto",
        device: torch.device | str = "cpu",
        cross_rule: CrossAttentionRule | None = None,
        recorder: AttentionRecorder | None = None,
    ) -> None:
        super().__init__(
            frames,
            plan=plan,
            backend=backend,
            device=device,
            cross_rule=cross_rule,
            recorder=recorder,
        )
        layers = "all" if plan is None else plan.attention.layers
        self._blocks = None if isinstance(layers, str) else frozenset(layers)
        self._before = 0  # passes of this step in earlier calls
        self._passes: int | None = None

    def _plan_tensors(self, plan: MaskPlan) -> PlanTensors:
        return PlanTensors(
            plan,
            device=self.device,
            key_frames_FK=None,
            sort_by_class=self.sort_by_class,
            one_clip=True,
        )

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Set the schedule's factor ξ(t) for sampling step ``step`` of ``steps``."""
        super().begin_step(step, steps, timestep)
        self._before, self._passes = 0, None

    def begin_pass(self, index: int, passes: int) -> None:
        """Say that the next call begins at pass ``index`` of ``passes``; the last is conditional.

        >>> attention = ClipAttention(1)
        >>> attention.begin_pass(0, 2)
        >>> attention.runs_last_pass
        False
        """
        self._before, self._passes = index, passes

    @property
    def runs_last_pass(self) -> bool:
        """Whether the conditional pass may be in the next call."""
        return self._passes is None or self._before == self._passes - 1

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return whether a layer is in the plan's `layers`, or recorded."""
        if self.recorder is not None or self.cross_rule is not None:
            return True
        return self._plan is not None and self._is_planned(layer)

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return whether a layer's next attention is plain, for its own processor to compute."""
        if self.cross_rule is not None and layer.kind == "cross":
            return not self.runs_last_pass
        return not (self._records or self._modulates(layer))

    def _is_planned(self, layer: AttentionLayer) -> bool:
        """Return whether the plan's `layers` name the layer's block."""
        # A compiled block that reads its own number is compiled anew for every block. Without a
        # recorder, only layers that `reaches` says are ever asked.
        if self._blocks is None or (torch.compiler.is_compiling() and self.recorder is None):
            return True
        return layer.block in self._blocks

    def _modulates(self, layer: AttentionLayer) -> bool:
        return self.modulated and self.runs_last_pass and self._is_planned(layer)

    @property
    def _records(self) -> bool:
        return self.recorder is not None and self.runs_last_pass

    def cross_attention_of(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, tokens: slice
    ) -> Tensor:
        """Compute cross-attention of some latent tokens of the clip, unrecorded.

        query ``[P, H, n, d]``, those of ``tokens``; key and value ``[P, H, T, d]``.
        """
        level = None
        if self._modulates(layer) and self._plan is not None:
            level = self._plan.level(layer.level)
        if level is None:
            return F.scaled_dot_product_attention(query, key, value)
        assert self._plan is not None
        self._check_text(key)
        return self._modulated(query, key, value, self._plan.cross_modulation(level, tokens))

    def pulls_columns(self, layer: AttentionLayer) -> bool:
        """Whether a layer's next cross-attention needs all latent tokens, for its columns."""
        return self._modulates(layer) and self._plan is not None and self._plan.pulls_columns

    def self_attention_of(
        self,
        layer: AttentionLayer,
        query: Tensor,
        slices: Iterable[tuple[Tensor, Tensor, slice]],
        own: slice,
        *,
        tokens: int,
    ) -> Tensor:
        """Compute self-attention of some latent tokens, to keys that come in slices; unrecorded.

        query ``[P, H, n, d]``, those of ``own``, in one pass if it is modulated. slices: keys and
        values ``[P, H, k, d]`` with their tokens, together all ``tokens`` of the clip. Partial
        results of slices merge exactly: :mod:`grainspec_runtime.attention.partials`.
        """
        plan, level = self._plan, None
        if plan is not None and self._modulates(layer):
            level = self._level(layer, tokens, self.frames)
        if plan is None or level is None:
            out, _ = reduce(_both, (plain_part(query, key, value) for key, value, _ in slices))
            return out.to(query.dtype)
        if len(query) > 1:
            raise ValueError("keys in slices are modulated in one pass at a time")
        given = plan.self_modulation(level, own)

        def partials(key: Tensor, value: Tensor, its: slice) -> Partials:
            of_keys = plan.keys_of_slice(level, own, its)
            return attention_partials(query, key, value, **given, **of_keys, backend=self.backend)

        parts = (partials(*it) for it in slices)
        out, _ = reduce(Partials.merged, parts).finished(given["attract"], given["repel"])
        return out.to(query.dtype)

    def _self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool
    ) -> Tensor:
        """Compute self-attention over the clip; all tensors ``[P, H, F * N, d]``."""
        level = self._level_of(layer, query) if modulated else None
        if level is None:
            return F.scaled_dot_product_attention(query, key, value)
        assert self._plan is not None
        return self._modulated(query, key, value, self._plan.self_modulation(level))

    def _cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool
    ) -> Tensor:
        """Compute cross-attention; query ``[P, H, F * N, d]``, key and value ``[P, H, T, d]``."""
        level = self._level_of(layer, query) if modulated else None
        if level is None:
            return F.scaled_dot_product_attention(query, key, value)
        assert self._plan is not None
        self._check_text(key)
        return self._modulated(query, key, value, self._plan.cross_modulation(level))

    def _modulated(
        self, query: Tensor, key: Tensor, value: Tensor, modulation: dict[str, Any]
    ) -> Tensor:
        """Modulate the last pass, with these arguments of the operator."""
        last = modulated_attention(
            query[-1:], key[-1:], value[-1:], **modulation, backend=self.backend
        )
        return _with_plain(query, key, value, last)

    def _by_rule(
        self, rule: CrossAttentionRule, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute the last pass by a rule, which receives each frame as an entry of the batch."""
        frames = query[-1].unflatten(1, (self.frames, -1)).transpose(0, 1)
        k, v = (tensor[-1:].expand(self.frames, -1, -1, -1) for tensor in (key, value))
        last = rule(frames, k, v, frames=self.frames)  # [F, H, N, d]
        return _with_plain(query, key, value, last.transpose(0, 1).flatten(1, 2)[None])

    def _level_of(self, layer: AttentionLayer, query: Tensor) -> LevelTensors | None:
        return self._level(layer, query.shape[2], self.frames)


def _both(part: Part, other: Part) -> Part:
    return joined([part, other])


def _with_plain(query: Tensor, key: Tensor, value: Tensor, last: Tensor) -> Tensor:
    """Put plain attention of the earlier passes of a call before that of the last."""
    if len(query) == 1:
        return last
    plain = F.scaled_dot_product_attention(query[:-1], key[:-1], value[:-1])
    return torch.cat([plain, last])
