"""The tracker without weights: exactness, odd input, and a weak bar on the demo world."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from grainspec.diagnostics import GrainError  # noqa: E402
from grainspec_runtime.demo.clips import random_clip, render_clip  # noqa: E402
from grainspec_runtime.measures.tracks import boundary_f, region_iou, summarised  # noqa: E402
from grainspec_runtime.tracking.engine import FramePrompt, TrackedObject  # noqa: E402
from grainspec_runtime.tracking.engines.colour import TRACKER  # noqa: E402
from grainspec_runtime.tracking.engines.colour.tracker import ColourTracker  # noqa: E402


class Clip(list):
    """Frames in memory, as a FrameReader."""

    @property
    def size(self):
        return self[0].shape[1], self[0].shape[0]


def clicked(*places, name="thing"):
    """An object with one point a frame: (frame, x, y, inside)."""
    prompts = tuple(
        FramePrompt(frame, np.array([[x, y]], np.float32), np.array([inside]))
        for frame, x, y, inside in places
    )
    return TrackedObject(name, prompts)


def interior(mask):
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(x) + 0.5, float(y) + 0.5


@cache
def world(seed, frames=7, size=128):
    clip = random_clip(seed, ("walk",), frames=frames, figures=2)
    pictures, masks = render_clip(clip, size, parts=False)
    return Clip(pictures), [masks["figure0"], masks["figure1"]]


def tracked(frames, objects, finished=None):
    results = list(ColourTracker().track(frames, objects, finished or {}))
    assert len({result.index for result in results}) == len(results)
    return {result.index: result for result in results}


@cache
def walked(seed):
    frames, masks = world(seed)
    return tracked(frames, [clicked((3, *interior(mask[3]), True)) for mask in masks])


def same(one, other):
    assert one.keys() == other.keys()
    for index, result in one.items():
        assert np.array_equal(result.labels_HW, other[index].labels_HW)
        assert np.array_equal(result.confidence_K, other[index].confidence_K)


def test_two_clicks_follow_two_figures():
    scores = []
    for seed in (1, 3, 4):
        _, masks = world(seed)
        found = walked(seed)
        for number, mask in enumerate(masks, 1):
            scores += [region_iou(found[i].labels_HW == number, mask[i]) for i in range(len(mask))]
    assert np.mean(scores) > 0.75


def test_the_same_input_gives_the_same_masks():
    frames, masks = world(1)
    again = tracked(frames, [clicked((3, *interior(mask[3]), True)) for mask in masks])
    same(walked(1), again)


@pytest.mark.parametrize("done", [(), (3, 4), (0, 1, 2, 5, 6), range(7)])
def test_an_interrupted_track_continues_exactly(done):
    frames, masks = world(1)
    objects = [clicked((3, *interior(mask[3]), True)) for mask in masks]
    whole = walked(1)
    rest = tracked(frames, objects, {index: whole[index] for index in done})
    assert rest.keys() == set(range(7)) - set(done)
    same({index: whole[index] for index in rest}, rest)


def test_an_interrupted_track_between_two_prompts_continues_exactly():
    frames, masks = world(2)
    objects = [clicked(*((i, *interior(masks[0][i]), True) for i in (1, 5)))]
    whole = tracked(frames, objects)
    rest = tracked(frames, objects, {index: whole[index] for index in (5, 6, 4)})
    same({index: whole[index] for index in (0, 1, 2, 3)}, rest)


def test_backwards_is_forwards_through_the_reversed_clip():
    frames, masks = world(1)
    objects = [clicked((len(frames) - 1, *interior(masks[0][-1]), True))]
    turned = [clicked((0, *interior(masks[0][-1]), True))]
    backwards, forwards = tracked(frames, objects), tracked(Clip(frames[::-1]), turned)
    for index, result in backwards.items():
        other = forwards[len(frames) - 1 - index]
        assert np.mean(result.labels_HW != other.labels_HW) < 0.001
        assert np.allclose(result.confidence_K, other.confidence_K, atol=0.01)


def test_a_mask_prompt_is_kept_to_the_pixel():
    frames, masks = world(1)
    nothing = np.zeros((0, 2), np.float32), np.zeros(0, bool)
    prompt = FramePrompt(2, *nothing, mask_HW=masks[0][2])
    found = tracked(frames, [TrackedObject("thing", (prompt,))])
    assert np.array_equal(found[2].labels_HW == 1, masks[0][2])
    assert region_iou(found[6].labels_HW == 1, masks[0][6]) > 0.8


def test_a_box_holds_its_object():
    frames, masks = world(1)
    rows, columns = np.nonzero(masks[0][0])
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    prompt = FramePrompt(0, np.zeros((0, 2), np.float32), np.zeros(0, bool), box=box)
    label = tracked(Clip(frames[:2]), [TrackedObject("thing", (prompt,))])[0].labels_HW
    assert region_iou(label == 1, masks[0][0]) > 0.6
    rows, columns = np.nonzero(label)
    assert columns.min() >= box[0] - 4
    assert columns.max() < box[2] + 4


def test_a_point_outside_is_outside():
    frames, masks = world(1)
    points = np.array([interior(masks[0][0]), interior(masks[1][0])], np.float32)
    prompt = FramePrompt(0, points, np.array([True, False]))
    label = tracked(Clip(frames[:1]), [TrackedObject("thing", (prompt,))])[0].labels_HW
    assert label[int(points[0, 1]), int(points[0, 0])] == 1
    assert label[int(points[1, 1]), int(points[1, 0])] == 0


def test_all_points_of_a_frame_count():
    """Two are inside, on squares that do not touch; the one between them is outside."""
    frame = np.full((60, 120, 3), 90, np.uint8)
    for left in (10, 50, 90):
        frame[20:40, left : left + 20] = 200, 40, 40
    points = np.array([[20, 30], [100, 30], [60, 30]], np.float32)
    prompt = FramePrompt(0, points, np.array([True, True, False]))
    label = tracked(Clip([frame]), [TrackedObject("thing", (prompt,))])[0].labels_HW
    assert [label[int(y), int(x)] for x, y in points] == [1, 1, 0]


NOISE = np.random.default_rng(0).integers(0, 255, (3, 20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("frames", "point", "lost"),
    [
        (NOISE, (500, 500), True),  # outside the frame
        (NOISE, (-1, 3), True),
        (NOISE[:, :4, :4], (1, 1), False),
        (NOISE[:, :1, :1], (0.5, 0.5), False),
        (NOISE[:, :3, :30], (29.9, 2.9), False),
        (NOISE[:1], (3, 3), False),
        (np.full((3, 40, 40, 3), 90, np.uint8), (20, 20), False),  # nothing but one colour
        (np.repeat(NOISE[:1], 3, 0), (9, 9), False),  # nothing moves
        (np.repeat(NOISE.mean(-1, keepdims=True), 3, -1).astype(np.uint8), (9, 9), False),
    ],
)
def test_odd_clips_give_masks_and_confidences(frames, point, lost):
    found = tracked(Clip(frames), [clicked((0, *point, True)), clicked((0, 2, 2, True))])
    assert found.keys() == set(range(len(frames)))
    for result in found.values():
        assert result.labels_HW.shape == frames.shape[1:3]
        assert result.labels_HW.dtype == np.uint8
        assert result.labels_HW.max() <= 2
        assert ((result.confidence_K >= 0) & (result.confidence_K <= 1)).all()
        if lost:
            assert result.confidence_K[0] < 0.2
            assert not (result.labels_HW == 1).any()


def test_after_a_cut_an_object_is_lost():
    first, masks = world(1)
    cut = Clip(
        [
            *first[:3],
            *[
                np.ascontiguousarray(NOISE[i % 3, :1, :1] + np.zeros_like(first[0]))
                for i in range(3)
            ],
        ]
    )
    found = tracked(cut, [clicked((0, *interior(masks[0][0]), True))])
    assert found[2].confidence_K[0] > found[4].confidence_K[0]
    assert found[4].confidence_K[0] < 0.5


def test_a_large_frame_is_tracked_at_a_smaller_size_and_given_back_in_its_own():
    frames = np.zeros((2, 500, 700, 3), np.uint8)
    frames[:, 100:300, 200:400] = (200, 40, 40)
    found = tracked(Clip(frames), [clicked((0, 300, 200, True))])
    true = np.zeros((500, 700), bool)
    true[100:300, 200:400] = True
    assert region_iou(found[1].labels_HW == 1, true) > 0.95


def test_nothing_to_track():
    found = tracked(Clip(NOISE), [])
    assert all(
        not result.labels_HW.any() and not len(result.confidence_K) for result in found.values()
    )


def test_weights_are_refused():
    assert TRACKER.why_not() == ""
    assert TRACKER.load("", None).name == "colour"
    with pytest.raises(GrainError) as error:
        TRACKER.load("facebook/sam2", None)
    assert error.value.diagnostics[0].code == "G530"


def test_j_and_f_of_known_masks():
    square = np.zeros((40, 40), bool)
    square[10:20, 10:20] = True
    assert region_iou(square, np.roll(square, 5, 1)) == pytest.approx(50 / 150)
    assert boundary_f(square, np.roll(square, 1, 1), tolerance=0.008) == 1.0
    assert boundary_f(square, np.roll(square, 19, 1)) == 0.0
    assert boundary_f(~square & False, square) == 0.0
    assert boundary_f(~square & False, ~square & False) == 1.0
    summary = summarised(np.array([1.0] * 4 + [0.5] * 4))
    assert (summary.mean, summary.recall, summary.decay) == (0.75, 0.5, pytest.approx(0.5))


def test_f_agrees_with_the_definition():
    random = np.random.default_rng(1)
    for _ in range(10):
        one, other = (cv2.GaussianBlur(random.normal(size=(30, 50)), (0, 0), 3) > 0 for _ in "ab")
        reach = 2  # ceil(0.03 * hypot(30, 50))
        edges = [
            np.argwhere(
                (m != np.pad(m, ((0, 1), (0, 0)), "edge")[1:])
                | (m != np.pad(m, ((0, 0), (0, 1)), "edge")[:, 1:])
                | (m != np.pad(m, ((0, 1), (0, 1)), "edge")[1:, 1:])
            )
            for m in (one, other)
        ]
        gaps = np.linalg.norm(edges[0][:, None] - edges[1], axis=-1)
        precision, recall = (gaps.min(1) <= reach).mean(), (gaps.min(0) <= reach).mean()
        expected = 2 * precision * recall / (precision + recall)
        assert boundary_f(one, other, 0.03) == pytest.approx(expected)
