"""A backbone for tests, without a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from inspect import signature

from grainspec.model.spec import Size
from grainspec.plan.backbone import Backbone
from grainspec.words import CharSpan


def word_backbone(
    *,
    levels: int = 4,
    pixels_per_latent: int = 8,
    max_tokens: int = 77,
    native: int = 512,
    frames_per_latent: int = 1,
    attended: tuple[int, ...] | None = None,
    pieces: int | None = None,
) -> Backbone:
    """Make a backbone with one text token per word, between a start and an end token.

    ``attended`` are the levels with attention, None for all. With ``pieces``, words are split into
    tokens of at most so many letters.

    >>> word_backbone(levels=2)
    word_backbone(levels=2)
    >>> word_backbone().tokenize("a polar bear")[:5]
    [(0, 0), (0, 1), (2, 7), (8, 12), (0, 0)]
    >>> word_backbone(pieces=3).tokenize("a polar bear")[:7]
    [(0, 0), (0, 1), (2, 5), (5, 7), (8, 11), (11, 12), (0, 0)]
    """
    return _WordBackbone(
        name="words",
        pixels_per_latent=pixels_per_latent,
        level_count=levels,
        max_tokens=max_tokens,
        training_steps=1000,
        native_size=Size(width=native, height=native),
        tokenize=partial(_tokenize, max_tokens=max_tokens, pieces=pieces),
        frames_per_latent=frames_per_latent,
        attended=attended,
    )


def _tokenize(text: str, *, max_tokens: int, pieces: int | None) -> Sequence[CharSpan]:
    word = r"\w+" if pieces is None else rf"\w{{1,{pieces}}}"
    spans = [(0, 0), *(match.span() for match in re.finditer(rf"{word}|[^\w\s]", text))]
    spans = spans[: max_tokens - 1]
    return spans + [(0, 0)] * (max_tokens - len(spans))


class _WordBackbone(Backbone):
    """A backbone that is shown as the call that makes it, unless its tokenizer is another."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not isinstance(self.tokenize, partial):
            return super().__repr__()
        values = {
            "levels": self.level_count,
            "pixels_per_latent": self.pixels_per_latent,
            "max_tokens": self.max_tokens,
            "native": self.native_size.width,
            "frames_per_latent": self.frames_per_latent,
            "attended": self.attended,
            "pieces": self.tokenize.keywords["pieces"],
        }
        defaults = signature(word_backbone).parameters
        given = [f"{k}={v!r}" for k, v in values.items() if v != defaults[k].default]
        return f"word_backbone({', '.join(given)})"
