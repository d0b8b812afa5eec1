"""Long clips in windows: what must stay as without them, and what must not grow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import EXAMPLES, ClipFolder
from command import Grain
from diffusers import ControlNetModel, UNet2DConditionModel
from tiny_runs import STEPS, TARGET, loaded, noise, plan_for
from torch import Tensor

from grainspec import EditSpec, parse
from grainspec.model.spec import Context, Control
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow, frame_windows, plan_of_frames
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.backbones.unets.prompts import repeated
from grainspec_runtime.conditioning.nets import Controls, load_controls
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.trajectories import trajectories
from grainspec_runtime.memory.out_of_memory import out_of_memory
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import WindowedAttention, clip_attention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.invert import invert
from grainspec_runtime.processes.process import Progress
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.schedules.ddim import solver
from grainspec_runtime.study.record import StudyRecorder, study_of

FRAMES = 7
CONTEXT = Context(frames=4, overlap=1, keys=1)
WINDOWS = frame_windows(FRAMES, CONTEXT)
WHOLE = frame_windows(FRAMES, None)


def control_of(
    plan: MaskPlan | None,
    windows: Sequence[FrameWindow],
    *,
    scope: Any = "full",
    norm: Any = "each",
    recorders: list[StudyRecorder] | None = None,
) -> Attention:
    def make(window: FrameWindow) -> FoldedAttention:
        part = plan_of_frames(plan, window.frames) if plan else None
        recorder = None
        if recorders is not None and part is not None:
            recorder = StudyRecorder(part, weights=window.weights)
            recorders.append(recorder)
        return FoldedAttention(
            len(window.frames), plan=part, scope=scope, norm=norm, recorder=recorder
        )

    return clip_attention(windows, make)


def there_and_back(
    checkpoint: StableDiffusion,
    there: Attention,
    back: Attention,
    latents: Tensor,
    *,
    controls: Controls | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[Tensor, Tensor]:
    """The trajectory of an inversion, and what sampling makes of it."""
    denoiser = Denoiser(checkpoint, controls)
    scheduler = solver(checkpoint.scheduler, "ddim")
    scheduler.set_timesteps(STEPS)
    trajectory = invert(
        denoiser, latents, there, prompt="a man", scheduler=scheduler, progress=progress
    )
    prompts = [checkpoint.encode_prompt(""), checkpoint.encode_prompt(TARGET)]
    found = sample(
        denoiser, trajectory, back, prompts, scheduler=scheduler, guidance=5, progress=progress
    )
    return trajectory, found


def compared(model: Path, latents: Tensor, scope: str, **settings: Any) -> None:
    """An edit in windows is the edit without."""
    checkpoint = loaded(model)
    plan = plan_for(model, f"frames {scope} decay 1 until 60%", frames=FRAMES)
    pairs = [
        there_and_back(
            checkpoint,
            control_of(None, windows, scope=scope, **settings),
            control_of(plan, windows, scope=scope, **settings),
            latents,
        )
        for windows in (WHOLE, frame_windows(FRAMES, CONTEXT.replaced({}, keys=2, overlap=0)))
    ]
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=2e-4)


def test_one_window_over_the_clip_changes_no_bit(tiny_model: Path) -> None:
    checkpoint, plan = loaded(tiny_model), plan_for(tiny_model, "norm clip", frames=FRAMES)
    plain = there_and_back(
        checkpoint,
        control_of(None, WHOLE, norm="clip"),
        control_of(plan, WHOLE, norm="clip"),
        noise(FRAMES),
    )
    there, back = (
        WindowedAttention(
            WHOLE, lambda window, of=of: FoldedAttention(FRAMES, plan=of, norm="clip")
        )
        for of in (None, plan)
    )
    windowed = there_and_back(checkpoint, there, back, noise(FRAMES))
    assert all(torch.equal(a, b) for a, b in zip(plain, windowed, strict=True))


def test_frames_that_attend_to_themselves_alone(tiny_model: Path) -> None:
    compared(tiny_model, noise(FRAMES), "each")


def test_frames_that_attend_to_both_ends_which_are_key_frames(tiny_sd: Path) -> None:
    compared(tiny_sd, noise(FRAMES), "first_last")


@pytest.mark.parametrize("norm", ["each", "clip"])
@pytest.mark.parametrize("scope", ["full", "sparse_causal"])
def test_a_clip_that_stands_still(tiny_sd: Path, scope: str, norm: str) -> None:
    compared(tiny_sd, noise(1).repeat(FRAMES, 1, 1, 1), scope, norm=norm)


def test_windows_matter_where_frames_see_each_other(tiny_sd: Path) -> None:
    checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, frames=FRAMES)
    results = [
        there_and_back(checkpoint, control_of(None, w), control_of(plan, w), noise(FRAMES))
        for w in (WHOLE, WINDOWS)
    ]
    assert not torch.allclose(results[0][1], results[1][1], atol=1e-3)


def test_the_order_of_windows_does_not_matter(tiny_sd: Path) -> None:
    checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, frames=FRAMES)
    results = [
        there_and_back(checkpoint, control_of(None, w), control_of(plan, w), noise(FRAMES))
        for w in (WINDOWS, WINDOWS[::-1])
    ]
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_a_prediction_is_the_weighted_mean_of_the_windows(tiny_sd: Path) -> None:
    checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, frames=FRAMES)
    control, denoiser = control_of(plan, WINDOWS), Denoiser(checkpoint)
    prompts = [checkpoint.encode_prompt(""), checkpoint.encode_prompt(TARGET)]
    x, t = torch.cat([noise(FRAMES)] * 2), torch.tensor(500)
    words = denoiser.checkpoint.condition(prompts, noise(FRAMES))
    expected = torch.zeros(2, FRAMES, *x.shape[1:])
    with torch.no_grad():
        with installed(checkpoint.unet, control):
            control.begin_step(0, STEPS, 500.0)
            found = denoiser(x, t, words, control, step=0, steps=STEPS)
        for window in WINDOWS:
            frames = list(window.frames)
            alone = FoldedAttention(len(frames), plan=plan_of_frames(plan, frames))
            with installed(checkpoint.unet, alone):
                alone.begin_step(0, STEPS, 500.0)
                part = x.view(2, FRAMES, *x.shape[1:])[:, frames].flatten(0, 1)
                given = repeated(checkpoint.condition(prompts, noise(1)), len(frames))
                said = checkpoint.unet(part, t, **given).sample.unflatten(0, (2, -1))
            for place, (frame, weight) in enumerate(zip(frames, window.weights, strict=True)):
                expected[:, frame] += weight * said[:, place]
    torch.testing.assert_close(found.view_as(expected), expected, atol=1e-5, rtol=1e-5)


@contextmanager
def batches(unet: UNet2DConditionModel) -> Iterator[list[int]]:
    seen: list[int] = []
    handle = unet.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    yield seen
    handle.remove()


def test_what_the_networks_see_does_not_grow_with_the_clip(tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    for frames in (5, 11, 23):
        windows = frame_windows(frames, CONTEXT)
        plan = plan_for(tiny_sd, frames=frames)
        with batches(checkpoint.unet) as seen:
            reports: list[tuple[int, int]] = []
            there_and_back(
                checkpoint,
                control_of(None, windows),
                control_of(plan, windows),
                noise(frames),
                progress=lambda *report, to=reports: to.append(report),
            )
        assert max(seen) == 2 * CONTEXT.frames
        assert len(seen) == len(windows) * (2 * STEPS + 1)
        # every window of every step, one after the other
        total = STEPS * len(windows)
        counted = list(dict.fromkeys(reports))
        assert counted == [(done, total) for done in (*range(1, total + 1), 0)]


def test_the_control_sees_the_pictures_of_its_window(tiny_sd: Path, tmp_path: Path) -> None:
    checkpoint = loaded(tiny_sd)
    torch.manual_seed(1)
    net = ControlNetModel.from_unet(checkpoint.unet)
    for layer in [*net.controlnet_down_blocks, net.controlnet_mid_block]:
        torch.nn.init.normal_(layer.weight, std=0.3)
    torch.nn.init.normal_(net.controlnet_cond_embedding.conv_out.weight, std=0.3)
    net.save_pretrained(tmp_path)
    rng = np.random.default_rng(0)
    shown = rng.integers(0, 256, (FRAMES, 64, 64, 3), dtype=np.uint8)
    controls = load_controls(
        [Control(kind="canny", net=str(tmp_path))],
        [shown],
        Path(),
        str(tiny_sd),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    results = [
        there_and_back(
            checkpoint,
            control_of(None, windows, scope="each"),
            control_of(None, windows, scope="each"),
            noise(FRAMES),
            controls=controls,
        )
        for windows in (WHOLE, WINDOWS)
    ]
    torch.testing.assert_close(*results, atol=2e-4, rtol=2e-4)
    free = there_and_back(checkpoint, *[control_of(None, WHOLE, scope="each")] * 2, noise(FRAMES))
    assert not torch.allclose(free[1], results[0][1], atol=1e-2)


def test_a_compiled_unet_follows_the_windows(two_levels: Path) -> None:
    """All windows are of one size, and go through one graph."""
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    plan, results = plan_for(two_levels, "norm clip", frames=FRAMES), []
    for compiled in (False, True):
        checkpoint = loaded(two_levels)
        if compiled:
            checkpoint.unet.compile(backend=count)
        prompts = [checkpoint.encode_prompt(""), checkpoint.encode_prompt(TARGET)]
        control, denoiser = control_of(plan, WINDOWS, norm="clip"), Denoiser(checkpoint)
        words = denoiser.checkpoint.condition(prompts, noise(FRAMES))
        with torch.no_grad(), installed(checkpoint.unet, control):
            control.begin_step(0, STEPS, 900.0)
            x = torch.cat([noise(FRAMES)] * 2)
            results.append(denoiser(x, torch.tensor(900), words, control, step=0, steps=STEPS))
    assert len(graphs) == 1
    torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)


# --- paths of flow --------------------------------------------------------------------------------


def drifting(frames: int) -> ClipFlow:
    right = np.zeros((frames - 1, 16, 16, 2), np.float32) + np.float32([2.5, 0.5])
    return ClipFlow(right, -right)


def test_paths_of_consecutive_frames_are_those_of_the_cut_clip() -> None:
    flow = drifting(8)
    cut = ClipFlow(flow.forward_PHW2[2:5], flow.backward_PHW2[2:5])
    labels = np.random.default_rng(0).integers(0, 2, (4, 16))
    found, wanted = (
        trajectories(flow, (4, 4), labels, range(2, 6)),
        trajectories(cut, (4, 4), labels),
    )
    assert np.array_equal(found.path_FN, wanted.path_FN)


def test_paths_do_not_lead_over_a_gap() -> None:
    found = trajectories(drifting(8), (4, 4), None, [0, 4, 5, 6])
    assert not np.isin(found.path_FN[0], found.path_FN[1:]).any()
    assert np.isin(found.path_FN[1], found.path_FN[2:]).any()
    tokens = np.concatenate([table.ravel() for table in found.by_length_TL])
    assert tokens.min() >= 16  # none of the key frame's


# --- what is recorded -----------------------------------------------------------------------------


def test_a_study_of_windows_is_that_of_the_clip(tiny_sd: Path) -> None:
    """Where frames attend to themselves alone; the key frames must not be counted twice."""
    checkpoint = loaded(tiny_sd)
    plan = plan_for(tiny_sd, "frames each decay 1", frames=FRAMES)
    studies = []
    for windows in (WHOLE, WINDOWS):
        recorders: list[StudyRecorder] = []
        control = control_of(plan, windows, scope="each", recorders=recorders)
        there_and_back(checkpoint, control_of(None, windows, scope="each"), control, noise(FRAMES))
        studies.append(study_of(recorders, windows, plan))
    whole, parts = studies
    assert parts.steps == whole.steps
    np.testing.assert_allclose(parts.maps, whole.maps, atol=1e-4)
    np.testing.assert_allclose(parts.tally, whole.tally, atol=1e-4)
    assert parts.colours is not None
    np.testing.assert_allclose(parts.colours, whole.colours, atol=2e-2)


# --- whole runs -----------------------------------------------------------------------------------


def spec_of(folder: ClipFolder, model: Path | str, settings: str) -> EditSpec:
    text = folder.spec_text(settings=f'model "{model}" {settings}')
    return parse(text)


@pytest.fixture
def clip(tmp_path: Path) -> ClipFolder:
    return ClipFolder(tmp_path, frames=FRAMES)


def test_an_edit_in_windows(clip: ClipFolder, tiny_sd: Path) -> None:
    sampling = (
        "attention { frames each norm each until 60% } sampler ddim { steps 3 eta 0.5 } "
        "blend { space both feather 5px }"
    )
    editor = Editor(str(tiny_sd), device="cpu", reconstruct=True)
    plain = editor.run(spec_of(clip, tiny_sd, sampling), base=clip.root)
    fits = spec_of(clip, tiny_sd, f"{sampling} context {{ frames 7 }}")
    fitting = editor.run(fits, base=clip.root)
    assert fitting.inversion_cached  # the same as without
    assert np.array_equal(fitting.edited, plain.edited)
    windows = "context { frames 4 overlap 1 keys 1 }"
    parts = editor.run(spec_of(clip, tiny_sd, f"{sampling} {windows}"), base=clip.root)
    assert not parts.inversion_cached
    assert len(parts.prepared.windows) > 1
    assert np.abs(parts.edited.astype(int) - plain.edited).max() <= 1
    assert parts.reconstruction is not None
    assert plain.reconstruction is not None
    assert parts.reconstruction.psnr == pytest.approx(plain.reconstruction.psnr, abs=0.05)
    again = editor.run(spec_of(clip, tiny_sd, f"{sampling} {windows}"), base=clip.root)
    assert again.inversion_cached
    assert np.array_equal(again.edited, parts.edited)


def test_frames_in_full_view_with_flow_and_a_study(clip: ClipFolder, tiny_sd: Path) -> None:
    settings = "flow sampler ddim { steps 2 } context { frames 4 overlap 1 keys 1 }"
    editor = Editor(str(tiny_sd), device="cpu", use_cache=False, study=True)
    result = editor.run(spec_of(clip, tiny_sd, settings), base=clip.root)
    assert result.study is not None
    assert result.study.maps.shape[2] == FRAMES
    assert result.edited.shape == result.source.shape


class Stopped(Exception):
    pass


def test_a_stopped_run_continues(
    clip: ClipFolder, tiny_sd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grainspec_runtime.editing.resume._SECONDS_BETWEEN", 0.0)
    spec = spec_of(clip, tiny_sd, "sampler ddim { steps 4 } context { frames 4 overlap 1 keys 1 }")
    editor = Editor(str(tiny_sd), device="cpu")
    straight = editor.run(spec, base=clip.root)
    windows = len(straight.prepared.windows)

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("sample", 2 * windows + 1):  # in the middle of the third step
            raise Stopped

    with pytest.raises(Stopped):
        editor.run(spec, base=clip.root, progress=stop)
    again = editor.run(spec, base=clip.root)
    assert again.resumed_at == 2
    assert np.array_equal(again.edited, straight.edited)


def test_memory_that_ran_out_names_the_setting(tiny_sd: Path) -> None:
    checkpoint, plan = loaded(tiny_sd), plan_for(tiny_sd, frames=40)

    def cure(stage: str, context: Context | None) -> str:
        error = torch.OutOfMemoryError("CUDA out of memory.")
        return out_of_memory(stage, plan, checkpoint, error, context=context).diagnostics[0].cure

    assert "`context { frames 20 }`" in cure("sample", None)
    assert "`video { step 2 }`" in cure("sample", None)
    assert "`context { frames 8 }`" in cure("invert", Context())
    assert "step" not in cure("invert", Context())  # fewer frames would not help any more
    assert "context" not in cure("invert", Context(frames=7))
    assert "context" not in cure("decode", None)


def test_the_demo_world_in_windows(tmp_path: Path) -> None:
    text = (EXAMPLES / "instance.grain").read_text()
    text = text.replace("steps 30", "steps 2") + "context { frames 5 overlap 1 keys 2 }"
    result = Editor(device="cpu", use_cache=False).run(parse(text), base=EXAMPLES)
    assert len(result.prepared.windows) == 4
    assert result.edited.shape == (8, 96, 96, 3)


def test_the_plan_and_the_run_say_how_many_windows(grain: Grain, clip: ClipFolder) -> None:
    spec = clip.root / "edit.grain"
    spec.write_text(clip.spec_text(settings="sampler ddim { steps 2 }"))
    sets = ["--set", "context.keys=1", "--set", "context.overlap=1", "--set", "context.frames=4"]
    assert "windows" not in grain("plan", spec).out
    assert "in 3 windows of 4 frames" in grain("plan", spec, *sets).out
    windows = grain("plan", spec, *sets, "--format", "json").json["windows"]
    assert [window["frames"] for window in windows] == [list(one.frames) for one in WINDOWS]
    said = grain("run", spec, *sets, "-o", clip.root / "out", "--device", "cpu")
    assert said.code == 0, said.err
    assert json.loads((clip.root / "out" / "run.json").read_text())["windows"] == 3
