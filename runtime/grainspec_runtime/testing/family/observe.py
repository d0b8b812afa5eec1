"""Attentions to install in a denoiser: one that notes what each layer receives, one by definition.

Dimensions: P passes, F frames, N tokens of a frame, T text tokens, H heads, d head size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.testing.family.definition import Pass, Reading, layer_attention


class Received(NamedTuple):
    """What a layer gives its attention: ``[P * F, H, N, d]``, or T in place of N.

    In video transformers ``[P, H, F * N, d]``.
    """

    query: Tensor
    key: Tensor
    value: Tensor


@dataclass
class Probe:
    """Plain attention, every frame for itself, that notes what the layers receive.

    With ``silent`` it returns zeros, so that no token learns of others by attention.
    """

    frames: int
    norm: Literal["each", "clip"] = "each"
    silent: bool = False
    seen: dict[AttentionLayer, Received] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    """The names of layers that were called more than once."""
    across: set[str] = field(default_factory=set)
    """The names of layers whose keys are text tokens."""
    at: int = 0
    """The pass that the next call begins at, where passes run one at a time."""
    _last: dict[AttentionLayer, int] = field(default_factory=dict)

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Forget what was noted."""
        self.seen.clear()
        self.repeated.clear()
        self.across.clear()
        self._last.clear()
        self.at = 0

    def begin_pass(self, index: int, passes: int) -> None:
        """Note the pass: what its layers receive comes after that of earlier passes."""
        self.at = index

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return True, so that every layer is seen."""
        return True

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return False, so that every layer is seen."""
        return False

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Note the layer; plain attention."""
        if self._last.get(layer) == self.at:
            self.repeated.append(layer.name)
        self._last[layer] = self.at
        received = [query.clone(), key.clone(), value.clone()]
        if layer in self.seen:
            both = zip(self.seen[layer], received, strict=True)
            received = [torch.cat([earlier, now]) for earlier, now in both]
        self.seen[layer] = Received(*received)
        if self.silent:
            return torch.zeros_like(query)
        return F.scaled_dot_product_attention(query, key, value)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Note the layer; plain attention."""
        self.across.add(layer.name)
        return self.self_attention(layer, query, key, value)


@dataclass
class ByDefinition:
    """The attention of a plan, or of its settings alone, by the definition of modulation."""

    plan: MaskPlan
    frames: int
    norm: Literal["each", "clip"]
    at: Pass = field(default_factory=lambda: Pass(0, 1, 0.0))
    unconditional: bool = False
    """Whether the next call runs one pass, which is not the last."""

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Set the step."""
        self.at, self.unconditional = Pass(step, steps, timestep), False

    def begin_pass(self, index: int, passes: int) -> None:
        """Set the pass."""
        self.unconditional = index < passes - 1

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return True, so that every layer is seen."""
        return True

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return False, so that every layer is seen."""
        return False

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Self-attention over the frames in scope."""
        return self._computed(layer, "self", query, key, value)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Cross-attention to the text tokens."""
        return self._computed(layer, "cross", query, key, value)

    def _computed(
        self, layer: AttentionLayer, kind: Literal["self", "cross"], *received: Tensor
    ) -> Tensor:
        q, k, v = (tensor.double().numpy() for tensor in received)
        at = at_layer(self.plan, layer, self.at)
        reading = Reading(modulates=lambda *_: False) if self.unconditional else None
        out = layer_attention(self.plan, layer.level, kind, q, k, v, at, reading)
        return torch.from_numpy(out).to(received[0].dtype)


def at_layer(plan: MaskPlan, layer: AttentionLayer, at: Pass) -> Pass:
    """Return the step of a layer; in blocks that the plan leaves alone, a step after the last."""
    layers = plan.attention.layers
    return at if layers == "all" or layer.block in layers else at._replace(step=at.steps)


def by_frame(tensor: Tensor, frames: int) -> Tensor:
    """``[P, H, F * N, d]`` of video transformers to ``[P * F, H, N, d]``."""
    passes, heads, _, size = tensor.shape
    by_frame_PHFNd = tensor.reshape(passes, heads, frames, -1, size)
    return by_frame_PHFNd.transpose(1, 2).flatten(0, 1)
