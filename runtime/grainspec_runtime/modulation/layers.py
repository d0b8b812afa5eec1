"""Attention layers of a denoiser, and the interface of the attention to compute in them.

Dimensions: P passes (1, or 2 with guidance), F frames, N tokens of a frame, H heads, d head size,
T text tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class AttentionLayer:
    """An attention layer of a denoiser.

    name: the name of its module in diffusers. level: index of the plan's level whose grid of latent
    tokens it has. kind: ``self`` for attention to latent tokens, ``cross`` for attention to text
    tokens, ``joint`` for attention of both to both. block: number of the transformer block, which
    ``attention { layers … }`` names; None in a UNet.
    """

    name: str
    level: int
    kind: Literal["self", "cross", "joint"]
    block: int | None = None


class Attention(Protocol):
    """Computes the attention of a denoiser's layers during one forward pass."""

    @property
    def frames(self) -> int:
        """Number of latent frames in the pass."""

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Scope of group norm statistics: each frame, or the clip."""

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Prepare for sampling step ``step`` of ``steps`` at a diffusion timestep."""

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention of all passes; all tensors ``[P * F, H, N, d]``."""

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention; query ``[P * F, H, N, d]``, key and value ``[…, T, d]``."""


class CrossAttentionRule(Protocol):
    """Computes the cross-attention of another method, which replaces the plan's."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, frames: int) -> Tensor:
        """Compute it; shapes as in :meth:`Attention.cross_attention`, conditional frames last."""


class AttentionRecorder(Protocol):
    """Records attention during sampling, without changing it."""

    def begin_step(self, step: int, steps: int, *, modulated: bool) -> None:
        """Begin a sampling step."""

    def record(
        self, layer: AttentionLayer, attend: Attend, query: Tensor, key: Tensor, out: Tensor
    ) -> None:
        """Record a layer's attention; ``attend`` computes it, ``out`` is its result."""


class Attend(Protocol):
    """A layer's attention, to be computed again with other values or without modulation."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool) -> Tensor:
        """Compute it; shapes as in :meth:`Attention.self_attention` or ``cross_attention``."""
