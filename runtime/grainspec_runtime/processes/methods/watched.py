"""Attention that another one computes, and that a method sees or replaces layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from grainspec_runtime.modulation.layers import Attention, AttentionLayer


class Watched:
    """The attention of ``inner``; ``see`` is called with each layer and its self-attention.

    What ``see`` receives is ``[P * F, H, N, d]``, before the layer's output projection.
    """

    def __init__(self, inner: Attention, see: Callable[[AttentionLayer, Tensor], None]) -> None:
        self.inner = inner
        self.see = see

    @property
    def frames(self) -> int:
        """Number of latent frames in the pass."""
        return self.inner.frames

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Scope of group norm statistics."""
        return self.inner.norm

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Prepare for a sampling step."""
        self.inner.begin_step(step, steps, timestep)

    def begin_pass(self, index: int, passes: int) -> None:
        """Say which of a step's passes the next call runs."""
        self.inner.begin_pass(index, passes)

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return True: every layer is seen."""
        return True

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return False: every layer is seen."""
        return False

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention, and show it."""
        out = self.inner.self_attention(layer, query, key, value)
        self.see(layer, out)
        return out

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention."""
        return self.inner.cross_attention(layer, query, key, value)


class Replaced(Watched):
    """The attention of ``inner``, but with the self-attention that ``output`` returns for a layer.

    ``output`` is ``[P * F, H, N, d]``, before the layer's output projection.
    """

    def __init__(self, inner: Attention, output: Callable[[AttentionLayer], Tensor]) -> None:
        super().__init__(inner, lambda layer, out: None)
        self.output = output

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Return the output given for the layer; queries, keys and values are not used."""
        return self.output(layer)
