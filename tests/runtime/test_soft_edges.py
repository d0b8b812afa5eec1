"""Soft edges of tracked regions: kept with their masks, and blended in pixels only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fake_tracker import Engines, FakeTracker, inside, spec_of
from PIL import Image

from grainspec import EditSpec, GrainError, check, parse
from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.regions.bind import Bound, bind_regions
from grainspec.regions.coverage import edit_coverage, without_soft_edges
from grainspec.regions.tracked.alpha import has_alpha, tracked_coverage
from grainspec.regions.tracked.images import alpha_name
from grainspec.regions.tracked.labels import image_name, label_image
from grainspec_runtime.prepare import prepare
from grainspec_runtime.tracking.bake import Tracked, TrackOptions, ensure_tracked

LEFT = "region left = track(point(10px, 12px))"
RIGHT = "region right = track(point(46px, 30px))"
BOTH = f"{LEFT}\n{RIGHT}"


@dataclass
class SoftTracker(FakeTracker):
    """Its squares have columns of coverage 153 inside their left edge, and 102 outside it."""

    name: str = "sam2"

    def track(self, frames, objects, finished):
        for frame in super().track(frames, objects, finished):
            numbers = range(1, len(objects) + 1)
            soft = [softened(frame.labels_HW == number) for number in numbers]
            yield replace(frame, soft_KHW=np.stack(soft))


def softened(mask_HW: np.ndarray) -> np.ndarray:
    soft_HW = mask_HW.astype(np.uint8) * 255
    first = mask_HW & ~np.roll(mask_HW, 1, axis=1)
    soft_HW[first] = 153
    soft_HW[np.roll(first, -1, axis=1)] = 102
    return soft_HW


@pytest.fixture
def soft(engines: Engines) -> Engines:
    engines.tracker = SoftTracker()
    return engines


def track(base: Path, regions: str = BOTH, **options: object) -> Tracked:
    return ensure_tracked(spec_of(base, regions), base, TrackOptions(**options))


def coverages(tracked: Tracked, region: str) -> dict[int, np.ndarray]:
    [source] = [s for s, names in tracked.state.sources.items() if region in names]
    frames = tracked.state.manifest.frames
    images = tracked_coverage(tracked.state, source, frames)
    return {frame: np.asarray(image) for frame, image in zip(frames, images, strict=True)}


def check_square(found: dict[int, np.ndarray], name: str) -> None:
    for frame, coverage_HW in found.items():
        np.testing.assert_array_equal(coverage_HW, softened(inside(name, frame)))


def test_coverage_is_kept_with_the_masks(base: Path, soft: Engines) -> None:
    tracked = track(base)
    for region, name in (("left", "red"), ("right", "blue")):
        check_square(coverages(tracked, region), name)


def test_an_interrupted_command_keeps_it(base: Path, soft: Engines) -> None:
    soft.tracker.stops_after = 3
    with pytest.raises(KeyboardInterrupt):
        track(base)
    soft.tracker.stops_after = None
    check_square(coverages(track(base), "left"), "red")
    assert soft.tracker.calls == [[], [0, 1, 2]]


def test_other_regions_keep_theirs(base: Path, soft: Engines) -> None:
    track(base)
    tracked = track(base, BOTH.replace("46px", "48px"), only=("right",))
    check_square(coverages(tracked, "left"), "red")
    check_square(coverages(tracked, "right"), "blue")


def test_a_repaired_frame_has_hard_edges(base: Path, soft: Engines) -> None:
    folder = track(base).state.folder
    painted = np.zeros((48, 64), np.uint8)
    painted[:4] = 1
    label_image(painted).save(folder / image_name(2))
    found = coverages(track(base), "left")
    np.testing.assert_array_equal(found[2], (painted == 1) * 255)
    np.testing.assert_array_equal(found[3], softened(inside("red", 3)))


def test_an_image_that_is_lost_or_has_another_size_is_named(base: Path, soft: Engines) -> None:
    tracked = track(base)
    path = tracked.state.folder / alpha_name(1, 3)
    Image.new("L", (5, 4)).save(path)
    with pytest.raises(GrainError, match="5x4 pixels; the clip has 64x48"):
        coverages(tracked, "left")
    path.unlink()
    with pytest.raises(GrainError, match="G363"):
        coverages(tracked, "left")


def test_coverage_that_is_lost_is_made_again(base: Path, soft: Engines) -> None:
    folder = track(base).state.folder
    label_image(inside("red", 3).astype(np.uint8)).save(folder / image_name(2))
    painted = (folder / image_name(2)).read_bytes()
    for frame in (2, 5):  # frame 2 needs none
        (folder / alpha_name(1, frame)).unlink()
    [finding] = check_tracked_masks(spec_of(base, BOTH), base)
    assert finding.message.endswith("are stale: the image of frame 5 is missing")
    with pytest.raises(GrainError, match="G365: .*the image of frame 5 is missing"):
        track(base, BOTH.replace("46px", "48px"), only=("right",))
    tracked = track(base)
    assert (tracked.kept, tracked.state.status) == ((2,), "fresh")
    assert (folder / image_name(2)).read_bytes() == painted
    np.testing.assert_array_equal(coverages(tracked, "left")[5], softened(inside("red", 5)))


def test_an_engine_without_it_has_hard_edges(base: Path, engines: Engines) -> None:
    tracked = track(base)
    [source, _] = tracked.state.sources
    assert not has_alpha(tracked.state, source)
    np.testing.assert_array_equal(coverages(tracked, "left")[0], inside("red", 0) * 255)
    assert not (tracked.state.folder / "alpha").exists()


def bound(base: Path, regions: str, edits: str, video: str = "") -> tuple[EditSpec, Bound, Tracked]:
    words = "red thing, blue thing"
    clip = base / "clip"
    text = f'grain 1 video "{clip}" {video} target "{words}" {regions} {edits}'
    spec = parse(text)
    tracked = ensure_tracked(spec, base)
    return spec, bind_regions(spec, base), tracked


def test_coverage_follows_the_operators(base: Path, soft: Engines) -> None:
    regions = f"{BOTH} region both = left | right region apart = both - right"
    spec, layout, tracked = bound(base, regions, 'edit both -> "red thing"')
    found = edit_coverage(spec, layout, tracked.state)
    red, blue = (softened(inside(name, 0)).astype(int) for name in ("red", "blue"))
    np.testing.assert_array_equal(found[0], np.minimum(red + blue, 255))
    spec, layout, tracked = bound(base, regions, 'edit apart -> "red thing"')
    found = edit_coverage(spec, layout, tracked.state)
    both = np.minimum(red + blue, 255)
    np.testing.assert_array_equal(found[0], np.minimum(both, 255 - blue))


def test_other_regions_are_hard(base: Path, soft: Engines) -> None:
    regions = f"{LEFT} region wide = left grow 2px region corner = box(0px, 0px, 6px, 48px)"
    spec, layout, tracked = bound(base, regions, 'edit wide -> "red thing"')
    hard = layout.regions.mask("wide")
    np.testing.assert_array_equal(edit_coverage(spec, layout, tracked.state), hard * 255)
    edits = 'edit left -> "red thing" edit corner -> "blue thing"'
    spec, layout, tracked = bound(base, regions, edits)
    found = edit_coverage(spec, layout, tracked.state)
    assert (found[0, :, :6] == 255).all()
    np.testing.assert_array_equal(found[0, :, 6:], softened(inside("red", 0))[:, 6:])


def test_kept_regions_stay_the_source(base: Path, soft: Engines) -> None:
    regions = f"{LEFT} region kept = box(0px, 0px, 3px, 48px)"
    spec, layout, tracked = bound(base, regions, 'edit left -> "red thing" keep kept')
    found = edit_coverage(spec, layout, tracked.state)
    expected = softened(inside("red", 0))
    assert expected[:, :4].any()
    assert not found[0, :, :3].any()
    np.testing.assert_array_equal(found[0, :, 3:], expected[:, 3:])


def test_coverage_is_cropped_and_padded_as_the_frames_are(base: Path, soft: Engines) -> None:
    video = "{ frames 0..7 step 2 crop box(2px, 4px, 34px, 20px) size 64x64 fit pad }"
    spec, layout, tracked = bound(base, LEFT, 'edit left -> "red thing"', video)
    found = edit_coverage(spec, layout, tracked.state)
    assert found.shape == (4, 64, 64)
    assert not found[:, :16].any()
    assert not found[:, 48:].any()
    for number, frame in enumerate((0, 2, 4, 6)):
        there = softened(inside("red", frame))[4:20, 2:34].repeat(2, axis=0).repeat(2, axis=1)
        # Enlarged by linear interpolation, so pixels beside an edge are in between.
        around = [np.roll(there, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        calm = np.min(around, axis=0) == np.max(around, axis=0)
        np.testing.assert_array_equal(found[number, 16:48][calm], there[calm])
        assert there.sum() == pytest.approx(found[number].sum(), rel=0.02)


def test_it_is_used_where_the_spec_asks_for_it(base: Path, soft: Engines) -> None:
    said = 'model "demo" target "a red robot" sampler ddim { steps 2 }'
    text = f'grain 1 video "{base / "clip"}" {{ size 64x48 }} {said} {LEFT} edit left -> "robot"'
    hard = prepare(parse(f"{text} blend {{ space pixels }}"), base)
    assert set(np.unique(hard.pixel_weights())) == {0, 1}
    wanted = prepare(parse(f"{text} blend {{ space pixels edges soft }}"), base)
    expected = softened(inside("red", 0)) / 255
    np.testing.assert_allclose(wanted.pixel_weights()[0], expected, atol=1e-6)
    assert np.array_equal(wanted.plan.edited_FHW, hard.plan.edited_FHW)
    assert not [warning for warning in wanted.warnings if warning.code == "G111"]


def test_where_it_has_no_effect_that_is_said(base: Path, engines: Engines) -> None:
    spec, _, tracked = bound(
        base, LEFT, 'edit left -> "red thing" blend { space pixels edges soft }'
    )
    finding = without_soft_edges(spec, tracked.state)
    assert finding is not None
    assert (finding.code, "tracker sam2" in finding.cure) == ("G111", True)
    hard = spec.replaced({}, blend=spec.blend.replaced({}, edges="hard"))
    assert without_soft_edges(hard, tracked.state) is None


SOFT_EDGES = "blend { space pixels edges soft }"
BOX = "region left = box(10%, 10%, 50%, 50%)"


@pytest.mark.parametrize(
    ("regions", "more", "cure"),
    [
        (BOX, SOFT_EDGES, "it is for regions from `track(…)`"),
        (LEFT, SOFT_EDGES, "`tracker sam2`"),
        (f"{LEFT} grow 1px", f"{SOFT_EDGES} tracker sam2", "from `track(…)` and `find(…)` alone"),
        (
            f"{BOX}\n{RIGHT}",
            f"{SOFT_EDGES} tracker sam2 keep right",
            "from `track(…)` and `find(…)` alone",
        ),
        (LEFT, f"{SOFT_EDGES} tracker sam2", ""),
        (
            f"{BOX} | right\n{RIGHT}",
            f"{SOFT_EDGES} tracker sam2 keep right",
            "from `track(…)` and `find(…)` alone",
        ),
        (LEFT, f'{SOFT_EDGES} tracker sam2 variant v {{ target "a cat" edit left -> "cat" }}', ""),
        (LEFT, "blend { space pixels }", ""),
    ],
)
def test_check_says_before_tracking_that_it_has_no_effect(
    base: Path, regions: str, more: str, cure: str
) -> None:
    found = [f for f in check(spec_of(base, regions, more=more), base=base) if f.code == "G111"]
    assert len(found) == bool(cure)
    for finding in found:
        assert cure in finding.cure
        assert finding.span is not None


def test_check_goes_by_masks_that_are_there(base: Path, soft: Engines) -> None:
    """They were made by an engine that was chosen by an option."""
    spec = spec_of(base, LEFT, more=SOFT_EDGES)
    assert "G111" in [finding.code for finding in check(spec, base=base)]
    ensure_tracked(spec, base)
    assert "G111" not in [finding.code for finding in check(spec, base=base)]


def test_a_region_with_hard_edges_beside_soft_ones_is_told(base: Path, soft: Engines) -> None:
    more = f'{SOFT_EDGES} variant v {{ target "a cat and a dog" edit left -> "cat" edit right -> "dog" }}'
    spec = spec_of(base, f"{LEFT}\n{RIGHT}", more=more)
    ensure_tracked(spec, base)
    assert "G111" not in [finding.code for finding in check(spec, base=base)]
    soft.tracker = FakeTracker()
    ensure_tracked(spec, base, TrackOptions(only=("left",), force=True))
    [finding] = [found for found in check(spec, base=base) if found.code == "G111"]
    assert finding.message == (
        "`edges soft` has no effect on the object of `left`: the masks have hard edges"
    )
    assert finding.cure.endswith("edit.grain --only left --tracker sam2 --force`.")
    assert finding.span is not None
