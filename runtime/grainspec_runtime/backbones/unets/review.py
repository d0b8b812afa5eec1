"""Review a Stable Diffusion checkpoint and its LoRAs before anything is loaded. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.unets.configs import checked_configs, text_width
from grainspec_runtime.backbones.unets.distilled import distilled_doubts, few_steps_hint
from grainspec_runtime.backbones.unets.single_file import file_doubts
from grainspec_runtime.models.additions import Lora
from grainspec_runtime.models.claims import check_sizes
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.lora_file import check_lora_width, read_lora


def review(
    model: ModelFolder, parts: Iterable[str], loras: Sequence[Lora] = ()
) -> list[Diagnostic]:
    """Check a checkpoint's configuration, weights' headers and LoRAs; return the warnings.

    Raises GrainError for what this release cannot run: see :func:`checked_configs`, and G508 for a
    LoRA that is for another kind of model.
    """
    parts = list(parts)
    configs, scheduler = checked_configs(model, parts)
    if not model.file:
        check_sizes(model.folder, configs, model.span)
    findings = distilled_doubts(model, scheduler) + file_doubts(model, scheduler)
    for lora in loras:
        file = read_lora(lora.path)
        check_lora_width(file, text_width(configs["unet"]))
        if hint := next(filter(None, map(few_steps_hint, file.names)), None):
            message = (
                f"the LoRA {lora.path} may make the model distilled (its name contains `{hint}`); "
                "inversion and guidance need a model that is not distilled"
            )
            findings.append(Diagnostic("G525", message, "Leave the LoRA out."))
    return findings
