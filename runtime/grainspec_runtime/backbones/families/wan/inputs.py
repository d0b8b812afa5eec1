"""What a Wan transformer gets in one pass, besides the prompt: text-to-video models.

Dimensions: c channels, F latent frames, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.backbones.families.wan.offload import Using
from grainspec_runtime.media.decode import Frames


class TextInputs:
    """The inputs of a text-to-video model: latents and timestep.

    The models of other tasks have a subclass each, which adds what their pipelines add. ``begin``
    is called with the clip whenever one is encoded: what is added refers to the last one.
    """

    def __init__(self, pipe: Any, device: torch.device, dtype: torch.dtype, using: Using) -> None:
        self.pipe = pipe
        self.device, self.dtype = device, dtype
        self.using = using

    def begin(self, clip: Frames) -> None:
        """Begin with a clip, uint8 ``[frames, H, W, 3]``."""

    def of(
        self,
        latents_1cFhw: Tensor,
        t: Tensor,
        frames: Sequence[int],
        controls: Any,
        *,
        step: int,
        steps: int,
    ) -> dict[str, Any]:
        """Return the transformer's keyword arguments for ``frames``, latent frames of the clip."""
        timestep = t.to(latents_1cFhw.device)
        if self.pipe.config.get("expand_timesteps"):
            noisy = torch.ones(latents_1cFhw.shape[2:], device=latents_1cFhw.device)
            expanded = by_token(noisy, timestep)
        else:
            expanded = timestep.expand(1)
        return {"hidden_states": latents_1cFhw.to(self.dtype), "timestep": expanded}

    def velocity(
        self, output_1cFhw: Tensor, latents_1cFhw: Tensor, t: Tensor, frames: Sequence[int]
    ) -> Tensor:
        """Return the velocity of all latents, from the transformer's output."""
        return output_1cFhw


def by_token(noisy_Fhw: Tensor, t: Tensor) -> Tensor:
    """Return a timestep for every latent token, ``[1, tokens]``: 0 where ``noisy_Fhw`` is 0.

    The tokens are of 2 x 2 latents, as in diffusers' pipelines.
    """
    return (noisy_Fhw[:, ::2, ::2] * t).flatten()[None]
