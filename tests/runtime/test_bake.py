"""Masks of tracked regions: made once, resumed, kept, and never silently wrong."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crash import in_child, kill
from fake_tracker import Engines, FakeFinder, FakeTracker, inside, spec_of

from grainspec import GrainError
from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.clip.facts import probe
from grainspec.regions.tracked.labels import image_name, label_image
from grainspec.regions.tracked.masks import tracked_masks
from grainspec.regions.tracked.sources import TrackedClip
from grainspec.regions.tracked.state import tracked_state
from grainspec.regions.tracked.weights import named
from grainspec_runtime.prepare import prepare
from grainspec_runtime.tracking.bake import Tracked, TrackOptions, ensure_tracked
from grainspec_runtime.tracking.choices import EngineChoice
from grainspec_runtime.tracking.engine import FramePrompt
from grainspec_runtime.tracking.frames import ClipFrames
from grainspec_runtime.tracking.request import request_of
from grainspec_runtime.tracking.write import is_foreign
from grainspec_runtime.whole_folder import claimed

LEFT = "region left = track(point(10px, 12px) @ 0)"
RIGHT = "region right = track(point(46px, 30px))"
BOTH = f"{LEFT}\n{RIGHT}"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Power cuts are not tested: nothing has to wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def track(base: Path, regions: str = BOTH, **named: object) -> Tracked:
    options = {key: named.pop(key) for key in ("only", "force", "engines") if key in named}
    return ensure_tracked(spec_of(base, regions, **named), base, TrackOptions(**options))


def masks_of(tracked: Tracked, region: str) -> dict[int, np.ndarray]:
    [source] = [s for s, names in tracked.state.sources.items() if region in names]
    frames = tracked.state.manifest.frames
    images = tracked_masks(tracked.state, source, frames)
    return {frame: np.asarray(image) == 255 for frame, image in zip(frames, images, strict=True)}


def repair(folder: Path, frame: int, number: int, labels: np.ndarray | None = None) -> bytes:
    """Paint over the first rows of an image; returns the new file's bytes."""
    path = folder / image_name(frame)
    painted = np.zeros((48, 64), np.uint8) if labels is None else labels
    painted[:4] = number
    label_image(painted).save(path)
    return path.read_bytes()


def test_exact_masks_of_objects_that_move_both_ways(base: Path, engines: Engines) -> None:
    tracked = track(base, f"{LEFT.replace('10px', '14px').replace('@ 0', '@ 2')}\n{RIGHT}")
    assert (tracked.regions, tracked.state.status) == (("left", "right"), "fresh")
    for region, name in (("left", "red"), ("right", "blue")):
        masks = masks_of(tracked, region)
        assert sorted(masks) == list(range(8))
        for frame, mask in masks.items():
            np.testing.assert_array_equal(mask, inside(name, frame))
    assert engines.tracker.objects == ["left", "right"]  # tracked together


def test_masks_are_made_once(base: Path, engines: Engines) -> None:
    track(base)
    again = track(base)
    assert (again.regions, again.state.status) == ((), "fresh")
    assert engines.loaded == ["tracker"]


def test_an_equal_expression_is_one_object(base: Path, engines: Engines) -> None:
    both = f"{LEFT}\nregion more = {LEFT.split(' = ')[1]} | {RIGHT.split(' = ')[1]}"
    tracked = track(base, both)
    assert engines.tracker.objects == ["left", "more"]
    assert [record.regions for record in tracked.state.manifest.sources] == [
        ("left", "more"),
        ("more",),
    ]


def test_frames_outside_those_in_use_are_tracked_if_a_prompt_is_there(
    base: Path, engines: Engines
) -> None:
    video = 'video "clip" { frames 3..6 step 3 }'
    tracked = track(base, LEFT, video=video)
    assert tracked.state.manifest.frames == range(7)
    assert track(base, LEFT, video='video "clip" { frames 1..5 }').regions == ()


def test_shapes_become_prompts(base: Path, engines: Engines) -> None:
    tracked = track(
        base,
        "region left = track(box(4px, 6px, 25%, 18px), not point(50%, 50%) @ 0, "
        "polygon(6px 6px, 18px 6px, 18px 18px, 6px 18px) @ 1)",
    )
    clip = tracked.state.clip
    request = request_of(clip, list(clip.sources), ClipFrames(clip), None)
    [one] = request.objects
    first, second = one.prompts
    assert (first.index, first.box) == (0, (4.0, 6.0, 16.0, 18.0))
    np.testing.assert_array_equal(first.points_N2, [[32, 24]])
    np.testing.assert_array_equal(first.positive_N, [False])
    assert (second.index, second.box, len(second.points_N2)) == (1, None, 0)
    np.testing.assert_array_equal(second.mask_HW, inside("red", 1))


