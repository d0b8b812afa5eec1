"""The benchmark on clips of the user: which layouts it reads, and what it measures of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import Grain
from PIL import Image
from tiny_models import save_two_levels

from grainspec.diagnostics import GrainError, fail
from grainspec.loading import load
from grainspec_runtime.bench.own.five import Five
from grainspec_runtime.bench.own.layouts import find_edits
from grainspec_runtime.bench.own.methods import LAYOUTS, own_methods
from grainspec_runtime.bench.own.run import OwnBench
from grainspec_runtime.bench.own.specs import Specs
from grainspec_runtime.bench.own.videograin import VideoGrain
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
CONFIG = """
dataset_config:
    path: "data/two_men/frames"
    prompt: ''
    n_sample_frame: 3
    start_sample_frame: 0
    sampling_rate: 1
    layout_mask_dir: "./data/two_men/layout_masks"
    layout_mask_order: ['left', 'right-man']
editing_config:
    editing_prompts: [
        ['Iron Man and Spiderman are jogging', 'Iron Man', 'Spiderman'],
        ['a bear', 'bear'],
    ]
"""


def write_frames(folder: Path, frames: int = 3, *, suffix: str = "png", first: int = 0) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(frames):
        picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
        picture.save(folder / f"{number + first:05}.{suffix}")


def write_masks(
    folder: Path, left: int, right: int, *, suffix: str = "png", first: int = 0
) -> None:
    folder.mkdir(parents=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, left:right] = 255
    for number in range(3):
        Image.fromarray(mask).save(folder / f"{number + first:05}.{suffix}")


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    write_frames(folder / "clip")
    write_masks(folder / "masks/left", 4, 28)
    write_masks(folder / "masks/right", 36, 60)
    (folder / "edit.grain").write_text(SPEC)
    return folder


@pytest.fixture
def five(tmp_path: Path) -> Path:
    folder = tmp_path / "five"
    write_frames(folder / "images/0001_bus", suffix="jpg", first=1)
    write_masks(folder / "bmasks/0001_bus", 10, 40, suffix="jpg", first=1)
    entry = {"video_name": "0001_bus", "source_prompt": "a [bus]", "target_prompt": "a [red bus]"}
    entries = [
        entry,
        {**entry, "target_prompt": "a road"},
        {**entry, "video_name": "0002_gone"},
        {**entry, "video_name": "../0001_bus"},
        "not an entry",
    ]
    (folder / "edit_prompt").mkdir()
    (folder / "edit_prompt/edit1_FiVE.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def videograin(tmp_path: Path) -> Path:
    folder = tmp_path / "videograin"
    write_frames(folder / "data/two_men/frames")
    write_masks(folder / "data/two_men/layout_masks/left", 4, 28)
    write_masks(folder / "data/two_men/layout_masks/right-man", 36, 60)
    config = folder / "config/instance_level/two_men"
    config.mkdir(parents=True)
    (config / "iron.yaml").write_text(CONFIG)
    (config / "other.yaml").write_text("a: [1, 2]")
    (config / "evil.yaml").write_text("!!python/object/apply:os.system ['true']")
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


def test_five_binds_the_words_in_brackets_to_its_masks(five: Path) -> None:
    found = Five().find(five)
    assert found is not None
    [edit] = found.edits
    assert edit.name == "edit1_FiVE-000"
    assert (edit.spec.source, edit.spec.target) == ("a bus", "a red bus")
    prepared = prepare(edit.spec.replaced({}, model="demo-image"), five)
    [one] = prepared.plan.edits
    assert one.phrase == "red bus"
    assert len(prepared.plan.frames) == 3
    mask = prepared.bound.shown.mask("edited")
    assert mask.any((1, 2)).all()
    assert set(found.left_out) == {f"edit1_FiVE-00{number}" for number in (1, 2, 3, 4)}
    assert "brackets" in found.left_out["edit1_FiVE-001"]


def test_videograin_binds_words_to_masks_in_order(videograin: Path) -> None:
    found = VideoGrain().find(videograin)
    assert found is not None
    [edit] = found.edits
    assert edit.base == videograin
    prepared = prepare(edit.spec.replaced({}, model="demo-image"), edit.base)
    planned = [(it.region, it.phrase, it.grain) for it in prepared.plan.edits]
    assert planned == [
        ("left", "Iron Man", "instance"),
        ("right_man", "Spiderman", "instance"),
    ]
    [(name, reason)] = found.left_out.items()
    assert name.endswith("iron-1")
    assert reason == "unusable configuration: 1 phrase for 2 masks"


def test_each_folder_is_read_by_its_own_layout(specs: Path, five: Path, videograin: Path) -> None:
    names = [find_edits(folder, LAYOUTS).layout.split()[0] for folder in (specs, five, videograin)]
    assert names == ["specs", "FiVE-Bench", "VideoGrain"]


def test_another_layout_is_refused_with_what_is_there(tmp_path: Path, five: Path) -> None:
    (tmp_path / "odd/videos").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "captions.csv"):
        (tmp_path / "odd" / name).touch()
    with pytest.raises(GrainError, match="G580") as refused:
        find_edits(tmp_path / "odd", LAYOUTS)
    [finding] = refused.value.diagnostics
    assert "it contains videos/, 2 × .mp4, 1 × .csv" in finding.message
    assert "FiVE-Bench (`edit_prompt/*.json`" in finding.cure
    with pytest.raises(GrainError, match="is not a folder"):
        find_edits(tmp_path / "gone", LAYOUTS)
    (five / "edit_prompt/edit1_FiVE.json").write_text("[1]")
    with pytest.raises(GrainError, match=r"G580.*but no edit: edit1_FiVE-000"):
        find_edits(five, LAYOUTS)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("n_sample_frame: 3", "n_sample_frame: .inf", "invalid value `.inf` for `n_sample_frame`"),
        ("n_sample_frame: 3", f"n_sample_frame: {'9' * 5000}", "invalid value `9999"),
        ("n_sample_frame: 3", "n_sample_frame: [3]", "`n_sample_frame` must be text"),
        ("['left', 'right-man']", "{left: 1}", "`layout_mask_order` must be a list"),
        (
            "'Iron Man', 'Spiderman'",
            "['Iron Man'], 'Spiderman'",
            "an item of a prompt must be text",
        ),
        ("prompt: ''", "prompt: &a [1]\n    other: [*a, *a]", "aliases (`*name`) are not"),
        ("prompt: ''", "prompt: " + "[" * 20_000, "it is nested too deeply"),
        ("prompt: ''", "prompt: ]", "expected"),
    ],
)
def test_odd_configurations_are_left_out_by_name(
    videograin: Path, old: str, new: str, reason: str
) -> None:
    assert old in CONFIG
    odd = videograin / "config/instance_level/two_men/odd.yaml"
    odd.write_text(CONFIG.replace(old, new))
    found = VideoGrain().find(videograin)
    assert found is not None
    assert [edit.name.rsplit("/")[-1] for edit in found.edits] == ["iron-0"]
    reasons = [why for name, why in found.left_out.items() if "/odd" in name]
    assert reasons
    assert reason in reasons[0]
    assert all(why.startswith("unusable configuration: ") for why in reasons)


def test_aliases_that_multiply_are_not_expanded(videograin: Path) -> None:
    """Without a limit, the prompt would be text of a terabyte."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    bomb = "\n".join(lines) + CONFIG.replace("prompt: ''", "prompt: *a11")
    (videograin / "bomb.yaml").write_text(bomb)
    found = VideoGrain().find(videograin)
    assert found is not None
    assert "aliases" in found.left_out["bomb"]


def test_five_says_what_it_cannot_read(five: Path) -> None:
    (five / "edit_prompt/edit2_FiVE.json").write_text("[{")
    (five / "edit_prompt/edit3_FiVE.json").write_text("{}")
    entry = {"source_prompt": "a [bus]", "target_prompt": "a [red bus]"}
    entries = [{**entry, "video_name": name} for name in ("..", ".", "")]
    (five / "edit_prompt/edit4_FiVE.json").write_text(json.dumps(entries))
    found = Five().find(five)
    assert found is not None
    assert found.left_out["edit2_FiVE"].startswith("unreadable prompts: ")
    assert found.left_out["edit3_FiVE"] == "unreadable prompts: not a list of entries"
    for number, name in enumerate(("..", ".", "")):
        reason = found.left_out[f"edit4_FiVE-00{number}"]
        assert reason == f"unusable entry: not a name of a video: `{name}`"


def test_a_folder_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grainspec_runtime.bench.own.layouts._MOST_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(GrainError, match="it contains more than 2 files"):
        find_edits(tmp_path, LAYOUTS)


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
