"""When memory runs out: what to lower, and what each would save, estimated from sizes.

Weights are counted. What a network holds while it works is estimated from its widths and grids, to
tell the large from the small: for a UNet what its skip connections keep and the widest step of
its largest transformer, for a VAE its last block at full size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import Context, Inject
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.load import VAE_BATCH, Checkpoint, Offload
from grainspec_runtime.injection.features import kept_of_attention
from grainspec_runtime.injection.layers import injected_layers

_VAE_STAGES = ("read clip", "decode")
_SMALLER = 0.75


@dataclass(frozen=True)
class Saving:
    """Something to lower: how, and how many bytes it would save, about."""

    how: str
    size: float

    def __str__(self) -> str:
        return f"{self.how} saves about {_shown(self.size)}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has no memory left.

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
    offload: Offload | None = None,
    vae_slicing: bool = False,
    vae_tiling: bool = False,
    inject: Inject | None = None,
    context: Context | None = None,
) -> GrainError:
    """The error (G506) for a stage of a run that ran out of memory, with all that would help.

    ``checkpoint`` is None where it was the loading that ran out; ``context`` is the spec's.
    """
    frames = len(plan.groups)
    what = f"{frames} frame{'s' * (frames > 1)} of {plan.width}x{plan.height}"
    asked = re.search(r"allocate ([\d.]+ ?\w+)", str(error))
    detail = f" (it asked for {asked[1]} more)" if asked else ""
    if checkpoint is None:
        message = f"out of memory while loading the model{detail}"
        cure = "Load it with `--dtype float16`, `--offload model` or `--offload sequential`."
        return fail("G506", message, cure)
    device, dtype = checkpoint.device, str(checkpoint.dtype).removeprefix("torch.")
    message = f"out of memory on {device} in the stage “{stage}”: {what}, {dtype}{detail}"
    if stage in _VAE_STAGES:
        found = _of_vae(plan, checkpoint, vae_slicing, vae_tiling)
    else:
        found = _of_unet(plan, checkpoint, context, passes=2 if stage == "sample" else 1)
        if stage == "sample" and inject:
            found.append(_of_injection(plan, checkpoint, inject, context))
    found += _of_weights(stage, checkpoint, offload)
    found = sorted((saving for saving in found if saving.size > 0), key=lambda s: -s.size)
    return fail("G506", message, f"Lower one of these: {'; '.join(map(str, found))}.")


def part_sizes(checkpoint: Checkpoint) -> dict[str, int]:
    """Bytes of the weights of every part, wherever they are."""
    return {
        name: sum(weight.numel() * weight.element_size() for weight in part.parameters())
        for name, part in checkpoint.pipe.components.items()
        if isinstance(part, torch.nn.Module)
    }


def unet_working_size(checkpoint: Checkpoint, *, passes: int, height: int, width: int) -> int:
    """Bytes that a UNet holds of one frame while it works on it, about; sizes in pixels."""
    config = checkpoint.unet.config
    unit = checkpoint.pixels_per_latent
    rows, columns = height // unit, width // unit
    layers = config.layers_per_block
    kept, widest = 0, 0
    for level, channels in enumerate(config.block_out_channels):
        tokens = rows * columns
        repeats = layers if isinstance(layers, int) else layers[level]
        kept += (repeats + 1) * channels * tokens
        if "CrossAttn" in config.down_block_types[level]:
            # queries, keys, values and output, and the gated feed-forward at 8 times the width
            widest = max(widest, 12 * channels * tokens)
        rows, columns = (rows + 1) // 2, (columns + 1) // 2
    return passes * (kept + widest) * checkpoint.dtype.itemsize


def vae_working_size(checkpoint: Checkpoint, *, height: int, width: int) -> int:
    """Bytes that a VAE holds of one frame while it works on it, about; sizes in pixels."""
    finest, *coarser = checkpoint.vae.config.block_out_channels
    channels = 2 * finest + max(finest, *coarser[:1])
    return height * width * channels * checkpoint.vae.dtype.itemsize


def _of_unet(
    plan: MaskPlan, checkpoint: Checkpoint, context: Context | None, *, passes: int
) -> list[Saving]:
    clip = len(plan.groups)
    frames = min(clip, context.frames) if context else clip
    one = unet_working_size(checkpoint, passes=passes, height=plan.height, width=plan.width)
    size = frames * one
    found = [_smaller(plan, checkpoint, size)]
    least = context or Context()
    fewer = max(frames // 2, least.overlap + least.keys + 2)
    if fewer < frames:
        how = f"`context {{ frames {fewer} }}`, so many at once, slower,"
        found.append(Saving(how, one * (frames - fewer)))
    if 1 < clip == frames:
        step, share = plan.frames[1] - plan.frames[0], (frames // 2) / frames
        how = f"`video {{ step {2 * step} }}`, half as many frames,"
        found.append(Saving(how, size * share))
    return found


def _of_injection(
    plan: MaskPlan, checkpoint: Checkpoint, inject: Inject, context: Context | None
) -> Saving:
    """The source's queries and keys, which are kept through a step; its features are small."""
    unit = checkpoint.pixels_per_latent
    layers = injected_layers(inject, checkpoint.unet.config)
    numbers = kept_of_attention(
        checkpoint.unet, layers, rows=plan.height // unit, columns=plan.width // unit
    )
    frames = min(len(plan.groups), context.frames) if context else len(plan.groups)
    size = frames * numbers * checkpoint.dtype.itemsize
    return Saving("`inject { self 0% }`", size)


