"""Load LoRAs and textual inversions into a pipeline, with diffusers' own methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safetensors.torch import load_file

from grainspec.diagnostics import fail
from grainspec_runtime.models.additions import Embedding, Lora, check_lora, new_word

_OTHER_LORA = "Use a LoRA that was trained for this kind of Stable Diffusion."


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


def fuse_loras(pipe: Any, loras: Sequence[Lora]) -> None:
    """Load LoRAs and fuse them into the weights, each multiplied by its scale.

    Raises GrainError (G508) if one does not fit the model, and as :func:`check_lora` does.
    """
    if not loras:
        return
    names = [f"lora{index}" for index in range(len(loras))]
    for name, lora in zip(names, loras, strict=True):
        check_lora(lora)
        try:
            pipe.load_lora_weights(load_file(lora.path), adapter_name=name)  # never pickle
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            reason = str(error).strip().splitlines()[-1].strip() or type(error).__name__
            message = f"the LoRA {lora.path} does not fit the model: {reason}"
            raise fail("G508", message, _OTHER_LORA) from error
        if not any(name in adapters for adapters in pipe.get_list_adapters().values()):
            message = (
                f"the LoRA {lora.path} does not fit the model: no layer of the model has its names"
            )
            raise fail("G508", message, _OTHER_LORA)
    pipe.set_adapters(names, [lora.scale for lora in loras])
    pipe.fuse_lora(adapter_names=names)
    pipe.unload_lora_weights()