@pytest.mark.parametrize(
    "shape", ["polygon(10% 10%, 20% 20%, 30% 30%)", "box(10.1px, 10.1px, 10.2px, 10.2px)"]
)
def test_a_shape_without_a_pixel_is_no_prompt(base: Path, engines: Engines, shape: str) -> None:
    with pytest.raises(GrainError, match="G309") as caught:
        track(base, f"region left = track({shape} @ 0)")
    assert caught.value.diagnostics[0].span.line == 4
    assert engines.loaded == []


def test_a_box_ends_at_the_frame(base: Path, engines: Engines) -> None:
    assert frame_prompts(base, "box(90%, -10px, 120%, 50%)")[0].box == (57.6, 0, 64, 24)


def test_the_prompts_of_a_frame_come_to_engines_as_one(base: Path, engines: Engines) -> None:
    said = "point(2px, 4px), not point(6px, 8px), point(10px, 12px) @ 3, point(1px, 1px) @ 5"
    first, second = frame_prompts(base, said)
    assert (first.index, second.index) == (3, 5)
    np.testing.assert_array_equal(first.points_N2, [[2, 4], [6, 8], [10, 12]])
    np.testing.assert_array_equal(first.positive_N, [True, False, True])


def frame_prompts(base: Path, said: str) -> tuple[FramePrompt, ...]:
    """What an engine is asked for."""
    clip = TrackedClip(spec_of(base, f"region left = track({said})"), base, probe(base / "clip"))
    [one] = request_of(clip, list(clip.sources), ClipFrames(clip), None).objects
    return one.prompts


# --- find ----------------------------------------------------------------------------------------


def test_all_that_words_find_is_one_region(base: Path, engines: Engines) -> None:
    tracked = track(base, 'region all_of_them = find("square")')
    assert engines.tracker.objects == ["all_of_them 1", "all_of_them 2"]
    assert engines.loaded == ["finder hub/grounding_dino", "tracker"]
    for frame, mask in masks_of(tracked, "all_of_them").items():
        np.testing.assert_array_equal(mask, inside("red", frame) | inside("blue", frame))
    [record] = tracked.state.manifest.sources
    assert [found.score for found in record.found] == [0.8, 0.8]
    assert record.finder.name == "grounding_dino"


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (", leftmost @ 0", "red"),
        (", rightmost @ 0", "blue"),
        (", leftmost @ 7", "red"),
        (", number 2 @ 0", "blue"),
    ],
)
def test_one_of_the_objects_that_words_find(
    base: Path, engines: Engines, choice: str, name: str
) -> None:
    regions = f'region one = find("square"{choice})'
    if "@ 7" in choice:  # by then they have changed places
        name = (
            "blue" if inside("blue", 7).any(0).argmax() < inside("red", 7).any(0).argmax() else name
        )
    np.testing.assert_array_equal(masks_of(track(base, regions), "one")[3], inside(name, 3))


def test_words_that_nothing_fits(base: Path, engines: Engines) -> None:
    engines.finder = FakeFinder(score=0.12)
    with pytest.raises(GrainError) as caught:
        track(base, 'region men = find("square" @ 2)')
    [finding] = caught.value.diagnostics
    assert finding.code == "G359"
    assert finding.message == (
        '`find("square")` finds nothing on frame 2: the best score is 12%, below `score 30%`'
    )
    assert "`score 12%`" in finding.cure
    assert finding.span.line == 4
    assert engines.loaded == ["finder hub/grounding_dino"]  # no tracker
    assert not list(base.glob("masks/**/*.png"))


def test_a_number_that_is_not_there(base: Path, engines: Engines) -> None:
    with pytest.raises(GrainError, match="only 2 objects on frame 0, and has no `number 3`"):
        track(base, 'region men = find("square", number 3)')


# --- resume --------------------------------------------------------------------------------------