def _of_vae(plan: MaskPlan, checkpoint: Checkpoint, sliced: bool, tiled: bool) -> list[Saving]:
    one = vae_working_size(checkpoint, height=plan.height, width=plan.width)
    at_once = 1 if sliced else min(VAE_BATCH, len(plan.groups))
    found = [_smaller(plan, checkpoint, one * at_once)]
    if not sliced:
        found.append(Saving("`--vae-slicing`", one * (at_once - 1)))
    side = checkpoint.vae.config.sample_size
    tile = side if isinstance(side, int) else max(side)
    if not tiled and plan.height * plan.width > tile * tile:
        share = 1 - tile * tile / (plan.height * plan.width)
        found.append(Saving("`--vae-tiling`", one * at_once * share))
    return found


def _of_weights(stage: str, checkpoint: Checkpoint, offload: Offload | None) -> list[Saving]:
    if checkpoint.device.type == "cpu":
        return []  # they have to be somewhere
    sizes = part_sizes(checkpoint)
    works = "vae" if stage in _VAE_STAGES else "unet"
    found = []
    if offload is None:
        found.append(Saving("`--offload model`", sum(sizes.values()) - sizes[works]))
    if offload != "sequential":
        found.append(Saving("`--offload sequential`, slow,", sum(sizes.values())))
    if checkpoint.dtype == torch.float32:
        held = sum(sizes.values()) if offload is None else sizes[works]
        found.append(Saving("`--dtype float16`", held / 2))
    return found


def _smaller(plan: MaskPlan, checkpoint: Checkpoint, size: float) -> Saving:
    """Three quarters of the width and height, in sides that the model can work on."""
    unit = 8 * checkpoint.pixels_per_latent if plan.width >= 256 else checkpoint.pixels_per_latent
    sides = [max(unit, int(side * _SMALLER) // unit * unit) for side in (plan.width, plan.height)]
    share = 1 - sides[0] * sides[1] / (plan.width * plan.height)
    return Saving(f"`video {{ size {sides[0]}x{sides[1]} }}`", size * share)


def _shown(size: float) -> str:
    """Bytes, for reading.

    >>> _shown(3_435_973_837), _shown(52_000_000), _shown(400)
    ('3.4 GB', '52 MB', 'less than 1 MB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else "less than 1 MB"
