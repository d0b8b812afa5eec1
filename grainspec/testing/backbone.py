"""A backbone for tests, without a model."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
) -> Backbone:
    """Make a backbone with one text token per word, between a start and an end token.

    The arguments are those of :class:`~grainspec.plan.backbone.Backbone`; ``native`` is the width
    and height of ``native_size``.

    >>> word_backbone().tokenize("a polar bear")[:5]
    [(0, 0), (0, 1), (2, 7), (8, 12), (0, 0)]
    """

    def tokenize(text: str) -> Sequence[CharSpan]:
        spans = [(0, 0), *(match.span() for match in re.finditer(r"\w+|[^\w\s]", text))]
        spans = spans[: max_tokens - 1]
        return spans + [(0, 0)] * (max_tokens - len(spans))

    return Backbone(
        name="words",
        pixels_per_latent=pixels_per_latent,
        level_count=levels,
        max_tokens=max_tokens,
        training_steps=1000,
        native_size=Size(width=native, height=native),
        tokenize=tokenize,
        frames_per_latent=frames_per_latent,
        attended=attended,
    )
