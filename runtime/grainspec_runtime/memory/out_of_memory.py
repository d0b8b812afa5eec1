"""Explain out-of-memory errors: what reduces memory, and by how much.

The estimates come from the model family
(:class:`grainspec_runtime.backbones.family.MemoryEstimates`).
"""

from __future__ import annotations

import re

import torch

from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import Context, Inject
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.memory.savings import (
    of_denoiser,
    of_injection,
    of_vae,
    of_weights,
    savings_text,
)
from grainspec_runtime.models.options import LoadOptions

_VAE_STAGES = ("read clip", "decode")
_SMOOTHED = ("sample", "reconstruct")
"""The stages in which the VAE works, too, if the clip is smoothed."""
_GUIDED = ("sample", "edit")
"""The stages whose predictions have an unconditional pass, too."""


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
    smooths: bool = False,
) -> GrainError:
    """Return the error (G506) for a stage that ran out of memory, with everything that helps.

    ``checkpoint`` is None if the model was still loading; ``inject`` and ``context`` are the
    spec's. ``smooths``: the VAE works while the clip is sampled, too.
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
        savings = of_vae(plan, memory, loading)
    else:
        savings = of_denoiser(plan, memory, context, passes=2 if stage in _GUIDED else 1)
        if stage == "sample" and inject:
            savings.append(of_injection(plan, memory, inject, context))
        if stage in _SMOOTHED and smooths:
            more = {saving.how: saving for saving in of_vae(plan, memory, loading)}
            savings = [max(it, more.pop(it.how, it), key=lambda one: one.size) for it in savings]
            savings += more.values()
    if checkpoint.device.type != "cpu":  # on a CPU there is nowhere to move weights to
        full = checkpoint.dtype == torch.float32
        savings += of_weights(memory, loading, of_vae=stage in _VAE_STAGES, full=full)
    return fail("G506", message, savings_text(savings))
