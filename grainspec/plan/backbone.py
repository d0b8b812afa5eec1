"""What a plan has to know of a backbone: its token grids, its words, its schedule. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from grainspec.model.spec import SamplerMethod, Size
from grainspec.words import CharSpan

Tokenize = Callable[[str], Sequence[CharSpan]]
"""From a prompt to its tokens' character spans, as long as the encoder's input: one entry per
position, with an empty span for special tokens and padding."""


def frame_groups(count: int, per_latent: int) -> list[range]:
    """Frame 0 alone, then groups of ``per_latent``; the last may be shorter.

    >>> [list(group) for group in frame_groups(9, 4)]
    [[0], [1, 2, 3, 4], [5, 6, 7, 8]]
    """
    starts = [0, *range(1, count, per_latent)]
    return [range(a, b) for a, b in pairwise([*starts, count])]


def leading_timesteps(
    steps: int, training_steps: int, offset: int = 1, method: SamplerMethod = "ddim"
) -> list[float]:
    """The diffusion timesteps of a sampling run, as diffusers spaces them for Stable Diffusion.

    It calls this spacing ``leading`` and the ``offset`` ``steps_offset``. The last step of solvers
    other than DDIM goes from a step's distance to the clean picture.

    >>> leading_timesteps(5, 1000)
    [801.0, 601.0, 401.0, 201.0, 1.0]
    >>> leading_timesteps(4, 1000, method="dpmpp")
    [801.0, 601.0, 401.0, 201.0]
    """
    more = 0 if method == "ddim" else 1
    apart = training_steps // (steps + more)
    return [float(step * apart + offset) for step in reversed(range(more, steps + more))]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A denoiser as the compiler sees it.

    levels: height and width of every token grid that the denoiser attends on, per pixel of the
    latent: level 0 is the latent itself, level ``i`` half of level ``i - 1``, rounded up. Not all
    need have attention: those that have are ``attended``.
    """

    name: str
    pixels_per_latent: int
    level_count: int
    max_tokens: int
    training_steps: int
    native_size: Size
    tokenize: Tokenize
    frames_per_latent: int = 1
    """Frames that a latent frame after the first stands for, as causal video VAEs have it."""
    steps_offset: int = 1
    """The last timestep of a sampling run."""
    attended: tuple[int, ...] | None = None
    """The levels at which the denoiser has attention; None for all."""

    @property
    def attended_levels(self) -> tuple[int, ...]:
        """The levels at which there is attention to modulate, by number."""
        return tuple(range(self.level_count)) if self.attended is None else self.attended

    def frame_groups(self, count: int) -> list[range]:
        """The frames, by index, of each latent frame of a clip of ``count`` frames."""
        return frame_groups(count, self.frames_per_latent)

    def timesteps(self, steps: int, method: SamplerMethod = "ddim") -> list[float]:
        """The diffusion timesteps of a sampling run, the noisiest first."""
        return leading_timesteps(steps, self.training_steps, self.steps_offset, method)

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
