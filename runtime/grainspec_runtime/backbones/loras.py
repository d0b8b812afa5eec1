"""Load LoRAs into a stock pipeline, and find out whether its networks took them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safetensors.torch import load_file

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec_runtime.models.additions import Lora, check_lora
from grainspec_runtime.models.lora_file import LoraFile, read_lora


def load_lora(pipe: Any, lora: Lora, name: str, cure: str, **options: Any) -> LoraFile:
    """Load a LoRA with the pipeline's own ``load_lora_weights``, as the adapter ``name``.

    Raises GrainError (G508), with ``cure``, if it does not fit the model, and as
    :func:`check_lora` does.
    """
    check_lora(lora)
    file = read_lora(lora.path)
    try:
        pipe.load_lora_weights(load_file(lora.path), adapter_name=name, **options)  # never pickle
    except (ValueError, RuntimeError, LookupError, TypeError, AttributeError) as error:
        [reason] = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        if isinstance(error, KeyError):  # of a converter of names
            reason = f"it lacks the tensor {reason.strip()}"
        raise no_fit(lora, reason.strip(), cure) from error
    return file


def no_fit(lora: Lora, reason: str, cure: str) -> GrainError:
    """Return the error (G508) for a LoRA that does not fit the model."""
    return fail("G508", f"the LoRA {lora.path} does not fit the model: {reason}", cure)


def layers_with(network: Any, name: str) -> int:
    """Count the layers of a network that have weights of the adapter ``name``."""
    return sum(name in getattr(layer, "lora_A", ()) for layer in network.modules())


def unused_modules(file: LoraFile, layers: Mapping[str, int], cure: str) -> list[Diagnostic]:
    """Return a warning (G526) if a LoRA has modules that no layer of the model took.

    ``layers`` counts the layers that took some, for each part of a model that the file names.
    """
    counts = file.counts
    used = {part: min(layers.get(part, 0), count) for part, count in counts.items()}
    total, taken = counts.total(), sum(used.values())
    if taken == total:
        return []
    parts = ", ".join(f"{part} {used[part]} of {counts[part]}" for part in sorted(used))
    ranks = " and ".join(map(str, file.ranks)) or "unknown"
    message = (
        f"the LoRA {file.path} fits the model in part: the model has layers for {taken} of its "
        f"{total} modules ({parts}; rank {ranks})"
    )
    return [Diagnostic("G526", message, f"The others have no effect. {cure}")]
