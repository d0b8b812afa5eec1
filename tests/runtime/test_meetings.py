"""Objects that meet what looks like them are told, and those that do not are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fake_tracker import Engines, spec_of
from PIL import Image

from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.regions.tracked.labels import image_name, label_image
from grainspec_runtime.tracking.bake import ensure_tracked
from grainspec_runtime.tracking.meetings import Meeting, MeetingFinder
from grainspec_runtime.views.doubts import Doubts

RED, DARK_RED, BLUE = (220, 30, 30), (216, 34, 30), (30, 30, 220)
FRAMES, SIDE = 20, 12


def scene(frame: int, other: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A red square that goes right, passes before one that goes left, and the labels 1 and 2.

    They touch on frames 8 to 12.
    """
    picture = np.full((48, 96, 3), 120, np.uint8)
    labels = np.zeros((48, 96), np.uint8)
    for number, left, colour in ((2, 72 - 3 * frame, other), (1, 12 + 3 * frame, RED)):
        picture[20 : 20 + SIDE, left : left + SIDE] = colour
        labels[20 : 20 + SIDE, left : left + SIDE] = number
    return picture, labels


def found(
    other: tuple[int, int, int], prompted: dict[int, Sequence[int]], frames: int = FRAMES
) -> list[Meeting]:
    finder = MeetingFinder(prompted)
    seen = [scene(frame, other) for frame in range(frames)]
    seen = [
        (picture, np.where(np.isin(labels, [*prompted]), labels, 0)) for picture, labels in seen
    ]
    for frame in sorted({frame for each in prompted.values() for frame in each}):
        finder.show(*seen[frame])
    for frame, (picture, labels) in enumerate(seen):
        finder.add(frame, picture, labels.astype(np.uint8))
    return [*finder.meetings()]


def test_two_objects_that_look_alike_and_pass() -> None:
    assert found(DARK_RED, {1: [0], 2: [0]}) == [Meeting(1, 2, 8, 12)]
    assert found(BLUE, {1: [0], 2: [0]}) == []


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ([0, 15], []),  # shown again where they are apart
        ([0, 10], [Meeting(1, 2, 8, 12)]),
        ([15], [Meeting(1, 2, 8, 12, before=True)]),  # tracked backwards
    ],
)
def test_a_point_after_they_met_says_which_is_which(
    prompts: list[int], expected: list[Meeting]
) -> None:
    assert found(DARK_RED, {1: prompts, 2: [prompts[0]]}) == expected


def test_objects_that_do_not_separate_any_more() -> None:
    assert found(DARK_RED, {1: [0], 2: [0]}, frames=12) == [Meeting(1, 2, 8, 11)]
    assert found(DARK_RED, {1: [0, 10], 2: [0]}, frames=12) == []


def test_what_is_not_tracked_and_looks_alike() -> None:
    [meeting] = found(DARK_RED, {1: [0]})
    assert (meeting.number, meeting.other, meeting.before) == (1, None, False)
    assert 7 <= meeting.first <= 8
    assert 12 <= meeting.last <= 14
    assert found(BLUE, {1: [0]}) == []
    assert found(DARK_RED, {1: [0, 16]}) == []


REGIONS = "region left = track(point(18px, 26px) @ 0)\nregion right = track(point(78px, 26px) @ 0)"


@pytest.fixture
def passing(tmp_path: Path) -> Path:
    (tmp_path / "clip").mkdir()
    for frame in range(FRAMES):
        Image.fromarray(scene(frame, DARK_RED)[0]).save(tmp_path / "clip" / f"{frame:05}.png")
    return tmp_path


def test_meetings_are_told_and_marked(passing: Path, engines: Engines) -> None:
    spec = spec_of(passing, REGIONS)
    state = ensure_tracked(spec, passing).state
    [finding] = check_tracked_masks(spec, passing)
    assert finding.code == "G368"
    assert finding.message == (
        "`left` and `right` touch on frames 8..12 and look alike: "
        "they may be swapped after frame 12"
    )
    assert finding.cure.endswith("add a point there, such as `point(…) @ 13`.")
    doubts = Doubts(state, range(FRAMES))
    assert [frame for frame in range(FRAMES) if doubts.at([frame])[0]] == [*range(8, 13)]
    assert [one["touches"] for one in doubts.as_json()] == [[*range(8, 13)]] * 2
    assert doubts.label([9]) == "doubtful: left and right touch on frame 9"

    clicked = REGIONS.replace("26px) @ 0)", "26px) @ 0, point(66px, 26px) @ 16)", 1)
    spec = spec_of(passing, clicked)
    ensure_tracked(spec, passing)
    assert check_tracked_masks(spec, passing) == []


def test_one_region_alone_meets_a_look_alike(passing: Path, engines: Engines) -> None:
    spec = spec_of(passing, REGIONS.partition("\n")[0])
    ensure_tracked(spec, passing)
    [finding] = check_tracked_masks(spec, passing)
    assert "`left` touches something that looks like it on frames" in finding.message
    assert "it may be the other one after frame" in finding.message


def test_objects_of_one_region_may_be_swapped(passing: Path, engines: Engines) -> None:
    both = REGIONS.replace("\nregion right =", " |")
    spec = spec_of(passing, both)
    ensure_tracked(spec, passing)
    assert check_tracked_masks(spec, passing) == []


def test_a_repaired_frame_settles_it(passing: Path, engines: Engines) -> None:
    spec = spec_of(passing, REGIONS)
    folder = ensure_tracked(spec, passing).state.folder
    labels = np.zeros((48, 96), np.uint8)
    labels[:9] = 1
    label_image(labels).save(folder / image_name(13))
    assert check_tracked_masks(spec, passing) == []
