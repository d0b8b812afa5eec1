"""Clips of any shape, from the file to the run's folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from films import corners, quarters, rotated, write_film
from PIL import Image

from grainspec import parse
from grainspec.clip.facts import probe
from grainspec_runtime import Editor
from grainspec_runtime.prepare import prepare
from grainspec_runtime.report.contents import contents_of
from grainspec_runtime.runs.read import read_run
from grainspec_runtime.runs.write import save_run

SPEC = (
    'grain 1 video "{}" {{ {} }} model "{}" source "two men on grass" '
    'target "a green robot on grass" region left = box(0%, 0%, 50%, 100%) '
    'edit left -> "green robot" blend {{ space pixels }} sampler {{ steps 2 }}'
)


@pytest.fixture(scope="module")
def editor(tiny_sd: Path) -> Editor:
    return Editor(str(tiny_sd), device="cpu", study=True)


def wide_clip(folder: Path) -> Path:
    pictures = [quarters((96, 48)) // 2 + 8 * number for number in range(2)]
    return write_film(folder / "v.mp4", pictures)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_run_is_written_without_padding_and_read_back(
    tmp_path: Path, tiny_sd: Path, editor: Editor, fit: str
) -> None:
    wide_clip(tmp_path)
    text = SPEC.format("v.mp4", f"size 64x64 fit {fit}", tiny_sd)
    result = editor.run(parse(text), base=tmp_path)
    size = (2, 64, 64, 3) if fit == "crop" else (2, 32, 64, 3)
    assert result.source.shape == result.edited.shape == size
    assert (result.prepared.plan.width, result.prepared.plan.height) == (64, 64)
    folder = tmp_path / "run"
    save_run(result, folder, spec_text=text, spec_name="v.grain", arguments=[])
    run = read_run(folder)
    np.testing.assert_array_equal(run.source, result.source)
    np.testing.assert_array_equal(run.edited, result.edited)
    assert run.edited_FHW.shape == size[:3]
    kept = result.prepared.bound.shown.bits_FHW == 0
    assert kept.shape == size[:3]
    assert 0.4 < kept.mean() < 0.9
    np.testing.assert_array_equal(run.edited[kept], run.source[kept])
    assert (run.edited != run.source).any()
    assert (probe(folder / "edited.mp4").width, probe(folder / "edited.mp4").height) == size[2:0:-1]
    assert contents_of(folder).clips


@pytest.mark.parametrize("model", ["demo", "tiny_sd"])
def test_without_size_the_clips_aspect_is_edited(tmp_path: Path, tiny_sd: Path, model: str) -> None:
    wide_clip(tmp_path)
    spec = parse(SPEC.format("v.mp4", "step 1", tiny_sd if model == "tiny_sd" else "demo"))
    prepared = prepare(spec, tmp_path)
    native = prepared.backbone.native_size
    width, height = prepared.plan.width, prepared.plan.height
    assert abs(width / height - 2) < 0.1
    assert 8 / 9 <= width * height / (native.width * native.height) <= 9 / 8
    assert width % prepared.backbone.pixels_per_latent == 0


def test_clips_are_edited_as_they_are_shown(tmp_path: Path, tiny_sd: Path, editor: Editor) -> None:
    """Stored lying down, mirrored and with narrow pixels; a mask is drawn on what is shown."""
    path = write_film(tmp_path / "v.mp4", [quarters((64, 64))] * 2, aspect=Fraction(1, 2))
    rotated(path, (0, 1, 1, 0))
    facts = probe(path)
    assert (facts.width, facts.height) == (128, 64)
    (tmp_path / "left").mkdir()
    mask = np.zeros((64, 128), np.uint8)
    mask[:32, :64] = 255
    for number in range(2):
        Image.fromarray(mask).save(tmp_path / "left" / f"{number}.png")
    text = SPEC.format("v.mp4", "size 128x64", tiny_sd)
    spec = parse(text.replace("box(0%, 0%, 50%, 100%)", 'masks("left")'))
    result = editor.run(spec, base=tmp_path)
    assert corners(result.source[0]) == "RBGW"
    assert {warning.code for warning in result.warnings} <= {"G401"}
    kept = result.prepared.bound.shown.bits_FHW == 0
    assert not kept[:, :30, :60].any()
    assert kept[:, 34:].all()
    np.testing.assert_array_equal(result.edited[kept], result.source[kept])
