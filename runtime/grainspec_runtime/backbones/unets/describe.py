"""Read what the compiler needs to know about a model from its configuration. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from grainspec.clip.crop import NativeSize
from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec.plan.backbone import Backbone
from grainspec.words import CharSpan
from grainspec_runtime.backbones.unets.configs import (
    DOWN_BLOCKS,
    attended_levels,
    checked_configs,
    read_configs,
    sizes,
    text_widths,
)
from grainspec_runtime.backbones.unets.fit import check_prompt_lengths
from grainspec_runtime.models.additions import Embedding, add_words, new_word
from grainspec_runtime.models.config import number_in, read_json
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.tokenize import token_spans, word_tokens


def describe(
    model: ModelFolder,
    embeddings: Sequence[Embedding],
    parts: Iterable[str],
    *,
    outlined: bool = False,
) -> Backbone:
    """Describe a Stable Diffusion checkpoint with these components, its ``parts``.

    ``embeddings`` are textual inversions that it will be loaded with. ``outlined`` reads JSON only:
    a token is then a word. Raises GrainError: G502 if files are missing or broken, G504 if the
    architecture is not supported, G507 if components do not fit together, G508 if textual
    inversions do not fit the model, G524 if it is distilled, G528 if a configuration is not
    accepted.
    """
    folder, span = model.folder, model.span
    parts = list(parts)
    configs, scheduler = checked_configs(model, parts)
    unet = configs["unet"]
    folders = [folder / part for part in parts if part.startswith("tokenizer")]
    tokenizers = [] if outlined else [_tokenizer(path, model.name, span) for path in folders]
    lengths = [tokenizer.model_max_length for tokenizer in tokenizers]
    if outlined:
        lengths = [_length(path, span) for path in folders]
    check_prompt_lengths(model.name, configs, lengths, span)
    words = [new_word(embedding, text_widths(configs)) for embedding in embeddings]
    for tokenizer in tokenizers:
        add_words(tokenizer, words)
    per_latent, native = sizes(model, configs)
    return Backbone(
        name=model.name,
        pixels_per_latent=per_latent,
        level_count=len(unet.get("down_block_types", DOWN_BLOCKS)),
        max_tokens=lengths[0],
        training_steps=number_in(scheduler, "num_train_timesteps", 1000),
        native_size=native,
        steps_offset=number_in(scheduler, "steps_offset", 1),
        tokenize=word_tokens(lengths[0]) if outlined else _tokenize(tokenizers, model.name, span),
        attended=attended_levels(unet, model.name, span),
        exact_tokens=not outlined,
    )


def native_size(model: ModelFolder) -> NativeSize:
    """Return the frame size that a checkpoint was trained on, and what sides are multiples of."""
    configs, _ = read_configs(model, ("unet", "vae"))
    per_latent, native = sizes(model, configs)
    return NativeSize(native, per_latent)


def _tokenizer(folder: Path, model: str, span: Span | None) -> Any:
    from transformers import CLIPTokenizerFast

    for path in folder.glob("*"):
        if path.stat().st_size > _TOKENIZER_BYTES:
            message = f"{path} is larger than {_TOKENIZER_BYTES >> 20} MB, the most that is read"
            raise fail("G528", message, "Use the tokenizer that was published.", span)
    try:
        tokenizer = CLIPTokenizerFast.from_pretrained(folder)
        if not tokenizer.model_max_length >= _FEWEST_TOKENS:
            raise ValueError(f"`model_max_length` is {tokenizer.model_max_length}")
        return tokenizer
    except Exception as error:  # the package tokenizers raises plain exceptions
        message = f"the {folder.name} of {model} is missing or broken"
        raise fail("G502", message, "Check that the model's download is complete.", span) from error


_FEWEST_TOKENS = 3
"""Tokens of the shortest prompt: its begin, a word, its end."""
_TOKENIZER_BYTES = 32 << 20
"""Bytes of the largest file of a tokenizer; those of CLIP's have 2 MB."""


def _length(folder: Path, span: Span | None) -> int:
    """Return the number of tokens that the tokenizer in a folder gives, from its configuration."""
    length = read_json(folder / "tokenizer_config.json", span).get("model_max_length", 77)
    return int(length) if isinstance(length, int) and 0 < length < 10_000 else 77


def _tokenize(
    tokenizers: Sequence[Any], model: str, span: Span | None
) -> Callable[[str], Sequence[CharSpan]]:
    def tokenize(text: str) -> Sequence[CharSpan]:
        first, *others = (token_spans(tokenizer, text) for tokenizer in tokenizers)
        if any(other != first for other in others):
            message = f"the tokenizers of {model} split “{text}” into different tokens"
            cure = "A plan needs the same tokens for all text encoders; use another checkpoint."
            raise fail("G504", message, cure, span)
        return first

    return tokenize