def test_an_interrupted_command_goes_on(base: Path, engines: Engines) -> None:
    engines.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    folder = base / "masks" / "tracked" / "edit"
    assert not folder.exists()  # nothing half-written
    engines.tracker.stops_after = None
    tracked = track(base)
    assert tracked.resumed == 3
    assert engines.tracker.calls == [[], [0, 1, 2]]
    assert engines.tracker.yielded == list(range(8))  # no frame twice
    np.testing.assert_array_equal(masks_of(tracked, "left")[1], inside("red", 1))
    assert [entry.name for entry in folder.parent.iterdir()] == ["edit"]


def test_other_prompts_do_not_resume(base: Path, engines: Engines) -> None:
    engines.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    engines.tracker.stops_after = None
    assert track(base, BOTH.replace("10px", "11px")).resumed == 0
    assert [entry.name for entry in (base / "masks" / "tracked").iterdir()] == ["edit"]


def test_a_new_version_of_an_engine_does_not_resume(base: Path, engines: Engines) -> None:
    engines.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    engines.tracker = FakeTracker(version="2")
    assert track(base).resumed == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_command_that_is_killed_at_any_moment(base: Path, engines: Engines) -> None:
    """The masks are the old or the new ones, what was repaired is kept, and frames are resumed."""
    folder = track(base).state.folder
    painted = repair(folder, 2, 1)
    shutil.copytree(folder, base / "old")
    moved = BOTH.replace("10px", "11px")
    resumed = []
    for at in itertools.count(5, 23):
        status = in_child(lambda: track(base, moved), kill(signal.SIGKILL), at)
        with claimed(folder, keeps=is_foreign, last="manifest.json"):
            pass  # puts in order what the killed process left
        old, new = (state_of(base, regions) for regions in (BOTH, moved))
        assert "fresh" in (old, new), at
        assert (folder / image_name(2)).read_bytes() == painted
        tracked = track(base, moved)
        assert tracked.state.status == "fresh"
        assert (folder / image_name(2)).read_bytes() == painted
        np.testing.assert_array_equal(masks_of(tracked, "right")[3], inside("blue", 3))
        resumed.append(tracked.resumed)
        assert [entry.name for entry in folder.parent.iterdir()] == ["edit"]
        if status == 0:
            break
        shutil.rmtree(folder)
        shutil.copytree(base / "old", folder)
    assert max(resumed) == 8  # killed while the folder was written
    assert len({*resumed}) >= 3


def test_what_is_left_of_deleting_finished_frames_is_deleted(base: Path, engines: Engines) -> None:
    folder = track(base).state.folder
    half = folder.with_name(".edit.tracking-done")
    half.mkdir()
    os.utime(half, (2**32, 2**32))  # files were deleted in it since the masks were written
    assert track(base).regions == ()
    assert not half.exists()


def state_of(base: Path, regions: str) -> str:
    spec = spec_of(base, regions)
    return tracked_state(spec, base, probe(base / "clip")).status


@pytest.mark.parametrize("damage", [b"", b"\x89PNG\r\n\x1a\n", None])
def test_a_damaged_frame_is_tracked_again(
    base: Path, engines: Engines, damage: bytes | None
) -> None:
    engines.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    [partial] = base.glob("masks/tracked/.edit.tracking-*/00001.png")
    if damage is None:
        label_image(np.full((48, 64), 9, np.uint8)).save(partial)
    else:
        partial.write_bytes(damage)
    engines.tracker.stops_after = None
    tracked = track(base)
    assert tracked.resumed == 2
    np.testing.assert_array_equal(masks_of(tracked, "left")[1], inside("red", 1))


def test_two_at_once_are_refused(base: Path, engines: Engines) -> None:
    from grainspec.file_lock import locked_file

    (base / "masks" / "tracked").mkdir(parents=True)
    lock = base / "masks" / "tracked" / ".edit.grain-lock"
    held = locked_file(lock)
    held.write(b"4711\n")
    held.flush()
    with pytest.raises(GrainError, match="G364: .*tracking the regions of edit: process 4711"):
        track(base)
    held.close()
    assert track(base).regions == ("left", "right")


# --- only, repaired, stale -----------------------------------------------------------------------


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


def test_a_file_in_the_place_of_the_folder_stays(base: Path, engines: Engines) -> None:
    place = base / "masks" / "tracked" / "edit"
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    with pytest.raises(GrainError, match="G310: .*move away what is in its place"):
        track(base)
    assert place.read_text() == "mine"
    assert [path.name for path in place.parent.iterdir()] == ["edit"]


