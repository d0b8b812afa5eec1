"""Published configurations with the models that make their edits: controls, methods, warnings."""

from __future__ import annotations

from pathlib import Path

import pytest
from clip_folders import write_published
from command import Grain
from diffusers import UNet2DConditionModel
from tiny_models import save_net, save_sdxl, save_two_levels
from wan import tiny_wan

from grainspec.model.spec import Control
from grainspec_runtime.bench.own.fitted import fitted, unfollowed
from grainspec_runtime.bench.own.layouts import ClipEdit
from grainspec_runtime.bench.own.methods import own_methods
from grainspec_runtime.bench.own.run import OwnBench
from grainspec_runtime.bench.own.videograin import VideoGrain

CANNY = {
    "control_type": "canny",
    "pretrained_controlnet_path": "ckpt/net",
    "blending_percentage": "0.25",
}


def read(folder: Path, ckpt: Path | None = None, /, **changed: str) -> ClipEdit:
    """The edit of a configuration beside this folder `ckpt`, with other values of settings."""
    if ckpt is not None:
        folder.mkdir()
        (folder / "ckpt").symlink_to(ckpt)
    found = VideoGrain().find(write_published(folder, **changed))
    assert found is not None
    return found.edits[0]


def fit(edit: ClipEdit, model: object = "") -> ClipEdit:
    kept, left_out = fitted([edit], str(model))
    assert not left_out
    return kept[0]


@pytest.fixture(scope="module")
def sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `ckpt` with a tiny model and a ControlNet for it."""
    ckpt = tmp_path_factory.mktemp("vg") / "ckpt"
    model = save_two_levels(ckpt / "stable-diffusion-v1-5")
    save_net(UNet2DConditionModel.from_pretrained(model / "unet"), ckpt / "net")
    return ckpt


def test_the_demo_model_has_a_controlnet_of_its_own_for_poses(tmp_path: Path) -> None:
    posed = fit(read(tmp_path / "pose", control_type="dwpose"))
    assert posed.spec.model == "demo"
    assert posed.spec.controls == (Control(kind="pose", scale=0.7),)
    said = " ".join(posed.unfollowed)
    assert "`pretrained_controlnet_path`, `hand` and `face` (`demo` has" in said
    assert "`pretrained_model_path: ckpt/stable-diffusion-v1-5` (it is not here; `--model`" in said
    deep = fit(read(tmp_path / "depth"), "demo-image")
    assert (deep.spec.model, deep.spec.controls) == ("demo-image", ())
    said = " ".join(deep.unfollowed)
    assert "`control zoe` (`demo-image` has a ControlNet for `pose` alone; all methods edit" in said
    assert "pretrained_model_path" not in said


def test_the_model_and_controlnet_of_the_data_set_are_used_where_they_are(
    tmp_path: Path, sd: Path
) -> None:
    edit = read(tmp_path / "vg", sd, **CANNY)
    assert fit(edit).spec.model == "ckpt/stable-diffusion-v1-5"
    assert fit(edit).spec.controls == (Control(kind="canny", net="ckpt/net", scale=0.7),)
    assert fit(edit, sd / "stable-diffusion-v1-5").spec.controls == edit.spec.controls


def test_models_that_take_no_controlnet_edit_without(tmp_path: Path, sd: Path) -> None:
    edit = read(tmp_path / "vg", sd, **CANNY)
    for model, why in (
        ("demo-video", "a Wan model without control blocks; all methods edit without it"),
        (save_sdxl(tmp_path / "xl"), "expects text embeddings of width"),
    ):
        done = fit(edit, model)
        assert done.spec.controls == ()
        assert any("`control canny`" in it and why in it for it in done.unfollowed)


def test_vace_follows_a_control_without_its_controlnet(tmp_path: Path, sd: Path) -> None:
    edit = read(tmp_path / "vg", sd, **CANNY)
    done = fit(edit, tiny_wan(tmp_path / "vace", "vace"))
    assert done.spec.controls == (Control(kind="canny", scale=0.7),)
    assert done.unfollowed == edit.unfollowed


def test_an_edit_whose_control_lacks_a_file_is_left_out(tmp_path: Path, sd: Path) -> None:
    (tmp_path / "vg/ckpt/net").mkdir(parents=True)
    edit = read(tmp_path / "vg", **CANNY)
    kept, left_out = fitted([edit], str(sd / "stable-diffusion-v1-5"))
    assert not kept
    reason = left_out[edit.name]
    assert reason.startswith("G502: ")
    assert "Without `control_config` in its configuration, all methods edit" in reason


def test_what_is_not_followed_is_said_once(tmp_path: Path) -> None:
    half = read(tmp_path / "half", blending_percentage="0.25")
    none = read(tmp_path / "none")
    [warning] = unfollowed([half, none])
    assert warning.code == "G587"
    assert "here all are made) in 1 of 2" in warning.message
    assert warning.message.count("use_freeu") == 1
    assert not unfollowed([])


def test_injection_flow_and_freeu_are_of_videograin_alone(tmp_path: Path) -> None:
    edit = fit(read(tmp_path / "vg", control_type="dwpose"), "demo-image")
    methods = {method.name: method for method in own_methods(())}
    bench = OwnBench(tuple(methods.values()), tmp_path / "out", "cpu", model="demo-image", steps=5)
    own = {"inject", "flow", "freeu"}
    for name in ("ours", "VideoGrain", "FateZero", "ControlVideo"):
        spec = bench.prepared(edit, methods[name]).spec
        assert {it for it in own if getattr(spec, it)} == (own if name == "VideoGrain" else set())
        assert (spec.sampler.steps, spec.sampler.seed, spec.negative) == (5, 3, "ugly, blurry")
        assert [control.kind for control in spec.controls] == ["pose"]


def test_the_command_makes_the_edits_of_published_configurations(
    grain: Grain, tmp_path: Path, sd: Path
) -> None:
    folder = tmp_path / "vg"
    read(folder, sd, **CANNY)
    chosen = ("--method", "ours", "--method", "VideoGrain", "--method", "ControlVideo")
    options = ("--steps", "2", "--clip", "none", "--device", "cpu", "-o", tmp_path / "out")
    said = grain("bench", "--clips", folder, *chosen, *options, "--format", "json")
    assert said.code == 0, said.err
    [result] = said.json["results"]
    assert set(result["scores"]) == {"ours", "VideoGrain", "ControlVideo"}, result["not_run"]
    [warning] = (it for it in said.json["diagnostics"] if it["code"] == "G587")
    for setting in ("blending_percentage: 0.25", "use_freeu: true"):
        assert f"`{setting}` (" in warning["message"]
