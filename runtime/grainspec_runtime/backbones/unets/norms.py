"""Group norms with statistics over the whole clip, in a stock UNet.

Video models derived from image models (Tune-A-Video, arXiv 2212.11565, and its successors, such as
VideoGrain's code) share these statistics between frames, in the residual blocks and before the last
convolution. The norms before attention keep statistics per frame, there and here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from grainspec.model.demo_models import is_demo_unet
from grainspec.model.spec import NormScope


def norm_scope(asked: NormScope, model: str) -> Literal["each", "clip"]:
    """Return the scope of group norm statistics: ``asked``, or the model's default for ``auto``.

    >>> norm_scope("auto", "demo"), norm_scope("auto", "path/to/model")
    ('each', 'clip')
    """
    if asked == "auto":
        return "each" if is_demo_unet(model) else "clip"
    return asked


class HasFrames(Protocol):
    """An object with the number of frames that the UNet runs on."""

    @property
    def frames(self) -> int:
        """The number of frames."""


class ClipNorm(nn.Module):
    """A group norm over all frames of ``clip`` at once, with the parameters of ``norm``."""

    def __init__(self, norm: nn.GroupNorm, clip: HasFrames) -> None:
        super().__init__()
        self.norm = norm
        self.clip = clip

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``[P * F, C, h, w]`` over groups of channels, a pass's frames, and space."""
        if self.clip.frames == 1:  # bit-identical to the plain norm
            normed: Tensor = self.norm(x)
            return normed
        clips = x.unflatten(0, (-1, self.clip.frames)).transpose(1, 2)  # [P, C, F, h, w]
        normed = self.norm(clips)
        return normed.transpose(1, 2).flatten(0, 1)


class ClipNorms:
    """The group norms of a UNet over all frames of ``clip``, to be put in place and taken out.

    The number of frames is read whenever the UNet runs.
    """

    def __init__(self, unet: UNet2DConditionModel | UNetMotionModel, clip: HasFrames) -> None:
        owners = [
            (module, name)
            for module in unet.modules()
            if isinstance(module, ResnetBlock2D)
            for name in ("norm1", "norm2")
        ]
        owners.append((unet, "conv_norm_out"))
        self._places = [
            (owner, name, ClipNorm(norm, clip).train(norm.training))
            for owner, name in owners
            if isinstance(norm := getattr(owner, name), nn.GroupNorm)
        ]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Take statistics over the clip inside the block.

        At the end the UNet's own norms are restored, whatever is raised inside.
        """
        try:
            for owner, name, over_clip in self._places:
                over_clip.norm = getattr(owner, name)
                setattr(owner, name, over_clip)
            yield
        finally:
            for owner, name, over_clip in self._places:
                setattr(owner, name, over_clip.norm)


def norms_over_clip(unet: UNet2DConditionModel, clip: HasFrames) -> AbstractContextManager[None]:
    """Compute the group norms of ``unet`` over all frames of ``clip`` inside the block."""
    return ClipNorms(unet, clip).in_place()
