"""Explain out-of-memory errors: what reduces memory, and by how much.

The estimates come from the model family
(:class:`grainspec_runtime.backbones.family.MemoryEstimates`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import Context, Inject
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.family import Checkpoint, MemoryEstimates
from grainspec_runtime.models.options import LoadOptions

_VAE_STAGES = ("read clip", "decode")
_SMALLER = 0.75


@dataclass(frozen=True)
class Saving:
    """A way to save memory: the text to write, and about how many bytes it saves."""

    how: str
    size: float

    def __str__(self) -> str:
        return f"{self.how} saves about {_shown(self.size)}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a device or the machine is out of memory.

    >>> is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    True
    >>> is_out_of_memory(RuntimeError("shapes do not fit"))
    False
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(
        re.search(r"out of memory|can't allocate memory", str(error))
    )


def out_of_memory(
    stage: str,
    plan: MaskPlan,
    checkpoint: Checkpoint | None,
    error: BaseException,
    *,
    loading: LoadOptions | None = None,
    inject: Inject | None = None,
    context: Context | None = None,
) -> GrainError:
    """Return the error (G506) for a stage that ran out of memory, with everything that helps.

    ``checkpoint`` is None if the model was still loading; ``inject`` and ``context`` are the
    spec's.
    """
    frames = len(plan.groups)
    what = f"{frames} frame{'s' * (frames > 1)} of {plan.width}x{plan.height}"
    request = re.search(r"allocate ([\d.]+ ?\w+)", str(error))
    detail = f" ({request[1]} more requested)" if request else ""
    if checkpoint is None:
        message = f"out of memory while loading the model{detail}"
        cure = "Use `--dtype float16`, `--offload model` or `--offload sequential`."
        return fail("G506", message, cure)
    device, dtype = checkpoint.device, str(checkpoint.dtype).removeprefix("torch.")
    message = f"out of memory on {device} in the stage “{stage}”: {what}, {dtype}{detail}"
    loading, memory = loading or LoadOptions(), checkpoint.memory
    if stage in _VAE_STAGES:
        savings = _of_vae(plan, memory, loading)
    else:
        savings = _of_denoiser(plan, memory, context, passes=2 if stage == "sample" else 1)
        if stage == "sample" and inject:
            savings.append(_of_injection(plan, memory, inject, context))
    if checkpoint.device.type != "cpu":  # on a CPU there is nowhere to move weights to
        savings += _of_weights(stage, memory, loading, full=checkpoint.dtype == torch.float32)
    savings = sorted((saving for saving in savings if saving.size > 0), key=lambda s: -s.size)
    return fail("G506", message, f"Use one of these: {'; '.join(map(str, savings))}.")


def _of_denoiser(
    plan: MaskPlan, memory: MemoryEstimates, context: Context | None, *, passes: int
) -> list[Saving]:
    clip = len(plan.groups)
    frames = min(clip, context.frames) if context else clip
    per_frame = memory.denoiser_frame(passes=passes, height=plan.height, width=plan.width)
    size = frames * per_frame
    savings = [_smaller(plan, memory, size)]
    least = context or Context()
    fewer = max(frames // 2, least.overlap + least.keys + 2)
    if fewer < frames:
        how = f"`context {{ frames {fewer} }}` (windows of {fewer} frames, slower)"
        savings.append(Saving(how, per_frame * (frames - fewer)))
    if 1 < clip == frames:
        step, share = plan.frames[1] - plan.frames[0], (frames // 2) / frames
        how = f"`video {{ step {2 * step} }}` (half as many frames)"
        savings.append(Saving(how, size * share))
    return savings


def _of_injection(
    plan: MaskPlan, memory: MemoryEstimates, inject: Inject, context: Context | None
) -> Saving:
    frames = min(len(plan.groups), context.frames) if context else len(plan.groups)
    per_frame = memory.injected_frame(inject, height=plan.height, width=plan.width)
    return Saving("`inject { self 0% }`", frames * per_frame)


def _of_vae(plan: MaskPlan, memory: MemoryEstimates, loading: LoadOptions) -> list[Saving]:
    per_frame = memory.vae_frame(height=plan.height, width=plan.width)
    at_once = 1 if loading.vae_slicing else min(memory.vae_batch, len(plan.groups))
    savings = [_smaller(plan, memory, per_frame * at_once)]
    if not loading.vae_slicing:
        savings.append(Saving("`--vae-slicing`", per_frame * (at_once - 1)))
    tile = memory.vae_tile
    if not loading.vae_tiling and plan.height * plan.width > tile * tile:
        share = 1 - tile * tile / (plan.height * plan.width)
        savings.append(Saving("`--vae-tiling`", per_frame * at_once * share))
    return savings


def _of_weights(
    stage: str, memory: MemoryEstimates, loading: LoadOptions, *, full: bool
) -> list[Saving]:
    """Savings on weights; ``full`` means that they are in float32."""
    sizes = memory.weights()
    works = sizes["vae"] if stage in _VAE_STAGES else memory.denoiser_weights()
    whole, savings = sum(sizes.values()), []
    if loading.offload is None:
        savings.append(Saving("`--offload model`", whole - works))
    if loading.offload != "sequential":
        savings.append(Saving("`--offload sequential` (slow)", whole))
    if full:
        held = whole if loading.offload is None else works
        savings.append(Saving("`--dtype float16`", held / 2))
    return savings


def _smaller(plan: MaskPlan, memory: MemoryEstimates, size: float) -> Saving:
    """Scale the frame to three quarters, rounded to a size that the model supports."""
    unit = memory.pixels_per_latent * (8 if plan.width >= 256 else 1)
    sides = [max(unit, int(side * _SMALLER) // unit * unit) for side in (plan.width, plan.height)]
    share = 1 - sides[0] * sides[1] / (plan.width * plan.height)
    return Saving(f"`video {{ size {sides[0]}x{sides[1]} }}`", size * share)


def _shown(size: float) -> str:
    """Format a number of bytes.

    >>> _shown(3_435_973_837), _shown(52_000_000), _shown(400)
    ('3.4 GB', '52 MB', 'less than 1 MB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else "less than 1 MB"
