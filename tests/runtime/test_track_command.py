"""`grain track`, and the commands that track on first need."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from command import Grain, Said
from fake_tracker import Engines, FakeTracker, inside, spec_of
from PIL import Image

from grainspec import load
from grainspec.cli.app import _extensions
from grainspec.regions.bind import bind_regions
from grainspec.regions.tracked.labels import label_image
from grainspec_runtime.prepare import prepare
from grainspec_runtime.tracking.bake import TrackOptions, ensure_tracked
from grainspec_runtime.views.doubts import AMBER

LEFT = "region left = track(point(10px, 12px) @ 0)"
RIGHT = "region right = track(point(46px, 30px))"
BOTH = f"{LEFT}\n{RIGHT}\nregion ground = rest"


@pytest.fixture
def track(grain: Grain, base: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> Grain:
    monkeypatch.setitem(_extensions(), "track", "grainspec_runtime.commands.track:track")
    return grain


def spec(base: Path, regions: str = BOTH, more: str = "keep right") -> Path:
    spec_of(base, regions, more=more)
    return base / "edit.grain"


def codes(said: Said) -> list[str]:
    found = said.json
    return [finding["code"] for finding in found.get("diagnostics", [])]


def check(grain: Grain, path: Path) -> dict[str, str]:
    said = grain("check", path, "--format", "json")
    [file] = said.json["files"]
    return {found["code"]: found["message"] for found in file["diagnostics"]}


def test_masks_are_made_and_told(track: Grain, base: Path) -> None:
    said = track("track", spec(base))
    folder = base / "masks" / "tracked" / "edit"
    assert said.code == 0
    assert f"tracking `left` and `right` by colour: frames 0..7, to {folder}" in said.err
    assert "tracked `left` and `right` on 8 frames in" in said.out
    assert f"wrote {folder}: 00000.png, …, manifest.json" in said.out
    shown = np.asarray(Image.open(folder / "00003.png"))
    np.testing.assert_array_equal(shown == 1, inside("red", 3))
    np.testing.assert_array_equal(shown == 2, inside("blue", 3))
    again = track("track", spec(base))
    assert (again.out, again.err) == (f"`left` and `right`: already tracked, in {folder}\n", "")


def test_as_json(track: Grain, base: Path, engines: Engines) -> None:
    engines.tracker = FakeTracker(doubted=frozenset({5, 6}))
    said = track("track", spec(base), "--format", "json")
    facts = said.json
    assert (said.err, facts["frames"], facts["tracked"]) == ("", [0, 7], ["left", "right"])
    left = facts["regions"][0]
    assert (left["regions"], left["tracker"], left["doubtful"]) == (["left"], "colour", [5, 6])
    assert left["confidence"]["5"] == 0.2
    assert codes(said) == ["G360", "G360"]


def test_what_it_refuses(track: Grain, base: Path) -> None:
    path = spec(base)
    said = track("track", path, "--only", "lefft")
    assert (said.code, "Did you mean `left`?" in said.err) == (2, True)
    said = track("track", path, "--tracker", "sam3.5")
    assert (said.code, "Did you mean `sam3`?" in said.err) == (2, True)
    said = track("track", path, "--tracker", "sam2.1-hiera-large")
    assert "Write `--tracker sam2=facebook/sam2.1-hiera-large`." in said.err
    said = track("track", spec(base, LEFT.replace("10px", "64px"), more=""))
    assert (said.code, "G351" in said.err) == (1, True)
    assert not (base / "masks").exists()
    (base / "plain.grain").write_text(
        'grain 1 video "clip" target "a robot" region r = all edit r -> "robot"'
    )
    assert track("track", base / "plain.grain").out.startswith("nothing to track")


def test_check_says_what_is_missing_stale_and_doubtful(
    track: Grain, base: Path, engines: Engines
) -> None:
    said = track("check", spec(base))
    assert (said.code, engines.loaded) == (0, [])
    assert "warning[G357]: `left` and `right` are not tracked yet" in said.err
    assert f"Run `grain track {base / 'edit.grain'}`" in said.err
    assert "the pixels of regions are checked once they are tracked" in said.err
    engines.tracker = FakeTracker(doubted=frozenset({5, 6}), blind=frozenset({7}))
    track("track", spec(base))
    found = check(track, spec(base))
    assert found["G361"] == "`right` is lost on frame 7"
    assert found["G360"] == "`right` is doubtful on frames 5..6"
    assert "G315" not in found  # that `left` is empty on frame 7 is said by G361
    assert check(
        track, spec(base, more="keep right\ntracker colour { confidence 10% }")
    ).keys() <= {"G315"}
    found = check(track, spec(base, BOTH.replace("10px", "11px")))
    assert found["G358"].endswith("are stale: the prompts of `left` changed")


def test_the_command_is_told_with_the_path_as_given(
    track: Grain, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = spec(base).read_text()
    (base / "other place").mkdir()
    monkeypatch.chdir(base / "other place")
    assert "Run `grain track ../edit.grain`;" in track("check", "../edit.grain").err
    monkeypatch.chdir(base)
    spec(base).rename("other place/edit.grain")
    (base / "clip").rename("other place/clip")
    said = track("check", "other place/edit.grain").err
    assert "Run `grain track 'other place/edit.grain'`;" in said
    monkeypatch.chdir(base / "other place")
    monkeypatch.setattr("sys.stdin", StringIO(text))
    assert "Write the spec to a file" in track("check", "-").err
    for command in ("track", "plan"):
        said = track(command, "-")
        assert said.code == 1
        assert "reads its spec from a file, not from standard input" in said.err


def test_a_region_that_is_lost_to_the_end(track: Grain, base: Path, engines: Engines) -> None:
    engines.tracker = FakeTracker(blind=frozenset({5, 6, 7}))
    said = track("track", spec(base, LEFT, more=""))
    assert "warning[G361]: `left` is lost from frame 5 on" in said.err
    assert "such as `point(…) @ 5`" in said.err


def test_repaired_frames_are_not_doubtful_and_stay(
    track: Grain, base: Path, engines: Engines
) -> None:
    engines.tracker = FakeTracker(doubted=frozenset({5, 6}))
    track("track", spec(base))
    for frame in (5, 6):
        labels = np.where(inside("red", frame), 1, np.where(inside("blue", frame), 2, 0))
        picture = label_image(labels.astype(np.uint8)).convert("RGB")  # as paint programs do
        picture.save(base / "masks" / "tracked" / "edit" / f"0000{frame}.png")
    assert check(track, spec(base)) == {}
    said = track("track", spec(base, BOTH.replace("10px", "11px")))
    assert "kept 00005.png and 00006.png, repaired by hand; `--force` replaces them" in said.out
    engines.tracker = FakeTracker()
    hill = f"{BOTH}\nregion hill = track(point(62px, 46px) @ 0)"
    found = check_after_tracking(track, spec(base, hill))
    assert found["G366"] == (
        "`hill` has no pixels in 00005.png and 00006.png: repaired before it was tracked"
    )


def test_what_is_repaired_of_others_stays_by_force(
    track: Grain, base: Path, engines: Engines
) -> None:
    track("track", spec(base))
    path = base / "masks" / "tracked" / "edit" / "00005.png"
    label_image(inside("red", 4).astype(np.uint8)).save(path)
    said = track("track", spec(base), "--only", "right", "--force")
    assert "kept what other regions have in 00005.png, repaired by hand" in said.out
    assert "uses 00005.png, repaired by hand; `--force` replaces" in track("track", spec(base)).out


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_a_repaired_image_that_cannot_be_used_is_said_once(
    track: Grain, base: Path, content: bytes
) -> None:
    path = spec(base)
    track("track", path)
    picture = base / "masks" / "tracked" / "edit" / "00003.png"
    picture.write_bytes(content)
    for command in ("track", "check", "show"):
        said = track(command, path)
        assert (said.code, said.err.count("G363")) == (1, 1), command
        assert "00003.png cannot be read as an image" in said.err
        assert "edit.grain:4:" in said.err
    assert picture.read_bytes() == content
    moved = spec(base, BOTH.replace("10px", "11px"))
    assert "G363" in track("track", moved).err  # before anything is tracked
    picture.unlink()
    assert track("track", moved).code == 0


def check_after_tracking(track: Grain, path: Path) -> dict[str, str]:
    assert track("track", path).code == 0
    return check(track, path)


def test_one_object_that_covers_another(track: Grain, base: Path) -> None:
    regions = 'region one = find("red")\nregion many = find("square")'
    found = check_after_tracking(track, spec(base, regions, more="keep many"))
    assert found["G362"] == "`one` covers `many` on frame 0, where a prompt says that `many` is"
    said = track("check", base / "edit.grain").err
    assert "point(" not in said  # a region that is found by words takes none
    assert "Find another object for `one`, by `number` or another `@`" in said


def test_what_to_write_for_doubtful_words(track: Grain, base: Path, engines: Engines) -> None:
    engines.tracker = FakeTracker(doubted=frozenset({5}), blind=frozenset({7}))
    said = track("track", spec(base, 'region left = find("red")', more="")).err
    assert ("G360" in said, "G361" in said, "point(" in said) == (True, True, False)
    assert "`@ 5` inside the brackets of `find(…)`" in said
    assert "`track(box(…) @ 7)`" in said


@pytest.mark.parametrize("command", ["show", "plan"])
def test_commands_track_on_first_need(
    track: Grain, base: Path, engines: Engines, command: str
) -> None:
    said = track(command, spec(base))
    assert said.code == 0, said.err
    assert "tracking `left` and `right` by colour: frames 0..7" in said.err
    assert "tracking" not in track(command, spec(base)).err
    assert engines.loaded == ["tracker"]


@pytest.mark.parametrize("command", ["show", "plan"])
def test_commands_say_as_json_what_they_tracked(
    track: Grain, base: Path, engines: Engines, command: str
) -> None:
    said = track(command, spec(base), "--format", "json")
    assert (said.err, said.json["tracked_now"]) == ("", ["left", "right"])
    assert track(command, spec(base), "--format", "json").json["tracked_now"] == []


def test_a_spec_with_a_mistake_is_not_tracked(track: Grain, base: Path, engines: Engines) -> None:
    path = spec(base)
    path.write_text(path.read_text().replace('edit left -> "green robot"', 'edit left -> "bear"'))
    assert "G104" in track("plan", path).err
    assert engines.loaded == []


def test_show_marks_doubtful_frames(track: Grain, base: Path, engines: Engines) -> None:
    path = spec(base)
    track("show", path, "-o", base / "sure.png")
    engines.tracker = FakeTracker(doubted=frozenset({5}))
    track("track", path, "--force")
    said = track("show", path, "-o", base / "doubtful.png", "--format", "json")
    assert [one["doubtful"] for one in said.json["tracked"]] == [[5], [5]]
    assert codes(said) == ["G360", "G360"]
    sure, doubtful = (np.asarray(Image.open(base / f"{n}.png")) for n in ("sure", "doubtful"))
    assert len(doubtful) > len(sure)  # a row more
    assert not (sure == AMBER).all(-1).any()
    assert (doubtful == AMBER).all(-1).any()


def test_show_draws_clicks_on_their_frames(track: Grain, base: Path, engines: Engines) -> None:
    """On the first frame, and on frame 4, which is not shown otherwise."""

    def drawn(regions: str) -> np.ndarray:
        spec_of(base, regions, 'video "clip" { size 48x48 }')
        shown = track("show", base / "edit.grain", "-o", base / "s.png", "--columns", 1)
        assert shown.code == 0, shown.err
        return np.asarray(Image.open(base / "s.png").convert("RGB"))

    label, high, scale = 20, 240, 5  # the middle of the clip, enlarged

    def at(x: int, y: int) -> tuple[int, int]:
        return label + y * scale, (x - 8) * scale

    black, white = [0] * 3, [255] * 3
    one = drawn("region left = track(point(12px, 12px) @ 0)")
    y, x = at(12, 12)
    assert [[*one[y, x + right]] for right in (0, 5, 7)] == [black, white, black]
    two = drawn(
        "region left = track(point(12px, 12px), not point(50px, 40px), box(10px, 6px, 22px, 18px)"
        " @ 0, point(18px, 12px) @ 4)"
    )
    y, x = at(50, 40)
    assert [*two[y, x]] == [*two[y + 4, x + 4]] == [*two[y - 4, x + 4]] == black
    assert [*two[y, x + 5]] == white
    assert [*two[at(18, 6)]] == white  # the upper side of the box
    assert len(two) == len(one) + label + high
    y, x = at(18, 12)
    assert [*two[y + label + high, x]] == black


def test_runs_tell_their_masks_and_are_repeated(
    track: Grain, base: Path, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest names the masks, the report the doubts, and `--again` compares both."""
    monkeypatch.chdir(base)
    engines.tracker = FakeTracker(doubted=frozenset({1}))
    text = spec(base, more="keep right\nsampler { steps 2 }").read_text()
    small = text.replace('video "clip"', 'video "clip" { frames 0..1 size 96x96 }')
    (base / "edit.grain").write_text(small)
    said = track("run", "edit.grain", "--device", "cpu", "--set", "sampler.steps=1")
    assert said.code == 0, said.err
    assert "tracking `left` and `right` by colour: frames 0..1" in said.err
    manifest = json.loads((base / "runs" / "edit" / "run.json").read_text())
    tracked = manifest["tracked"]
    assert (tracked["folder"], tracked["file"]) == ("masks/tracked/edit", "edit.grain")
    assert [entry["doubtful"] for entry in tracked["regions"]] == [[1], [1]]
    report = (base / "runs" / "edit" / "report.html").read_text()
    assert "colour, doubtful on frame 1" in report

    again = track("run", "--again", "runs/edit", "--device", "cpu")
    assert again.code == 0, again.err
    assert "the edit is bit-identical to that of runs/edit" in again.out
    assert "G367" not in again.err
    repeated = json.loads((base / "runs" / "edit-again" / "run.json").read_text())
    assert repeated["spec"]["sampler"]["steps"] == 1
    assert (repeated["run_key"], repeated["tracked"]) == (manifest["run_key"], tracked)

    (base / "edit.grain").write_text(small.replace("10px", "11px"))
    assert track("track", "edit.grain").code == 0
    painted = base / "masks" / "tracked" / "edit" / "00001.png"
    label_image(np.full((48, 64), 1, np.uint8)).save(painted)
    repaired = painted.read_bytes()
    other = track("run", "--again", "runs/edit", "--device", "cpu")
    assert (other.code, "error[G365]: the masks in" in other.err) == (1, True)
    assert "are not those of the run: the prompts of `left` changed" in other.err
    assert "or run the spec as it is now: `grain run edit.grain`" in other.err
    assert painted.read_bytes() == repaired
    assert "G358" not in check(track, base / "edit.grain")  # the masks are still the spec's


