"""Masks that were repaired by hand are used, kept, and told when they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from baked import BOTH, LEFT, RIGHT, masks_of, repair, track
from fake_tracker import Engines, FakeTracker, inside, spec_of

from grainspec import GrainError
from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.regions.tracked.labels import image_name, label_image
from grainspec_runtime.tracking.bake import TrackOptions, ensure_tracked
from grainspec_runtime.tracking.choices import EngineChoice

pytestmark = pytest.mark.usefixtures("quick_disk")


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
