"""What the compiler needs to know about a backbone: grids, tokenizer, timesteps. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from grainspec.clip.crop import NativeSize
from grainspec.model.numbers import first_steps
from grainspec.model.settings.method import EditingName
from grainspec.model.settings.profiles import Profile
from grainspec.model.spec import Sampler, SamplerMethod, Size
from grainspec.pasted import ShownByRepr
from grainspec.words import CharSpan

Tokenize = Callable[[str], Sequence[CharSpan]]
"""From a prompt to the character spans of its text tokens, one for each position of the encoder's
input; special tokens and padding have an empty span."""


Noise = Literal["ddpm", "flow"]
"""What a timestep of a model is: DDPM's, or that of flow matching, T times the noise level σ."""

Timesteps = Callable[[int, SamplerMethod], list[float]]
"""From a number of steps and a sampler to the timesteps of a run, from the noisiest."""


def frame_groups(count: int, per_latent: int, first: int = 1) -> list[range]:
    """Group frames as video VAEs do: the ``first`` ones, then ``per_latent`` at a time.

    Causal VAEs have one frame in the first group; where the first group is as long as the others,
    no frame stands alone. The last group may be shorter.

    >>> [list(group) for group in frame_groups(9, 4)]
    [[0], [1, 2, 3, 4], [5, 6, 7, 8]]
    >>> frame_groups(8, 4, first=4), frame_groups(13, 8, first=5)
    ([range(0, 4), range(4, 8)], [range(0, 5), range(5, 13)])
    """
    starts = [0, *range(first, count, per_latent)]
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


def shifted_timesteps(steps: int, training_steps: int, shift: float) -> list[float]:
    """The timesteps T·σ of a flow-matching run, with evenly spaced noise levels shifted upwards.

    σ = s·u / (1 + (s − 1)·u) for u from 1 to 1/steps, with the shift s of Esser et al. (2403.03206,
    eq. 23): the higher it is, the more steps are noisy.

    >>> shifted_timesteps(4, 1000, 1)
    [1000.0, 750.0, 500.0, 250.0]
    >>> shifted_timesteps(4, 1000, 3)
    [1000.0, 900.0, 750.0, 500.0]
    """
    levels = [1 - step / steps for step in range(steps)]
    return [training_steps * shift * level / (1 + (shift - 1) * level) for level in levels]


def skipped_steps(sampler: Sampler, process: EditingName) -> int:
    """How many of a sampler's steps are not taken, from the noisiest.

    `skip` leaves them out of FlowEdit. DFVEdit does not begin with pure noise, in which its source
    and its edit are the same.
    """
    if process == "dfvedit":
        return min(1, sampler.steps - 1)
    return first_steps(sampler.skip, sampler.steps) if process == "flow_edit" else 0


@dataclass(frozen=True, slots=True)
class Backbone(ShownByRepr):
    """The properties of a denoiser that the compiler needs.

    A latent frame stands for ``first_frames`` frames of the clip if it is the first, else for
    ``frames_per_latent``: 1 and 4 in a causal video VAE such as Wan's. A level is a grid of latent
    tokens: level 0 has the size of the latent, divided by ``patch``; level ``i`` half the size of
    level ``i - 1``, rounded up. ``attended`` are the levels with attention.
    """

    name: str
    pixels_per_latent: int
    level_count: int
    max_tokens: int
    training_steps: int
    native_size: Size
    tokenize: Tokenize = field(repr=False)
    frames_per_latent: int = 1
    """Frames of every latent frame after the first."""
    steps_offset: int = 1
    """The last timestep of a DDIM run."""
    schedule: Timesteps | None = field(default=None, repr=False)
    """The timesteps of the model's own schedule; None means those of :func:`leading_timesteps`."""
    attended: tuple[int, ...] | None = None
    """The levels at which the denoiser has attention; None means all."""

    @property
    def native(self) -> NativeSize:
        """The frame size that it was trained on, from which the size of other aspects follows."""
        return NativeSize(self.native_size, self.size_multiple)

    patch: int = 1
    """Latents on each side of a latent token of level 0: 2 for transformers with 2 x 2 patches."""
    first_frames: int = 1
    """Frames of the first latent frame; no frame stands alone if it is ``frames_per_latent``."""
    noise: Noise = "ddpm"
    """What a timestep is: DDPM's, or that of flow matching, T times the noise level σ."""
    layer_count: int | None = None
    """The number of transformer blocks; None for a UNet."""
    most_places: int | None = None
    """The most latent frames that are processed at once, and the most rows and columns of latent
    tokens, that there are position embeddings for; None means any number."""
    motion_modules: bool = False
    """Whether motion modules attend over the frames of a clip, beside the attention of each."""
    most_frames: int | None = None
    """The most frames at once that motion modules have positions for; None means any number."""
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
    def profile(self) -> Profile | None:
        """The profile of attention that suits it; None for that of image models."""
        if self.noise == "flow":
            return "flow_matching"
        return "animatediff" if self.motion_modules else None

    @property
    def attended_levels(self) -> tuple[int, ...]:
        """The numbers of the levels that have attention to modulate."""
        return tuple(range(self.level_count)) if self.attended is None else self.attended

    def frame_groups(self, count: int) -> list[range]:
        """The frame indices of each latent frame, for a clip of ``count`` frames."""
        return frame_groups(count, self.frames_per_latent, self.first_frames)

    def timesteps(self, steps: int, method: SamplerMethod = "ddim") -> list[float]:
        """The diffusion timesteps of a sampling run, from the noisiest to the cleanest."""
        if self.schedule is not None:
            return self.schedule(steps, method)
        return leading_timesteps(steps, self.training_steps, self.steps_offset, method)

    def timesteps_taken(self, sampler: Sampler, process: EditingName) -> list[float]:
        """The timesteps of the steps that an edit takes, from the noisiest to the cleanest.

        The schedule of a plan counts these, and not those that are skipped.
        """
        timesteps = self.timesteps(sampler.steps, sampler.method)
        return timesteps[skipped_steps(sampler, process) :]

    def latent_size(self, width: int, height: int) -> tuple[int, int]:
        """Latent height and width of frames of this size in pixels."""
        return height // self.pixels_per_latent, width // self.pixels_per_latent

    def grids(self, width: int, height: int) -> list[tuple[int, int]]:
        """Height and width of the grid of latent tokens at every level."""
        grids = [(height // self.size_multiple, width // self.size_multiple)]
        while len(grids) < self.level_count:
            rows, columns = grids[-1]
            grids.append(((rows + 1) // 2, (columns + 1) // 2))
        return grids
