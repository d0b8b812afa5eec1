"""FateZero and Video-P2P on tiny networks: what they keep of the source, and where.

Dimensions: F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from clips import EXAMPLES
from tiny_models import save_animatediff, save_sdxl
from tiny_runs import STEPS, TARGET, noise, plan_for
from torch import Tensor

from grainspec import parse
from grainspec.diagnostics import Diagnostic
from grainspec.model.settings.method import Method
from grainspec.model.spec import Sampler
from grainspec.plan.windows import FrameWindow, frame_windows
from grainspec.prompt_alignment import align_prompts
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.backbones.unets.layers import attention_layers
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.attention_maps import MapAttention, attention_maps
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.passes import denoiser_passes
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.methods.fatezero import FateZero
from grainspec_runtime.processes.methods.maps import MapProcess
from grainspec_runtime.processes.methods.video_p2p import VideoP2P
from grainspec_runtime.processes.process import Job, Process, Progress
from grainspec_runtime.processes.sample import sample

SOURCE = "a red man and a blue man on grass"
METHODS: dict[str, type[MapProcess]] = {"fatezero": FateZero, "video_p2p": VideoP2P}
OFF = {"cross_steps": 0.0, "self_steps": 0.0, "local_blend": 1.0, "regions": "off"}
KEPT = {"cross_steps": 1.0, "self_steps": 1.0, "local_blend": 1.0, "regions": "off"}


class Clip:
    """A tiny model, and latents of a clip."""

    def __init__(self, folder: Path, frames: int = 2, size: int = 64) -> None:
        self.checkpoint = load_checkpoint(str(folder), Path(), LoadOptions(device="cpu"))
        self.plan = plan_for(folder, "phrases in_context frames each", frames, size)
        self.tokenize = describe(str(folder), Path()).tokenize
        self.latents = noise(frames, size)

    def job(self, name: str, source: str = SOURCE, guidance: float = 5, **settings: Any) -> Job:
        places = self.tokenize(source), self.tokenize(self.plan.target)
        return Job(
            plan=self.plan,
            source=source,
            negative="",
            sampler=Sampler(steps=STEPS, guidance=guidance),
            windows=frame_windows(len(self.latents), None),
            method=Method(name=name, **settings),
            alignment=align_prompts(source, self.plan.target, *places),
        )

    def process(self, make: Callable[..., Process]) -> Process:
        return make(Denoiser(self.checkpoint), self.latents, {}, use_cache=False, look_up=False)

    def edited(self, job: Job, make: Any = None, **settings: Any) -> Tensor:
        assert job.method is not None
        return run(self.process(make or METHODS[job.method.name]), job, **settings)


def warned(finding: Diagnostic) -> None:
    """Fail, but for attention of random weights to words, which is everywhere about the same."""
    if finding.code != "G589":
        pytest.fail(str(finding))


def run(
    process: Process,
    job: Job,
    begin: Any = None,
    keep: Callable[[int, Any], None] = lambda done, state: None,
    warn: Callable[[Diagnostic], None] = warned,
) -> Tensor:
    """The latents of an edit."""
    checkpoint = process.checkpoint  # type: ignore[attr-defined]
    frames = len(job.windows[0].frames)
    return process.run(
        job,
        lambda: checkpoint.attention(frames, job.plan.attention),
        stage=stage,
        begin=begin,
        keep=keep,
        warn=warn,
    ).latents


@contextmanager
def stage(name: str, variant: str | None = None) -> Iterator[Progress]:
    yield lambda done, total: None


@pytest.fixture
def clip(tiny_sd: Path) -> Clip:
    return Clip(tiny_sd)


@pytest.fixture(params=METHODS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


# --- what is the same as without a method --------------------------------------------------------


def test_the_same_prompt_is_the_source(clip: Clip, name: str) -> None:
    """To rounding, if the inversion is exact: without guidance, all maps are what they would be."""
    job = clip.job(name, source=TARGET, guidance=1, **KEPT)
    process = clip.process(METHODS[name])
    trajectory = exact_inversion(clip, job)
    process.inversions.of = lambda job, progress, warn: (trajectory, True)
    edited = run(process, job)
    torch.testing.assert_close(edited, trajectory[0], atol=1e-5, rtol=1e-5)
    back = process.reconstruct(job, stage=stage, warn=print)
    torch.testing.assert_close(edited, back, atol=1e-5, rtol=1e-5)


def exact_inversion(clip: Clip, job: Job) -> Tensor:
    """A trajectory that sampling with the source prompt passes through, ``[steps + 1, …]``."""
    passed = [noise(len(clip.latents))]
    sample(
        Denoiser(clip.checkpoint),
        passed[0][None],
        clip.checkpoint.attention(len(clip.latents), clip.plan.attention),
        [clip.checkpoint.encode_prompt(job.source)],
        scheduler=clip.checkpoint.schedule.solver(job.sampler, clip.checkpoint.device),
        guidance=1.0,
        keep=lambda done, state: passed.append(state["latents"].clone()),
    )
    return torch.stack(passed[::-1])


# --- the source's maps ---------------------------------------------------------------------------


class Spy:
    """Writes down the self-attention of every pass, layer by layer, as plain attention gets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[AttentionLayer, Tensor, Tensor]] = []
        compute = FoldedAttention.self_attention

        def look(
            made: Any, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
        ) -> Tensor:
            self.calls.append((layer, query, key))
            return compute(made, layer, query, key, value)

        monkeypatch.setattr(FoldedAttention, "self_attention", look)


