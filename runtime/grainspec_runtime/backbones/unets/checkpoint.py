"""A loaded checkpoint with a UNet and an image VAE, as a stock pipeline.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline
from torch import Tensor

from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import Control, FreeU, Inject, Modulation, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.emphasis import emphasised
from grainspec_runtime.backbones.unets.decoder import injected_layers
from grainspec_runtime.backbones.unets.features import UNetFeatures
from grainspec_runtime.backbones.unets.freeu import freeu_enabled
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.backbones.unets.memory import VAE_BATCH, UNetMemory
from grainspec_runtime.backbones.unets.norms import norm_scope
from grainspec_runtime.backbones.unets.prompts import (
    EncodedPrompt,
    denoiser_inputs,
    encode_prompt,
    encode_target,
    encode_unconditional,
)
from grainspec_runtime.conditioning.nets import Controls, load_controls
from grainspec_runtime.flow.trajectories import Trajectories
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.tensors import refuse_nan, to_frames, to_tensor
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import Attention, AttentionRecorder, CrossAttentionRule
from grainspec_runtime.modulation.part import Division
from grainspec_runtime.schedules.ddim import DdimSchedule

_FULL_PRECISION_FRAMES = 16 * VAE_BATCH
"""Number of frames that are held in float32 at once, which takes four times the memory of 8-bit
frames; a VAE that is offloaded is moved to the device once for all of them."""


@dataclass(frozen=True)
class UNetCheckpoint(ABC):
    """A frozen checkpoint with a UNet, as a stock pipeline.

    It runs on ``device`` in ``dtype``; the VAE may have higher precision. The members are those of
    :class:`grainspec_runtime.backbones.family.Checkpoint`. A subclass runs its kind of UNet.
    """

    name: str
    folder: Path
    pipe: DiffusionPipeline
    device: torch.device
    dtype: torch.dtype
    file: Path | None = None
    findings: tuple[Diagnostic, ...] = ()
    division: Division | None = None

    @property
    def unet(self) -> Any:
        """The denoiser."""
        return self.pipe.unet

    @property
    def denoiser(self) -> torch.nn.Module:
        """The UNet."""
        unet: torch.nn.Module = self.pipe.unet
        return unet

    @property
    def vae(self) -> AutoencoderKL:
        """The autoencoder between pixels and latents."""
        return self.pipe.vae

    @property
    def scheduler(self) -> DDIMScheduler:
        """The checkpoint's noise schedule, as a DDIM scheduler."""
        return self.pipe.scheduler

    @property
    def schedule(self) -> DdimSchedule:
        """The noise schedule."""
        return DdimSchedule(self.pipe.scheduler)

    memory_kind: ClassVar[type[UNetMemory]] = UNetMemory
    """The estimates of its kind of UNet."""

    @property
    def memory(self) -> UNetMemory:
        """The memory that its components need, estimated from their sizes."""
        sizes = {
            name: sum(weight.numel() * weight.element_size() for weight in part.parameters())
            for name, part in self.pipe.components.items()
            if isinstance(part, torch.nn.Module)
        }
        return self.memory_kind(
            self.unet.config, self.vae.config, sizes, self.dtype.itemsize, self.vae.dtype.itemsize
        )

    @property
    def pixels_per_latent(self) -> int:
        """Width and height in pixels of one latent."""
        per_latent: int = 2 ** (len(self.vae.config.block_out_channels) - 1)
        return per_latent

    def encode_prompt(self, text: str) -> EncodedPrompt:
        """Encode a prompt for the UNet."""
        return encode_prompt(self.pipe, text, device=self.device)

    def encode_target(self, plan: MaskPlan, *, emphasis: float = 1.0) -> EncodedPrompt:
        """Encode a plan's target prompt, with isolated phrases if the plan isolates them."""
        target = encode_target(self.pipe, plan, device=self.device)
        return replace(target, words=emphasised(target.words, plan, emphasis))

    def encode_unconditional(self, negative: str, plan: MaskPlan) -> EncodedPrompt:
        """Encode the prompt of the unconditional pass under a plan."""
        return encode_unconditional(self.pipe, negative, plan, device=self.device)

    def encode_clip(self, frames: Frames) -> Tensor:
        """Encode frames, uint8 ``[F, H, W, 3]``, to latents ``[F, c, h, w]``.

        Raises GrainError (G505) for NaN or infinity.
        """
        starts = range(0, len(frames), _FULL_PRECISION_FRAMES)
        parts = [
            self.encode_frames(to_tensor(frames[at : at + _FULL_PRECISION_FRAMES])) for at in starts
        ]
        latents = torch.cat(parts)
        refuse_nan(latents)
        return latents

    def begin_clip(self, frames: Frames) -> None:
        """Do nothing: the denoiser gets latents alone."""
        return

    def decode_clip(self, latents_Fchw: Tensor) -> Frames:
        """Decode latents to frames, uint8 ``[F, H, W, 3]``; raises G505 for NaN or infinity."""
        parts = latents_Fchw.to(self.dtype).split(_FULL_PRECISION_FRAMES)
        return np.concatenate([to_frames(self.decode_latents(part)) for part in parts])

    @torch.no_grad()  # not inference_mode: accelerate turns offloaded weights into parameters
    def encode_frames(self, frames_F3HW: Tensor) -> Tensor:
        """Encode frames in [-1, 1] to latents ``[F, c, h, w]``: the posterior's mean, scaled."""
        latents = []
        for part in frames_F3HW.split(VAE_BATCH):
            part = part.to(self.device, self.vae.dtype)
            latents.append(self.vae.encode(part).latent_dist.mean)
        self.pipe.maybe_free_model_hooks()  # with offloading: move the VAE back to the CPU
        mean, scale = self._latent_scale()
        scaled = (torch.cat(latents) - mean) * scale
        # One memory order, whatever the VAE returns: convolutions round differently in another
        # order, and runs must be repeatable.
        return scaled.to(self.dtype).contiguous()

    @torch.no_grad()
    def decode_latents(self, latents_Fchw: Tensor) -> Tensor:
        """Decode latents to frames ``[F, 3, H, W]``, float32 in [-1, 1], on the CPU."""
        mean, scale = self._latent_scale()
        frames = []
        for part in latents_Fchw.split(VAE_BATCH):
            part = part.to(self.device, self.vae.dtype) / scale + mean
            frames.append(self.vae.decode(part).sample.float().clamp(-1, 1).cpu())
        self.pipe.maybe_free_model_hooks()
        return torch.cat(frames)

    def _latent_scale(self) -> tuple[Tensor | float, Tensor | float]:
        """Return the mean to subtract from the VAE's latents, and the factor that follows."""
        config = self.vae.config
        scale = config.scaling_factor
        if config.latents_mean is None or config.latents_std is None:
            return config.shift_factor or 0.0, scale
        mean, std = (
            torch.tensor(values, device=self.device, dtype=self.vae.dtype).view(1, -1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, scale / std

    def condition(self, prompts: Sequence[EncodedPrompt], latents_Fchw: Tensor) -> dict[str, Any]:
        """Return the UNet's keyword arguments for one frame and one pass per prompt."""
        rows, columns = latents_Fchw.shape[-2:]
        unit = self.pixels_per_latent
        return denoiser_inputs(list(prompts), width=columns * unit, height=rows * unit)

    def load_controls(
        self, controls: Sequence[Control], pictures: Sequence[Frames], base: Path
    ) -> Controls | None:
        """Load the ControlNets of a clip with their control images; None if there are none."""
        return load_controls(
            controls, pictures, base, self.name, device=self.device, dtype=self.dtype
        )

    @abstractmethod
    def predict(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        conditioning: dict[str, Any],
        frames: Sequence[int],
        *,
        step: int,
        steps: int,
        controls: Controls | None = None,
    ) -> Tensor:
        """Run the UNet on ``frames`` of the clip: float32 ``[P * F, c, h, w]``."""

    def guidance_at(self, sampler: Sampler, t: float) -> float:
        """Return the sampler's scale of guidance, at every timestep."""
        return sampler.guidance

    def attention(
        self,
        frames: int,
        settings: Modulation,
        *,
        plan: MaskPlan | None = None,
        backend: str = "auto",
        paths: Mapping[int, Trajectories] | None = None,
        cross_rule: CrossAttentionRule | None = None,
        recorder: AttentionRecorder | None = None,
    ) -> FoldedAttention:
        """Return the attention over ``frames`` frames; unmodulated without a plan."""
        return FoldedAttention(
            frames,
            plan=plan,
            scope=settings.frames,
            norm=norm_scope(settings.norm, self.name),
            backend=backend,
            device=self.device,
            paths=paths,
            cross_rule=cross_rule,
            recorder=recorder,
        )

    def installed(self, attention: Attention) -> AbstractContextManager[None]:
        """Compute all attention of the UNet with ``attention`` inside the block."""
        return installed(self.unet, attention)

    def pass_facts(self, settings: Modulation) -> dict[str, Any]:
        """Return which frames attend to which, and the scope of group norm statistics."""
        return {"scope": settings.frames, "norm": norm_scope(settings.norm, self.name)}

    def source_features(self, inject: Inject) -> UNetFeatures:
        """Return the layers at which ``inject`` replaces features by the source clip's."""
        return UNetFeatures(self.unet, injected_layers(inject, self.unet.config))

    def with_freeu(self, freeu: FreeU) -> AbstractContextManager[None]:
        """Apply FreeU to the UNet inside the block; at the end it is as before."""
        return freeu_enabled(self.unet, freeu)
