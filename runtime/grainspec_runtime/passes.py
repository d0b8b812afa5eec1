"""How often an edit runs its denoiser. Free of torch."""

from __future__ import annotations

from collections.abc import Callable

from grainspec.model.numbers import first_steps
from grainspec.model.settings import EditingName
from grainspec.model.spec import Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.prepare import Prepared


def denoiser_passes(prepared: Prepared) -> int:
    """Return how many passes through the denoiser an edit takes, over all windows.

    For models of two experts whose scales of guidance are 1 in one of them only, it is the most
    that it can be.
    """
    return _PASSES[prepared.process](prepared) * len(prepared.windows)


def guided_passes(sampler: Sampler) -> int:
    """Return the passes of a prediction for the target prompt: two with guidance."""
    return 1 if {sampler.guidance, sampler.low_noise_guidance} <= {1.0, None} else 2


def sampling_passes(sampler: Sampler, plan: MaskPlan) -> int:
    """Return the passes of a step of sampling from an inversion.

    Without guidance, models of flow matching run the conditional pass alone. Others run both in one
    batch, and always: a batch of one is rounded differently on some devices.
    """
    return guided_passes(sampler) if plan.noise == "flow" else 2


def _of_inversion(prepared: Prepared) -> int:
    """One pass a step for the inversion, and one to begin; those of sampling; one to inject."""
    steps, inject = len(prepared.timesteps), prepared.spec.inject
    injected = max(inject.features, inject.self_) if inject else 0.0
    sampled = sampling_passes(prepared.spec.sampler, prepared.plan)
    return steps + 1 + sampled * steps + first_steps(injected, steps)


def _of_flow_edit(prepared: Prepared) -> int:
    sampler = prepared.spec.sampler
    source = 1 if sampler.source_guidance == 1 else 2
    return len(prepared.timesteps) * sampler.average * (source + guided_passes(sampler))


def _of_ground_a_video(prepared: Prepared) -> int:
    """Besides, for each step and frame: the source's pass, one an update, and the guided step's.

    Passes of one frame are counted as their share of a pass of the clip.
    """
    updates = prepared.spec.method.null_updates if prepared.spec.method else 0
    steps = len(prepared.timesteps)
    return 3 * steps + 1 + (steps * (2 + updates) if updates else 0)


def _of_dmt(prepared: Prepared) -> int:
    """Besides, for each optimised step: the source's pass, and one an update.

    Their gradients are not counted. Steps that are taken twice are.
    """
    method, steps = prepared.spec.method, len(prepared.timesteps)
    assert method is not None
    optimised = first_steps(method.motion, steps) * (1 + method.updates) if method.updates else 0
    twice = min(first_steps(method.restart, steps), steps - 1)
    return 3 * steps + 1 + optimised + 2 * twice


_PASSES: dict[EditingName, Callable[[Prepared], int]] = {
    "invert_and_sample": _of_inversion,
    "flow_edit": _of_flow_edit,
    "ground_a_video": _of_ground_a_video,
    "dmt": _of_dmt,
    "dfvedit": _of_flow_edit,
}
