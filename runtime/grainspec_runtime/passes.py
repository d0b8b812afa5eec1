"""How often an edit runs its denoiser. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from grainspec.model.numbers import first_steps
from grainspec.model.settings.method import KEY_FRAME_INTERVAL, EditingName, method_of
from grainspec.model.spec import Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.method_windows import at_once, batches, hierarchy
from grainspec.plan.windows import FrameWindow
from grainspec_runtime.prepare import Prepared

OF_FLOWS: Collection[EditingName] = ("flow_edit", "dfvedit")
"""Methods of flow matching, which predict for the source and the target, and invert nothing."""


def denoiser_passes(prepared: Prepared) -> int:
    """Return how many passes through the denoiser an edit takes, over all windows.

    For models of two experts whose scales of guidance are 1 in one of them only, it is the most
    that it can be.
    """
    if prepared.process in _IN_OWN_WINDOWS:
        return _IN_OWN_WINDOWS[prepared.process](prepared)
    return _PASSES[prepared.process](prepared) * len(prepared.windows)


def divided_windows(prepared: Prepared) -> int | None:
    """Return into how many windows each prediction of a step is divided; 1 for the clip at once.

    None for methods that do more in a step than predict for windows (:mod:`.denoiser`).
    """
    if prepared.process in _BY_WINDOWS or prepared.process == "controlvideo":
        return len(step_windows(prepared))
    return None


def step_windows(prepared: Prepared) -> Sequence[FrameWindow]:
    """Return the windows of each step; one for all frames at once.

    TokenFlow has none that are the same in every step: its key frames are drawn anew, and the other
    frames processed in batches.
    """
    if prepared.process == "controlvideo":
        return _hierarchy(prepared)
    return () if prepared.process == "tokenflow" else prepared.windows


def guided_passes(sampler: Sampler) -> int:
    """Return the passes of a prediction for the target prompt: two with guidance."""
    return 1 if {sampler.guidance, sampler.low_noise_guidance} <= {1.0, None} else 2


def sampling_passes(sampler: Sampler, plan: MaskPlan) -> int:
    """Return the passes of a step of sampling from an inversion.

    Without guidance, models of flow matching run the conditional pass alone. Others run both in one
    batch, and always: a batch of one is rounded differently on some devices.
    """
    return guided_passes(sampler) if plan.noise == "flow" else 2


def prediction_passes(prepared: Prepared) -> int:
    """Return the most passes of a prediction in a step of the edit: two with guidance."""
    sampler = prepared.spec.sampler
    if prepared.process not in OF_FLOWS:
        return sampling_passes(sampler, prepared.plan)
    return guided_passes(sampler) if sampler.source_guidance == 1 else 2


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


def _of_source_maps(prepared: Prepared) -> int:
    """Those of inversion and sampling, and one in each step that needs maps of the source."""
    method, steps = method_of(prepared.spec), len(prepared.timesteps)
    maps = method.source_maps
    blends = maps.local_blend < 1 and not method.modulates
    share = 1.0 if blends else max(maps.cross_steps, maps.self_steps)
    return _of_inversion(prepared) + first_steps(share, steps)


def _of_ground_a_video(prepared: Prepared) -> int:
    """Besides, for each step and frame: the source's pass, one an update, and the guided step's.

    Passes of one frame are counted as their share of a pass of the clip. Without guidance nothing
    is optimised.
    """
    updates = method_of(prepared.spec).null_updates
    steps = len(prepared.timesteps)
    optimises = updates and prepared.spec.sampler.guidance != 1
    return 3 * steps + 1 + (steps * (2 + updates) if optimises else 0)


def _of_dmt(prepared: Prepared) -> int:
    """Besides, for each optimised step: the source's pass, and one an update.

    Their gradients are not counted. Steps that are taken twice are.
    """
    method, steps = method_of(prepared.spec), len(prepared.timesteps)
    optimised = first_steps(method.motion, steps) * (1 + method.updates) if method.updates else 0
    twice = min(first_steps(method.restart, steps), steps - 1)
    return 3 * steps + 1 + optimised + 2 * twice


_BY_WINDOWS: Collection[EditingName] = ("invert_and_sample", "fatezero", "video_p2p")
_PASSES: dict[EditingName, Callable[[Prepared], int]] = {
    "invert_and_sample": _of_inversion,
    "flow_edit": _of_flow_edit,
    "ground_a_video": _of_ground_a_video,
    "dmt": _of_dmt,
    "dfvedit": _of_flow_edit,
    "fatezero": _of_source_maps,
    "video_p2p": _of_source_maps,
}


def _of_tokenflow(prepared: Prepared) -> int:
    """One pass a step for the inversion, and one to begin; one for the source and two to sample."""
    steps, count = len(prepared.timesteps), len(prepared.plan.groups)
    most = at_once(prepared.windows)
    key_frames = -(-count // (method_of(prepared.spec).interval or KEY_FRAME_INTERVAL))
    parts = 1 + len(batches(range(count - key_frames), most))
    return (steps + 1) * len(batches(range(count), most)) + 3 * steps * parts


def _of_controlvideo(prepared: Prepared) -> int:
    return 2 * len(prepared.timesteps) * len(_hierarchy(prepared))


def _hierarchy(prepared: Prepared) -> Sequence[FrameWindow]:
    """Return ControlVideo's windows."""
    windows = prepared.windows
    if len(windows) == 1:
        return windows
    return hierarchy(len(prepared.plan.groups), method_of(prepared.spec).interval)


_IN_OWN_WINDOWS: dict[EditingName, Callable[[Prepared], int]] = {
    "tokenflow": _of_tokenflow,
    "controlvideo": _of_controlvideo,
}
"""Those that divide a clip otherwise than `context` says, over all their windows."""
