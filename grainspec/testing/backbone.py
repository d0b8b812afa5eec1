"""A backbone for tests, without a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from inspect import signature
from typing import Literal

from grainspec.model.spec import SamplerMethod, Size
from grainspec.plan.backbone import Backbone, shifted_timesteps
from grainspec.words import CharSpan

PaddingKeys = Literal["modulated", "neutral", "masked"]

_TRAINING_STEPS = 1000


def word_backbone(
    *,
    levels: int = 4,
    pixels_per_latent: int = 8,
    max_tokens: int = 77,
    native: int = 512,
    frames_per_latent: int = 1,
    attended: tuple[int, ...] | None = None,
    pieces: int | None = None,
    patch: int = 1,
    first_frames: int = 1,
    shift: float | None = None,
    layer_count: int | None = None,
    padding_keys: PaddingKeys = "modulated",
    start_tokens: int = 1,
    padded: Literal["right", "left"] = "right",
) -> Backbone:
    """Make a backbone with one text token per word, between a start and an end token.

    ``attended`` are the levels with attention, None for all. With ``pieces``, words are split into
    tokens of at most so many letters. ``patch``, ``first_frames``, ``layer_count`` and
    ``padding_keys`` are those of :class:`Backbone`. With ``shift``, timesteps are those of flow
    matching with noise levels shifted by so much.

    Text is ``start_tokens`` tokens before the words (1 as in CLIP, 0 as in T5, or the instructions
    of a template), the words, an end token, and padding; or with ``padded="left"``, padding first.

    >>> word_backbone(levels=2)
    word_backbone(levels=2)
    >>> word_backbone().tokenize("a polar bear")[:5]
    [(0, 0), (0, 1), (2, 7), (8, 12), (0, 0)]
    >>> word_backbone(pieces=3).tokenize("a polar bear")[:7]
    [(0, 0), (0, 1), (2, 5), (5, 7), (8, 11), (11, 12), (0, 0)]
    >>> word_backbone(max_tokens=5, start_tokens=0, padded="left").tokenize("a bear")
    [(0, 0), (0, 0), (0, 1), (2, 6), (0, 0)]
    """
    layout = partial(
        _layout, max_tokens=max_tokens, pieces=pieces, start_tokens=start_tokens, padded=padded
    )
    return _WordBackbone(
        name="words",
        pixels_per_latent=pixels_per_latent,
        level_count=levels,
        max_tokens=max_tokens,
        training_steps=_TRAINING_STEPS,
        native_size=Size(width=native, height=native),
        tokenize=partial(_tokenize, layout),
        frames_per_latent=frames_per_latent,
        schedule=None if shift is None else partial(_shifted, shift=shift),
        attended=attended,
        patch=patch,
        first_frames=first_frames,
        noise="ddpm" if shift is None else "flow",
        layer_count=layer_count,
        padding=None if padding_keys == "modulated" else partial(_padding, layout),
        padding_keys=padding_keys,
    )


def _layout(
    text: str,
    *,
    max_tokens: int,
    pieces: int | None,
    start_tokens: int,
    padded: Literal["right", "left"],
) -> tuple[list[CharSpan], int, int]:
    """The spans of the words' text tokens, and how much padding is before and after the rest."""
    word = r"\w+" if pieces is None else rf"\w{{1,{pieces}}}"
    words = [match.span() for match in re.finditer(rf"{word}|[^\w\s]", text)]
    words = words[: max_tokens - start_tokens - 1]
    spans = [(0, 0)] * start_tokens + words + [(0, 0)]
    padding = max_tokens - len(spans)
    return (spans, padding, 0) if padded == "left" else (spans, 0, padding)


def _tokenize(layout: partial[tuple[list[CharSpan], int, int]], text: str) -> Sequence[CharSpan]:
    spans, before, after = layout(text)
    return [(0, 0)] * before + spans + [(0, 0)] * after


def _padding(layout: partial[tuple[list[CharSpan], int, int]], text: str) -> Sequence[int]:
    spans, before, after = layout(text)
    return [*range(before), *range(before + len(spans), before + len(spans) + after)]


def _shifted(steps: int, method: SamplerMethod, *, shift: float) -> list[float]:
    return shifted_timesteps(steps, _TRAINING_STEPS, shift)


class _WordBackbone(Backbone):
    """A backbone that is shown as the call that makes it, unless its tokenizer is another."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not isinstance(self.tokenize, partial):
            return super().__repr__()
        text = self.tokenize.args[0].keywords
        schedule = self.schedule
        values = {
            "levels": self.level_count,
            "pixels_per_latent": self.pixels_per_latent,
            "max_tokens": self.max_tokens,
            "native": self.native_size.width,
            "frames_per_latent": self.frames_per_latent,
            "attended": self.attended,
            "pieces": text["pieces"],
            "patch": self.patch,
            "first_frames": self.first_frames,
            "shift": schedule.keywords["shift"] if isinstance(schedule, partial) else None,
            "layer_count": self.layer_count,
            "padding_keys": self.padding_keys,
            "start_tokens": text["start_tokens"],
            "padded": text["padded"],
        }
        defaults = signature(word_backbone).parameters
        given = [f"{k}={v!r}" for k, v in values.items() if v != defaults[k].default]
        return f"word_backbone({', '.join(given)})"
