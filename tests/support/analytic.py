"""A flow-matching model whose velocity is known exactly: every prompt is a Gaussian of clips.

Each number of a clip's latents is drawn by itself, X ~ N(μ, s²), with μ for each channel and s for
all, both given by the words of the prompt. Then x = (1 − σ) X + σ N has the mean m = (1 − σ) μ and
the variance d = (1 − σ)² s² + σ², and the velocity E[N − X | x] is

    v(x, σ) = −μ + (σ − (1 − σ) s²) / d · (x − m),

whose flow is known, too: (x − m) / √d is constant. μ and ln s are the output of cross-attention
from each latent to the words, so that a plan changes them where it acts.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents, T text tokens.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from grainspec import parse
from grainspec.model.spec import Modulation, Sampler
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone
from grainspec_runtime.backbones.emphasis import emphasised
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import Attention, AttentionLayer
from grainspec_runtime.schedules.flow_matching import FlowSchedule

CHANNELS, WIDTH, FRAMES = 4, 8, 3
SPREAD = 0.3
"""How much prompts differ in ln s; with 0, s is 1 for all."""
QUERY = torch.linspace(-1, 1, WIDTH)
SOURCE, TARGET = "a red man and a blue man", "a green robot and a yellow bear on grass"
LAYER = AttentionLayer(name="words", level=0, kind="cross")
BACKBONE: Backbone = word_backbone(levels=1, max_tokens=16)
SIZE = 64
"""Sides of a frame in pixels, 8 times those of its latents."""


class Gaussian(NamedTuple):
    """A Gaussian of clips: means ``[…, c, h, w]`` and deviations ``[…, 1, h, w]``."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, text: str, spread: float = SPREAD) -> Gaussian:
        """Return that of a prompt, ``[1, c, 1, 1]``, without a plan."""
        keys, values = features(text, spread)
        out = (QUERY @ keys.T / WIDTH**0.5).softmax(-1) @ values
        return cls(out[:CHANNELS].view(1, -1, 1, 1), out[CHANNELS].exp().view(1, 1, 1, 1))

    def variance(self, sigma: float) -> Tensor:
        """Return d, that of x at a noise level."""
        return ((1 - sigma) * self.deviation) ** 2 + sigma**2

    def velocity(self, x: Tensor, sigma: float) -> Tensor:
        """Return v(x, σ)."""
        slope = (sigma - (1 - sigma) * self.deviation**2) / self.variance(sigma)
        return slope * (x - (1 - sigma) * self.mean) - self.mean

    def flowed(self, x: Tensor, here: float, there: float) -> Tensor:
        """Return where the exact flow leads from one noise level to another."""
        z = (x - (1 - here) * self.mean) / self.variance(here).sqrt()
        return (1 - there) * self.mean + self.variance(there).sqrt() * z


