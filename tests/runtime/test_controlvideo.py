"""ControlVideo: its smoother, its hierarchy of frames, and what sampling by it promises."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import EXAMPLES
from method_runs import MethodRun
from moving import moving, translation
from PIL import Image
from tiny_models import save_animatediff, save_net
from tiny_runs import STEPS, loaded, noise, plan_for
from torch import Tensor

from grainspec import GrainError, check, parse
from grainspec.model.spec import DEMO, Control, Method, Sampler
from grainspec.plan.method_windows import hierarchy
from grainspec.text.override import override
from grainspec_runtime import Editor
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.demo.render import render
from grainspec_runtime.demo.world import Figure, Scene
from grainspec_runtime.flow import guide
from grainspec_runtime.flow.dis import dis
from grainspec_runtime.flow.guide import check_interpolation
from grainspec_runtime.flow.middle import middle_frame
from grainspec_runtime.measures.fidelity import psnr
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.passes import denoiser_passes
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes import smoother
from grainspec_runtime.processes.methods.controlvideo import shared_noise
from grainspec_runtime.processes.smoother import Smoother, interleaved, mean_frame

FRAMES = 6


# --- the middle of two frames, and the smoother -----------------------------------------------------


def test_the_middle_frame_follows_the_motion_of_both() -> None:
    first, middle, last = moving(translation(6, -2), frames=3).frames
    inner = (slice(16, -16), slice(16, -16))
    found = middle_frame(first, last, dis())
    assert psnr(middle[inner], found[inner]) > 30
    assert psnr(middle[inner], mean_frame(first, last)[inner]) < 20


def test_the_middle_of_equal_frames_is_that_frame() -> None:
    frame = moving(translation(0, 0), frames=1).frames[0]
    assert np.array_equal(middle_frame(frame, frame, dis()), frame)
    assert np.array_equal(mean_frame(frame, frame), frame)


def numbered(count: int) -> Frames:
    return np.arange(0, 10 * count, 10, dtype=np.uint8).reshape(-1, 1, 1, 1) ** 2 % 251


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_every_second_frame_with_two_neighbours_is_replaced(count: int) -> None:
    frames = numbered(count)
    for first in (0, 1):
        smooth = interleaved(frames, first, mean_frame)
        for index in range(count):
            replaced = index % 2 == first and 0 < index < count - 1
            around = frames[[index - 1, index + 1]] if replaced else frames[[index, index]]
            assert smooth[index] == round(float(around.mean(dtype=float)) + 1e-6)


def test_the_smoother_hardly_changes_a_still_clip() -> None:
    """Besides the VAE's round trip, which is the same for all frames, nothing is left."""
    checkpoint = load_checkpoint(DEMO, Path(), LoadOptions(device="cpu"))
    frame = render(Scene((Figure("man", "red", 0.5),)))[0]
    latents = checkpoint.encode_clip(np.stack([frame] * 4))
    smooth = Smoother(checkpoint, lambda a, b: middle_frame(a, b, dis()))(latents, 1)
    torch.testing.assert_close(smooth, smooth[:1].expand_as(smooth), atol=1e-5, rtol=1e-5)
    assert float((smooth - latents).square().mean()) < 0.01 * float(latents.square().mean())


def test_frames_without_two_neighbours_pass_no_vae() -> None:
    checkpoint = load_checkpoint(DEMO, Path(), LoadOptions(device="cpu"))
    frames = np.stack([render(Scene((Figure("man", "red", x),)))[0] for x in (0.3, 0.5, 0.7)])
    latents = checkpoint.encode_clip(frames)
    smoother = Smoother(checkpoint, mean_frame)
    for few in (latents[:1], latents[:2]):
        for first in (0, 1):
            assert smoother(few, first) is few
    assert smoother(latents, 0) is latents
    assert not torch.equal(smoother(latents, 1), latents)


# --- key frames and intervals -----------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "interval"), [(17, None), (20, 3), (18, 17), (40, 1)])
def test_each_frame_is_predicted_once(frames: int, interval: int | None) -> None:
    windows = hierarchy(frames, interval)
    keys = windows[0].frames
    assert keys[0] == 0
    assert keys[-1] == frames - 1
    total = np.zeros(frames)
    for window in windows:
        total[list(window.frames)] += window.weights
    assert np.array_equal(total, np.ones(frames))
    for window in windows[1:]:
        assert set(window.frames) & set(keys) == {window.frames[0], window.frames[-1]}


def test_the_distance_of_key_frames_is_the_codes() -> None:
    """Its script: windows of ⌊√F⌋ frames, which share their ends."""
    assert hierarchy(36)[0].frames == (0, 5, 10, 15, 20, 25, 30, 35)


# --- edits ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def setup(two_levels: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tiny model, a plan, and controls whose images differ from frame to frame."""
    checkpoint = loaded(two_levels)
    folder = save_net(checkpoint.unet, tmp_path_factory.mktemp("net"))
    shown = np.zeros((FRAMES, 64, 64, 3), np.uint8)
    for frame in range(FRAMES):
        shown[frame, :, 10 * frame : 10 * frame + 10] = 255
    control = Control(kind="canny", net=str(folder), scale=4)
    plan = plan_for(two_levels, "until 100% decay 1", frames=FRAMES)
    return checkpoint, plan, checkpoint.load_controls([control], [shown], Path())


