"""Load LoRAs and textual inversions into a pipeline, with diffusers' own methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safetensors.torch import load_file

from grainspec.diagnostics import Diagnostic, fail
from grainspec_runtime.models.additions import Embedding, Lora, check_lora, new_word
from grainspec_runtime.models.lora_file import OTHER_LORA, LoraFile, read_lora


def load_embeddings(pipe: Any, embeddings: Sequence[Embedding]) -> None:
    """Load textual inversions; raises GrainError (G508) if one does not fit the model."""
    encoders = [name for name in ("text_encoder", "text_encoder_2") if hasattr(pipe, name)]
    widths = {name: int(getattr(pipe, name).config.hidden_size) for name in encoders}
    for embedding in embeddings:
        word = new_word(embedding, widths)
        tensors = load_file(word.path)  # never pickle
        for encoder, name in word.tensors.items():
            pipe.load_textual_inversion(
                tensors[name],
                token=word.word,
                text_encoder=getattr(pipe, encoder),
                tokenizer=getattr(pipe, encoder.replace("text_encoder", "tokenizer")),
            )


def fuse_loras(pipe: Any, loras: Sequence[Lora]) -> list[Diagnostic]:
    """Load LoRAs and fuse them into the weights, each multiplied by its scale.

    Returns a warning (G526) for each that has weights for layers that the model lacks. Raises
    GrainError (G508) if one does not fit the model, and as :func:`check_lora` does.
    """
    if not loras:
        return []
    findings = []
    names = [f"lora{index}" for index in range(len(loras))]
    for name, lora in zip(names, loras, strict=True):
        check_lora(lora)
        file = read_lora(lora.path)
        try:
            pipe.load_lora_weights(load_file(lora.path), adapter_name=name)  # never pickle
        except (ValueError, RuntimeError, LookupError, TypeError, AttributeError) as error:
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            message = f"the LoRA {lora.path} does not fit the model: {reason[0].strip()}"
            raise fail("G508", message, OTHER_LORA) from error
        layers = _layers_with(pipe, name)
        if not any(layers.values()):
            message = (
                f"the LoRA {lora.path} does not fit the model: no layer of the model has its names"
            )
            raise fail("G508", message, OTHER_LORA)
        findings += _unused(file, layers)
    pipe.set_adapters(names, [lora.scale for lora in loras])
    pipe.fuse_lora(adapter_names=names)
    pipe.unload_lora_weights()
    return findings


_COMPONENTS = {"unet": "UNet", "text_encoder": "text encoder", "text_encoder_2": "text encoder 2"}


def _layers_with(pipe: Any, name: str) -> dict[str, int]:
    """Count the layers of each component that have weights of the LoRA ``name``."""
    networks = {part: getattr(pipe, name, None) for name, part in _COMPONENTS.items()}
    return {
        part: sum(name in getattr(layer, "lora_A", ()) for layer in network.modules())
        for part, network in networks.items()
        if network is not None
    }


def _unused(file: LoraFile, layers: Mapping[str, int]) -> list[Diagnostic]:
    """Return a warning if a LoRA has modules that no layer of the model took."""
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
    return [Diagnostic("G526", message, f"The others have no effect. {OTHER_LORA}")]
