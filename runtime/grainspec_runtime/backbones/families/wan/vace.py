"""The control video of VACE (2503.07598), and its latents.

A control video has pictures, such as depth, and a mask: 1 where the model makes new content, guided
by the pictures, and 0 where it keeps the video's own. `control depth` and the like show their
pictures everywhere, with a mask of 1. `control inpaint` shows the source clip around the edited
regions and grey inside, with the regions as the mask; with a second control, its pictures are
inside. Without any control the video is grey and the mask 1, as in the stock pipeline, whose own
methods prepare the latents.

Dimensions: c channels, F latent frames, h rows and w columns of latents; pixels are H x W.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.model.spec import Control
from grainspec_runtime.backbones.families.wan.controls import check_vace_controls
from grainspec_runtime.backbones.families.wan.inputs import TextInputs
from grainspec_runtime.conditioning.active_steps import is_active
from grainspec_runtime.media.decode import Frames


@dataclass(frozen=True)
class VaceControls:
    """The control video of a clip: latents and mask ``[1, channels, F, h, w]``, and its steps."""

    latents: Tensor
    scale: float
    start: float
    until: float
    told: tuple[Any, ...]

    def facts(self) -> list[Any]:
        """Return what identifies this set of controls, as JSON values."""
        return [*self.told, self.scale, self.start, self.until]

    def scale_at(self, step: int, steps: int) -> float:
        """Return the scale at a step; 0 switches VACE's control blocks off."""
        active = is_active(self.start, self.until, step=step, steps=steps)
        return self.scale if active else 0.0


class VaceInputs(TextInputs):
    """The inputs of VACE: the latents of the control video, and its scale."""

    _clip: Frames | None = None
    _grey: Tensor | None = None
    """The latents of a control video without control, of the last clip's size."""

    def begin(self, clip: Frames) -> None:
        """Begin with a clip, the source of `control inpaint`."""
        self._clip, self._grey = clip, None

    @torch.no_grad()
    def controls(
        self, controls: Sequence[Control], pictures: Sequence[Frames], model: str
    ) -> VaceControls | None:
        """Make the control video of a clip; None if there are no controls.

        ``pictures`` are those of each control, the mask for `inpaint` (white is edited). Raises
        GrainError (G546) for controls that VACE cannot follow.
        """
        if not controls:
            return None
        check_vace_controls(controls, model)
        of_kind = dict(zip((control.kind for control in controls), pictures, strict=True))
        inside = of_kind.pop("inpaint", None)
        shown = next(iter(of_kind.values()), None)
        told = [
            [control.kind, hashlib.sha256(frames.tobytes()).hexdigest()]
            for control, frames in zip(controls, pictures, strict=True)
        ]
        first = controls[0]
        latents = self._latents(*self._video(shown, inside))
        return VaceControls(latents, first.scale, first.start, first.until, tuple(told))

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
        inputs = super().of(latents_1cFhw, t, frames, controls, step=step, steps=steps)
        if controls is None:
            latents, scale = self._without_control(latents_1cFhw, frames), 1.0
        else:
            latents, scale = controls.latents, controls.scale_at(step, steps)
        if latents.shape[-2:] != latents_1cFhw.shape[-2:] or max(frames) >= latents.shape[2]:
            message = "the latents are not those of the clip that the controls are for"
            raise fail("G404", message, "Encode the clip, then load its controls.")
        count = len(self.pipe.transformer.config.vace_layers)
        scales = torch.full((count,), scale, device=self.device, dtype=self.dtype)
        return inputs | {
            "control_hidden_states": latents[:, :, list(frames)],
            "control_hidden_states_scale": scales,
        }

    def _video(self, shown: Frames | None, inside: Frames | None) -> tuple[Tensor, Tensor]:
        """Return the control video in [-1, 1] and its mask, ``[1, 3, frames, H, W]``."""
        video = None if shown is None else self._tensor(shown)
        if inside is None:
            assert video is not None
            return video, torch.ones_like(video)
        if self._clip is None or self._clip.shape != inside.shape:
            message = "the clip that `control inpaint` keeps around its mask has another size"
            raise fail("G404", message, "Encode the clip, then load its controls.")
        mask = (self._tensor(inside) > 0).float()
        grey = torch.zeros_like(mask) if video is None else video
        return torch.where(mask > 0, grey, self._tensor(self._clip)), mask

    def _tensor(self, frames: Frames) -> Tensor:
        height, width = frames.shape[1:3]
        images = [Image.fromarray(frame) for frame in frames]
        video: Tensor = self.pipe.video_processor.preprocess_video(images, height, width)
        return video.to(self.device, torch.float32)

    def _latents(self, video_13FHW: Tensor, mask_13FHW: Tensor) -> Tensor:
        """Return the latents of a control video and of its mask, as the stock pipeline does."""
        none: list[list[Any]] = [[]]  # of reference images
        with self.using("vae"):
            latents = self.pipe.prepare_video_latents(
                video_13FHW, mask_13FHW, none, None, self.device
            )
        masks = self.pipe.prepare_masks(mask_13FHW, none)
        return torch.cat([latents, masks], dim=1).to(self.dtype)

    def _without_control(self, latents_1cFhw: Tensor, frames: Sequence[int]) -> Tensor:
        rows, columns = latents_1cFhw.shape[-2:]
        if (
            self._grey is None
            or self._grey.shape[2] <= max(frames)
            or (self._grey.shape[-2:] != (rows, columns))
        ):
            group, unit = self.pipe.vae_scale_factor_temporal, self.pipe.vae_scale_factor_spatial
            count = len(self._clip) if self._clip is not None else 1
            count = max(count, 1 + group * max(frames))
            shape = (1, 3, count, rows * unit, columns * unit)
            video = torch.zeros(shape, device=self.device)
            self._grey = self._latents(video, torch.ones_like(video))
        return self._grey
