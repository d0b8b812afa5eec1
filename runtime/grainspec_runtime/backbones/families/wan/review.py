"""Review a Wan checkpoint and its LoRAs before anything is loaded. Free of torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from grainspec.diagnostics import Diagnostic, fail
from grainspec.model.spec import Sampler
from grainspec_runtime.backbones.families.wan.configs import WanConfigs, width_of
from grainspec_runtime.backbones.families.wan.few_steps import (
    few_steps_hint,
    guidance_warning,
    names_of,
)
from grainspec_runtime.backbones.families.wan.fit import checked_configs
from grainspec_runtime.backbones.families.wan.weights import check_weights
from grainspec_runtime.models.additions import Lora
from grainspec_runtime.models.claims import check_sizes
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.lora_file import LoraFile, read_lora

OTHER_LORA = "Use a LoRA that was trained for this size and kind of Wan."

_SIZES = {1536: "1.3B", 3072: "5B", 5120: "14B"}
"""Widths of published transformers, and their numbers of parameters."""


def review(
    model: ModelFolder,
    parts: Collection[str],
    loras: Sequence[Lora] = (),
    sampler: Sampler | None = None,
) -> list[Diagnostic]:
    """Check a checkpoint's configuration, weights' headers and LoRAs; return the warnings.

    Raises GrainError for what this release cannot run: see :func:`checked_configs`, and G508 for a
    LoRA that is for another kind of model.
    """
    configs = checked_configs(model, parts)
    check_sizes(model.folder, configs.parts, model.span)
    check_weights(model, configs)
    origin = str(model.index.get("_name_or_path", ""))
    findings = []
    if hint := few_steps_hint([*names_of(model.name), *names_of(origin)]):
        findings += guidance_warning(model.name, hint, sampler, model.span)
    for lora in loras:
        file = read_lora(lora.path)
        check_lora_fit(file, configs)
        if hint := few_steps_hint([*file.names, lora.path.parent.name]):
            findings += guidance_warning(f"the LoRA {lora.path}", hint, sampler)
    return findings


def check_lora_fit(lora: LoraFile, configs: WanConfigs) -> None:
    """Raise GrainError (G508) if a LoRA was trained for a network of another kind or size."""
    reason = None
    width, layers = width_of(configs.transformer), configs.layers
    if not lora.is_wan:
        kind = "another diffusion transformer" if lora.is_transformer else "Stable Diffusion"
        reason = f"it is for {kind}, not for Wan"
    elif lora.width not in (None, width):
        reason = (
            f"it is for a transformer of width {lora.width}{_size(lora.width)}, "
            f"but the model's has {width}{_size(width)}"
        )
    elif lora.blocks > layers:
        reason = f"it is for {lora.blocks} transformer blocks, but the model has {layers}"
    if reason:
        message = f"the LoRA {lora.path} does not fit the model: {reason}"
        raise fail("G508", message, OTHER_LORA)


def _size(width: int | None) -> str:
    return f" ({_SIZES[width]})" if width in _SIZES else ""
