"""An editing method on a tiny model, and what it reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tiny_runs import STEPS
from torch import Tensor

from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import Context, Inject, Method, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import frame_windows
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.process import Job, Progress
from grainspec_runtime.processes.registry import METHODS


class MethodRun:
    """One job of a method; ``settings`` are those of the method."""

    def __init__(
        self,
        name: Any,
        checkpoint: Checkpoint,
        plan: MaskPlan,
        latents: Tensor,
        *,
        source: str = "a red man and a blue man",
        sampler: Sampler | None = None,
        inject: Inject | None = None,
        at_once: int | None = None,
        edited_F1hw: Tensor | None = None,
        controls: Any = None,
        **settings: Any,
    ) -> None:
        context = Context(frames=at_once, overlap=0, keys=0) if at_once else None
        self.checkpoint, self.plan = checkpoint, plan
        self.process: Any = METHODS[name](
            Denoiser(checkpoint, controls), latents, {}, use_cache=False, look_up=False
        )
        self.job = Job(
            plan=plan,
            source=source,
            negative="",
            sampler=sampler or Sampler(steps=STEPS),
            windows=frame_windows(len(latents), context),
            inject=inject,
            edited_F1hw=edited_F1hw,
            method=Method(name=name, **settings),
        )
        self.states: dict[int, dict[str, Tensor]] = {}

    @contextmanager
    def stage(self, name: str, variant: str | None = None) -> Iterator[Progress]:
        yield lambda done, total: None

    def warn(self, finding: Diagnostic) -> None:
        pytest.fail(str(finding))

    def latents_of(self, job: Job | None = None, *, begin: Any = None) -> Tensor:
        def keep(done: int, state: Any) -> None:
            if begin is None:
                self.states[done] = {name: value.clone() for name, value in state.items()}

        latents: Tensor = self.process.run(
            job or self.job,
            lambda: self.checkpoint.attention(len(self.plan.groups), self.plan.attention),
            stage=self.stage,
            begin=begin,
            keep=keep,
            warn=self.warn,
        ).latents
        return latents
