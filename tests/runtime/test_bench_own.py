"""The benchmark on clips of the user: which layouts it reads, and what it measures of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clip_folders import write_frames, write_masks
from command import Grain
from PIL import Image
from tiny_models import save_two_levels

from grainspec.diagnostics import GrainError, fail
from grainspec.loading import load
from grainspec_runtime.bench.own.layouts import find_edits
from grainspec_runtime.bench.own.methods import LAYOUTS, own_methods
from grainspec_runtime.bench.own.run import OwnBench
from grainspec_runtime.bench.own.specs import Specs
from grainspec_runtime.bench.paper.page import render
from grainspec_runtime.bench.paper_measures import Values
from grainspec_runtime.bench.summary import Result
from grainspec_runtime.commands.bench_clips import _chapter
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.prepare import Prepared, prepare

SPEC = """grain 1
video "clip" { size 64x64 }
source "a red man and a blue man"
target "a green robot and a yellow bear"
region left = masks("masks/left")
region right = masks("masks/right")
edit instance left -> "green robot"
edit instance right -> "yellow bear"
sampler ddim { steps 2  guidance 2 }
"""


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    write_frames(folder / "clip")
    write_masks(folder / "masks/left", 4, 28)
    write_masks(folder / "masks/right", 36, 60)
    (folder / "edit.grain").write_text(SPEC)
    return folder


def test_specs_and_their_variants_are_edits(specs: Path) -> None:
    variants = 'variant robot { target "a yellow bear and a green robot" }'
    (specs / "sub").mkdir()
    (specs / "sub/two.grain").write_text(SPEC + variants)
    (specs / "wrong.grain").write_text("grain 1 nonsense")
    found = Specs().find(specs)
    assert found is not None
    assert [edit.name for edit in found.edits] == ["edit", "sub/two", "sub/two-robot"]
    assert found.edits[1].base == specs / "sub"
    assert not found.edits[1].spec.variants
    assert list(found.left_out) == ["wrong"]


def test_methods_are_named_as_in_the_tables() -> None:
    assert own_methods(())[0].name == "ours"
    assert [m.name for m in own_methods(("FateZero", "ours"))] == ["FateZero", "ours"]
    with pytest.raises(GrainError, match=r"G583.*`fatezero`"):
        own_methods(("fatezero",))


def test_results_are_made_anew_when_anything_that_they_depend_on_changes(
    specs: Path, tmp_path: Path
) -> None:
    model = save_two_levels(tmp_path / "model")
    spec = load(specs / "edit.grain").replaced({}, model=str(model))

    def key(device: str = "cpu") -> str:
        bench = OwnBench((), tmp_path, device)
        return bench._key(prepare(spec, specs))

    keys = [key()]
    assert key() == keys[0]

    def paint(path: Path) -> None:
        """Overwrite a picture, as nobody could tell by the date of its folder."""
        picture = np.array(Image.open(path))
        picture[30, 5:20] ^= 255
        Image.fromarray(picture).save(path)

    paint(specs / "clip/00001.png")
    keys.append(key())
    paint(specs / "masks/left/00001.png")
    keys.append(key())
    config = model / "unet/config.json"
    config.write_text(config.read_text() + " ")
    keys.append(key())
    keys.append(key("mps"))
    assert len(set(keys)) == 5


def test_an_edit_that_fails_is_said_and_the_others_are_made(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_two_levels(tmp_path / "model")
    frames = np.zeros((1, 8, 8, 3), np.uint8)

    def edit(self: OwnBench, prepared: Prepared) -> tuple[Values, Frames, Frames]:
        if prepared.spec.attention.profile == "videograin":
            raise fail("G506", "out of memory on cuda", "")
        return {"psnr": 30.0}, frames, frames

    monkeypatch.setattr(OwnBench, "_edit", edit)
    methods = own_methods(("VideoGrain", "ours"))
    bench = OwnBench(methods, tmp_path / "out", "cpu", model=str(model))
    found = find_edits(specs, LAYOUTS)
    [result] = bench.run(found.edits, lambda done, total: None)
    assert set(result["scores"]) == {"ours"}
    assert result["not_run"] == {"VideoGrain": "G506: out of memory on cuda"}
    assert not list((tmp_path / "out").rglob("VideoGrain.*"))  # it is tried again next time


def test_the_command_edits_measures_and_resumes(
    grain: Grain, specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_two_levels(tmp_path / "model")
    out = tmp_path / "bench"
    chosen = ("--method", "ours", "--method", "VideoGrain", "--method", "FlowEdit")
    chosen += ("--method", "DFVEdit")
    arguments = ("bench", "--clips", specs, "--model", model, *chosen, "--clip", "none")
    said = grain(*arguments, "-o", out, "--device", "cpu", "--format", "json")
    assert said.code == 0, said.err
    [result] = said.json["results"]
    assert set(result["scores"]) == {"ours", "VideoGrain", "FlowEdit"}
    assert "not supported" in result["not_run"]["DFVEdit"]
    assert said.json["not_run"]["DFVEdit"].startswith("1 of 1 edit: ")
    ours = result["scores"]["ours"]
    assert ours["warp_flow"] > 0
    assert ours["psnr"] > 5
    assert ours["warp_source"] is None  # nobody knows the exact flow
    assert ours["total"] > 0
    assert (out / "clips/edit/VideoGrain.webp").is_file()
    assert "clips/edit/VideoGrain.webp" in (out / "index.html").read_text()

    def forbidden(*_: object) -> None:
        raise AssertionError("an edit was made again")

    monkeypatch.setattr("grainspec_runtime.bench.own.run.OwnBench._edit", forbidden)
    again = grain(*arguments, "-o", out, "--device", "cpu")
    assert again.code == 0, again.err
    assert "Table 1: quality" in again.out
    assert "not run: DFVEdit: 1 of 1 edit: " in again.out
    assert "1 edit × 4 methods" in again.err
    both = grain("bench", "--clips", specs, "--paper")
    assert both.code == 2


def test_tables_say_which_rows_are_of_fewer_edits() -> None:
    values = dict.fromkeys(("psnr", "total"), 30.0)
    reasons = ("G505: NaN", "no source", "no source")
    results: list[Result] = [
        {"name": f"e{n}", "scores": {"ours": values}, "not_run": {"FateZero": why}}
        for n, why in enumerate(reasons)
    ]
    results.append({"name": "e3", "scores": {"ours": values, "FateZero": values}, "not_run": {}})
    one = _chapter("demo", own_methods(("ours", "FateZero")), results)
    assert one.not_run == {
        "FateZero": "1 of 4 edits: G505: NaN (first e0); 2 of 4 edits: no source (first e1)"
    }
    for table in one.tables:
        rows = table.text_rows()
        assert [row[:2] for row in rows[1:]] == [["ours", "4"], ["FateZero", "1 of 4"]]
        assert len({len(row) for row in rows}) == 1
        assert [(row["cases"], row["of"]) for row in table.as_json()["rows"]] == [(4, 4), (1, 4)]
    page = render([{"chapter": one, "cases": [], "maps": []}], title="", about="")
    assert "<td>1 of 4</td>" in page


def test_no_edit_at_all_is_an_error(grain: Grain, specs: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "out", "--clip", "none", "--device", "cpu")
    said = grain("bench", "--clips", specs, "--model", "demo-image", "--method", "DFVEdit", *out)
    assert said.code == 1
    assert "G584" in said.err
    assert "DFVEdit: 1 of 1 edit: " in said.err


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--quick",), "--quick has no effect with --clips: leave out --quick"),
        (("--cases", "clips", "--workers", "1"), "--cases and --workers have no effect"),
        (("--split", "held-out"), "--split has no effect with --clips"),
        (("--device", "cpu,cpu"), "--clips runs on one device: write `--device cpu`"),
    ],
)
def test_options_without_effect_are_refused(
    grain: Grain, specs: Path, tmp_path: Path, options: tuple[str, ...], names: str
) -> None:
    said = grain("bench", "--clips", specs, "-o", tmp_path / "out", *options)
    assert said.code == 2
    assert names in " ".join(said.err.split())
    assert not (tmp_path / "out").exists()
