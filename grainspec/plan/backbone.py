"""What the compiler needs to know about a backbone: grids, tokenizer, timesteps. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from grainspec.clip.crop import NativeSize
from grainspec.model.spec import SamplerMethod, Size
from grainspec.pasted import ShownByRepr
from grainspec.words import CharSpan

Tokenize = Callable[[str], Sequence[CharSpan]]
"""From a prompt to the character spans of its text tokens, one for each position of the encoder's
input; special tokens and padding have an empty span."""


Timesteps = Callable[[int, SamplerMethod], list[float]]
"""From a number of steps and a sampler to the timesteps of a run, from the noisiest."""


def frame_groups(count: int, per_latent: int) -> list[range]:
    """Group frames as causal video VAEs do: frame 0, then ``per_latent`` at a time.

    The last group may be shorter.

    >>> [list(group) for group in frame_groups(9, 4)]
    [[0], [1, 2, 3, 4], [5, 6, 7, 8]]
    """
    starts = [0, *range(1, count, per_latent)]
    return [range(a, b) for a, b in pairwise([*starts, count])]


def leading_timesteps(
    steps: int, training_steps: int, offset: int = 1, method: SamplerMethod = "ddim"
) -> list[float]:
    """The diffusion timesteps of a sampling run, spaced as in diffusers for Stable Diffusion.

    In diffusers this spacing is ``leading``, and ``offset`` is ``steps_offset``. Solvers other than
    DDIM end one step earlier: their last step goes directly to the clean latents.

    >>> leading_timesteps(5, 1000)
    [801.0, 601.0, 401.0, 201.0, 1.0]
    >>> leading_timesteps(4, 1000, method="dpmpp")
    [801.0, 601.0, 401.0, 201.0]
    """
    more = 0 if method == "ddim" else 1
    apart = training_steps // (steps + more)
    return [float(step * apart + offset) for step in reversed(range(more, steps + more))]


@dataclass(frozen=True, slots=True)
class Backbone(ShownByRepr):
    """The properties of a denoiser that the compiler needs.

    A level is a grid of latent tokens: level 0 has the size of the latent, divided by ``patch``;
    level ``i`` half the size of level ``i - 1``, rounded up. ``attended`` are the levels with
    attention.
    """

    name: str
    pixels_per_latent: int
    level_count: int
    max_tokens: int
    training_steps: int
    native_size: Size
    tokenize: Tokenize = field(repr=False)
    frames_per_latent: int = 1
    """Frames per latent frame after the first, in causal video VAEs."""
    steps_offset: int = 1
    """The last timestep of a DDIM run."""
    schedule: Timesteps | None = field(default=None, repr=False)
    """The timesteps of the model's own schedule; None means those of :func:`leading_timesteps`."""
    attended: tuple[int, ...] | None = None
    """The levels at which the denoiser has attention; None means all."""

    @property
    def native(self) -> NativeSize:
        """The frame size that it was trained on, from which the size of other aspects follows."""
        return NativeSize(self.native_size, self.pixels_per_latent)

    patch: int = 1
    """Latents on each side of a latent token of level 0: 2 for transformers with 2 x 2 patches."""
    first_frames: int = 1
    """Frames of the first latent frame."""
    noise: Literal["ddpm", "flow"] = "ddpm"
    """What a timestep is: DDPM's, or that of flow matching, T times the noise level σ."""
    layer_count: int | None = None
    """The number of transformer blocks; None for a UNet."""
    padding: Callable[[str], Sequence[int]] | None = field(default=None, repr=False)
    """From a prompt to the text token positions that are padding; None means that none are."""
    padding_keys: Literal["modulated", "neutral", "masked"] = "modulated"
    """What padding is in attention: keys like all others, keys that are attended without
    modulation, or no keys."""

    @property
    def size_multiple(self) -> int:
        """What width and height of a frame must be multiples of, in pixels."""
        return self.pixels_per_latent * self.patch

    exact_tokens: bool = True
    """Whether ``tokenize`` is the model's own tokenizer; otherwise it counts words, at least."""

    @property
    def attended_levels(self) -> tuple[int, ...]:
        """The numbers of the levels that have attention to modulate."""
        return tuple(range(self.level_count)) if self.attended is None else self.attended

    def frame_groups(self, count: int) -> list[range]:
        """The frame indices of each latent frame, for a clip of ``count`` frames."""
        return frame_groups(count, self.frames_per_latent)

    def timesteps(self, steps: int, method: SamplerMethod = "ddim") -> list[float]:
        """The diffusion timesteps of a sampling run, from the noisiest to the cleanest."""
        if self.schedule is not None:
            return self.schedule(steps, method)
        return leading_timesteps(steps, self.training_steps, self.steps_offset, method)

    def latent_size(self, width: int, height: int) -> tuple[int, int]:
        """Latent height and width of frames of this size in pixels."""
        return height // self.pixels_per_latent, width // self.pixels_per_latent

    def grids(self, width: int, height: int) -> list[tuple[int, int]]:
        """Height and width of the grid of latent tokens at every level."""
        grids = [self.latent_size(width, height)]
        while len(grids) < self.level_count:
            rows, columns = grids[-1]
            grids.append(((rows + 1) // 2, (columns + 1) // 2))
        return grids
