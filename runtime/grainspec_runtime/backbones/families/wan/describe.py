"""Read what the compiler needs to know about a Wan checkpoint. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Protocol

from grainspec.clip.crop import NativeSize
from grainspec.diagnostics import fail
from grainspec.model.spec import SamplerMethod
from grainspec.plan.backbone import Backbone
from grainspec.words import CharSpan
from grainspec_runtime.backbones.families.wan.configs import MAX_TOKENS, read_configs
from grainspec_runtime.backbones.families.wan.fit import checked_configs
from grainspec_runtime.backbones.families.wan.prompt_text import cleaned
from grainspec_runtime.models.additions import Embedding
from grainspec_runtime.models.config import number_in
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.schedules.flow_sigmas import flow_timesteps, training_steps


def describe(
    model: ModelFolder,
    embeddings: Sequence[Embedding],
    parts: Collection[str],
    *,
    outlined: bool = False,
) -> Backbone:
    """Describe a Wan checkpoint with these components.

    ``outlined`` reads JSON only: a token is then a word. Raises GrainError: G502 if files are
    missing or broken, G504 if the architecture is not supported, G507 if components do not fit
    together, G508 for textual inversions, which Wan does not have, G528 if a configuration is not
    accepted.
    """
    configs = checked_configs(model, parts)
    if embeddings:
        message = f"{model.name} is a Wan model, which has no textual inversions"
        raise fail("G508", message, "Leave `--embedding` out; use a LoRA: `--lora PATH`.")
    words: PromptTokens = OutlinedTokens()
    if not outlined:
        vocabulary = number_in(configs.parts["text_encoder"], "vocab_size", 250112)
        words = ModelTokens(_tokenizer(model, vocabulary))
    scheduler = configs.scheduler

    def timesteps(steps: int, method: SamplerMethod = "ddim") -> list[float]:
        return flow_timesteps(scheduler, steps, method)

    return Backbone(
        name=model.name,
        pixels_per_latent=configs.pixels_per_latent,
        patch=configs.patch[1],
        level_count=1,
        layer_count=configs.layers,
        most_places=configs.most_places,
        frames_per_latent=configs.frames_per_latent,
        max_tokens=MAX_TOKENS,
        tokenize=words.spans,
        padding=words.padding,
        padding_keys="neutral",
        noise="flow",
        schedule=timesteps,
        training_steps=training_steps(scheduler),
        native_size=configs.native_size,
        exact_tokens=not outlined,
    )


def native_size(model: ModelFolder, parts: Collection[str]) -> NativeSize:
    """Return the frame size that a checkpoint was trained on, and what sides are multiples of."""
    configs = read_configs(model, parts)
    return NativeSize(configs.native_size, configs.size_multiple)


class PromptTokens(Protocol):
    """How a prompt becomes the positions of the text encoder's input."""

    def spans(self, text: str) -> Sequence[CharSpan]:
        """Return the characters of each position in the user's text; empty for none."""

    def padding(self, text: str) -> Sequence[int]:
        """Return the positions that are padding."""


class ModelTokens:
    """Tokens of a checkpoint's tokenizer, a fast one of transformers.

    A prompt is cleaned as diffusers' pipelines do, and padded to 512 positions. The last token is
    the end of the text; it is none of the padding.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._encoded = lru_cache(maxsize=64)(lambda text: _encoded(tokenizer, text))

    def spans(self, text: str) -> Sequence[CharSpan]:
        """Return the characters of each position in the user's text; empty for none."""
        return self._encoded(text)[0]

    def padding(self, text: str) -> Sequence[int]:
        """Return the positions that are padding."""
        return self._encoded(text)[1]


def _encoded(tokenizer: Any, text: str) -> tuple[list[CharSpan], list[int]]:
    prompt = cleaned(text)
    encoded = tokenizer(
        prompt.text,
        padding="max_length",
        max_length=MAX_TOKENS,
        truncation=True,
        add_special_tokens=True,
        return_attention_mask=True,
        return_offsets_mapping=True,
    )
    spans = [prompt.span(start, end) for start, end in encoded["offset_mapping"]]
    mask = encoded["attention_mask"]
    return spans, [place for place, attended in enumerate(mask) if not attended]


class OutlinedTokens:
    """Words in the place of tokens, of which a tokenizer makes at least one each."""

    def spans(self, text: str) -> Sequence[CharSpan]:
        """Return the characters of each word in the user's text; empty for other positions."""
        prompt = cleaned(text)
        spans = [prompt.span(*match.span()) for match in _WORDS.finditer(prompt.text)]
        spans = spans[: MAX_TOKENS - 1]
        return [*spans, *[(0, 0)] * (MAX_TOKENS - len(spans))]

    def padding(self, text: str) -> Sequence[int]:
        """Return the positions behind the words and the end of the text."""
        words = sum(start < end for start, end in self.spans(text))
        return range(words + 1, MAX_TOKENS)


_WORDS = re.compile(r"[^\W\d_]+|\d+|(?:[^\s\w]|_)+")


def _tokenizer(model: ModelFolder, vocabulary: int) -> Any:
    from transformers import T5TokenizerFast

    folder = model.folder / "tokenizer"
    for path in folder.glob("*"):
        if path.stat().st_size > _TOKENIZER_BYTES:
            message = f"{path} is larger than {_TOKENIZER_BYTES >> 20} MB, the most that is read"
            raise fail("G528", message, "Use the tokenizer that was published.", model.span)
    try:
        tokenizer = T5TokenizerFast.from_pretrained(folder)
        largest = max(tokenizer.get_vocab().values())
        missing = [name for name in ("pad_token", "eos_token") if getattr(tokenizer, name) is None]
        if missing:
            raise ValueError(f"it has no {missing[0]}")
        tokenizer("a", padding="max_length", max_length=4, return_offsets_mapping=True)
    except Exception as error:  # the package tokenizers raises plain exceptions
        message = f"the tokenizer of {model.name} is missing or broken"
        cure = "Check that the model's download is complete."
        raise fail("G502", message, cure, model.span) from error
    if largest >= vocabulary:
        message = (
            f"the components of {model.name} do not fit together: the tokenizer has tokens up to "
            f"{largest}, but the text encoder has {vocabulary}"
        )
        raise fail("G507", message, "Use the tokenizer that was published.", model.span)
    return tokenizer


_TOKENIZER_BYTES = 32 << 20
"""Bytes of the largest file of a tokenizer; that of UMT5 has 17 MB."""
