"""Load LoRAs and textual inversions into a pipeline, with diffusers' own calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safetensors.torch import load_file

from grainspec.diagnostics import fail
from grainspec_runtime.backbones.additions import Embedding, Lora, check_lora, new_word


def teach_words(pipe: Any, embeddings: Sequence[Embedding]) -> None:
    """Load textual inversions; raises GrainError (G508) for one that does not fit the model."""
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
    """Load LoRAs and add them to the weights, each times its scale.

    Raises GrainError (G508) for one that does not fit the model; see :func:`check_lora` for more.
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
            cure = "Take one trained for this kind of Stable Diffusion."
            raise fail("G508", message, cure) from error
        if not any(name in adapters for adapters in pipe.get_list_adapters().values()):
            message = f"nothing in the LoRA {lora.path} fits the model"
            raise fail("G508", message, "Take one trained for this kind of Stable Diffusion.")
    pipe.set_adapters(names, [lora.scale for lora in loras])
    pipe.fuse_lora(adapter_names=names)
    pipe.unload_lora_weights()
