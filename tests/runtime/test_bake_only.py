"""One region tracked again: the objects of others keep their pixels and their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from baked import BOTH, LEFT, RIGHT, masks_of, track
from fake_tracker import Engines, FakeTracker, inside, spec_of

from grainspec import GrainError
from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.regions.tracked.labels import image_name
from grainspec_runtime.tracking.bake import TrackOptions, ensure_tracked

pytestmark = pytest.mark.usefixtures("quick_disk")


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
