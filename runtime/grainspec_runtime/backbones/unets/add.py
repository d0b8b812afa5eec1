"""Load LoRAs and textual inversions into a pipeline, with diffusers' own methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safetensors.torch import load_file

from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.loras import layers_with, load_lora, no_fit, unused_modules
from grainspec_runtime.models.additions import Embedding, Lora, new_word
from grainspec_runtime.models.lora_file import OTHER_LORA


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
        file = load_lora(pipe, lora, name, OTHER_LORA)
        layers = {
            part: layers_with(getattr(pipe, network), name)
            for network, part in _COMPONENTS.items()
            if getattr(pipe, network, None) is not None
        }
        if not any(layers.values()):
            raise no_fit(lora, "no layer of the model has its names", OTHER_LORA)
        findings += unused_modules(file, layers, OTHER_LORA)
    pipe.set_adapters(names, [lora.scale for lora in loras])
    pipe.fuse_lora(adapter_names=names)
    pipe.unload_lora_weights()
    return findings


_COMPONENTS = {"unet": "UNet", "text_encoder": "text encoder", "text_encoder_2": "text encoder 2"}
