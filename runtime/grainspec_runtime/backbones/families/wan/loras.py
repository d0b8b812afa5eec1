"""Fuse LoRAs into Wan's transformers: files of diffusers, of Wan's own names, and of trainers.

LoRAs for few steps, such as Lightning, CausVid or FusionX, are LoRAs like others. Of two experts,
one that says ``high_noise`` or ``low_noise`` in its path is for that one alone; all others are for
both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.families.wan.configs import EXPERTS
from grainspec_runtime.backbones.families.wan.review import OTHER_LORA
from grainspec_runtime.backbones.loras import layers_with, load_lora, no_fit, unused_modules
from grainspec_runtime.models.additions import Lora

_NOISE = re.compile(r"(high|low)[-_ ]?noise", re.IGNORECASE)


def fuse_loras(pipe: Any, loras: Sequence[Lora]) -> list[Diagnostic]:
    """Load LoRAs and fuse them into the transformers, each multiplied by its scale.

    Returns a warning (G526) for each that has weights for layers that the model lacks. Raises
    GrainError (G508) if one does not fit the model, and as ``check_lora`` does.
    """
    findings: list[Diagnostic] = []
    experts = [name for name in EXPERTS if getattr(pipe, name, None)]
    for index, expert in enumerate(experts):
        network = getattr(pipe, expert)
        scales: dict[str, float] = {}
        for number, lora in enumerate(loras):
            if len(experts) > 1 and expert not in experts_of(lora.path):
                continue
            name = f"lora{number}"
            file = load_lora(pipe, lora, name, OTHER_LORA, load_into_transformer_2=index > 0)
            taken = layers_with(network, name)
            if not taken:
                raise no_fit(lora, "no layer of the model has its names", OTHER_LORA)
            scales[name] = lora.scale
            parts = dict.fromkeys(file.counts, taken)
            findings += unused_modules(file, parts, OTHER_LORA)
        if scales:
            network.set_adapters(list(scales), list(scales.values()))
            network.fuse_lora(adapter_names=list(scales))
            network.unload_lora()
    return list({finding.message: finding for finding in findings}.values())


def experts_of(path: Path) -> tuple[str, ...]:
    """Return which of two experts a LoRA is for, by its file name, or else its folder's.

    >>> experts_of(Path("wan2.2_lightning_low_noise_4steps.safetensors"))
    ('transformer_2',)
    >>> experts_of(Path("ink.safetensors"))
    ('transformer', 'transformer_2')
    """
    for name in (path.name, path.parent.name):
        if found := _NOISE.findall(name):
            kinds = {kind.lower() for kind in found}
            if len(kinds) == 1:
                return ("transformer",) if kinds == {"high"} else ("transformer_2",)
    return EXPERTS