def test_only_one_region_is_tracked_again(base: Path, engines: Engines) -> None:
    track(base)
    images = {p.name: p.read_bytes() for p in (base / "masks/tracked/edit").glob("*.png")}
    engines.tracker = FakeTracker(blind=frozenset({5}))
    moved = BOTH.replace("10px", "11px")
    tracked = track(base, moved, only=("left",))
    assert (tracked.regions, tracked.state.status) == (("left",), "fresh")
    assert engines.tracker.objects == ["left"]
    for frame, mask in masks_of(tracked, "right").items():
        np.testing.assert_array_equal(mask, inside("blue", frame))
    assert not masks_of(tracked, "left")[5].any()
    same = {p.name for p in tracked.state.folder.glob("*.png") if p.read_bytes() == images[p.name]}
    assert same == {image_name(frame) for frame in range(8) if frame != 5}


def test_the_pixels_of_others_stay_theirs(base: Path, engines: Engines) -> None:
    """`left` now claims the colour of `right`, whose pixels are kept."""
    track(base)
    tracked = track(base, f"{LEFT.replace('10px, 12px', '46px, 31px')}\n{RIGHT}", only=("left",))
    assert not masks_of(tracked, "left")[3].any()
    np.testing.assert_array_equal(masks_of(tracked, "right")[3], inside("blue", 3))


FOUND = f'{LEFT}\nregion blue = find("blue")'


def test_only_a_region_of_words_is_found_again(base: Path, engines: Engines) -> None:
    track(base, FOUND)
    engines.loaded.clear()
    engines.tracker = FakeTracker(blind=frozenset({5}))
    tracked = track(base, FOUND.replace('"blue"', '"blue", leftmost'), only=("blue",))
    assert (tracked.regions, tracked.state.status) == (("blue",), "fresh")
    assert engines.loaded == ["finder hub/grounding_dino", "tracker"]
    np.testing.assert_array_equal(masks_of(tracked, "left")[5], inside("red", 5))
    assert not masks_of(tracked, "blue")[5].any()


def test_only_a_clicked_region_needs_no_finder(base: Path, engines: Engines) -> None:
    track(base, FOUND)
    engines.loaded.clear()
    tracked = track(base, FOUND.replace("10px", "11px"), only=("left",))
    assert (tracked.regions, engines.loaded) == (("left",), ["tracker"])
    np.testing.assert_array_equal(masks_of(tracked, "blue")[3], inside("blue", 3))


def test_only_tracks_all_expressions_of_its_region(base: Path, engines: Engines) -> None:
    pair = f'region pair = {LEFT.split(" = ")[1]} | find("blue")\n{LEFT}'
    track(base, pair)
    tracked = track(base, pair, only=("left",), force=True)
    assert tracked.regions == ("pair", "left")  # they share the clicked object
    assert engines.tracker.objects == ["pair"]
    assert track(base, pair, only=("pair",), force=True).regions == ("pair", "left")
    assert engines.tracker.objects == ["pair", "pair"]


def test_words_that_find_what_is_kept_are_told(base: Path, engines: Engines) -> None:
    track(base, FOUND)
    spec = spec_of(base, FOUND.replace('find("blue")', 'find("red")'))
    tracked = ensure_tracked(spec, base, TrackOptions(only=("blue",)))
    assert not masks_of(tracked, "blue")[3].any()
    [finding] = check_tracked_masks(spec, base)
    assert finding.code == "G362"
    assert finding.message.startswith("`left` covers `blue` on frame 0")


def test_only_cannot_keep_what_lacks_frames(base: Path, engines: Engines) -> None:
    track(base, video='video "clip" { frames 0..4 }')
    with pytest.raises(GrainError, match="G365: .*frames 5..7 are not tracked") as caught:
        track(base, BOTH.replace("10px", "11px"), only=("left",))
    assert f"`grain track {base / 'edit.grain'}`" in str(caught.value)


def test_a_region_of_many_is_tracked_first(base: Path, engines: Engines) -> None:
    tracked = track(base, only=("right",))
    assert (tracked.state.status, tracked.state.why) == ("stale", "`left` is not tracked yet")
    assert track(base, only=("right",)).regions == ()
    assert track(base, only=("left",)).state.status == "fresh"


