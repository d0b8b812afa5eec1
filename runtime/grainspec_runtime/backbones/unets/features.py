"""Features of a stock UNet's decoder, stored in one pass and used in another.

Plug-and-Play (Tumanyan et al., CVPR 2023, arXiv 2211.12572) uses what a residual block adds to its
input (the output of its second convolution), and the queries and keys of self-attention. Each of
these is the output of one layer. The layer is wrapped during injection, and restored at the end.

Dimensions: P passes, F frames, c channels, h rows, w columns, N tokens of a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from grainspec_runtime.backbones.unets.decoder import InjectedLayers

Mode = Literal["pass", "store", "replace"]


class _Tapped(nn.Module):
    """A layer that can store its output, and return the stored one for another input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.mode: Mode = "pass"
        self.stored: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[P * F, …]``; the stored output ``[F, …]`` is returned for every pass."""
        if self.mode == "replace":
            assert self.stored is not None
            passes = len(x) // len(self.stored)
            return self.stored.repeat(passes, *(1,) * (self.stored.ndim - 1))
        out: Tensor = self.layer(x)
        if self.mode == "store":
            self.stored = out
        return out


@dataclass(frozen=True)
class _Place:
    """A wrapped layer of a UNet: the module that contains it, and its name there."""

    owner: nn.Module
    name: str
    tapped: _Tapped


class UNetFeatures:
    """The layers of a UNet whose features are stored, for one pass at a time."""

    def __init__(
        self, unet: UNet2DConditionModel | UNetMotionModel, layers: InjectedLayers
    ) -> None:
        self.residual = [
            _place(unet.get_submodule(name), "conv2") for name in sorted(layers.residual)
        ]
        self.attention = [
            _place(attention, name)
            for attention in _self_attentions(unet, layers)
            for name in ("to_q", "to_k")
        ]

    @property
    def _places(self) -> list[_Place]:
        return [*self.residual, *self.attention]

    @property
    def size(self) -> int:
        """Bytes of the features that are stored now."""
        stored = (place.tapped.stored for place in self._places)
        return sum(one.numel() * one.element_size() for one in stored if one is not None)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Wrap the layers inside the block; at the end the UNet's own layers are restored."""
        try:
            for place in self._places:
                setattr(place.owner, place.name, place.tapped)
            yield
        finally:
            for place in self._places:
                setattr(place.owner, place.name, place.tapped.layer)
                place.tapped.stored = None

    def storing(self, *, residual: bool, attention: bool) -> AbstractContextManager[None]:
        """Store features of these kinds in the passes inside the block."""
        return self._in_mode("store", residual=residual, attention=attention)

    def replacing(self, *, residual: bool, attention: bool) -> AbstractContextManager[None]:
        """Replace the UNet's own features by the stored ones inside the block."""
        return self._in_mode("replace", residual=residual, attention=attention)

    @contextmanager
    def _in_mode(self, mode: Mode, *, residual: bool, attention: bool) -> Iterator[None]:
        chosen = [*(self.residual if residual else ()), *(self.attention if attention else ())]
        try:
            for place in chosen:
                place.tapped.mode = mode
            yield
        finally:
            for place in chosen:
                place.tapped.mode = "pass"

    def clear(self) -> None:
        """Delete the stored features."""
        for place in self._places:
            place.tapped.stored = None


def _place(owner: nn.Module, name: str) -> _Place:
    return _Place(owner, name, _Tapped(getattr(owner, name)).train(owner.training))


def _self_attentions(
    unet: UNet2DConditionModel | UNetMotionModel, layers: InjectedLayers
) -> list[Attention]:
    return [
        block.attn1
        for name in layers.attention
        for block in unet.get_submodule(name).transformer_blocks
    ]
