"""The benchmark on clips of the user: which layouts it reads, and what it measures of them."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clip_folders import write_frames, write_masks
from command import Grain
from PIL import Image
from tiny_models import save_two_levels
from wan import tiny_wan

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.loading import load
from grainspec_runtime.bench.own.check import check_edits, summed
from grainspec_runtime.bench.own.layouts import find_edits
from grainspec_runtime.bench.own.methods import LAYOUTS, own_methods
from grainspec_runtime.bench.own.report import chapter
from grainspec_runtime.bench.own.run import Outcome, OwnBench, edit_folder
from grainspec_runtime.bench.own.specs import Specs
from grainspec_runtime.bench.paper.page import render
from grainspec_runtime.bench.paper_measures import Values
from grainspec_runtime.bench.summary import Result
from grainspec_runtime.commands.bench_clips import _clip, _clip_title
from grainspec_runtime.commands.clip_progress import ClipProgress
from grainspec_runtime.models.locate import DEMO_CLIP
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
        prepared = prepare(spec, specs)
        return bench._key(prepared, prepared)

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


class Heard:
    """What the benchmark told, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def begin(self, edit: str, method: str) -> None:
        self.lines.append(f"{edit}, {method}")

    def stage(self, stage: str, done: int, total: int) -> None:
        self.lines.append(stage)

    def end(self, outcome: str, reason: str = "") -> None:
        self.lines.append(outcome)