def test_other_masks_than_those_of_a_run_are_told(base: Path, engines: Engines) -> None:
    edit = spec_of(base, BOTH, more="keep right")
    used = prepare(edit, base).tracked
    assert used.unlike(used.as_json()) is None
    picture = base / "masks" / "tracked" / "edit" / "00001.png"
    ensure_tracked(edit, base, TrackOptions(force=True))
    assert prepare(edit, base).tracked.unlike(used.as_json()) is None  # the same again
    label_image(np.full((48, 64), 1, np.uint8)).save(picture)
    assert prepare(edit, base).tracked.unlike(used.as_json()).code == "G367"
    assert used.unlike(None).code == "G367"


def test_python_tracks_too(base: Path, engines: Engines) -> None:
    engines.tracker = FakeTracker(doubted=frozenset({1}))
    stages: list[str] = []
    options = TrackOptions(progress=lambda stage, done, total: stages.append(stage))
    prepared = prepare(spec_of(base, BOTH, more="keep right"), base, tracking=options)
    assert {*stages} == {"track"}
    assert prepared.tracked.state.status == "fresh"
    assert "G360" in {finding.code for finding in prepared.warnings}
    assert prepare(spec_of(base, BOTH, more="keep right"), base).plan == prepared.plan


def test_what_cannot_be_repeated(track: Grain, base: Path) -> None:
    said = track("run", "--again", base / "clip")
    assert (said.code, "G317" in said.err) == (1, True)
    said = track("run", "--again", base / "clip", "--variant", "pig")
    assert (said.code, "name the folder of the variant's run" in said.err) == (2, True)
    for name in ("pig", "husky"):
        (base / "runs" / name).mkdir(parents=True)
        (base / "runs" / name / "run.json").write_text("{}")
    said = track("run", "--again", base / "runs")
    assert f"Name one of them: `{base}/runs/husky` or `{base}/runs/pig`" in said.err
    assert "is not a valid manifest" in track("run", "--again", base / "runs" / "pig").err


