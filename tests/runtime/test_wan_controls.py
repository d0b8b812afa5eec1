"""VACE's control video, compared with diffusers' own pipeline, and in whole edits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from wan import WanVariant
from wan_stock import (
    HEIGHT,
    WIDTH,
    Calls,
    assert_same_calls,
    clip,
    half_mask,
    images,
    loaded,
    predicted,
    run_stock,
    stock,
    with_timesteps,
)

from grainspec import parse
from grainspec.diagnostics import GrainError
from grainspec.model.spec import Control, EditSpec
from grainspec_runtime.backbones import components
from grainspec_runtime.backbones.families.wan import load as load_module
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.prepare import prepare

DEPTH = Control(kind="depth", scale=0.7)


INPAINT = Control(kind="inpaint", scale=0.7)


@pytest.mark.parametrize("kinds", ["depth", "inpaint", "depth and inpaint", "inpaint and depth"])
def test_controls_of_vace_are_those_of_the_stock_pipeline(
    kinds: str, wan_folders: dict[WanVariant, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, depth, mask = clip(), clip(seed=1), half_mask()
    given = {"depth": (DEPTH, depth), "inpaint": (INPAINT, mask)}
    pipe, calls = stock(wan_folders["vace"])
    shown = depth / np.float32(255) if "depth" in kinds else np.full(depth.shape, 0.5, np.float32)
    if "inpaint" in kinds:
        shown = np.where(mask > 0, shown, source / np.float32(255)).astype(np.float32)
    more = {"mask": images(mask)} if "inpaint" in kinds else {}
    monkeypatch.setattr(  # pictures of 8 bits have no grey of exactly one half
        pipe.video_processor,
        "preprocess_video",
        lambda video, height, width, real=pipe.video_processor.preprocess_video: (
            torch.from_numpy(2 * shown - 1).permute(3, 0, 1, 2)[None]
            if video[0] is first
            else real(video, height, width)
        ),
    )
    video = images(depth)
    first = video[0]
    run_stock(pipe, video=video, conditioning_scale=0.7, **more)
    checkpoint = with_timesteps(loaded(wan_folders["vace"]))
    checkpoint.begin_clip(source)
    chosen = [given[kind] for kind in kinds.split(" and ")]
    controls = checkpoint.load_controls(
        [control for control, _ in chosen], [pictures for _, pictures in chosen], Path()
    )
    assert controls is not None
    assert_same_calls(checkpoint, calls, controls=controls)


def test_a_control_acts_at_its_steps_and_in_windows(wan_folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(wan_folders["vace"])
    latents = checkpoint.encode_clip(clip(17))
    checkpoint.begin_clip(clip(17))
    control = DEPTH.replaced({}, start=0.25, until=0.75)
    controls = checkpoint.load_controls((control,), (clip(17, seed=1),), Path())
    calls = Calls()
    calls.watch(checkpoint.pipe)
    for step in range(4):
        predicted(checkpoint, latents, torch.tensor(900), controls=controls, step=step, steps=4)
    scales = [given["control_hidden_states_scale"].tolist() for given in calls.received]
    assert scales[::2] == [[0, 0], [pytest.approx(0.7)] * 2, [pytest.approx(0.7)] * 2, [0, 0]]
    window = [0, 3, 4]
    predicted(checkpoint, latents[window], torch.tensor(900), controls=controls, frames=window)
    whole, part = (calls.received[at]["control_hidden_states"] for at in (0, -1))
    assert torch.equal(part, whole[:, :, window])


def test_controls_are_told_by_content(wan_folders: dict[WanVariant, Path]) -> None:
    checkpoint = loaded(wan_folders["vace"])
    checkpoint.begin_clip(clip())

    def facts(control: Control, pictures: Frames) -> list[Any]:
        controls = checkpoint.load_controls((control,), (pictures,), Path())
        assert controls is not None
        return controls.facts()

    one = facts(DEPTH, clip(seed=1))
    assert facts(DEPTH, clip(seed=1)) == one
    assert facts(DEPTH, clip(seed=2)) != one
    assert facts(DEPTH.replaced({}, scale=0.5), clip(seed=1)) != one
    assert facts(INPAINT, half_mask()) != facts(INPAINT, 255 - half_mask())
    assert checkpoint.load_controls((), (), Path()) is None


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ((DEPTH, Control(kind="pose", scale=0.7)), "one control video, .* of several kinds"),
        ((Control(kind="zoe"),), "was not trained on `control zoe`"),
        ((Control(kind="depth", net="lllyasviel/x"),), "follows controls itself"),
        ((DEPTH, Control(kind="inpaint")), "one video, which has one `scale`"),
        ((DEPTH, INPAINT.replaced({}, start=0.5)), "which has one `from`"),
    ],
)
def test_controls_that_vace_cannot_follow(
    controls: tuple[Control, ...], message: str, wan_folders: dict[WanVariant, Path]
) -> None:
    checkpoint = loaded(wan_folders["vace"])
    checkpoint.begin_clip(clip())
    with pytest.raises(GrainError, match=message) as raised:
        checkpoint.load_controls(controls, [clip()] * len(controls), Path())
    assert raised.value.diagnostics[0].code == "G546"


def test_other_models_follow_no_controls(wan_folders: dict[WanVariant, Path]) -> None:
    with pytest.raises(GrainError, match="Use a VACE checkpoint"):
        loaded(wan_folders["2.1"]).load_controls((DEPTH,), (clip(),), Path())


SPEC = """
grain 1 video "clip" {{ size {width}x{height} }} model "{model}"
source "a man on grass" target "a red robot on grass"
region side = box({side})
edit side -> "red robot"
{more}
sampler {{ steps 3 }}
"""


LONG = 13
LEFT, RIGHT = "0%, 0%, 50%, 100%", "50%, 0%, 100%, 100%"


def spec_of(model: Path, more: str = "", side: str = LEFT) -> EditSpec:
    values = {"width": WIDTH, "height": HEIGHT, "model": model, "more": more, "side": side}
    return parse(SPEC.format(**values))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder with a clip, and a clip of pictures of depth."""
    for name, frames in (("clip", clip(LONG)), ("depth", clip(LONG, seed=1))):
        (tmp_path / name).mkdir()
        for number, image in enumerate(images(frames)):
            image.save(tmp_path / name / f"{number:05}.png")
    return tmp_path


