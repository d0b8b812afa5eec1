"""Distilled checkpoints: LCM, Turbo, Lightning, Hyper and kin. Free of torch.

They sample in one to eight steps, and follow no trajectory from noise to picture that DDIM could
invert. Some have guidance built into their weights and expect its strength as an input. Their
configurations show only some of this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from grainspec.diagnostics import Diagnostic, fail
from grainspec_runtime.models.file_kinds import UNET
from grainspec_runtime.models.folder import ModelFolder

_WHY = "inversion and guidance need a model that is not distilled"
_CURE = "Use the model that it was distilled from, or another without LCM, Turbo or Lightning."
_SCHEDULERS = ("LCMScheduler", "TCDScheduler")
"""Schedulers of consistency models, which jump to the picture in every step."""
_GUIDANCE = f"{UNET}time_embed.cond_proj.weight"
"""The tensor in a checkpoint in one file that embeds the guidance scale."""
_HINTS = {"lcm", "turbo", "lightning", "tcd", "dmd"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def refuse_distilled(model: ModelFolder, unet: Mapping[str, Any]) -> None:
    """Raise GrainError (G524) for a UNet with guidance built in.

    Such a UNet needs the guidance scale as an input, and no unconditional pass.
    """
    built_in = unet.get("time_cond_proj_dim") is not None
    if built_in or (model.file and _GUIDANCE in model.file.shapes):
        message = (
            f"the UNet of {model.name} is distilled with guidance built in "
            f"(`time_cond_proj_dim`); {_WHY}"
        )
        raise fail("G524", message, _CURE, model.span)


def distilled_doubts(model: ModelFolder, scheduler: Mapping[str, Any]) -> list[Diagnostic]:
    """Return warnings (G525) for signs of distillation, and for a schedule that ends in noise."""
    findings = []
    signs = []
    kind = scheduler.get("_class_name")
    if kind in _SCHEDULERS:
        signs.append(f"its scheduler is {kind}")
    elif scheduler.get("timestep_spacing") == "trailing" and not _zero_snr(scheduler):
        signs.append(f"its scheduler, {kind}, has trailing timesteps, for sampling in a few steps")
    hint = few_steps_hint(PurePath(model.name).name)
    hint = hint or few_steps_hint(str(model.index.get("_name_or_path", "")))
    if hint:
        signs.append(f"its name contains `{hint}`")
    if signs:
        message = f"{model.name} may be distilled ({'; '.join(signs)}); {_WHY}"
        findings.append(Diagnostic("G525", message, _CURE, model.span))
    if _zero_snr(scheduler):
        message = (
            f"{model.name} was trained with zero terminal SNR (`rescale_betas_zero_snr`); "
            "such models expect rescaled guidance, which grainspec does not have"
        )
        cure = "If the edit is too bright or too saturated, lower `guidance` in `sampler`."
        findings.append(Diagnostic("G525", message, cure, model.span))
    return findings


def few_steps_hint(name: str) -> str | None:
    """Return the words in a name that hint at distillation; None if there are none.

    >>> [few_steps_hint(name) for name in ("sdxl-turbo", "modelXL_v2TurboDpmpp", "turbine")]
    ['turbo', 'Turbo', None]
    >>> [few_steps_hint(name) for name in ("Hyper-SDXL", "ink-8steps", "ink-3000steps")]
    ['Hyper SDXL', '8 steps', None]
    """
    words = _WORDS.findall(name)
    for word, follower in pairwise([*words, ""]):
        if word.lower() in _HINTS:
            return str(word)
        few = word in "12345678" and follower.lower() in ("step", "steps")
        if few or (word.lower() == "hyper" and follower.lower()[:2] in ("sd", "")):
            return f"{word} {follower}".strip()
    return None


def _zero_snr(scheduler: Mapping[str, Any]) -> bool:
    return bool(scheduler.get("rescale_betas_zero_snr"))