def edited(warnings: tuple[Diagnostic, ...] = ()) -> tuple[Values, Any]:
    """What an edit gives, as far as the benchmark asks."""
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    return {"psnr": 30.0}, SimpleNamespace(source=frames, edited=frames, warnings=warnings)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (fail("G506", "out of memory on cuda", ""), "G506: out of memory on cuda"),
        (RuntimeError("mat1 and mat2"), "G900: internal error: RuntimeError: mat1 and mat2"),
        (ZeroDivisionError(), "G900: internal error: ZeroDivisionError: "),
    ],
)
def test_an_edit_that_fails_is_said_and_the_others_are_made(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    model = save_two_levels(tmp_path / "model")

    def edit(
        self: OwnBench, prepared: Prepared, measured: Prepared, progress: object
    ) -> tuple[Values, Any]:
        if prepared.spec.attention.profile == "videograin":
            raise error
        return edited()

    monkeypatch.setattr(OwnBench, "_edit", edit)
    methods = own_methods(("VideoGrain", "ours"))
    bench = OwnBench(methods, tmp_path / "out", "cpu", model=str(model))
    heard = Heard()
    [result] = bench.run(find_edits(specs, LAYOUTS).edits, heard)
    assert set(result["scores"]) == {"ours"}
    assert list(result["not_run"]) == ["VideoGrain"]
    assert result["not_run"]["VideoGrain"].startswith(reason)
    assert heard.lines == ["edit, VideoGrain", "failed", "edit, ours", "made"]
    assert not list((tmp_path / "out").rglob("VideoGrain.*"))  # it is tried again next time


def test_a_full_disk_ends_the_benchmark(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_two_levels(tmp_path / "model")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(OwnBench, "_edit", full)
    bench = OwnBench(own_methods(("ours",)), tmp_path / "out", "cpu", model=str(model))
    with pytest.raises(OSError, match="No space left"):
        list(bench.run(find_edits(specs, LAYOUTS).edits, Heard()))


def test_warnings_of_making_an_edit_are_saved_with_it(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_two_levels(tmp_path / "model")
    late = Diagnostic("G511", "the VAE reconstructs it with only 19 dB", "Use another.")

    def edit(
        self: OwnBench, prepared: Prepared, measured: Prepared, progress: object
    ) -> tuple[Values, Any]:
        return edited((*prepared.warnings, late))

    monkeypatch.setattr(OwnBench, "_edit", edit)
    bench = OwnBench(own_methods(("ours", "VideoGrain")), tmp_path, "cpu", model=str(model))
    for outcome in ("made", "kept"):
        heard = Heard()
        [result] = bench.run(find_edits(specs, LAYOUTS).edits, heard)
        assert result["warnings"] == [late.as_json()]
        assert heard.lines[1::2] == [outcome, outcome]


def test_edits_of_like_names_have_folders_of_their_own(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (specs / "a").mkdir()
    whole = SPEC.replace('"clip"', '"../clip"').replace('"masks/', '"../masks/')
    (specs / "a/b.grain").write_text(whole)
    (specs / "edit.grain").rename(specs / "a-b.grain")
    monkeypatch.setattr(OwnBench, "_edit", lambda *_: edited())
    model = save_two_levels(tmp_path / "model")
    bench = OwnBench(own_methods(("ours",)), tmp_path / "out", "cpu", model=str(model))
    edits = find_edits(specs, LAYOUTS).edits
    assert {edit.name for edit in edits} == {"a-b", "a/b"}
    list(bench.run(edits, Heard()))
    assert len(list((tmp_path / "out/clips").iterdir())) == 2
    assert len(edit_folder("x" * 5000).encode()) < 255


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda folder: shutil.rmtree(folder / "masks/left"), "G304: "),
        (lambda folder: (folder / "masks/left/00001.png").unlink(), "G305: "),
        (lambda folder: Image.new("L", (9, 30)).save(folder / "masks/left/00001.png"), "G306: "),
        (lambda folder: (folder / "masks/left/00001.png").write_bytes(b"no"), "G308: "),
        (lambda folder: shutil.rmtree(folder / "clip"), "G301: "),
        (
            lambda folder: (folder / "edit.grain").write_text(
                SPEC.replace('-> "green robot"', '-> "red dragon"')
            ),
            "G10",
        ),
    ],
)
def test_a_faulty_clip_is_left_out_before_a_model_is_loaded(
    specs: Path, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    good = tmp_path / "mine/good"
    shutil.copytree(specs, good)
    change(specs)
    model = save_two_levels(tmp_path / "model")
    methods = own_methods(("FlowEdit", "VideoGrain"))  # the first asks for no regions
    bench = OwnBench(methods, tmp_path, "cpu", model=str(model))
    found = find_edits(specs, LAYOUTS)
    checked = check_edits(bench, found.edits, lambda done, total: None)
    assert [edit.name for edit in checked.edits] == ["good/edit"]
    left_out = found.left_out | checked.left_out
    assert list(left_out) == ["edit"]
    assert left_out["edit"].startswith(reason)


def test_an_edit_that_a_model_refuses_as_it_is_written_is_kept(specs: Path, tmp_path: Path) -> None:
    """A method that replaces what the model does not support can make it."""
    (specs / "edit.grain").write_text(SPEC + "method dfvedit\n")
    bench = OwnBench(own_methods(("VideoGrain",)), tmp_path, "cpu", model="demo-image")
    checked = check_edits(bench, find_edits(specs, LAYOUTS).edits, lambda done, total: None)
    assert [edit.name for edit in checked.edits] == ["edit"]
    assert not checked.left_out
    assert list(checked.warnings) == ["edit"]


def test_methods_of_other_kinds_of_models_are_refused(specs: Path, tmp_path: Path) -> None:
    """They would be made in another way than their names say."""

    class Silent:
        def begin(self, edit: str, method: str) -> None: ...
        def stage(self, stage: str, done: int, total: int) -> None: ...
        def end(self, outcome: Outcome, reason: str = "") -> None: ...

    edits = find_edits(specs, LAYOUTS).edits
    for model, names, kind in (
        ("demo-image", ("FlowEdit", "FlowEdit + our masks", "FlowAnchor"), "flow-matching video"),
        (str(tiny_wan(tmp_path / "wan")), ("VideoGrain",), "image"),
    ):
        bench = OwnBench(own_methods(names), tmp_path / "out", "cpu", model=model)
        [result] = bench.run(edits, Silent())
        assert not result["scores"]
        assert result["not_run"] == dict.fromkeys(names, f"it is a method for {kind} models")


@pytest.mark.parametrize("written", [True, False])
def test_only_who_writes_numbers_of_frames_is_warned_about_them(
    specs: Path, tmp_path: Path, written: bool
) -> None:
    for picture in sorted(specs.rglob("0*.png"), reverse=True):  # from 1 on, as in some data sets
        picture.rename(picture.with_name(f"{int(picture.stem) + 1:05}.png"))
    (specs / "edit.grain").write_text(SPEC.replace("64x64 }", "64x64 frames 0..1 }"))
    edits = [replace(it, is_written=written) for it in find_edits(specs, LAYOUTS).edits]
    bench = OwnBench(own_methods(("ours",)), tmp_path, "cpu", model="demo-image")
    checked = check_edits(bench, edits, lambda done, total: None)
    assert ("G336" in [it.code for it in checked.warnings["edit"]]) == written


def test_warnings_of_clips_are_summed_by_code() -> None:
    one, two = Diagnostic("G510", "not on “bow”", "Use."), Diagnostic("G103", "`hill` is not used")
    found = summed({"a": (one, one), "b": (two, one), "c": (one,)})
    assert [str(it) for it in found] == [
        "G510: a: not on “bow” (and 2 other edits). Use.",
        "G103: b: `hill` is not used",
    ]


def test_the_demo_clip_is_said_to_know_no_other_clips(tmp_path: Path) -> None:
    clip, [finding] = _clip(None, {"demo-image"}, "cpu")
    assert clip is not None
    assert finding.code == "G585"
    assert "its scores say nothing" in finding.message
    assert "`--clip openai/clip" in finding.cure
    assert _clip_title(clip) == "that of the demo world (G585)"
    clip, [finding] = _clip(str(DEMO_CLIP), {str(tmp_path)}, "cpu")  # chosen by hand
    assert finding.code == "G585"
    assert _clip("none", {"demo-image"}, "cpu") == (None, [])
    copy = shutil.copytree(DEMO_CLIP, tmp_path / "clip")
    clip, findings = _clip(str(copy), {"demo-image"}, "cpu")
    assert not findings
    assert _clip_title(clip) == str(copy)


def test_progress_is_told_with_the_time_that_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter((0.0, 100.0, 100.0, 160.0, 160.0, 170.0, 170.0, 170.0))
    monkeypatch.setattr(
        "grainspec_runtime.commands.clip_progress.time.monotonic", lambda: next(now)
    )
    watch = ClipProgress(4, None, quiet=False)
    watch.begin("bear", "ours")
    watch.stage("sample", 1, 2)
    watch.end("made")
    watch.begin("bear", "DMT")
    watch.end("made")
    watch.begin("wolf", "ours")
    watch.end("failed", "G506: no memory")
    watch.begin("wolf", "DMT")
    watch.end("refused", "G504: not supported")
    assert capsys.readouterr().err.splitlines() == [
        "1 of 4: bear, ours",
        "2 of 4: bear, DMT (about 5 min left)",
        "3 of 4: wolf, ours (about 3 min left)",
        "failed: wolf, ours: G506: no memory",
        "4 of 4: wolf, DMT (about 57 s left)",
    ]
    assert watch.summary() == "4 results: 2 made, 1 not run, 1 failed"


def test_an_interrupted_benchmark_says_what_is_kept(
    grain: Grain, specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(
        self: OwnBench, prepared: Prepared, measured: Prepared, progress: object
    ) -> tuple[Values, Any]:
        if prepared.spec.attention.profile == "videograin":
            raise KeyboardInterrupt
        return edited()

    monkeypatch.setattr(OwnBench, "_edit", edit)
    model = save_two_levels(tmp_path / "model")
    chosen = ("--method", "ours", "--method", "VideoGrain", "--clip", "none", "--device", "cpu")
    said = grain("bench", "--clips", specs, "--model", model, *chosen, "-o", tmp_path / "out")
    assert said.code == 130
    kept = f"1 of 2 results kept in {tmp_path / 'out'}: the same command makes the others"
    assert kept in said.err.splitlines()
    assert [path.name for path in (tmp_path / "out/cases/edit").iterdir()] == ["ours.json"]


def test_the_command_edits_measures_and_resumes(
    grain: Grain, specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_two_levels(tmp_path / "model")
    out = tmp_path / "bench"
    chosen = ("--method", "ours", "--method", "VideoGrain", "--method", "FateZero")
    chosen += ("--method", "FlowEdit", "--method", "DFVEdit")
    arguments = ("bench", "--clips", specs, "--model", model, *chosen, "--clip", "none")
    said = grain(*arguments, "-o", out, "--device", "cpu", "--format", "json")
    assert said.code == 0, said.err
    [result] = said.json["results"]
    assert set(result["scores"]) == {"ours", "VideoGrain", "FateZero"}
    assert result["not_run"]["FlowEdit"] == "it is a method for flow-matching video models"
    assert "not supported" in result["not_run"]["DFVEdit"]
    assert said.json["not_run"]["DFVEdit"].startswith("1 of 1 edit: ")
    ours = result["scores"]["ours"]
    assert ours["warp_flow"] > 0
    for scores in result["scores"].values():
        assert scores["psnr"] > 5
    assert ours["warp_source"] is None  # nobody knows the exact flow
    assert ours["total"] > 0
    assert (out / "clips/edit/VideoGrain.webp").is_file()
    page = (out / "index.html").read_text()
    assert "clips/edit/VideoGrain.webp" in page
    assert f"VideoGrain: Warp-Err {result['scores']['VideoGrain']['warp_flow']:.2f}, PSNR" in page
    assert "CLIP: none" in page
    assert said.json["left_out"] == {}

    def forbidden(*_: object) -> None:
        raise AssertionError("an edit was made again")

    monkeypatch.setattr("grainspec_runtime.bench.own.run.OwnBench._edit", forbidden)
    again = grain(*arguments, "-o", out, "--device", "cpu")
    assert again.code == 0, again.err
    assert "Table 1: quality" in again.out
    assert "not run: DFVEdit: 1 of 1 edit: " in again.out
    assert "1 edit × 5 methods" in again.err
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
    one = chapter("demo", own_methods(("ours", "FateZero")), results, "CLIP: none")
    assert one.not_run == {
        "FateZero": "1 of 4 edits: G505: NaN (first e0); 2 of 4 edits: no source (first e1)"
    }
    for table in one.tables:
        rows = table.text_rows()
        assert [row[:2] for row in rows[1:]] == [["ours", "4"], ["FateZero", "1 of 4"]]
        assert len({len(row) for row in rows}) == 1
        assert [(row["cases"], row["of"]) for row in table.as_json()["rows"]] == [(4, 4), (1, 4)]
        assert "; CLIP: none" in one.tables[0].about
    parts = [{"chapter": one, "cases": [], "maps": []}]
    doubts, left_out = ["G585: says <nothing>"], {"bad": "G304: no masks"}
    page = render(parts, title="", about="", warnings=doubts, left_out=left_out)
    assert "<td>1 of 4</td>" in page
    assert "G585: says &lt;nothing&gt;" in page
    assert "<li>bad: G304: no masks</li>" in page


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
