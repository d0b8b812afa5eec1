"""What an editing process is to the rest of the runtime, and the values it works on.

A process takes latents of the source clip to latents of the edited one. It is made once for a clip
and a model, runs any number of edits of that clip, and keeps for itself what they can share.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import Inject, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow
from grainspec_runtime.modulation.layers import Attention

Progress = Callable[[int, int], None]
"""Called with the number of finished steps and of all steps; of a clip in windows, times those."""

State = Mapping[str, Tensor]
"""All that a sampling step hands on to the next (:mod:`grainspec_runtime.processes.state`)."""

Warn = Callable[[Diagnostic], None]
"""Called with what is doubtful about a run."""


class Stage(Protocol):
    """Opens a named stage of a run, which is timed and shown; gives what reports its progress."""

    def __call__(self, name: str, variant: str | None = None) -> AbstractContextManager[Progress]:
        """``name`` is one of a few words, ``variant`` that of the edit."""


@dataclass(frozen=True)
class Job:
    """One edit as a process sees it: words, settings and a plan; no file, no region, no pixel.

    edited_F1hw: where the latents may leave the source's, float32 in [0, 1]; None for everywhere.
    blend_from: the share of the steps, from the first, at which they may do so anywhere.
    about: what cache entries of this run say of themselves, in words.
    """

    plan: MaskPlan
    source: str
    negative: str
    sampler: Sampler
    windows: tuple[FrameWindow, ...]
    inject: Inject | None = None
    edited_F1hw: Tensor | None = None
    blend_from: float = 0.0
    about: Mapping[str, str] | None = None
    variant: str | None = None


@dataclass(frozen=True)
class Sampled:
    """Edited latents, float32 ``[F, c, h, w]``, and whether work of earlier runs was reused."""

    latents: Tensor
    reused: bool


class Process(Protocol):
    """How latents of the source clip become latents of the edited one."""

    def key(self, job: Job) -> str:
        """A hash of everything that the reusable work for a job depends on."""

    def holding(self, job: Job) -> AbstractContextManager[None]:
        """Keep the cache entries for a job from being removed, inside the block."""

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
        number of finished steps and the state after them; such a pair as ``begin`` continues there,
        with a bit-identical result. Raises GrainError (G505) for NaN or infinity.
        """

    def reconstruct(self, job: Job, *, stage: Stage, warn: Warn) -> Tensor:
        """The source's latents as the process gives them back without any edit."""