_MADE: dict[str, tuple[MethodRun, Tensor]] = {}


def sampled(setup: Any, **settings: Any) -> tuple[MethodRun, Tensor]:
    """Sample by the method; the same run is made once."""
    checkpoint, plan, controls = setup
    key = repr((id(controls), sorted(settings.items())))
    if key not in _MADE:
        settings = {"regions": "off", "smooth_from": 1.0, "controls": controls, **settings}
        run = MethodRun("controlvideo", checkpoint, plan, noise(FRAMES), **settings)
        _MADE[key] = run, run.latents_of()
    return _MADE[key]


def test_a_clip_that_fits_has_no_hierarchy(setup: Any) -> None:
    _, latents = sampled(setup)
    assert torch.equal(latents, sampled(setup, at_once=FRAMES)[1])
    assert not torch.allclose(latents[0], latents[1], atol=1e-2)  # the controls differ


def test_a_long_clip_has_the_key_frames_of_a_clip_of_key_frames(setup: Any) -> None:
    """They attend to each other alone, so they are those of a run without the others."""
    checkpoint, _, controls = setup
    keys = [0, 3, 5]
    _, latents = sampled(setup, at_once=3, interval=3)
    shown = replace(controls.parts[0], pictures=controls.parts[0].pictures[keys])
    few = replace(controls, parts=(shown,))
    short = MethodRun(
        "controlvideo",
        checkpoint,
        plan_for(checkpoint.folder, frames=3),
        noise(3),
        regions="off",
        smooth_from=1.0,
        controls=few,
    ).latents_of()
    torch.testing.assert_close(latents[keys], short, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(latents, sampled(setup)[1], atol=1e-4, rtol=1e-4)


def test_frames_between_follow_their_key_frames_and_no_other_interval(setup: Any) -> None:
    checkpoint, plan, controls = setup
    _, latents = sampled(setup, at_once=3, interval=3)
    pictures = controls.parts[0].pictures.clone()
    pictures[4] = 255  # between the key frames 3 and 5
    changed = replace(controls, parts=(replace(controls.parts[0], pictures=pictures),))
    _, other = sampled((checkpoint, plan, changed), at_once=3, interval=3)
    same = [0, 1, 2, 3, 5]
    torch.testing.assert_close(other[same], latents[same], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(other[4], latents[4], atol=1e-2)


def test_equal_controls_make_equal_frames(setup: Any) -> None:
    checkpoint, plan, controls = setup
    pictures = controls.parts[0].pictures[:1].repeat(FRAMES, 1, 1, 1)
    still = replace(controls, parts=(replace(controls.parts[0], pictures=pictures),))
    for settings in ({}, {"at_once": 3, "interval": 3}):
        _, latents = sampled((checkpoint, plan, still), **settings)
        torch.testing.assert_close(latents, latents[:1].expand_as(latents), atol=1e-3, rtol=1e-3)


def test_the_source_is_restored_outside_the_regions(setup: Any) -> None:
    mask = torch.zeros(FRAMES, 1, 8, 8)
    mask[..., 4:] = 1
    run, latents = sampled(setup, regions="blend", edited_F1hw=mask)
    assert torch.equal(latents[..., :4], noise(FRAMES)[..., :4])
    schedule, like = run.checkpoint.schedule, noise(FRAMES)
    levels = schedule.rates(schedule.solver(run.job.sampler, run.checkpoint.device), like)
    for done in range(1, STEPS):  # on the way, at the noise level after each step
        noisy = levels[done].signal * like + levels[done].noise * shared_noise(like, 0)
        torch.testing.assert_close(run.states[done]["latents"][..., :4], noisy[..., :4])
    assert not torch.allclose(latents[..., 4:], noise(FRAMES)[..., 4:], atol=0.1)
    assert not torch.equal(latents[..., 4:], sampled(setup)[1][..., 4:])


def test_the_regions_modulate_attention(setup: Any) -> None:
    for settings in ({}, {"at_once": 3, "interval": 3}):
        plain, modulated = (
            sampled(setup, regions=regions, **settings)[1] for regions in ("off", "attention")
        )
        assert not torch.allclose(plain, modulated, atol=1e-2)


def test_smoothing_keeps_the_noise_and_replaces_the_clip(
    setup: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the step x is a' x̃₀ + b' ε, with the clip x₀ and the noise ε that the step predicts."""
    seen: list[tuple[Tensor, int]] = []

    class Halved:
        def __init__(self, *_: object) -> None:
            pass

        def __call__(self, clean: Tensor, first: int) -> Tensor:
            seen.append((clean, first))
            return clean / 2

    run, plain = sampled(setup)
    monkeypatch.setattr(smoother, "Smoother", Halved)
    smoothed, _ = sampled(setup, smooth_from=0.5)
    assert [first for _, first in seen] == [1, 0]
    schedule = run.checkpoint.schedule
    solver = schedule.solver(run.job.sampler, run.checkpoint.device)
    there = schedule.rates(solver, plain)[3]
    before, after = (one.states[3]["latents"] for one in (run, smoothed))
    noise_there = (before - there.signal * seen[0][0]) / there.noise
    wanted = there.signal * seen[0][0] / 2 + there.noise * noise_there
    torch.testing.assert_close(after, wanted, atol=1e-4, rtol=1e-4)
    assert torch.equal(run.states[2]["latents"], smoothed.states[2]["latents"])


def test_a_smoothed_run_resumes(setup: Any) -> None:
    run, latents = sampled(setup, smooth_from=0.5, middle="mean")
    assert not torch.allclose(latents, sampled(setup)[1], atol=1e-3)
    for done, state in run.states.items():
        assert torch.equal(run.latents_of(begin=(done, state)), latents)


# --- specs ------------------------------------------------------------------------------------------

SPEC = """grain 1
video "clips/two_men.mp4" {{ frames 0..4 size 64x64 }}
model "{model}"
source "a red man and a blue man on grass"
target "a green robot and a blue man on grass"
region left = masks("masks/two_men/left")
edit instance left -> "green robot"
sampler {{ steps 3 }}
method controlvideo {{ interval 2 }}
{more}
"""


def test_without_a_control_it_is_refused() -> None:
    plain = SPEC.replace("steps 3", "steps 5").replace(" {{ interval 2 }}", "")  # of `context`
    with pytest.raises(GrainError) as error:
        parse(plain.format(model="m", more=""))
    [finding] = error.value.diagnostics
    assert finding.code == "G570"
    assert "`control pose`" in finding.cure
    assert finding.span is not None
    assert finding.span.line == 9
    assert check(parse(plain.format(model="m", more="control pose"))) == []
    with pytest.raises(GrainError, match=r"`inject` is not supported by `method controlvideo`"):
        parse(plain.format(model="m", more="control pose inject"))


def test_a_flow_without_opencv_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    method = Method(name="controlvideo")
    monkeypatch.setattr(guide, "find_spec", lambda name: None)
    with pytest.raises(GrainError, match=r"G501: `middle flow` requires .* or write `middle mean`"):
        list(check_interpolation(method, frames=3, steps=9))
    mean = method.replaced({}, middle="mean")
    assert list(check_interpolation(mean, frames=3, steps=9)) == []
    with pytest.raises(GrainError, match=r"G501: `smooth_from` requires .* or remove it"):
        list(check_interpolation(Sampler(smooth_from=0.8), frames=3, steps=9))


@pytest.mark.parametrize(
    ("line", "settings", "frames", "said"),
    [
        ("", "sampler.smooth_from=80%", 2, "no effect on 2 frames"),
        ("", "sampler.smooth_from=80%", 3, ""),
        ("", "sampler.smooth_from=99%", 2, "has no effect: it leaves no step of 30"),
        ("method controlvideo control pose", "method.smooth_from=50%", 1, "no effect on 1 frame:"),
        ("method controlvideo control pose", "method.smooth_from=100%", 1, ""),
        ("method controlvideo control pose", "video.step=1", 1, ""),
    ],
)
def test_there_must_be_frames_to_smooth(line: str, settings: str, frames: int, said: str) -> None:
    spec = parse((EXAMPLES / "instance.grain").read_text() + line)
    spec = override(spec, [f"video.frames=0..{frames - 1}", settings])
    found = [it for it in prepare(spec, EXAMPLES).warnings if "smooth_from" in it.message]
    assert [it.code for it in found] == ["G111"] * bool(said)
    assert all(said in it.message for it in found)


@pytest.mark.parametrize("kind", ["images", "motion"])
def test_an_edit_takes_the_passes_that_are_announced(
    kind: str, two_levels: Path, tmp_path: Path
) -> None:
    model = two_levels if kind == "images" else save_animatediff(tmp_path / "model")
    editor = Editor(str(model), device="cpu", use_cache=False)
    shown = tmp_path / "shown"
    shown.mkdir()
    for frame in range(5):
        Image.new("RGB", (64, 64), (50 * frame, 0, 0)).save(shown / f"{frame:03}.png")
    net = save_net(loaded(two_levels).unet, tmp_path / "net")
    more = f'control canny {{ net "{net}" clip "{shown}" }} context {{ frames 3 overlap 0 keys 0 }}'
    prepared = prepare(parse(SPEC.format(model=model, more=more)), EXAMPLES)
    calls: list[int] = []
    hook = editor.checkpoint(EXAMPLES).denoiser.register_forward_hook(lambda *_: calls.append(1))
    result = editor.run_prepared(prepared)
    hook.remove()
    assert result.prepared.process == "controlvideo"
    assert len(calls) == 3 * 3  # the key frames 0, 2 and 4, then 1, then 3
    assert denoiser_passes(prepared) == 2 * len(calls)