def test_all_self_attention_is_computed_with_the_sources_maps(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each step of Video-P2P the conditional pass has the queries and keys of the source's."""
    job = clip.job("video_p2p", words="replace", **KEPT)
    process = clip.process(VideoP2P)
    process.reconstruct(job, stage=stage, warn=print)  # which inverts
    spy = Spy(monkeypatch)
    run(process, job)
    layers = len({layer.name for layer, *_ in spy.calls})
    assert layers == sum(
        layer.kind == "self" for layer in attention_layers(clip.checkpoint.denoiser).values()
    )
    assert len(spy.calls) == 3 * layers * STEPS  # the source's, the unconditional, the replaced
    for step in range(STEPS):
        of_step = spy.calls[3 * layers * step :][: 3 * layers]
        source, edit = of_step[:layers], of_step[layers:]
        for (layer, query, key), (name, *replaced) in zip(source, edit[::2], strict=True):
            assert layer == name
            assert torch.equal(query, replaced[0])
            assert torch.equal(key, replaced[1])


def test_all_cross_attention_is_the_sources(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many words, all replaced or equal, the edit attends to them as the source does.

    It then differs in the values of words alone.
    """
    seen: dict[bool, list[Tensor]] = {True: [], False: []}
    edited_maps, read = MapAttention._edited_maps, MapAttention._read_cross

    def look(made: Any, layer: AttentionLayer, query: Tensor, key: Tensor) -> Tensor:
        maps = edited_maps(made, layer, query, key)
        seen[False].append(maps)
        return maps

    def look_at_source(made: Any, layer: AttentionLayer, query: Tensor, key: Tensor) -> None:
        seen[True].append(attention_maps(query, key))
        read(made, layer, query, key)

    monkeypatch.setattr(MapAttention, "_edited_maps", look)
    monkeypatch.setattr(MapAttention, "_read_cross", look_at_source)
    source = "a red robot and a blue bear on grass"
    clip.edited(clip.job("video_p2p", source=source, words="replace", **KEPT))
    assert len(seen[True]) == len(seen[False]) > STEPS
    for theirs, ours in zip(seen[True], seen[False], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


# --- what stays outside --------------------------------------------------------------------------


def test_local_blend_keeps_what_is_outside_the_regions(clip: Clip) -> None:
    """Video-P2P's; of FateZero, which ends it after 80 % of the steps, the sampler's own does."""
    mask = torch.from_numpy(clip.plan.edited_FHW)
    assert mask.all()
    clip.plan.edited_FHW[..., :3] = False
    job = clip.job("video_p2p", regions="attention")
    process = clip.process(VideoP2P)
    edited = run(process, job)
    trajectory, _ = process.inversions.of(job, ignore, print)
    assert torch.equal(edited[..., :3], trajectory[0][..., :3])
    assert not torch.allclose(edited[..., 3:], trajectory[0][..., 3:], atol=1e-2)


def ignore(done: int, total: int) -> None:
    """Show no progress."""


def test_self_attention_of_regions_is_the_edits(clip: Clip) -> None:
    """With FateZero, of tokens in an edited region, if regions are its masks."""
    settings = OFF | {"self_steps": 1.0}
    everywhere = clip.edited(clip.job("fatezero", **settings | {"regions": "attention"}))
    assert torch.equal(everywhere, clip.edited(clip.job("fatezero", **OFF)))  # regions cover all
    for level in clip.plan.levels:
        level.labels_FHW[..., ::2] = 0
    some = clip.edited(clip.job("fatezero", **settings | {"regions": "attention"}))
    none = clip.edited(clip.job("fatezero", mask_threshold=1, **settings))
    assert not torch.allclose(some, everywhere, atol=1e-4)
    assert not torch.allclose(some, none, atol=1e-4)


def test_masks_that_cover_everything_are_warned_about(clip: Clip) -> None:
    """So that a threshold is not taken for a mask: each mask that is used is judged by itself."""

    def found(name: str, **settings: Any) -> list[str]:
        told: list[Diagnostic] = []
        clip.edited(clip.job(name, regions="off", **settings), warn=told.append)
        assert {finding.code for finding in told} <= {"G589"}
        return [finding.message.split(": ")[1] for finding in told]

    self_maps, blended = "no self-attention was the source's", "`local_blend` restored nothing"
    assert found("fatezero", mask_threshold=0.01) == [self_maps]
    assert found("fatezero", mask_threshold=0.01, local_blend=0.0) == [self_maps, blended]
    assert found("video_p2p", mask_threshold=0.01) == [blended]
    assert found("fatezero", mask_threshold=1.0, local_blend=0.0) == []
    assert found("fatezero", mask_threshold=0.01, self_steps=0.0) == []
    assert found("video_p2p", mask_threshold=0.01, local_blend=1.0) == []


# --- resuming, windows, models -------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"local_blend": 0.0, "mask_threshold": 0.99}])
def test_a_run_by_words_resumes(tiny_sd: Path, name: str, settings: dict[str, Any]) -> None:
    """From any step, bit-identical, with the maps of words so far: of 4 x 4 latent tokens."""
    clip = Clip(tiny_sd, size=128)
    states: dict[int, Any] = {}

    def keep(done: int, state: Any) -> None:
        states[done] = {name: value.clone() for name, value in state.items()}

    job = clip.job(name, regions="off", **settings)
    edited = clip.edited(job, keep=keep)
    for done, state in states.items():
        assert torch.equal(clip.edited(job, begin=(done, state)), edited), done
    if settings:
        state = states[2] | {"word_maps": states[2]["word_maps"].flip(-1)}
        assert not torch.equal(clip.edited(job, begin=(2, state)), edited)


def test_maps_of_windows_are_those_of_their_frames(tiny_sd: Path, name: str) -> None:
    """Two windows of all frames, which the prediction is taken from by halves, are the clip."""
    clip, settings = Clip(tiny_sd, frames=4), {"regions": "off", "local_blend": 0.2}
    windows = (
        FrameWindow((0, 1, 2, 3), (1.0, 1.0, 0.0, 0.0)),
        FrameWindow((0, 1, 2, 3), (0.0, 0.0, 1.0, 1.0)),
    )
    job = clip.job(name, **settings)
    torch.testing.assert_close(
        clip.edited(replace(job, windows=windows)), clip.edited(job), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("save", [save_animatediff, save_sdxl])
def test_other_unets(save: Callable[[Path], Path], tmp_path: Path, name: str) -> None:
    """The source prompt gives the source, and another prompt does not."""
    clip = Clip(save(tmp_path / "model"))
    job = clip.job(name, source=TARGET, guidance=1, **KEPT)
    trajectory = exact_inversion(clip, job)
    for source, same in ((TARGET, True), (SOURCE, False)):
        process = clip.process(METHODS[name])
        process.inversions.of = lambda job, progress, warn: (trajectory, True)
        edited = run(process, clip.job(name, source=source, guidance=1, **KEPT))
        assert torch.allclose(edited, trajectory[0], atol=1e-5) == same


# --- whole edits ---------------------------------------------------------------------------------

SPEC = """grain 1
video "clips/two_men.mp4" {{ frames 0..1 size 64x64 }}
model "{model}"
source "a red man and a blue man on grass"
target "a green robot and a blue man on grass"
region left = masks("masks/two_men/left")
edit instance left -> "green robot"
sampler {{ steps 4 }}
method {method}
"""


def whole_edit(model: Path, method: str, **options: Any) -> EditResult:
    editor = Editor(str(model), device="cpu", use_cache=False, **options)
    return editor.run(parse(SPEC.format(model=model, method=method)), base=EXAMPLES)


def test_a_whole_edit_counts_its_passes(
    tiny_sd: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the plan does: the source's are run in the steps that need them."""
    rows: list[int] = []
    predict = StableDiffusion.predict

    def count(
        made: Any, x_PFchw: Tensor, t: Tensor, conditioning: Any, frames: Any, **more: Any
    ) -> Tensor:
        rows.append(len(x_PFchw) // len(frames))
        return predict(made, x_PFchw, t, conditioning, frames, **more)

    monkeypatch.setattr(StableDiffusion, "predict", count)
    for settings in ("regions off", "regions both", "cross_steps 25% self_steps 0%"):
        rows.clear()
        result = whole_edit(tiny_sd, f"{name} {{ {settings} }}")
        assert sum(rows) == denoiser_passes(result.prepared), settings
        codes = {finding.code for finding in result.warnings}
        assert codes - {"G589"} == {"G401"}  # a tiny network's
