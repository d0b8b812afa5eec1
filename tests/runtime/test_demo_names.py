"""The names of the embedded models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from grainspec import GrainError, check, parse
from grainspec.checks.process import stated_process
from grainspec.model.demo_models import demo_model
from grainspec.model.spec import Attention, EditSpec, Size
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.demo.motion_training.adapter import build_adapter, demo_unet, save_adapter
from grainspec_runtime.models import locate as locating
from grainspec_runtime.models.locate import DEMO_FOLDER, embedded_adapter, locate

SPEC = 'grain 1 video "c" model "{}" target "a red bear" region r = all edit r -> "red bear"'


def spec_of(model: str) -> EditSpec:
    return parse(SPEC.format(model))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installation with the weights of all embedded models; the folder they are in."""
    (tmp_path / "demo-video").mkdir()
    shutil.copy(DEMO_FOLDER / "model_index.json", tmp_path / "demo-video")
    (tmp_path / "demo-video" / "weights.safetensors").touch()
    save_adapter(build_adapter(demo_unet(), 16), tmp_path / "demo-motion")
    for name in ("demo-motion", "demo-video"):
        monkeypatch.setitem(locating._ADDED, name, (tmp_path / name, "x_training"))
    return tmp_path


def test_demo_is_the_image_model() -> None:
    assert demo_model("demo") == "demo-image"
    assert locate("demo", Path()).folder == locate("demo-image", Path()).folder == DEMO_FOLDER
    folder, family = find_model("demo-image", Path())
    assert family.describe(folder).name == "demo-image"


def test_demo_image_has_the_settings_of_demo() -> None:
    wanted = Attention().settled("demo")
    assert Attention().settled("demo-image") == Attention().settled("demo-motion") == wanted
    assert Attention().settled("demo-video") != wanted
    assert spec_of("demo-image").for_profile("flow_matching").attention.profile is None


def test_processes_are_known_without_the_model() -> None:
    named = {name: stated_process(spec_of(name)) for name in ("demo-image", "demo-video", "a/b")}
    assert named == {"demo-image": "invert_and_sample", "demo-video": "flow_edit", "a/b": None}
    assert not check(spec_of("demo-image"))


@pytest.mark.parametrize("name", ["demo-motion", "demo-video"])
def test_weights_that_are_not_installed_are_named(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(locating._ADDED, name, (tmp_path / "none", "x_training"))
    spec = spec_of(name)
    with pytest.raises(GrainError) as raised:
        locate(spec.model, Path(), span=spec.span_of("model"))
    (found,) = raised.value.diagnostics
    assert found.code == "G552"
    assert f"`{name}`" in found.message
    assert "`python -m grainspec_runtime.demo.x_training`" in found.cure
    assert found.span == spec.span_of("model")


def test_weights_that_are_installed_are_found(installed: Path) -> None:
    assert locate("demo-video", Path()).folder == installed / "demo-video"
    assert embedded_adapter("demo-motion") == str(installed / "demo-motion")
    assert embedded_adapter("demo") == embedded_adapter("demo-video") == ""


def test_demo_motion_is_the_image_model_with_an_adapter(installed: Path) -> None:
    folder, family = find_model("demo-motion", Path())
    assert folder.motion is not None
    assert folder.motion.folder == installed / "demo-motion"
    assert (folder.folder, folder.name) == (DEMO_FOLDER, "demo-motion")
    assert family.describe(folder).native_size == Size(width=96, height=96)


def test_a_folder_of_that_name_is_written_as_a_path(tmp_path: Path) -> None:
    shutil.copytree(DEMO_FOLDER, tmp_path / "demo-video", ignore=lambda *_: ["unet", "vae"])
    assert locate("./demo-video", tmp_path).folder == tmp_path / "demo-video"


def test_a_misspelt_name_is_corrected(tmp_path: Path) -> None:
    with pytest.raises(GrainError, match=r'G502.*Did you mean `model "demo-video"`'):
        locate("demo-vide", tmp_path)
    with pytest.raises(GrainError, match="G502.*hub id"):
        locate("./mine", tmp_path)


def test_an_adapter_has_a_number_of_layers_for_each_level() -> None:
    with pytest.raises(ValueError, match="2 numbers of layers for a UNet of 3 levels"):
        build_adapter(demo_unet(), 4, (1, 1))