def run(model: Path, base: Path, more: str = "", **options: Any) -> EditResult:
    editor = Editor(str(model), device="cpu", use_cache=False, **options)
    return editor.run(spec_of(model, more), base=base)


def test_an_edit_with_a_control_video(wan_folders: dict[WanVariant, Path], base: Path) -> None:
    plain, depth, inside, windows = (
        run(wan_folders["vace"], base, more)
        for more in (
            "",
            'control depth { clip "depth" }',
            'control inpaint control depth { clip "depth" }',
            "control inpaint context { frames 9 overlap 4 keys 1 }",
        )
    )
    assert not np.array_equal(plain.edited, depth.edited)
    assert not np.array_equal(depth.edited, inside.edited)
    mask, pictures = inside.controls
    assert (mask[:, :, : WIDTH // 2] == 255).all()
    assert (mask[:, :, WIDTH // 2 :] == 0).all()
    assert np.array_equal(pictures, clip(LONG, seed=1))
    assert windows.edited.shape == plain.edited.shape


def test_masks_of_ones_own_are_white_where_the_clip_is_edited(
    wan_folders: dict[WanVariant, Path], base: Path
) -> None:
    (base / "masks").mkdir()
    for number, image in enumerate(images(half_mask(LONG))):
        image.save(base / "masks" / f"{number:05}.png")
    own = run(wan_folders["vace"], base, 'control inpaint { clip "masks" }')
    assert (own.controls[0][:, :, WIDTH // 2 :] == 255).all()
    other = run(wan_folders["vace"], base, "control inpaint")
    assert not np.array_equal(own.edited, other.edited)


def test_variants_that_edit_other_regions_run_alone(
    wan_folders: dict[WanVariant, Path], base: Path
) -> None:
    one, other = (
        prepare(spec_of(wan_folders["vace"], "control inpaint", side), base)
        for side in (LEFT, RIGHT)
    )
    editor = Editor(str(wan_folders["vace"]), device="cpu", use_cache=False)
    with editor.session([one]) as session:
        assert edit(session, one).edited.shape == clip(LONG).shape
        with pytest.raises(GrainError, match="an edit has other edited regions") as raised:
            edit(session, other)
    assert raised.value.diagnostics[0].code == "G547"


@pytest.mark.parametrize(
    ("variant", "control", "message"),
    [
        ("vace", "control normal", "was not trained on `control normal`"),
        ("vace", 'control depth { net "x/y" }', "without a ControlNet"),
        ("vace", "control depth control pose", "one control video"),
        ("2.1", "control depth", "not supported"),
    ],
)
def test_controls_are_checked_before_a_model_is_loaded(
    variant: WanVariant,
    control: str,
    message: str,
    wan_folders: dict[WanVariant, Path],
    base: Path,
) -> None:
    with pytest.raises(GrainError, match=message):
        prepare(spec_of(wan_folders[variant], control), base)


def test_stable_diffusion_has_no_inpaint(tiny_sd: Path, base: Path) -> None:
    with pytest.raises(GrainError, match="`control inpaint` is for VACE") as raised:
        prepare(spec_of(tiny_sd, "control inpaint"), base)
    assert raised.value.diagnostics[0].code == "G546"


@pytest.mark.parametrize("process", ["flow_edit", "invert_and_sample"])
def test_the_text_encoder_is_loaded_once_for_an_edit(
    process: str, wan_folders: dict[WanVariant, Path], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    real = components.load_component

    def counted(model: Any, folder: Path, **more: Any) -> Any:
        names.append(folder.name)
        return real(model, folder, **more)

    monkeypatch.setattr(load_module, "load_component", counted)
    spec = spec_of(wan_folders["2.1"])
    spec = spec.replaced({}, sampler=spec.sampler.replaced({}, process=process))
    Editor(str(wan_folders["2.1"]), device="cpu", use_cache=False).run(spec, base=base)
    assert names.count("text_encoder") == 1
