"""Backbones whose tokenizers split prompts otherwise, and a small layout to compile with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

from grainspec.plan.backbone import Backbone
from grainspec.regions.layout import Layout
from grainspec.testing.case import Case
from grainspec.words import CharSpan


def small(case: Case) -> Layout:
    """One latent token of a case's first latent frame: compiling it costs little."""
    side, first = case.backbone.pixels_per_latent * case.backbone.patch, case.backbone.first_frames
    bits, frames = case.layout.bits_FHW, case.layout.frames
    return Layout(case.layout.names, bits[:first, :side, :side], frames[:first])


def turn(case: Case) -> int:
    """A number that a case determines: what is slow to check of every case takes turns."""
    named = (
        case.spec.target,
        case.layout.names,
        case.spec.attention,
        int(case.layout.bits_FHW.sum()),
    )
    return crc32(repr(named).encode())


def in_pieces(backbone: Backbone, length: int, text: str) -> Backbone:
    """A backbone with a text token for every ``length`` characters, with room for ``text``.

    >>> from grainspec.testing import word_backbone
    >>> in_pieces(word_backbone(), 2, "bears").tokenize("bears")
    [(0, 0), (0, 2), (2, 4), (4, 5), (2, 2), (2, 2), (2, 2)]
    """
    return matching(backbone, rf"(?s).{{1,{length}}}", len(text) + 2)


def matching(backbone: Backbone, pattern: str, max_tokens: int) -> Backbone:
    """A backbone whose text tokens are what a pattern matches, after a start token.

    The empty span of its padding lies within the text, which no phrase must notice.
    """

    def tokenize(text: str) -> Sequence[CharSpan]:
        spans = [(0, 0), *(match.span() for match in re.finditer(pattern, text))]
        padding = (len(text) // 2,) * 2
        return [*spans, *[padding] * (max_tokens - len(spans))][:max_tokens]

    return replace(backbone, tokenize=tokenize, max_tokens=max_tokens, padding=None)


def cut_short(backbone: Backbone, count: int) -> Backbone:
    """A backbone that reads only the first ``count`` of its text tokens."""

    def tokenize(text: str) -> Sequence[CharSpan]:
        spans = list(backbone.tokenize(text))
        return [*spans[:count], *[(0, 0)] * (len(spans) - count)]

    return replace(backbone, tokenize=tokenize)


def skipping(backbone: Backbone, span: CharSpan) -> Backbone:
    """A backbone that gives no place to text tokens inside a span, as if they were normalised away.

    >>> from grainspec.testing import word_backbone
    >>> skipping(word_backbone(max_tokens=5), (2, 6)).tokenize("a bear here")
    [(0, 0), (0, 1), (0, 0), (7, 11), (0, 0)]
    """

    def tokenize(text: str) -> Sequence[CharSpan]:
        places = backbone.tokenize(text)
        return [
            (0, 0) if span[0] < end and start < span[1] else (start, end) for start, end in places
        ]

    return replace(backbone, tokenize=tokenize)