def test_repaired_images_stay_repaired(base: Path, engines: Engines) -> None:
    folder = track(base).state.folder
    painted = repair(folder, 2, 1)
    assert track(base).regions == ()  # they are used, and need no new tracking
    tracked = track(base, BOTH.replace("10px", "11px"))
    assert (tracked.regions, tracked.kept) == (("left", "right"), (2,))
    assert (folder / image_name(2)).read_bytes() == painted
    assert tracked.state.repaired == (2,)  # still known
    assert masks_of(tracked, "left")[2][:4].all()
    forced = track(base, BOTH.replace("10px", "11px"), force=True)
    assert (forced.kept, forced.state.repaired) == ((), ())
    np.testing.assert_array_equal(masks_of(forced, "left")[2], inside("red", 2))


def test_only_by_force_keeps_what_was_repaired_for_others(base: Path, engines: Engines) -> None:
    folder = track(base).state.folder
    painted = inside("red", 2).astype(np.uint8)
    painted[40:] = 2
    repair(folder, 2, 1, painted)
    repair(folder, 5, 2, np.where(inside("red", 5), 1, 0).astype(np.uint8))
    forced = track(base, only=("right",), force=True)
    assert (forced.kept, forced.state.repaired) == ((2,), (2,))  # on frame 5 only `right` was
    np.testing.assert_array_equal(masks_of(forced, "right")[2], inside("blue", 2))
    tracked = track(base, BOTH.replace("46px", "47px"))
    assert (tracked.regions, tracked.kept) == (("left", "right"), (2,))
    assert masks_of(tracked, "left")[2][:4].all()
    assert track(base, force=True).state.repaired == ()


def test_more_frames_are_tracked_with_all_others(base: Path, engines: Engines) -> None:
    folder = track(base, video='video "clip" { frames 0..5 }').state.folder
    content = repair(folder, 3, number=2)
    spec, said = spec_of(base, BOTH), list[str]()
    [finding] = check_tracked_masks(spec, base)
    again = (
        "All frames are tracked again, as masks depend on all frames that an object is followed "
        "through; 00003.png stays as repaired by hand."
    )
    assert finding.message.endswith("are stale: frames 6..7 are not tracked")
    assert finding.cure.endswith(again)
    engines.tracker = FakeTracker()
    tracked = ensure_tracked(spec, base, TrackOptions(say=said.append))
    assert (engines.tracker.calls, len(engines.tracker.yielded)) == ([[]], 8)
    assert said[0] == f"frames 6..7 are not tracked. {again}"
    assert (tracked.kept, tracked.state.status) == ((3,), "fresh")
    assert (folder / image_name(3)).read_bytes() == content


@pytest.mark.parametrize("frames", ["1..3", "0..4"])
def test_repaired_images_outside_the_frames_are_not_deleted(
    base: Path, engines: Engines, frames: str
) -> None:
    folder = track(base).state.folder
    painted = repair(folder, 6, 1)
    fewer = {"video": f'video "clip" {{ frames {frames} }}'}
    moved = BOTH.replace("10px", "11px").replace(" @ 0", "")
    pattern = f"G365: .*only frames {frames} would be tracked: 00006.png in .* is repaired by hand"
    with pytest.raises(GrainError, match=pattern) as caught:
        track(base, moved, **fewer)
    assert "Let the spec use frame 6 too" in str(caught.value)
    assert [found.code for found in check_tracked_masks(spec_of(base, moved, **fewer), base)] == [
        "G365"
    ]
    with pytest.raises(GrainError, match="G365: only frames"):  # current, but by another engine
        track(base, f"{LEFT}\n{RIGHT[:-1]} @ 0)", **fewer, engines=EngineChoice(tracker="sam2"))
    assert (folder / image_name(6)).read_bytes() == painted
    assert track(base, BOTH, video='video "clip" { frames 0..4 }').regions == ()
    one = track(base, moved, video='video "clip" { frames 0..4 }', only=("left",))
    assert (one.kept, (folder / image_name(6)).read_bytes()) == ((6,), painted)
    forced = track(base, moved, **fewer, force=True)
    assert (forced.kept, (folder / image_name(6)).exists()) == ((), False)


def test_numbers_stay_with_their_regions(base: Path, engines: Engines) -> None:
    """A repaired image means the same after regions came and went."""
    folder = track(base).state.folder
    repair(folder, 2, 2)
    green = "region hill = track(point(62px, 46px) @ 0)"
    tracked = track(base, f"{green}\n{RIGHT}")
    numbers = {record.regions[0]: record.numbers for record in tracked.state.manifest.sources}
    assert numbers == {"hill": (3,), "right": (2,)}
    assert masks_of(tracked, "right")[2][:4].all()
    hill = next(r for r in tracked.state.manifest.sources if r.regions == ("hill",))
    assert hill.kept == (2,)


