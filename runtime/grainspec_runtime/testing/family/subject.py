"""A checkpoint of the family that is checked, with a clip, plans and prompts for it.

Frames are oblong and grids odd, and every latent token's regions are drawn by themselves, so that
no transposed, mirrored or shifted table of labels is the same as the right one.

Dimensions: P passes, F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grainspec import parse
from grainspec.model.spec import EditSpec, Modulation
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec_runtime.backbones.family import Checkpoint, Family, present_parts
from grainspec_runtime.backbones.registry import family_of
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.locate import find_weights, locate
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.layers import Attention

TARGET = "a green robot and a yellow bear on grass"
"""The prompt of a clip with two edits."""

REPEATED = "a yellow bear, a green robot and then a yellow bear on grass"
"""One of whose phrases occurs twice."""

ROWS, COLUMNS = 10, 6
"""Latents of a frame: grids of 10 x 6, 5 x 3, 3 x 2 and 2 x 1."""

STEPS, TIMESTEP = 10, 900.0

SPEC = """
grain 1 video "clip" {{ size {width}x{height} }} model "{model}" target "{target}"
region left = box(0%, 0%, 50%, 100%) region right = box(50%, 0%, 100%, 100%)
edit left -> "green robot" {{ weight 0.5 repel 0.7 }} edit right -> "yellow bear" {{ weight 2.5 }}
attention {{ {attention} }} sampler {{ steps 3 }}
"""


class Subject:
    """A checkpoint of a family; what is asked for is made once.

    ``model`` is a folder in diffusers' format, or another address of a model; ``family`` is found
    by the checkpoint's own class if it is None.
    """

    def __init__(self, model: str | Path, family: Family | None = None, *, seed: int = 0) -> None:
        self.model = str(model)
        self.registered = family is None
        self.seed = seed
        self._family = family
        self._plans: dict[tuple[str, str], MaskPlan] = {}

    @cached_property
    def located(self) -> ModelFolder:
        """The folder of the checkpoint's configuration."""
        return locate(self.model, Path())

    @cached_property
    def family(self) -> Family:
        """The family."""
        return self._family or family_of(self.located)

    @cached_property
    def backbone(self) -> Backbone:
        """The facts for the compiler."""
        return self.family.describe(self.located)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The loaded model, on the CPU."""
        return self.load(LoadOptions(device="cpu"))

    def load(self, options: LoadOptions) -> Checkpoint:
        """Load the model."""
        weighted, parts = self.family.weighted, present_parts(self.family, self.located)
        return self.family.load(find_weights(self.located, Path(), weighted, parts), options)

    @property
    def frames(self) -> int:
        """The number of frames of a clip with three latent frames."""
        return self.backbone.first_frames + 2 * self.backbone.frames_per_latent

    @property
    def latent_frames(self) -> int:
        """The number of latent frames of the clip."""
        return len(self.backbone.frame_groups(self.frames))

    @property
    def one_sequence(self) -> bool:
        """Whether the frames of a pass are one sequence, as in video transformers."""
        return self.backbone.layer_count is not None

    @property
    def rows(self) -> int:
        """The number of rows of one pass in what layers receive: its frames, or 1."""
        return 1 if self.one_sequence else self.latent_frames

    @property
    def width(self) -> int:
        """Width of a frame in pixels."""
        return COLUMNS * self.backbone.size_multiple

    @property
    def height(self) -> int:
        """Height of a frame in pixels."""
        return ROWS * self.backbone.size_multiple

    @cached_property
    def clip(self) -> Frames:
        """Frames of noise."""
        random = np.random.default_rng(self.seed)
        shape = (self.frames, self.height, self.width, 3)
        return random.integers(0, 256, shape, dtype=np.uint8)

    @cached_property
    def latents(self) -> Tensor:
        """The clip's latents, ``[F, c, h, w]``, of a checkpoint that has begun to edit it."""
        self.checkpoint.begin_clip(self.clip)
        return self.checkpoint.encode_clip(self.clip)

    def spec(self, attention: str = "until 100% decay 1", target: str = TARGET) -> EditSpec:
        """A spec of two edits with these settings of attention."""
        return parse(
            SPEC.format(
                width=self.width,
                height=self.height,
                model=self.model.replace("\\", "\\\\"),
                target=target,
                attention=attention,
            )
        )

    @cached_property
    def layout(self) -> Layout:
        """Every latent token of every frame is drawn to be in one region, in both, or in none."""
        random = np.random.default_rng(self.seed)
        unit = self.backbone.size_multiple
        shape = (self.frames, ROWS, COLUMNS)
        cells = {name: random.random(shape) < 0.5 for name in ("left", "right")}
        return Layout.of(
            {name: mask.repeat(unit, 1).repeat(unit, 2) for name, mask in cells.items()}
        )

    def plan(self, attention: str = "until 100% decay 1", target: str = TARGET) -> MaskPlan:
        """The plan of the spec with these settings, for the drawn regions."""
        key = (attention, target)
        if key not in self._plans:
            spec = self.spec(attention, target)
            self._plans[key] = compile_plan(spec, self.layout, self.backbone).plan
        return self._plans[key]

    def attention(self, plan: MaskPlan | None, settings: Modulation, **more: Any) -> Attention:
        """The family's attention over the clip."""
        return self.checkpoint.attention(self.latent_frames, settings, plan=plan, **more)

    def prediction(
        self,
        attention: Attention | None,
        prompts: Sequence[str] = ("", TARGET),
        *,
        latents: Tensor | None = None,
        encoded: Sequence[Any] | None = None,
        step: int = 0,
        timestep: float = TIMESTEP,
    ) -> Tensor:
        """Run the denoiser, once for every prompt: float32 ``[P * F, c, h, w]``.

        ``latents`` are those of one pass, or of all. Without ``attention`` it is the stock network.
        """
        checkpoint = self.checkpoint
        latents = self.latents if latents is None else latents
        if encoded is None:
            encoded = [checkpoint.encode_prompt(text) for text in prompts]
        passes = len(encoded)
        one = latents[: self.latent_frames]
        x = latents if len(latents) > len(one) else torch.cat([latents] * passes)
        conditioning = checkpoint.condition(encoded, one)

        def predict() -> Tensor:
            frames = range(len(one))
            t = torch.tensor(int(timestep))
            return checkpoint.predict(x, t, conditioning, frames, step=step, steps=STEPS)

        with torch.no_grad():
            if attention is None:
                return predict()
            with checkpoint.installed(attention):
                attention.begin_step(step, STEPS, timestep)
                return predict()


def unmodulated(plan: MaskPlan) -> Modulation:
    """The plan's settings, with every frame for itself: what a stock pass computes."""
    return plan.attention.replaced({}, frames="each", norm="each")
