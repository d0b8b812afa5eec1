"""What a Wan image-to-video transformer gets besides latents: the first frame of the clip.

The stock pipeline's own methods prepare it. Wan 2.1 and 2.2 A14B get latents of a clip of which
the first frame alone is shown, with a mask that says so, as further channels; Wan 2.1 also
embeddings of that frame. TI2V-5B gets the first frame as its first latent, at timestep 0, and an
edit leaves that frame as it is.

Dimensions: c channels, F latent frames, h rows and w columns of latents; pixels are H x W.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec_runtime.backbones.families.wan.inputs import TextInputs, by_token
from grainspec_runtime.media.decode import Frames


class ImageInputs(TextInputs):
    """The inputs of an image-to-video model: the image is the first frame of the clip."""

    _condition: Tensor | None = None
    """Of the whole clip, ``[1, channels, F, h, w]``; ``[1, c, 1, h, w]`` for TI2V-5B."""
    _embeddings: Tensor | None = None
    _size: tuple[int, ...] = ()
    """F, h and w of the clip."""

    @torch.no_grad()
    def begin(self, clip: Frames) -> None:
        """Prepare the image condition from the clip's first frame."""
        count, height, width = clip.shape[:3]
        image = Image.fromarray(clip[0])
        shown = self.pipe.video_processor.preprocess(image, height=height, width=width)
        with self.using("vae"):
            _, condition, *_ = self.pipe.prepare_latents(
                shown.to(self.device, torch.float32),
                1,
                self.pipe.vae.config.z_dim,
                height,
                width,
                count,
                torch.float32,
                self.device,
                latents=torch.zeros(0),  # without them, noise would be drawn
            )
        self._condition = condition
        frames = (count - 1) // self.pipe.vae_scale_factor_temporal + 1
        self._size = (frames, *condition.shape[-2:])
        if self.pipe.transformer.config.image_dim is not None:
            with self.using("image_encoder"):
                embeddings = self.pipe.encode_image(image, self.device)
            self._embeddings = embeddings.to(self.dtype)

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
        """Return the transformer's keyword arguments for ``frames``, latent frames of the clip.

        Raises GrainError (G404) if the latents are not those of the last clip.
        """
        condition = self._condition_of(latents_1cFhw, frames)
        inputs = super().of(latents_1cFhw, t, frames, controls, step=step, steps=steps)
        if not self.pipe.config.expand_timesteps:
            both = torch.cat([latents_1cFhw, condition], dim=1).to(self.dtype)
            inputs |= {"hidden_states": both, "encoder_hidden_states_image": self._embeddings}
            return inputs
        noisy = torch.ones(latents_1cFhw.shape[2:], device=latents_1cFhw.device)
        noisy[[index for index, frame in enumerate(frames) if frame == 0]] = 0
        mixed = (1 - noisy) * condition + noisy * latents_1cFhw
        timestep = by_token(noisy, t.to(noisy.device))
        return inputs | {"hidden_states": mixed.to(self.dtype), "timestep": timestep}

    def velocity(
        self, output_1cFhw: Tensor, latents_1cFhw: Tensor, t: Tensor, frames: Sequence[int]
    ) -> Tensor:
        """Return the velocity; for TI2V-5B, the first frame's leads straight to the image.

        The stock pipeline sets that frame to the image after sampling. At noise level σ, with
        x = (1 − σ) X + σ N, its velocity N − X is (x − X) / σ.
        """
        if not self.pipe.config.expand_timesteps or 0 not in frames:
            return output_1cFhw
        place = list(frames).index(0)
        sigma = t.to(latents_1cFhw) / self.pipe.scheduler.config.num_train_timesteps
        image = self._condition_of(latents_1cFhw, frames)[:, :, 0]
        velocity = output_1cFhw.clone()
        velocity[:, :, place] = (latents_1cFhw[:, :, place] - image) / sigma
        return velocity

    def _condition_of(self, latents_1cFhw: Tensor, frames: Sequence[int]) -> Tensor:
        count, height, width = self._size or (0, 0, 0)
        size = tuple(latents_1cFhw.shape[-2:])
        if self._condition is None or size != (height, width) or max(frames) >= count:
            message = "the latents are not those of the clip whose first frame the model is shown"
            raise fail("G404", message, "Begin the clip by `begin_clip`, then denoise it.")
        condition = self._condition.to(latents_1cFhw.device)
        return condition if condition.shape[2] == 1 else condition[:, :, list(frames)]