def test_what_a_repaired_image_lacks_is_said_until_it_is_painted(
    base: Path, engines: Engines
) -> None:
    folder = track(base, LEFT).state.folder
    repair(folder, 2, 1)
    track(base)
    moved = BOTH.replace("46px", "47px")
    track(base, moved)
    [finding] = check_tracked_masks(spec_of(base, moved), base)
    assert (finding.code, finding.cure.split(",")[1]) == ("G366", " with index 2")
    repair(folder, 2, 2)
    assert check_tracked_masks(spec_of(base, moved), base) == []


def test_what_was_repaired_under_other_prompts_is_said_until_it_is_painted_anew(
    base: Path, engines: Engines
) -> None:
    folder = track(base).state.folder
    painted = np.where(inside("blue", 2), 2, inside("red", 2)).astype(np.uint8)
    painted[:4, :4] = 1
    label_image(painted).save(folder / image_name(2))
    more = BOTH.replace("12px)", "12px), point(11px, 12px)")
    track(base, more)
    assert check_tracked_masks(spec_of(base, more), base) == []  # it is the same object
    other = BOTH.replace("point(10px, 12px)", "point(62px, 46px)")
    spec = spec_of(base, other)
    for changed in (other, other.replace("46px, 30px", "47px, 30px")):
        track(base, changed)
        track(base, other)
        [finding] = check_tracked_masks(spec, base)
        assert finding.code == "G366"
        assert finding.message == (
            "00002.png was repaired under other prompts of `left`, and may show another object"
        )
        assert f"{base / 'edit.grain'} --only left --force`" in finding.cure
    painted[40:, 40:] = 2  # `right` alone
    label_image(painted).save(folder / image_name(2))
    assert [found.code for found in check_tracked_masks(spec, base)] == ["G366"]
    repair(folder, 2, 1)
    assert check_tracked_masks(spec, base) == []


def test_outdated_repairs_are_replaced_by_force(base: Path, engines: Engines) -> None:
    folder = track(base).state.folder
    repair(folder, 2, 1, np.where(inside("blue", 2), 2, inside("red", 2)).astype(np.uint8))
    other = BOTH.replace("point(10px, 12px)", "point(62px, 46px)")
    track(base, other)
    spec = spec_of(base, other)
    assert [found.code for found in check_tracked_masks(spec, base)] == ["G366"]
    track(base, other, only=("right",), force=True)  # which keeps `left` as it is
    assert [found.code for found in check_tracked_masks(spec, base)] == ["G366"]
    track(base, other, only=("left",), force=True)
    assert check_tracked_masks(spec, base) == []


def test_two_clicks_of_one_region_do_not_cover_each_other(base: Path, engines: Engines) -> None:
    tracked = track(base, f"{LEFT} | track(point(11px, 8px) @ 0)")
    assert tracked.state.manifest.covers == ()


def test_an_object_keeps_its_number_whatever_its_name_is(base: Path, engines: Engines) -> None:
    """The object of `left` is now `right`, which stands after a new `left`."""
    folder = track(base).state.folder
    painted = repair(folder, 2, 1, inside("red", 2).astype(np.uint8))
    left, right = LEFT.split(" = ")[1], RIGHT.split(" = ")[1]
    turned = f"region left = {right.replace('46px', '47px')}\nregion right = {left}"
    tracked = track(base, turned)
    numbers = {record.regions[0]: record.numbers for record in tracked.state.manifest.sources}
    assert numbers == {"left": (3,), "right": (1,)}
    assert (folder / image_name(2)).read_bytes() == painted
    assert masks_of(tracked, "right")[2][:4].all()
    [finding] = check_tracked_masks(spec_of(base, turned), base)
    assert finding.code == "G366"
    assert finding.message.startswith("`left` has no pixels in 00002.png")


def test_only_keeps_an_object_that_has_another_name_now(base: Path, engines: Engines) -> None:
    track(base)
    turned = f"region left = track(point(62px, 46px) @ 0)\nregion right = {LEFT.split(' = ')[1]}"
    tracked = track(base, turned, only=("left",))
    assert (tracked.regions, tracked.state.status) == (("left",), "fresh")
    np.testing.assert_array_equal(masks_of(tracked, "right")[3], inside("red", 3))