def test_the_default_engine_needs_no_weights(
    grain: Grain, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One click an object, by the real engine, from the command to the bound regions."""
    pytest.importorskip("cv2")
    monkeypatch.setitem(_extensions(), "track", "grainspec_runtime.commands.track:track")
    path = spec(base)
    said = grain("track", path, "--format", "json")
    assert said.code == 0, said.err
    assert [one["tracker"] for one in said.json["regions"]] == ["colour", "colour"]
    bound = bind_regions(load(path), base)
    for region, name in (("left", "red"), ("right", "blue")):
        for frame, mask in enumerate(bound.regions.mask(region)):
            true = inside(name, frame)
            assert (mask & true).sum() / (mask | true).sum() > 0.75, (region, frame)
    assert not (bound.regions.mask("left") & bound.regions.mask("right")).any()


def test_a_text_that_is_not_saved_is_tracked_with_progress_for_programs(
    track: Grain, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = spec(base)
    text = path.read_text()
    path.write_text("grain 1")
    monkeypatch.setattr(sys, "stdin", StringIO(text))
    said = track("track", path, "--stdin", "--progress", "json", "--format", "json")
    assert said.code == 0
    assert said.json["folder"] == str(base / "masks" / "tracked" / "edit")
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert lines == [{"stage": "track", "done": done, "total": 8} for done in range(9)]
    assert path.read_text() == "grain 1"


def test_a_broken_text_from_standard_input_names_its_lines(
    track: Grain, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("grain 1\nvideo 3\n"))
    said = track("track", base / "none.grain", "--stdin", "--format", "json")
    assert said.code == 1
    assert "G202" in said.codes or "G001" in said.codes
    assert said.json["files"][0]["diagnostics"][0]["line"] == 2
