"""Editing processes and methods on short clips of the demo models, without decoding.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from clips import EXAMPLES
from torch import Tensor

from grainspec import parse
from grainspec.diagnostics import Diagnostic
from grainspec.model.demo_models import DemoModel
from grainspec.model.settings.method import EditingName
from grainspec.model.spec import Method, Sampler
from grainspec_runtime import Editor
from grainspec_runtime.editing.edit import _job
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes.process import Job, Process, Progress
from grainspec_runtime.processes.registry import EDITING, METHODS

SPEC = """grain 1
video "clips/two_men.mp4" {{ frames 0..{last} size 64x64 }}
model "{model}"
source "a red man and a blue man on grass before green trees"
target "a green robot and a blue man on grass before green trees"
region left = masks("masks/two_men/left")
edit instance left -> "green robot"
{more}
"""
_OF_SPEC = ("inject", "freeu", "blend")


def warned(finding: Diagnostic) -> None:
    """Fail, but for attention to words, which is nowhere low in the demo's image model."""
    if finding.code != "G589":
        pytest.fail(str(finding))


class DemoClip:
    """The first frames of a clip, 0 to ``last``, on a demo model; ``more`` are more statements.

    latents: ``[F, c, h, w]``. inside: which of them may be edited, bool of the same shape.
    """

    def __init__(self, model: DemoModel, last: int, more: str = "") -> None:
        spec = parse(SPEC.format(model=model, last=last, more=more))
        self.prepared = prepare(spec, EXAMPLES)
        editor = Editor(model, device="cpu", use_cache=False)
        self.session = editor.session([self.prepared]).__enter__()
        self.checkpoint = self.session.checkpoint
        self.denoiser = self.session._denoiser
        self.latents = self.session.latents.float()
        mask_F1hw = torch.from_numpy(self.prepared.plan.edited_FHW)[:, None] > 0
        self.inside = mask_F1hw.expand_as(self.latents)

    def job(
        self, name: EditingName, *, same: bool = False, regions: str = "off", **settings: Any
    ) -> Job:
        """A job of a process or method; with ``same``, the source prompt is the target.

        ``settings`` are those of a method, those of the sampler for a process, and statements. A
        process has no regions: it blends with ``blend`` and ``both``.
        """
        spec = self.prepared.spec
        changes = {key: settings.pop(key) for key in _OF_SPEC if key in settings}
        fields = Sampler.model_fields.keys()
        taken = {"steps", "guidance", "source_guidance", "seed"}
        taken |= set() if name in METHODS else set(fields)
        sampler = {key: settings.pop(key) for key in taken & settings.keys()}
        if name in METHODS:
            changes["method"] = Method(name=name, regions=regions, **settings)
        elif regions not in {"blend", "both"}:
            changes["blend"] = spec.blend.replaced({}, space="none")
        changes["sampler"] = Sampler(**sampler)
        if same:
            changes["source"] = spec.target
        return _job(self.session, replace(self.prepared, spec=spec.replaced({}, **changes)))

    def process(self, name: EditingName) -> Process:
        """A process of the clip that knows nothing of earlier runs."""
        return EDITING[name](self.denoiser, self.latents, {}, use_cache=False, look_up=False)

    def attention(self, job: Job, *, planned: bool = False, **settings: Any) -> Attention:
        """Attention of all frames, with other ``settings`` than the plan's."""
        wanted = job.plan.attention.replaced({}, **settings)
        plan = job.plan if planned else None
        return self.checkpoint.attention(len(self.latents), wanted, plan=plan)

    def run(
        self,
        process: Process,
        job: Job,
        *,
        planned: bool = False,
        begin: Any = None,
        states: dict[int, Any] | None = None,
    ) -> Tensor:
        """The edited latents; ``states`` receives the state after each step."""

        def keep(done: int, state: Any) -> None:
            if states is not None:
                states[done] = {key: value.clone() for key, value in state.items()}

        return process.run(
            job,
            lambda: self.attention(job, planned=planned),
            stage=stage,
            begin=begin,
            keep=keep,
            warn=warned,
        ).latents

    def reconstructed(self, process: Process, job: Job) -> Tensor:
        """The latents as the process reconstructs them without an edit."""
        return process.reconstruct(job, stage=stage, warn=lambda finding: pytest.fail(str(finding)))

    def psnr(self, latents_Fchw: Tensor) -> float:
        """The PSNR of latents against the clip's, in dB; the peak is the clip's range."""
        error = (latents_Fchw - self.latents).square().mean()
        peak = self.latents.max() - self.latents.min()
        return float(10 * (peak.square() / error).log10())


@contextmanager
def stage(name: str, variant: str | None = None) -> Iterator[Progress]:
    """Show no progress."""
    yield lambda done, total: None
