"""Backbones of different shapes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from grainspec.plan.backbone import Backbone
from grainspec.testing.backbone import word_backbone
from grainspec.testing.strategies.values import BYTES, Rolls


def backbones() -> st.SearchStrategy[Backbone]:
    """Backbones as :func:`grainspec.testing.word_backbone` makes them.

    They have one to four levels, all or some of them with attention; 4, 5, 8 or 16 pixels per
    latent; 1, 2 or 4 frames per latent frame; and one or several text tokens for a word. A third of
    them are video transformers: with patches of two latents, layers, noise levels of flow matching,
    a first latent frame of one frame, of as many as the others, or of a number between, and padding
    that is not modulated, before or after the words.

    >>> from hypothesis import find
    >>> find(backbones(), lambda backbone: backbone.frames_per_latent > 1)
    word_backbone(levels=1, frames_per_latent=2)
    >>> find(backbones(), lambda backbone: backbone.layer_count is not None)
    word_backbone(levels=1, layer_count=30)
    """
    return BYTES.map(lambda drawn: read_backbone(Rolls(drawn)))


def read_backbone(rolls: Rolls) -> Backbone:
    """Read a backbone."""
    levels, bits = rolls.of((1, 2, 2, 3, 4)), rolls.upto(15)
    some = tuple(level for level in range(levels) if bits >> level & 1)
    pixels, frames = rolls.of((8, 8, 4, 5, 16)), rolls.of((1, 1, 1, 2, 4))
    pieces = rolls.of((None, None, 3))
    attended = some if some and rolls.upto(1) else None
    return word_backbone(
        levels=levels,
        pixels_per_latent=pixels,
        max_tokens=77 if pieces is None else 231,
        frames_per_latent=frames,
        attended=attended,
        pieces=pieces,
        **(_transformer(rolls, frames) if rolls.of((False, False, True)) else {}),
    )


def _transformer(rolls: Rolls, frames: int) -> dict[str, Any]:
    """What a video transformer has besides, each as in some of the published ones."""
    return {
        "layer_count": rolls.of((30, 1, 3)),
        "patch": rolls.of((1, 2, 2)),
        "first_frames": rolls.of((1, 1, frames, 3)),
        "shift": rolls.of((None, 1.0, 3.0, 5.0)),
        "padding_keys": rolls.of(("modulated", "neutral", "masked")),
        "start_tokens": rolls.of((1, 0, 5)),
        "padded": rolls.of(("right", "left")),
    }
