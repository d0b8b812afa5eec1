"""What reduces the memory of a run, and by how much. Free of torch.

The estimates come from the model family
(:class:`grainspec_runtime.backbones.family.MemoryEstimates`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from grainspec.model.spec import Context, Inject
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import LatentContext, windows_of
from grainspec_runtime.backbones.family import MemoryEstimates
from grainspec_runtime.memory.stages import Stage, weights_at
from grainspec_runtime.models.options import LoadOptions, Offload

_SMALLER = 0.75


@dataclass(frozen=True)
class Saving:
    """A way to save memory: the text to write, and about how many bytes it saves."""

    how: str
    size: float

    def __str__(self) -> str:
        return f"{self.how} saves about {shown(self.size)}"


def savings_text(savings: Iterable[Saving]) -> str:
    """The cure that lists savings, the largest first."""
    useful = sorted((saving for saving in savings if saving.size > 0), key=lambda s: -s.size)
    return f"Use one of these: {'; '.join(map(str, useful))}." if useful else ""


def of_denoiser(
    plan: MaskPlan, memory: MemoryEstimates, context: Context | None, *, passes: int
) -> list[Saving]:
    """Savings on the denoiser's activations: smaller frames, or fewer at once."""
    clip, frames = len(plan.groups), _frames_at_once(plan, context)
    per_frame = memory.denoiser_frame(passes=passes, height=plan.height, width=plan.width)
    size = frames * per_frame
    savings = [_smaller(plan, memory, size)]
    per, first = plan.frames_per_latent, plan.first_frames
    least = LatentContext.of(context or Context(), per, first)
    fewer = max(frames // 2, least.overlap + least.keys + 2)
    if fewer < frames:
        of_clip = first + (fewer - 1) * per
        how = f"`context {{ frames {of_clip} }}` (windows of {of_clip} frames, slower)"
        savings.append(Saving(how, per_frame * (frames - fewer)))
    half = -(-len(plan.frames) // 2)
    if 1 < clip == frames and half >= first and (half - first) % per == 0:
        step, share = plan.frames[1] - plan.frames[0], (frames // 2) / frames
        how = f"`video {{ step {2 * step} }}` (half as many frames)"
        savings.append(Saving(how, size * share))
    return savings


def of_injection(
    plan: MaskPlan, memory: MemoryEstimates, inject: Inject, context: Context | None
) -> Saving:
    """What `inject` without attention saves."""
    frames = _frames_at_once(plan, context)
    per_frame = memory.injected_frame(inject, height=plan.height, width=plan.width)
    return Saving("`inject { self 0% }`", frames * per_frame)


def of_vae(plan: MaskPlan, memory: MemoryEstimates, loading: LoadOptions) -> list[Saving]:
    """Savings on the VAE's activations."""
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


def of_weights(
    memory: MemoryEstimates, loading: LoadOptions, *, of_vae: bool, full: bool
) -> list[Saving]:
    """Savings on weights, while the VAE or the denoiser works; ``full``: they are in float32."""
    stage: Stage = "vae" if of_vae else "denoiser"
    now, savings = weights_at(stage, memory, loading.offload), []
    kinds: list[tuple[Offload, str]] = [("model", "")]
    if not of_vae and memory.denoiser_group() < memory.denoiser_weights():
        kinds.append(("group", " (slower)"))
    for kind, cost in (*kinds, ("sequential", " (slow)")):
        saved = now - weights_at(stage, memory, kind)
        savings.append(Saving(f"`--offload {kind}`{cost}", saved))
    if full:
        savings.append(Saving(f"`--dtype {memory.half}`", now / 2))
    return savings


def _frames_at_once(plan: MaskPlan, context: Context | None) -> int:
    """How many latent frames the denoiser processes at once."""
    return len(windows_of(plan, context)[0].frames)


def _smaller(plan: MaskPlan, memory: MemoryEstimates, size: float) -> Saving:
    """Scale the frame to three quarters, rounded to a size that the model supports."""
    unit = memory.pixels_per_latent * (max(8, plan.patch) if plan.width >= 256 else plan.patch)
    sides = [max(unit, int(side * _SMALLER) // unit * unit) for side in (plan.width, plan.height)]
    share = 1 - sides[0] * sides[1] / (plan.width * plan.height)
    return Saving(f"`video {{ size {sides[0]}x{sides[1]} }}`", size * share)


def shown(size: float) -> str:
    """Format a number of bytes.

    >>> shown(3_435_973_837), shown(52_000_000), shown(400)
    ('3.4 GB', '52 MB', 'less than 1 MB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else "less than 1 MB"