class Moments(nn.Module):
    """Turns the attention's output into μ and ln s; a module, so that errors can name it."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, out: Tensor) -> Tensor:
        """Return the same numbers."""
        return out * self.gain


class Velocity(nn.Module):
    """The denoiser."""

    def __init__(self) -> None:
        super().__init__()
        self.moments = Moments()


def features(text: str, spread: float = SPREAD) -> tuple[Tensor, Tensor]:
    """Keys and values ``[T, WIDTH]`` of the text tokens; those of the same word are the same."""
    spans = BACKBONE.tokenize(text)
    drawn = [
        torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))
        for word in (text[first:last] for first, last in spans)
    ]
    keys, values = torch.stack(drawn).unbind(1)
    values[:, CHANNELS] *= spread  # ln s
    return keys, values


@dataclass
class AnalyticFlow:
    """The checkpoint; see :class:`grainspec_runtime.backbones.family.Checkpoint`."""

    scheduler: Any = field(default_factory=lambda: FlowMatchEulerDiscreteScheduler(shift=3.0))
    second_from: float = 0.0
    """Timesteps below this have the second expert's guidance."""
    spread: float = SPREAD

    name = "analytic"
    folder = Path(__file__).parent
    file = None
    findings = ()
    division = None
    device = torch.device("cpu")
    dtype = torch.float32

    def __post_init__(self) -> None:
        self.denoiser = Velocity()
        self.calls: list[tuple[float, int, int]] = []
        """Timestep, passes and frames of each call of the network."""
        self._attention: Attention | None = None

    @property
    def schedule(self) -> FlowSchedule:
        return FlowSchedule(self.scheduler)

    def encode_prompt(self, text: str) -> tuple[Tensor, Tensor]:
        return features(text, self.spread)

    def encode_target(self, plan: MaskPlan, *, emphasis: float = 1.0) -> tuple[Tensor, Tensor]:
        keys, values = features(plan.target, self.spread)
        return emphasised(keys[None], plan, emphasis)[0], values

    def encode_unconditional(self, negative: str, plan: MaskPlan) -> tuple[Tensor, Tensor]:
        return features(negative, self.spread)

    def condition(self, prompts: Sequence[Any], latents_Fchw: Tensor) -> tuple[Tensor, Tensor]:
        keys, values = zip(*prompts, strict=True)
        return torch.stack(keys), torch.stack(values)

    def predict(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        conditioning: tuple[Tensor, Tensor],
        frames: Sequence[int],
        *,
        step: int,
        steps: int,
        controls: Any = None,
    ) -> Tensor:
        keys, values = (part.repeat_interleave(len(frames), 0)[:, None] for part in conditioning)
        self.calls.append((float(t), len(conditioning[0]), len(frames)))
        rows, columns = x_PFchw.shape[-2:]
        query = QUERY.expand(len(keys), 1, rows * columns, WIDTH)
        assert self._attention is not None
        out = self.denoiser.moments(self._attention.cross_attention(LAYER, query, keys, values))
        out = out[:, 0].transpose(1, 2).unflatten(2, (rows, columns))
        moments = Gaussian(out[:, :CHANNELS], out[:, CHANNELS : CHANNELS + 1].exp())
        return moments.velocity(x_PFchw, float(t) / 1000)

    def guidance_at(self, sampler: Sampler, t: float) -> float:
        low = sampler.low_noise_guidance
        return sampler.guidance if low is None or t >= self.second_from else low

    def attention(
        self, frames: int, settings: Modulation, *, plan: MaskPlan | None = None, **more: Any
    ) -> FoldedAttention:
        return FoldedAttention(frames, plan=plan, scope=settings.frames, device="cpu")

    @contextmanager
    def installed(self, attention: Attention) -> Iterator[None]:
        before, self._attention = self._attention, attention
        try:
            yield
        finally:
            self._attention = before

    def pass_facts(self, settings: Modulation) -> dict[str, Any]:
        return {"scope": settings.frames}


def analytic_plan(settings: str = "until 100% decay 1", frames: int = FRAMES) -> MaskPlan:
    """A plan with an edit on each half of the frame."""
    spec = parse(
        f'grain 1 video "c" model "m" source "{SOURCE}" target "{TARGET}" '
        "region left = all region right = all "
        'edit left -> "green robot" edit right -> "yellow bear" '
        f"attention {{ {settings} }}"
    )
    masks = {name: np.zeros((frames, SIZE, SIZE), bool) for name in ("left", "right")}
    masks["left"][:, :, : SIZE // 2], masks["right"][:, :, SIZE // 2 :] = True, True
    return compile_plan(spec, Layout.of(masks), BACKBONE).plan


def clip_latents(frames: int = FRAMES) -> Tensor:
    """Latents ``[F, c, h, w]`` of a clip that the source prompt describes."""
    source = Gaussian.of(SOURCE)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(frames, CHANNELS, SIZE // 8, SIZE // 8, generator=generator)
    return source.mean + source.deviation * drawn