def test_only_keeps_the_other_expressions_of_a_region(base: Path, engines: Engines) -> None:
    pair = f'region pair = {LEFT.split(" = ")[1]} | find("blue")\n{LEFT}'
    track(base, pair)
    tracked = track(base, pair.replace("10px", "11px"), only=("left",))
    assert (tracked.regions, tracked.state.status) == (("pair", "left"), "fresh")
    numbers = {record.regions: record.numbers for record in tracked.state.manifest.sources}
    assert numbers == {("pair", "left"): (1,), ("pair",): (2,)}


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


def test_repaired_images_of_another_clip_are_not_replaced(base: Path, engines: Engines) -> None:
    from PIL import Image

    folder = track(base).state.folder
    painted = repair(folder, 2, 1)
    Image.new("RGB", (64, 48), "white").save(base / "clip" / "00007.png")
    with pytest.raises(GrainError, match="G365: .*00002.png in .* is repaired by hand"):
        track(base)
    assert (folder / image_name(2)).read_bytes() == painted
    assert track(base, force=True).state.status == "fresh"


def test_repaired_images_stay_if_only_the_background_changed(base: Path, engines: Engines) -> None:
    folder = track(base, video='video "clip" { alpha "#ff0000" }').state.folder
    painted = repair(folder, 2, 1)
    other = {"video": 'video "clip" { alpha "#00ff00" }'}
    [finding] = check_tracked_masks(spec_of(base, BOTH, **other), base)
    assert finding.code == "G358"
    assert finding.message.endswith("`alpha`, the colour behind transparent frames, changed")
    tracked = track(base, only=("left", "right"), **other)
    assert (tracked.regions, tracked.kept) == (("left", "right"), (2,))
    assert (folder / image_name(2)).read_bytes() == painted
    assert (track(base, **other).regions, track(base).regions) == ((), ("left", "right"))


def test_a_file_in_the_place_of_the_folder(base: Path, engines: Engines) -> None:
    spec = spec_of(base, BOTH)
    (base / "masks").write_text("a file")
    with pytest.raises(GrainError, match="G310: .*cannot be written") as caught:
        ensure_tracked(spec, base)
    folder = base / "masks" / "tracked" / "edit"
    assert f"Tracked masks are kept in {folder}" in str(caught.value)
    assert " -o" not in caught.value.diagnostics[0].cure


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


def test_another_engine_by_option(base: Path, engines: Engines) -> None:
    track(base)
    engines.tracker = FakeTracker(name="sam2", weights="hub/sam2 abc")
    chosen = EngineChoice(tracker="sam2")
    tracked = track(base, engines=chosen)
    assert tracked.regions == ("left", "right")
    assert tracked.state.manifest.sources[0].tracker.weights == "hub/sam2 abc"
    assert track(base, engines=chosen).regions == ()
    assert track(base).regions == ()  # the option stays chosen until the spec says another engine
    assert track(base, engines=EngineChoice(tracker="sam2=hub/sam2")).regions == ()
    assert track(base, engines=EngineChoice(finder="owlv2")).regions == ()  # it finds nothing here
    other = EngineChoice(tracker="sam2=models/large")
    assert track(base, engines=other).regions == ("left", "right")
    assert engines.loaded == ["tracker", "tracker hub/sam2", "tracker models/large"]


