"""The contract of an editing process: the same tests for every process of the registry.

Each runs on tiny models that it is for: of DDPM's noise, of flow matching, or of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
import torch
from analytic import AnalyticFlow, analytic_plan, clip_latents
from tiny_runs import STEPS, loaded, noise, plan_for
from torch import Tensor
from wan import WanVariant

from grainspec.checks.method import TRAITS
from grainspec.model.settings.method import SOURCE_MAPS, MethodName
from grainspec.model.settings.sampler import ProcessName
from grainspec.model.spec import Method, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import frame_windows
from grainspec.prompt_alignment import PromptAlignment, align_prompts
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.process import Job, Process, Progress
from grainspec_runtime.processes.registry import EDITING, METHODS, PROCESSES

SOURCE = "a red man and a blue man"


class Model(NamedTuple):
    """A loaded model, a plan for it and latents of a clip."""

    checkpoint: Checkpoint
    plan: MaskPlan
    latents: Tensor
    alignment: PromptAlignment | None = None


Folders = Callable[[Any], Path]
"""From the name of a tiny checkpoint to its folder."""


def stable_diffusion(folders: Folders) -> Model:
    folder = folders("sd")
    plan = plan_for(folder, "until 100% decay 1")
    places = map(describe(str(folder), Path()).tokenize, (SOURCE, plan.target))
    return Model(loaded(folder), plan, noise(), align_prompts(SOURCE, plan.target, *places))


def animatediff(folders: Folders) -> Model:
    folder = folders("animatediff")
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(device="cpu"))
    return Model(checkpoint, plan_for(folder, "until 100% decay 1", frames=3), noise(3))


def analytic(folders: Folders) -> Model:
    return Model(AnalyticFlow(), analytic_plan(), clip_latents())


def wan(folders: Folders, variant: WanVariant = "2.1") -> Model:
    folder = folders(variant)
    checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(device="cpu"))
    plan = plan_for(folder, "until 100% decay 1 frames full", frames=5)
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    return Model(checkpoint, plan, checkpoint.encode_clip(frames))


def wan_of_two_experts(folders: Folders) -> Model:
    return wan(folders, "2.2")


MAKE = [
    ("invert_and_sample", stable_diffusion),
    ("invert_and_sample", analytic),
    ("invert_and_sample", wan),
    ("flow_edit", analytic),
    ("flow_edit", wan),
    ("flow_edit", wan_of_two_experts),
    ("tokenflow", stable_diffusion),
    ("controlvideo", stable_diffusion),
    ("ground_a_video", stable_diffusion),
    ("dmt", animatediff),
    ("dfvedit", analytic),
    ("dfvedit", wan),
    ("fatezero", stable_diffusion),
    ("video_p2p", stable_diffusion),
]


FEW: dict[str, dict[str, Any]] = {"dmt": {"updates": 2, "restart": 0.5}}
"""Settings of methods that take long."""


def moving(frames: int) -> ClipFlow:
    """A flow of the lower half of the frame."""
    flow = np.zeros((frames - 1, 64, 64, 2), np.float32)
    flow[:, 32:, :, 0] = 3
    return ClipFlow(flow, -flow)


class Run:
    """A process on a tiny model, and what it reports."""

    def __init__(self, name: Any, model: Model, *, use_cache: bool = False) -> None:
        self.checkpoint, self.plan, self.latents, alignment = model
        self.frames = len(self.latents)
        edited = torch.from_numpy(self.plan.edited_FHW)[:, None].float()
        edited[..., :2] = 0  # the left columns are nobody's
        self.job = Job(
            plan=self.plan,
            source=SOURCE,
            negative="",
            sampler=Sampler(steps=STEPS),
            windows=frame_windows(self.frames, None),
            method=Method(name=name, **FEW.get(name, {})) if name in METHODS else None,
            alignment=alignment,
            motion=moving(self.frames) if name == "ground_a_video" else None,
            edited_F1hw=edited,
            about={"clip": "noise", "target": self.plan.target},
        )
        self.process: Process = EDITING[name](
            Denoiser(self.checkpoint), self.latents, {}, use_cache=use_cache, look_up=use_cache
        )
        self.stages: list[str] = []
        self.attentions = 0
        self.states: dict[int, dict[str, Tensor]] = {}

    @contextmanager
    def stage(self, name: str, variant: str | None = None) -> Iterator[Progress]:
        self.stages.append(name)
        yield lambda done, total: None

    def attention(self, *, plan: bool = True) -> Attention:
        self.attentions += 1
        given = self.plan if plan else None
        return self.checkpoint.attention(self.frames, self.plan.attention, plan=given)

    def keep(self, done: int, state: Any) -> None:
        self.states[done] = {name: value.clone() for name, value in state.items()}

    def latents_of(self, job: Job | None = None, *, plan: bool = True, begin: Any = None) -> Tensor:
        job = job or self.job
        if job.method and not plan:  # a method may make its attention itself
            job = replace(job, method=job.method.replaced({}, regions="blend"))
        sampled = self.process.run(
            job,
            lambda: self.attention(plan=plan),
            stage=self.stage,
            begin=begin,
            keep=self.keep,
            warn=lambda finding: pytest.fail(str(finding)),
        )
        return sampled.latents


@pytest.fixture(params=MAKE, ids=lambda one: f"{one[0]}-{one[1].__name__}")
def make(
    request: pytest.FixtureRequest, tiny_sd: Path, tiny_animatediff: Path, wan_folder: Folders
) -> Callable[..., Run]:
    """Makes the same process on the same model, as often as it is called."""
    name, model = request.param
    made = {"sd": tiny_sd, "animatediff": tiny_animatediff}
    loaded = model(lambda of: made.get(of) or wan_folder(of))
    return lambda **settings: Run(name, loaded, **settings)


@pytest.fixture
def run(make: Callable[..., Run]) -> Run:
    return make()


def test_every_process_runs() -> None:
    assert {name for name, _ in MAKE} == EDITING.keys()
    assert PROCESSES.keys() == set(get_args(ProcessName))
    assert METHODS.keys() == TRAITS.keys() == set(get_args(MethodName))


def test_an_edit_is_finite_and_repeats(run: Run, make: Callable[..., Run]) -> None:
    latents = run.latents_of()
    assert latents.shape == run.latents.shape
    assert latents.dtype == torch.float32
    assert latents.isfinite().all()
    assert run.stages
    assert torch.equal(make().latents_of(), latents)
    assert torch.equal(run.latents_of(), latents)  # what it keeps for itself changes nothing


def test_the_plan_acts(run: Run) -> None:
    """In modulated attention, or as the masks of a method, which has masks of its own without it."""
    unplanned, method = run.job, run.job.method
    if method is not None and method.name in SOURCE_MAPS:
        unplanned = replace(run.job, method=method.replaced({}, regions="blend", mask_threshold=1))
    assert not torch.allclose(run.latents_of(), run.latents_of(unplanned, plan=False), atol=1e-4)


def test_a_study_is_refused_where_the_edits_attention_is_another(run: Run) -> None:
    """A study records the attention that the process is given."""
    run.latents_of()
    method = run.job.method
    assert run.attentions == int(method is None or not TRAITS[method.name].unstudied)


def test_what_no_edit_names_is_kept(run: Run) -> None:
    latents = run.latents_of()
    torch.testing.assert_close(latents[..., :2], run.latents[..., :2], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(latents[..., 2:], run.latents[..., 2:], atol=1e-2)


def test_a_run_continues_from_any_state(run: Run, make: Callable[..., Run]) -> None:
    latents = run.latents_of()
    assert sorted(run.states)[-1] == STEPS
    for done, state in run.states.items():
        again = make()
        assert torch.equal(again.latents_of(begin=(done, state)), latents), done


def test_work_is_reused_by_its_key(run: Run) -> None:
    """Edits that differ in their words alone share it; another source or schedule does not."""
    job = run.job
    assert run.process.key(job) == run.process.key(replace(job, negative="blurry"))
    assert run.process.key(job) != run.process.key(replace(job, source="a bear"))
    assert run.process.key(job) != run.process.key(replace(job, sampler=Sampler(steps=STEPS + 1)))


def test_the_cache_is_held_and_changes_nothing(
    make: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAINSPEC_CACHE", str(tmp_path))
    first, second = (make(use_cache=True) for _ in range(2))
    with first.process.holding(first.job):
        latents = first.latents_of()
    torch.testing.assert_close(second.latents_of(), latents, atol=1e-5, rtol=1e-5)


def test_the_source_comes_back_without_an_edit(run: Run) -> None:
    run.latents_of()
    back = run.process.reconstruct(run.job, stage=run.stage, warn=lambda finding: None)
    assert back.shape == run.latents.shape
    assert back.isfinite().all()
