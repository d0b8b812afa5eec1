"""What tracking never replaces without `--force`: objects named by number, files of others, damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from baked import BOTH, RIGHT, repair, track
from fake_tracker import Engines, spec_of

from grainspec import GrainError
from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.regions.tracked.labels import image_name
from grainspec_runtime.tracking.bake import ensure_tracked

pytestmark = pytest.mark.usefixtures("quick_disk")


BY_HAND = 'region left = masks("masks/tracked/edit", index 1)'


@pytest.mark.parametrize("more", ["", " | track(point(20px, 12px) @ 0)"])
def test_an_object_that_only_its_number_names_is_not_erased(
    base: Path, engines: Engines, more: str
) -> None:
    folder = track(base).state.folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    moved = f"{BY_HAND}{more}\n{RIGHT.replace('46px', '47px')}"
    [finding] = check_tracked_masks(spec_of(base, moved), base)
    assert finding.code == "G365"
    assert "index 1 in" in finding.message
    assert "`left` names, would be erased" in finding.message
    with pytest.raises(GrainError) as caught:
        track(base, moved)
    assert caught.value.diagnostics == (finding,)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    shutil.copytree(folder, base / "masks" / "mine")
    tracked = track(base, moved.replace("masks/tracked/edit", "masks/mine"))
    assert tracked.state.status == "fresh"


def test_an_object_that_is_tracked_may_be_named_by_its_number(base: Path, engines: Engines) -> None:
    track(base)
    grown = 'region more = masks("masks/tracked/edit", index 1) grow 2px'
    assert track(base, f"{BOTH.replace('10px', '11px')}\n{grown}").regions == ("left", "right")
    assert track(base, f"{BY_HAND}\n{RIGHT}").regions == ()  # nothing is written
    assert track(base, f"{BY_HAND}\n{RIGHT}", force=True).regions == ("right",)


@pytest.mark.parametrize("name", ["00099.png", "alpha/mine.txt"])
def test_files_that_are_not_of_the_manifest_are_not_deleted(
    base: Path, engines: Engines, name: str
) -> None:
    own = track(base).state.folder / name
    own.parent.mkdir(exist_ok=True)
    for path in (own, own.with_name(".hidden")):
        path.write_text("mine")
    assert track(base).regions == ()  # nothing is written
    moved = BOTH.replace("10px", "11px")
    [finding] = check_tracked_masks(spec_of(base, moved), base)
    for only in ((), ("left",)):
        with pytest.raises(
            GrainError, match=f"G365: {name} in .* not from `grain track`"
        ) as caught:
            track(base, moved, only=only)
        assert caught.value.diagnostics == (finding,)
    assert own.read_text() == "mine"
    assert track(base, moved, force=True).regions == ("left", "right")
    assert not own.exists()


@pytest.mark.parametrize("name", ["00000.png", "alpha"])
def test_what_a_user_keeps_in_the_folder_is_not_replaced(
    base: Path, engines: Engines, name: str
) -> None:
    own = base / "masks" / "tracked" / "edit" / name
    own.mkdir(parents=True)
    with pytest.raises(GrainError, match=f"G365: .*edit has {name} but no manifest.json"):
        track(base)
    own.rename(own.with_name("00002.xcf"))
    assert track(base).state.status == "fresh"


def test_files_of_others_in_the_folder_stay(base: Path, engines: Engines) -> None:
    folder = track(base).state.folder
    (folder / "00002.xcf").write_text("layers")
    track(base, force=True)
    assert (folder / "00002.xcf").read_text() == "layers"


def test_a_file_in_the_place_of_the_folder(base: Path, engines: Engines) -> None:
    spec = spec_of(base, BOTH)
    (base / "masks").write_text("a file")
    with pytest.raises(GrainError, match="G310: .*cannot be written") as caught:
        ensure_tracked(spec, base)
    folder = base / "masks" / "tracked" / "edit"
    assert f"Tracked masks are kept in {folder}" in str(caught.value)
    assert " -o" not in caught.value.diagnostics[0].cure


def test_a_file_in_the_place_of_the_folder_stays(base: Path, engines: Engines) -> None:
    place = base / "masks" / "tracked" / "edit"
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    with pytest.raises(GrainError, match="G310: .*move away what is in its place"):
        track(base)
    assert place.read_text() == "mine"
    assert [path.name for path in place.parent.iterdir()] == ["edit"]


def test_a_damaged_manifest_is_not_replaced(base: Path, engines: Engines) -> None:
    folder = track(base).state.folder
    (folder / "manifest.json").write_text("{")
    with pytest.raises(GrainError, match="G365: .*not known which masks were repaired"):
        track(base)
    assert track(base, force=True).state.status == "fresh"


def test_a_meeting_that_ends_before_it_begins_is_damage(base: Path, engines: Engines) -> None:
    path = track(base).state.folder / "manifest.json"
    said = json.loads(path.read_text())
    said["meetings"] = [{"region": "left", "first": 5, "last": 3}]
    path.write_text(json.dumps(said))
    [finding] = check_tracked_masks(spec_of(base, BOTH), base)
    assert finding.code == "G365"
    assert "meetings.0: Value error, the first frame is 5, the last one 3" in finding.message


def test_images_without_a_manifest_are_not_replaced(base: Path, engines: Engines) -> None:
    folder = track(base).state.folder
    painted = repair(folder, 3, 1)
    (folder / "manifest.json").unlink()
    pattern = "G365: .*edit has 00000.png, 00001.png, … but no manifest.json, so it is not known"
    with pytest.raises(GrainError, match=pattern):
        track(base)
    [finding] = check_tracked_masks(spec_of(base, BOTH), base)
    assert finding.code == "G365"
    assert (folder / image_name(3)).read_bytes() == painted
    assert track(base, force=True).state.status == "fresh"
