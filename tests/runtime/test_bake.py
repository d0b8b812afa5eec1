"""Masks of tracked regions: what is clicked on and found, made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from baked import LEFT, RIGHT, masks_of, track
from fake_tracker import Engines, FakeFinder, FakeTracker, inside, spec_of

from grainspec import GrainError
from grainspec.clip.facts import probe
from grainspec.regions.tracked.sources import TrackedClip
from grainspec_runtime.tracking.engine import FramePrompt
from grainspec_runtime.tracking.frames import ClipFrames
from grainspec_runtime.tracking.request import request_of

pytestmark = pytest.mark.usefixtures("quick_disk")


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


def test_two_clicks_of_one_region_do_not_cover_each_other(base: Path, engines: Engines) -> None:
    tracked = track(base, f"{LEFT} | track(point(11px, 8px) @ 0)")
    assert tracked.state.manifest.covers == ()


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


# --- find -----------------------------------------------------------------------------------------


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


def test_the_same_object_found_twice_is_told(base: Path, engines: Engines) -> None:
    tracked = track(base, 'region one = find("red")\nregion all_of_them = find("square")')
    [cover] = tracked.state.manifest.covers
    assert (cover.region, cover.by) == ("all_of_them", "one")


# --- frames ---------------------------------------------------------------------------------------


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