def test_other_weights_in_the_same_folder_and_other_versions(base: Path, engines: Engines) -> None:
    tiny = base / "tiny"
    tiny.mkdir()
    for name in ("config.json", "model.safetensors"):
        (tiny / name).write_bytes(b"1")
    spec = spec_of(base, BOTH, more='keep right tracker sam2 { weights "tiny" }')
    engines.tracker = FakeTracker(name="sam2", weights=named(str(tiny), tiny))
    said: list[str] = []
    options = TrackOptions(compares=True, say=said.append)
    assert ensure_tracked(spec, base, options).regions == ("left", "right")
    assert ensure_tracked(spec, base, options).regions == ()

    (tiny / "model.safetensors").write_bytes(b"22")
    [finding] = check_tracked_masks(spec, base)  # which loads nothing
    assert finding.code == "G358"
    assert f"are stale: the weights of sam2 in {tiny} changed" in finding.message
    assert engines.loaded == ["tracker " + str(tiny)]
    as_they_are = TrackOptions(replaces=False)  # as `grain run --again` uses them
    assert ensure_tracked(spec, base, as_they_are).regions == ()
    prepared = prepare(spec, base, tracking=as_they_are)
    assert prepared.tracked.state.status == "fresh"
    assert "G358" not in {finding.code for finding in prepared.warnings}
    engines.tracker.weights = named(str(tiny), tiny)
    said.clear()
    assert ensure_tracked(spec, base, options).regions == ("left", "right")
    assert said[0] == f"the weights of sam2 in {tiny} changed"
    assert ensure_tracked(spec, base, options).regions == ()
    assert check_tracked_masks(spec, base) == []

    (tiny / "config.json").write_bytes(b"2")
    engines.tracker.weights = named(str(tiny), tiny)
    assert ensure_tracked(spec, base).regions == ("left", "right")  # as `grain run` does
    (tiny / "config.json").touch()
    assert ensure_tracked(spec, base).regions == ()

    engines.version = engines.tracker.version = "2"
    said.clear()
    assert ensure_tracked(spec, base, options).regions == ("left", "right")
    assert said[0] == "sam2 is of version 2 here; the masks are of version 1"
    assert ensure_tracked(spec, base, options).regions == ()
    shutil.rmtree(tiny)  # the masks are there without them
    assert ensure_tracked(spec, base, options).regions == ()


def test_an_engine_that_cannot_run_is_said_before_anything_is_done(
    base: Path, engines: Engines
) -> None:
    engines.why_not = "it requires torch, which is not installed: pip install torch"
    with pytest.raises(GrainError, match="G533"):
        track(base)
    assert engines.loaded == []
    assert not (base / "masks").exists()


def test_prompts_that_an_engine_does_not_take_are_said_before_it_loads(
    base: Path, engines: Engines
) -> None:
    regions = "region left = track(ellipse(4px, 6px, 16px, 18px), point(9px, 9px) @ 0)"
    with pytest.raises(GrainError, match="G535") as caught:
        track(base, regions, engines=EngineChoice(tracker="sam2"))
    assert caught.value.diagnostics[0].span.line == 4
    assert engines.loaded == []


def test_a_tracker_that_leaves_frames_out_is_a_bug(base: Path, engines: Engines) -> None:
    class Forgetful(FakeTracker):
        def track(self, frames, objects, finished):
            return (frame for frame in super().track(frames, objects, finished) if frame.index != 4)

    engines.tracker = Forgetful()
    with pytest.raises(RuntimeError, match="left out frame 4"):
        track(base)
    assert not (base / "masks" / "tracked" / "edit").exists()


def test_an_object_on_the_point_of_another_is_told(base: Path, engines: Engines) -> None:
    """Both prompts of `hat` are on the square of `left`, which takes its pixels."""

    class Greedy(FakeTracker):
        def track(self, frames, objects, finished):
            for frame in super().track(frames, objects, finished):
                yield replace(frame, labels_HW=np.minimum(frame.labels_HW, 1))

    engines.tracker = Greedy()
    tracked = track(base, f"{LEFT}\nregion hat = track(point(11px, 8px) @ 0)")
    [cover] = tracked.state.manifest.covers
    assert (cover.frame, cover.region, cover.by) == (0, "hat", "left")


def test_the_same_object_found_twice_is_told(base: Path, engines: Engines) -> None:
    tracked = track(base, 'region one = find("red")\nregion all_of_them = find("square")')
    [cover] = tracked.state.manifest.covers
    assert (cover.region, cover.by) == ("all_of_them", "one")


# --- frames --------------------------------------------------------------------------------------


def test_frames_are_read_both_ways_within_their_bound(
    base: Path, engines: Engines, monkeypatch
) -> None:
    from grainspec_runtime.tracking import frames as module

    clip = track(base, LEFT).state.clip
    decoded: list[int] = []
    real = module.decode_frames

    def counted(path, wanted, crop):
        decoded.extend(wanted)
        return real(path, wanted, crop)

    monkeypatch.setattr(module, "decode_frames", counted)
    reader = module.ClipFrames(clip, max_bytes=2 * 3 * 3 * 64 * 48)
    shown = [reader[index] for index in range(8)]
    assert decoded == list(range(8))
    for index in reversed(range(8)):
        np.testing.assert_array_equal(reader[index], shown[index])
    assert len(decoded) == 8 + 3  # the last two chunks were kept
    assert reader.size == (64, 48)
    with pytest.raises(IndexError):
        reader[8]
