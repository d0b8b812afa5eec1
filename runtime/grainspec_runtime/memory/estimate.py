"""Estimate what a run needs, before anything is loaded, and warn if it will not fit (G518).

The sum of what torch holds at once: weights, the activations of the stage with the most of them,
and the data of the whole clip. On a CPU, kernels need several times as much for their own copies.
``runtime/benchmarks/memory.py`` compares the estimates with the peak of whole runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from grainspec.diagnostics import Diagnostic
from grainspec.model.settings.method import SOURCE_MAPS
from grainspec_runtime.backbones.family import MemoryEstimates
from grainspec_runtime.device import best_device, gpu_memory, main_memory, may_have_gpu
from grainspec_runtime.memory.savings import (
    of_denoiser,
    of_injection,
    of_vae,
    of_weights,
    savings_text,
    shown,
)
from grainspec_runtime.memory.stages import largest_stage
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.passes import OF_FLOWS, prediction_passes
from grainspec_runtime.prepare import Prepared

if TYPE_CHECKING:
    import torch

_PROCESS = 500_000_000
"""Main memory of Python with torch, diffusers and transformers."""
_OF_FLOW_EDIT = {"latents": 8}
"""Source, edit, both at a noise level, noise, two velocities and their mean difference."""
_DECODED_FRAMES = 64
"""Frames that are held in float32 at once."""

_ON_A_CPU = {"cpu", "mps"}
"""Devices that share the main memory."""


@dataclass(frozen=True)
class Needs:
    """The estimated bytes of a run, by what they are for: on the device, and in main memory.

    ``free`` and ``main_free`` are what there is, None if that is unknown. A device without memory
    of its own has no ``device_parts``.
    """

    device: str
    device_parts: Mapping[str, int]
    main_parts: Mapping[str, int]
    free: int | None
    main_free: int | None

    @property
    def places(self) -> list[tuple[str, int, int | None]]:
        """Each memory: its name, the bytes that are needed, and those that are free."""
        main = ("main memory", sum(self.main_parts.values()), self.main_free)
        if not self.device_parts:
            return [main]
        return [(self.device, sum(self.device_parts.values()), self.free), main]

    def as_json(self) -> list[dict[str, Any]]:
        """The estimate as JSON values: for each memory its name, bytes and parts."""
        parts = [self.device_parts, self.main_parts] if self.device_parts else [self.main_parts]
        return [
            {"memory": name, "needed": needed, "free": free, "parts": dict(of)}
            for (name, needed, free), of in zip(self.places, parts, strict=True)
        ]

    def __str__(self) -> str:
        return "estimated need: " + ", ".join(
            f"{shown(needed)} of {name}" + (f" ({shown(free)} free)" if free is not None else "")
            for name, needed, free in self.places
        )


def needs_of(
    prepared: Prepared, loading: LoadOptions | None = None, *, processes: int = 1
) -> Needs:
    """Estimate the memory of a run with these options.

    The processes that share a clip share the main memory, too. Each of them needs what one alone
    does there, and at most that on its GPU.
    """
    loading = loading or LoadOptions()
    device = _device(loading)
    kind = device if isinstance(device, str) else device.type
    memory = _estimates(prepared, _itemsize(loading, kind))
    active, data = _activations(prepared, memory, loading), _data(prepared, memory)
    if kind in _ON_A_CPU:
        peaks = memory.cpu_peaks if kind == "cpu" else {}
        stage = largest_stage(memory, None, {of: peaks.get(of, 1) * active[of] for of in active})
        main = {"process": _PROCESS, **stage, **data}
        return Needs(kind, {}, _times(processes, main), None, main_memory())
    assert not isinstance(device, str)
    on_device = largest_stage(memory, loading.offload, active)
    stays = sum(memory.weights().values()) if loading.offload else 0
    main = {"process": _PROCESS, "weights": stays, **data}
    main = _times(processes, main)
    return Needs(str(device), on_device, main, gpu_memory(device), main_memory())


def _times(count: int, parts: Mapping[str, int]) -> dict[str, int]:
    return {name: count * size for name, size in parts.items()}


def gpu_bytes(prepared: Prepared, loading: LoadOptions | None = None) -> int:
    """Estimate the GPU memory of a run in bytes, on a machine that need not have a GPU."""
    loading = loading or LoadOptions()
    memory = _estimates(prepared, _itemsize(loading, "cuda"))
    active = _activations(prepared, memory, loading)
    return sum(largest_stage(memory, loading.offload, active).values())


def memory_warnings(
    prepared: Prepared, needs: Needs, loading: LoadOptions | None = None
) -> list[Diagnostic]:
    """Warn (G518) about a memory that the estimate exceeds, with what saves most."""
    loading = loading or LoadOptions()
    warnings = []
    for name, needed, free in needs.places:
        if free is None or needed <= free:
            continue
        plan = prepared.plan
        message = (
            f"the run needs about {shown(needed)} of {name}, and {shown(free)} are free "
            f"(an estimate, for {len(plan.frames)} frames of {plan.width}x{plan.height})"
        )
        on_device = bool(needs.device_parts) and name == needs.device
        cure = _cure(prepared, loading, needs, on_device=on_device)
        span = prepared.spec.video.span_of("size")
        warnings.append(Diagnostic("G518", message, cure, span))
    return warnings


def _cure(prepared: Prepared, loading: LoadOptions, needs: Needs, *, on_device: bool) -> str:
    spec, plan = prepared.spec, prepared.plan
    itemsize, context = _itemsize(loading, needs.device.partition(":")[0]), spec.effective_context
    memory = _estimates(prepared, itemsize)
    active = _activations(prepared, memory, loading)
    if on_device or not needs.device_parts:
        is_vae = active["vae"] >= active["denoiser"]
        if is_vae:
            savings = of_vae(plan, memory, loading)
        else:
            savings = of_denoiser(plan, memory, context, passes=prediction_passes(prepared))
            if spec.inject:
                savings.append(of_injection(plan, memory, spec.inject, context))
        stage = "vae" if is_vae else "denoiser"
        copies = memory.cpu_peaks[stage] if needs.device == "cpu" else 1
        savings = [replace(saving, size=copies * saving.size) for saving in savings]
        if on_device:
            savings += of_weights(memory, loading, of_vae=is_vae, full=itemsize == 4)
        return savings_text(savings)
    steps = "" if prepared.process in OF_FLOWS else ", fewer `steps`"
    return f"Use fewer frames{steps} or a smaller `size`."


def _estimates(prepared: Prepared, itemsize: int) -> MemoryEstimates:
    return prepared.model.family.memory(prepared.model.folder, itemsize=itemsize)


def _activations(
    prepared: Prepared, memory: MemoryEstimates, loading: LoadOptions
) -> dict[str, int]:
    """The activations that are held at once, by the network that has them."""
    spec, plan = prepared.spec, prepared.plan
    size = {"height": plan.height, "width": plan.width}
    frames = max(len(window.frames) for window in prepared.windows)
    passes = prediction_passes(prepared)
    per_frame = memory.denoiser_frame(passes=passes, **size)
    per_frame += len(spec.controls) * memory.control_frame(passes=passes, **size)
    if spec.inject:
        per_frame += memory.injected_frame(spec.inject, **size)
    if prepared.process in SOURCE_MAPS:
        per_frame += memory.source_maps_frame(**size)
    vae = memory.vae_frame(**size)
    if loading.vae_tiling:
        vae = min(vae, memory.vae_frame(height=memory.vae_tile, width=memory.vae_tile))
    at_once = 1 if loading.vae_slicing else min(memory.vae_batch, len(plan.groups))
    vae = at_once * vae + len(plan.frames) * memory.clip_frame(**size)
    return {"denoiser": frames * per_frame, "vae": vae}


def _data(prepared: Prepared, memory: MemoryEstimates) -> dict[str, int]:
    """The data of the whole clip, which is kept in main memory."""
    spec, plan = prepared.spec, prepared.plan
    pixels, frames = plan.height * plan.width, len(plan.frames)
    latents = len(plan.groups) * memory.latent_frame(height=plan.height, width=plan.width)
    pictures = 3 * frames * pixels * (2 + len(spec.controls))
    pictures += 3 * 4 * pixels * min(frames, _DECODED_FRAMES)
    inverts = prepared.process not in OF_FLOWS
    kept = {"latents of the inversion": spec.sampler.steps + 1} if inverts else _OF_FLOW_EDIT
    return {
        "frames": pictures,
        **{what: number * latents for what, number in kept.items()},
        "regions and plan": prepared.bound.edits.bits_FHW.nbytes + plan.nbytes(),
    }


def _device(loading: LoadOptions) -> torch.device | str:
    """The device that a run uses; without a GPU this does not import torch."""
    if loading.device is None and not may_have_gpu():
        return "cpu"
    import torch

    return torch.device(loading.device) if loading.device else best_device()


def _itemsize(loading: LoadOptions, kind: str) -> int:
    """The bytes of a number in the precision that a model is loaded in."""
    if loading.dtype is not None:
        return loading.dtype.itemsize
    return 4 if kind == "cpu" else 2
