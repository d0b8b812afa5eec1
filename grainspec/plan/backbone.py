"""What a plan has to know of a backbone: its token grids, its words, its schedule. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grainspec.spec import Size
from grainspec.words import CharSpan

Tokenize = Callable[[str], Sequence[CharSpan]]
"""From a prompt to its tokens' character spans, as long as the encoder's input: one entry per
position, with an empty span for special tokens and padding."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """A denoiser as the compiler sees it.

    levels: height and width of every token grid that the denoiser attends on, per pixel of the
    latent: level 0 is the latent itself, level ``i`` half of level ``i - 1``, rounded up.
    """

    name: str
    pixels_per_latent: int
    level_count: int
    max_tokens: int
    training_steps: int
    native_size: Size
    tokenize: Tokenize

    def latent_size(self, width: int, height: int) -> tuple[int, int]:
        """Latent height and width of frames of this size in pixels."""
        return height // self.pixels_per_latent, width // self.pixels_per_latent

    def grids(self, width: int, height: int) -> list[tuple[int, int]]:
        """Height and width of the token grid at every level."""
        grids = [self.latent_size(width, height)]
        while len(grids) < self.level_count:
            rows, columns = grids[-1]
            grids.append(((rows + 1) // 2, (columns + 1) // 2))
        return grids
