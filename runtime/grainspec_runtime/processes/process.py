"""The interface of an editing process, and its input and output values.

A process turns latents of the source clip into latents of the edit. One instance serves one clip
and one model; it runs any number of edits of that clip, and stores what they can share.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import FreeU, Inject, Method, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow
from grainspec.prompt_alignment import PromptAlignment
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.modulation.layers import Attention

Progress = Callable[[int, int], None]
"""Called with the number of finished parts and the total.

Parts are steps, multiplied by the windows and, in some processes, by the predictions of a step."""

State = Mapping[str, Tensor]
"""The state between two sampling steps (:mod:`grainspec_runtime.processes.state`)."""

Warn = Callable[[Diagnostic], None]
"""Called with a warning."""


class Stage(Protocol):
    """Starts a stage of a run, which is timed and displayed; returns its progress callback."""

    def __call__(self, name: str, variant: str | None = None) -> AbstractContextManager[Progress]:
        """Start the stage ``name``; ``variant`` is the variant of the edit."""


@dataclass(frozen=True)
class Job:
    """One edit as a process receives it: prompts, settings and a plan, without files or pixels.

    edited_F1hw: where the latents may differ from the source's, float32 in [0, 1]; None for
    everywhere.
    blend_from: share of the steps, from the first, at which they may differ everywhere; FlowEdit
    has no such steps.
    method: the settings of the method, if one makes the edit in place of a process. ``edited_F1hw``
    is None if its `regions` are not used for blending, and the attention that it gets is not
    modulated if they are not used for attention.
    alignment: which text tokens of the source prompt those of the target correspond to; None if no
    method asks.
    backend: the attention backend, for attention that the process makes itself.
    motion: the clip's optical flow, if the method needs it.
    about: a description for cache entries of this run.
    """

    plan: MaskPlan
    source: str
    negative: str
    sampler: Sampler
    windows: tuple[FrameWindow, ...]
    inject: Inject | None = None
    freeu: FreeU | None = None
    method: Method | None = None
    alignment: PromptAlignment | None = None
    motion: ClipFlow | None = None
    edited_F1hw: Tensor | None = None
    blend_from: float = 0.0
    backend: str = "auto"
    about: Mapping[str, str] | None = None
    variant: str | None = None


@dataclass(frozen=True)
class Sampled:
    """Edited latents, float32 ``[F, c, h, w]``, and whether results of earlier runs were reused."""

    latents: Tensor
    reused: bool


class Process(Protocol):
    """Turns latents of the source clip into latents of the edit."""

    def key(self, job: Job) -> str:
        """Compute a hash of everything that the reusable results for a job depend on."""

    def holding(self, job: Job) -> AbstractContextManager[None]:
        """Protect the cache entries for a job from eviction inside the block."""

    def share(self, job: Job, *, stage: Stage, warn: Warn) -> bool | None:
        """Compute what later jobs of the clip reuse, such as an inversion, and cache it.

        Returns whether it existed before; None if the process reuses nothing.
        """

    def run(
        self,
        job: Job,
        attention: Callable[[], Attention],
        *,
        stage: Stage,
        begin: tuple[int, State] | None,
        keep: Callable[[int, State], None],
        warn: Warn,
    ) -> Sampled:
        """Make the edit.

        ``attention`` makes the attention of its passes, under the plan. ``keep`` is called with the
        number of finished steps and the state after them; pass such a pair as ``begin`` to resume
        there, with a bit-identical result. Raises GrainError (G505) for NaN or infinity.
        """

    def reconstruct(self, job: Job, *, stage: Stage, warn: Warn) -> Tensor:
        """Return the source's latents as the process reconstructs them without an edit."""
