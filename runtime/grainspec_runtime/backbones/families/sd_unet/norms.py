"""Group norms with statistics over the whole clip, in a stock ``UNet2DConditionModel``.

Video models made of image models share them between frames (Tune-A-Video, arXiv 2212.11565, and
what descends from it, VideoGrain's code among it), in the residual blocks and before the last
convolution. The norms before attention stay each frame's own there, and here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from diffusers import UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from grainspec.model.spec import DEMO, NormScope


def norm_scope(asked: NormScope, model: str) -> Literal["each", "clip"]:
    """Where a model's group norms take their statistics, unless a spec says it.

    >>> norm_scope("auto", "demo"), norm_scope("auto", "path/to/model")
    ('each', 'clip')
    """
    if asked == "auto":
        return "each" if model == DEMO else "clip"
    return asked


class HasFrames(Protocol):
    """Something that knows of how many frames the clip is that the UNet is run on."""

    @property
    def frames(self) -> int:
        """Their number."""


class ClipNorm(nn.Module):
    """A group norm over all frames of ``clip`` at once, with the parameters of one over each."""

    def __init__(self, norm: nn.GroupNorm, clip: HasFrames) -> None:
        super().__init__()
        self.norm = norm
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        """``[P * F, C, h, w]``, normed over groups of channels, all frames of a pass and space."""
        if self.clip.frames == 1:  # to the bit as without
            normed: Tensor = self.norm(x)
            return normed
        clips = x.unflatten(0, (-1, self.clip.frames)).transpose(1, 2)  # [P, C, F, h, w]
        normed = self.norm(clips)
        return normed.transpose(1, 2).flatten(0, 1)


@contextmanager
def norms_over_clip(unet: UNet2DConditionModel, clip: HasFrames) -> Iterator[None]:
    """Let the group norms of ``unet`` take their statistics over all frames of ``clip`` inside.

    They are as many as it says whenever the UNet runs. Its own norms come back at the end, whatever
    is raised inside.
    """
    places: list[tuple[nn.Module, str, nn.GroupNorm]] = []
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D):
            places += [(module, name, getattr(module, name)) for name in ("norm1", "norm2")]
    places.append((unet, "conv_norm_out", unet.conv_norm_out))
    places = [place for place in places if isinstance(place[2], nn.GroupNorm)]
    try:
        for owner, name, norm in places:
            setattr(owner, name, ClipNorm(norm, clip).train(norm.training))
        yield
    finally:
        for owner, name, norm in places:
            setattr(owner, name, norm)
