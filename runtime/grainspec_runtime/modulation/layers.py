"""Attention layers as a denoiser names them, and what decides how they attend.

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

    name: the layer's module name, as diffusers has it. level: the token grid it attends on, by the
    index of the plan's level. kind: ``self`` for latent tokens to latent tokens, ``cross`` for
    latent tokens to text tokens.
    """

    name: str
    level: int
    kind: Literal["self", "cross"]


class Attention(Protocol):
    """Decides how the attention layers of a denoiser attend during one forward pass."""

    @property
    def frames(self) -> int:
        """Number of latent frames in the pass."""

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Where group norms take their statistics: from each frame, or over the clip."""

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Prepare for sampling step ``step`` of ``steps`` at a diffusion timestep."""

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Self-attention of all passes; all ``[P * F, H, N, d]``."""

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Cross-attention; query ``[P * F, H, N, d]``, key and value ``[P * F, H, T, d]``."""


class CrossAttentionRule(Protocol):
    """Cross-attention of another method, in place of the plan's."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, frames: int) -> Tensor:
        """Shapes as in :meth:`Attention.cross_attention`; the last ``frames`` are conditional."""


class AttentionRecorder(Protocol):
    """Records attention while a plan acts, without changing it."""

    def begin_step(self, step: int, steps: int, *, modulated: bool) -> None:
        """A sampling step begins."""

    def record(
        self, layer: AttentionLayer, attend: Attend, query: Tensor, key: Tensor, out: Tensor
    ) -> None:
        """After a layer attended: ``attend`` is that layer's attention, ``out`` its result."""


class Attend(Protocol):
    """A layer's attention, to be asked again with other values or without modulation."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, modulated: bool) -> Tensor:
        """Shapes as in :meth:`Attention.self_attention` or :meth:`Attention.cross_attention`."""
