"""Is an inversion true? Sample its clip back, without any edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from grainspec_runtime.measures.fidelity import psnr
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.latents import decode_clip
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.sampling.denoiser import Denoiser
from grainspec_runtime.sampling.inversions import scheduler_of, unmodulated
from grainspec_runtime.sampling.sample import sample


@dataclass(frozen=True)
class Reconstruction:
    """A clip sampled back from its own noise, with its own prompt and without any edit.

    psnr: dB against the source; vae_psnr: the same of the VAE alone, which no sampling can better.
    """

    frames: Frames
    psnr: float
    vae_psnr: float


def reconstruct(
    denoiser: Denoiser,
    prepared: Prepared,
    frames: Frames,
    latents: Tensor,
    trajectory: Tensor,
    report: Callable[[int, int], None],
) -> Reconstruction:
    """The clip from its noise, with the source prompt alone: no guidance, no plan, no blending."""
    checkpoint, spec = denoiser.checkpoint, prepared.spec
    back = sample(
        denoiser,
        trajectory,
        unmodulated(prepared, checkpoint),
        [checkpoint.encode_prompt(spec.source)],
        scheduler=scheduler_of(checkpoint, spec),
        guidance=1.0,
        progress=report,
    )
    found, alone = (decode_clip(checkpoint, each) for each in (back, latents))
    return Reconstruction(found, psnr(frames, found) or 0.0, psnr(frames, alone) or 0.0)
