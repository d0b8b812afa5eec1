"""Region sources with planted bugs are found out by each documented recipe, and named by the cause."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from grainspec.testing import Broken, DrawnClip, check_region_source, clips, drawn_clip
from grainspec.testing.sources import RECIPES

Masks = np.ndarray


# --- three sources without a bug: one of each recipe ---


def red(frames: np.ndarray) -> Masks:
    """Exact: a colour threshold."""
    return np.asarray((frames[..., 0] > 150) & (frames[..., 1] < 90))


def redness(frames: np.ndarray) -> Masks:
    """A network: decides by the whole picture, on blocks of pixels, with some errors at edges."""
    colour = frames.astype(float)
    rel = colour[..., 0] - colour[..., 1:].max(-1)
    rel -= np.median(rel, axis=(1, 2), keepdims=True)
    near = sum(np.roll(rel, (y, x), (1, 2)) for y in (-1, 0, 1) for x in (-1, 0, 1)) / 9
    return np.asarray(near > 80)


def track(frames: np.ndarray, first: np.ndarray) -> Masks:
    """A tracker: learns the colour of the object from its first mask."""
    colour = np.median(frames[0][first], axis=0)
    found = np.abs(frames - colour).max(axis=-1) < 40
    found[0] = first
    return np.asarray(found)


CORRECT: dict[str, Callable[..., Masks]] = {"exact": red, "network": redness, "tracker": track}


# --- bugs, each a change of any source ---


class Bug:
    """A source whose masks, or whose frames, are changed."""

    def __init__(self, source: Callable[..., Masks]) -> None:
        self.source = source
        self.takes_first = source is track

    def wrapped(self) -> Callable[..., Any]:
        if self.takes_first:
            return lambda frames, first: self.run(frames, first)
        return lambda frames: self.run(frames)

    def run(self, frames: np.ndarray, *first: np.ndarray) -> Any:
        return self.change(self.source(self.before(frames), *first), frames)

    def before(self, frames: np.ndarray) -> np.ndarray:
        return frames

    def change(self, masks: Masks, frames: np.ndarray) -> Any:
        return masks


def after(change: Callable[[Masks], Any]) -> type[Bug]:
    class Changed(Bug):
        def change(self, masks: Masks, frames: np.ndarray) -> Any:
            return change(masks)

    return Changed


def filled(masks: Masks) -> Masks:
    """Each row from its first to its last pixel."""
    before = np.logical_or.accumulate(masks, axis=2)
    return np.asarray(before & np.logical_or.accumulate(masks[:, :, ::-1], axis=2)[:, :, ::-1])


def holes_filled(masks: Masks) -> Masks:
    """All but what the outside of the frame reaches, from pixel to pixel beside it."""
    free = np.pad(~masks, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    outside = np.zeros_like(free)
    outside[:, 0] = True
    while True:
        wider = outside.copy()
        wider[:, 1:] |= outside[:, :-1]
        wider[:, :-1] |= outside[:, 1:]
        wider[:, :, 1:] |= outside[:, :, :-1]
        wider[:, :, :-1] |= outside[:, :, 1:]
        wider &= free
        if (wider == outside).all():
            return np.asarray(~outside[:, 1:-1, 1:-1])
        outside = wider


def one_piece(masks: Masks) -> Masks:
    """The largest piece of adjacent columns."""
    result = np.zeros_like(masks)
    for mask, kept in zip(masks, result, strict=True):
        columns = np.flatnonzero(mask.any(axis=0))
        pieces = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
        largest = max(pieces, key=lambda piece: mask[:, piece].sum())
        kept[:, largest] = mask[:, largest]
    return result


def first_frames(masks: Masks, count: int) -> Masks:
    return np.asarray(masks & (np.arange(len(masks)) < count)[:, None, None])


def without_border(masks: Masks) -> Masks:
    inside = np.zeros_like(masks)
    inside[:, 1:-1, 1:-1] = masks[:, 1:-1, 1:-1]
    return inside


def without_odd_border(masks: Masks) -> Masks:
    masks = masks.copy()
    masks[:, masks.shape[1] // 2 * 2 :] = masks[:, :, masks.shape[2] // 2 * 2 :] = False
    return masks


def without_odd_column(masks: Masks) -> Masks:
    masks = masks.copy()
    masks[:, :, masks.shape[2] // 2 * 2 :] = False
    return masks


def without_small(masks: Masks) -> Masks:
    return np.asarray(masks & (masks.sum(axis=(1, 2)) >= 20)[:, None, None])


def dilated(masks: Masks, by: int = 2) -> Masks:
    for _ in range(by):
        padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
        high, wide = masks.shape[1:]
        masks = np.any(
            [padded[:, y : y + high, x : x + wide] for y in range(3) for x in range(3)], 0
        )
    return masks


def moved(masks: Masks, down: int, across: int) -> Masks:
    return np.roll(masks, (down, across), (1, 2))


class OfAnotherObject(Bug):
    """Swaps objects in the middle of the clip, as a tracker does that follows the wrong one."""

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        blue = np.asarray((frames[..., 2] > 150) & (frames[..., 1] < 100))
        half = len(masks) // 2
        return np.concatenate([masks[:half], blue[half:]])


class Bgr(Bug):
    """Reads blue as red, and red as blue."""

    def before(self, frames: np.ndarray) -> np.ndarray:
        return frames[..., ::-1]


class Stale(Bug):
    """Keeps what it found for a clip of this shape."""

    def __init__(self, source: Callable[..., Masks]) -> None:
        super().__init__(source)
        self.found: dict[tuple[int, ...], Masks] = {}

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        return self.found.setdefault(masks.shape, masks)


class Remembers(Bug):
    """Its first frame is still that of the clip before."""

    last: Masks | None = None

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        last, self.last = self.last, masks[-1].copy()
        if last is not None and last.shape == masks[0].shape:
            masks = masks.copy()
            masks[0] = last
        return masks


class Buffer(Bug):
    """Returns the same array again and again."""

    def __init__(self, source: Callable[..., Masks]) -> None:
        super().__init__(source)
        self.arrays: dict[tuple[int, ...], Masks] = {}

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        array = self.arrays.setdefault(masks.shape, masks)
        array[...] = masks
        return array


class Overwrites(Bug):
    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        frames[~masks] = 0
        return masks


class OnlyEven(Bug):
    """Resizes to half and back, as networks do; wrong for odd sizes."""

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        if masks.shape[1] % 2 or masks.shape[2] % 2:
            raise ValueError("cannot reshape array")
        return masks


class Several(Bug):
    """Compares each frame with the next, which a single frame does not have."""

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        if len(frames) < 2:
            raise IndexError("index 1 is out of bounds")
        return masks


class Cut(Bug):
    """Reads frames in batches of four, and leaves out the rest."""

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        whole = masks.copy()
        whole[len(masks) // 4 * 4 :] = False
        return whole


class Lost(Bug):
    """Loses the object for good once it is hidden."""

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        empty = np.flatnonzero(~masks.any(axis=(1, 2)))
        gone = np.zeros_like(masks)
        end = int(empty[0]) if len(empty) else len(masks)
        gone[:end] = masks[:end]
        return gone


class Keeps(Bug):
    """Keeps the last mask while the object is not visible."""

    def change(self, masks: Masks, frames: np.ndarray) -> Masks:
        kept = masks.copy()
        for frame in range(1, len(kept)):
            if not kept[frame].any():
                kept[frame] = kept[frame - 1]
        return kept


def lag(masks: Masks) -> Masks:
    return np.concatenate([masks[:1], masks[:-1]])


def boxes(masks: Masks) -> Masks:
    found = np.zeros_like(masks)
    for frame, mask in enumerate(masks):
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            found[frame, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return found


PLANTED: dict[str, tuple[type[Bug], str]] = {
    "lag": (after(lag), "those of one frame earlier"),
    "lag, rolled": (after(lambda m: np.roll(m, 1, 0)), "those of one frame earlier"),
    "early": (after(lambda m: np.concatenate([m[1:], m[-1:]])), "those of one frame later"),
    "right by 1": (after(lambda m: moved(m, 0, 1)), "shifted by 1 pixel to the right"),
    "up by 1": (after(lambda m: moved(m, -1, 0)), "shifted by 1 pixel up"),
    "left by 2, down by 1": (
        after(lambda m: moved(m, 1, -2)),
        "shifted by 2 pixels to the left and 1 pixel down",
    ),
    "far": (after(lambda m: moved(m, -20, 5)), "shifted by 5 pixels to the right and 20 pixels up"),
    "mirrored": (after(lambda m: m[:, :, ::-1]), "the masks are mirrored"),
    "upside down": (after(lambda m: m[:, ::-1]), "the masks are upside down"),
    "rotated": (after(lambda m: m[:, ::-1, ::-1]), "rotated by 180 degrees"),
    "swapped axes": (after(lambda m: m.swapaxes(1, 2)), "height and width are swapped"),
    "stuck": (after(lambda m: m[:1].repeat(len(m), 0)), "the masks stay those of frame 0"),
    "stuck later": (
        after(lambda m: m[np.minimum(np.arange(len(m)), 2)]),
        "from frame 3 on, the masks stay those of frame 2",
    ),
    "another object": (OfAnotherObject, "from frame 4 on, the masks are those of another object, `blue`"),
    "BGR": (Bgr, "those of another object, `blue`"),
    "too large": (after(dilated), "the masks are 2 pixels too large"),
    "too small": (after(lambda m: ~dilated(~m)), "the masks are 2 pixels too small"),
    "inverted": (after(lambda m: ~m), "the masks are inverted"),
    "an earlier clip's": (Stale, "those that an earlier call returned"),
    "state": (Remembers, ""),
    "buffer": (Buffer, "changed later; return a new array"),
    "overwrites": (Overwrites, "the source changed the frames"),
    "even sizes": (OnlyEven, "raised ValueError for 8 frames of 95x63, and none for 8 frames of 96x64: cannot"),
    "several frames": (Several, "raised IndexError for 1 frame of 96x64, and none for 8 frames"),
    "no last frame": (after(lambda m: m[:-1]), "there are 7 masks for 8 frames"),
    "last frame repeated": (
        after(lambda m: np.concatenate([m[:-1], m[-2:-1]]) if len(m) > 1 else m),
        "on frame 7, the masks are those of one frame earlier",
    ),
    "batches": (Cut, ""),
    "backwards": (after(lambda m: m[::-1]), "the masks are in reverse order"),
    "0 and 255": (after(lambda m: m.astype(np.uint8) * 255), "they have the values 0 and 255; return `masks > 0`"),
    "scores": (after(lambda m: m * 8.5 - 4), "they have values from -4 to 4.5"),
    "an axis more": (after(lambda m: m[:, None]), "drop the axis of length 1"),
    "empty": (after(lambda m: m & False), "the mask is empty on every frame"),
    "full": (after(lambda m: m | True), "the mask is full on every frame"),
    "boxes": (after(boxes), "the masks are boxes around the object"),
    "all frames": (
        after(lambda m: m.any(0)[None].repeat(len(m), 0)), "those of all frames together"
    ),
    "trail": (after(lambda m: m | lag(m)), "the masks contain those of one frame earlier, too"),
    "filled": (after(filled), "each row of the masks is filled from its first to its last pixel"),
    "holes filled": (after(holes_filled), "holes in the masks are filled"),
    "one piece": (after(one_piece), "shape: the masks are not the true ones"),
    "16 frames": (after(lambda m: first_frames(m, 16)), "from frame 16 on, the masks are empty"),
    "24 frames": (after(lambda m: first_frames(m, 24)), "from frame 24 on, the masks are empty"),
    "no border": (after(without_border), " of the masks has 0 of the "),
    "no odd border": (after(without_odd_border), " of the masks has 0 of the "),
    "no odd column": (after(without_odd_column), "the rightmost column of the masks has 0 of the "),
    "a column less": (
        after(lambda m: m & np.roll(m, -1, 2)), "fall short by 1 pixel to the right"
    ),
    "a column more": (after(lambda m: m | np.roll(m, 1, 2)), "reach 1 pixel too far to the right"),
    "none small": (after(without_small), "small: the mask has no pixel of the object"),
    "lost": (Lost, "the masks are empty"),
    "kept": (Keeps, ""),
}  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("bug", PLANTED)
def test_each_recipe_finds_each_bug(recipe: str, bug: str) -> None:
    make, words = PLANTED[bug]
    if (bug, recipe) == ("BGR", "tracker"):
        pytest.skip("a tracker that follows any colour is right in BGR, too")
    with pytest.raises(Broken) as raised:
        check_region_source(make(CORRECT[recipe]).wrapped(), properties=recipe)
    if recipe != "exact" or raised.value.invariant != "crop":  # finds what a border does, too
        assert words in str(raised.value)


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_recipe_raises_a_false_alarm(recipe: str) -> None:
    check_region_source(CORRECT[recipe], properties=recipe)


def test_errors_at_edges_are_no_fault_of_a_network() -> None:
    def noisy(frames: np.ndarray) -> Masks:
        masks = red(frames)
        edge = masks & ~np.roll(masks, 1, 2) | masks & ~np.roll(masks, 1, 1)
        random = np.random.default_rng(int(frames.sum()))
        return np.asarray(masks ^ (edge & (random.random(masks.shape) < 0.3)))

    check_region_source(noisy, properties="network")


@pytest.mark.parametrize("recipe", ["network", "tracker"])
def test_errors_on_both_sides_of_edges_are_no_fault(recipe: str) -> None:
    """Of each mask, random pixels at its edge are wrong, 15 for each 100 of its pixels."""

    def noisy(frames: np.ndarray, *first: np.ndarray) -> Masks:
        masks = CORRECT[recipe](frames, *first) if first else red(frames)
        edges = dilated(masks, 1) & dilated(~masks, 1)
        for mask, edge, frame in zip(masks, edges, frames, strict=True):
            places = np.argwhere(edge)
            random = np.random.default_rng(int(frame.sum()))
            y, x = random.permutation(places)[: int(0.15 * mask.sum())].T
            mask[y, x] ^= True
        return masks

    source = (lambda frames, first: noisy(frames, first)) if recipe == "tracker" else noisy
    check_region_source(source, properties=recipe)


@pytest.mark.parametrize("place", [(5, 0), (5, -1), (0, 5), (-1, 5)])
def test_an_object_on_the_outermost_line_only(place: tuple[int, int]) -> None:
    frames = np.full((4, 20, 30, 3), 100, np.uint8)
    across = slice(place[1], place[1] + 7) if place[1] == 5 else place[1]
    down = slice(place[0], place[0] + 7) if place[0] == 5 else place[0]
    frames[:, down, across] = (214, 46, 44)

    def found(frames: np.ndarray) -> Masks:
        assert frames.size
        return red(frames)

    check_region_source(found, frames, truth=red(frames), properties="network")


@pytest.mark.parametrize("finds", ["red", "green", "blue"])
def test_the_object_may_have_any_colour(finds: str) -> None:
    check_region_source(track, properties="tracker", finds=finds)
    channel = ["red", "green", "blue"].index(finds)
    beside = [other for other in range(3) if other != channel]

    def found(frames: np.ndarray) -> Masks:
        return np.asarray((frames[..., channel] > 150) & (frames[..., beside] < 100).all(-1))

    check_region_source(found, finds=finds)
    if finds != "red":
        with pytest.raises(Broken, match=f"those of another object, `{finds}`"):
            check_region_source(found)


def test_a_tracker_may_find_its_object_by_itself() -> None:
    def from_red(frames: np.ndarray) -> Masks:
        return track(frames, red(frames[:1])[0])

    check_region_source(from_red, properties="tracker")


@settings(max_examples=40, deadline=None)
@given(clips(subject="red"))
def test_no_false_alarm_on_any_drawn_clip(clip: DrawnClip) -> None:
    assert eval(repr(clip), {"drawn_clip": drawn_clip}).truth.tolist() == clip.truth.tolist()
    check_region_source(red, clip)
    if clip.truth[0].sum() > 40:
        check_region_source(track, clip, properties="tracker")


BUGS_WITHOUT_TRUTH = {
    "lag": "frame",
    "right by 1": "mirror",
    "up by 1": "flip",
    "mirrored": "transpose",
    "upside down": "transpose",
    "stuck": "frame",
    "backwards": "frame",
    "an earlier clip's": "frame",
    "even sizes": "size",
    "state": "repeat",
    "batches": "frame",
}


@pytest.mark.parametrize(("bug", "property_"), BUGS_WITHOUT_TRUTH.items())
def test_clips_without_truth(bug: str, property_: str) -> None:
    source = PLANTED[bug][0](red).wrapped()
    with pytest.raises(Broken) as raised:
        check_region_source(source, drawn_clip(5).frames)
    assert raised.value.invariant == property_


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ("left", np.s_[:, :, -1]),
        ("right", np.s_[:, :, 0]),
        ("upper", np.s_[:, -1]),
        ("lower", np.s_[:, 0]),
    ],
)
def test_the_edges_of_the_frame_count(part: str, place: Any) -> None:
    def cut(frames: np.ndarray) -> Masks:
        masks = red(frames).copy()
        masks[place] = False
        return masks

    with pytest.raises(Broken, match=f"crop: the mask of the {part} part is not the {part} part"):
        check_region_source(cut)


def test_without_truth_a_lag_shows_in_reverse() -> None:
    source = PLANTED["lag"][0](redness).wrapped()
    with pytest.raises(Broken, match="reversal: .* those of 2 frames"):
        check_region_source(source, drawn_clip(5).frames, properties="network")


def test_what_a_check_needs() -> None:
    clip = drawn_clip(0, frames=2)
    with pytest.raises(ValueError, match="so `truth` is required"):
        check_region_source(track, clip.frames, properties="tracker")
    check_region_source(track, clip.frames, truth=clip.truth, properties="tracker")
    with pytest.raises(ValueError, match="unknown recipe 'exakt'"):
        check_region_source(red, properties="exakt")
    with pytest.raises(ValueError, match=r"unknown properties \['frames'\]"):
        check_region_source(red, properties=["frames"])
    with pytest.raises(ValueError, match="invalid agreement 0"):
        check_region_source(red, agreement=0)
    with pytest.raises(ValueError, match="which are missing"):
        check_region_source(red, truth=clip.truth)
    with pytest.raises(ValueError, match="and the frames are"):
        check_region_source(red, clip.frames, truth=clip.truth[1:])
    with pytest.raises(ValueError, match=r"`truth` is uint8; expected .* `truth > 0`"):
        check_region_source(red, clip.frames, truth=clip.truth.astype(np.uint8) * 255)
    with pytest.raises(ValueError, match="`truth` is list"):
        check_region_source(red, clip.frames, truth=clip.truth.tolist())
    with pytest.raises(ValueError, match=r"`frames` is float64 .*; expected RGB, uint8"):
        check_region_source(red, clip.frames / 255)
    with pytest.raises(ValueError, match=r"`frames` is uint8 \(2, 64, 96\)"):
        check_region_source(red, clip.frames[..., 0])
    with pytest.raises(Broken, match="calls: the source raised ZeroDivisionError for 8 frames"):
        check_region_source(lambda frames: 1 / 0)
    with pytest.raises(Broken, match="the source returned None, not masks"):
        check_region_source(lambda frames: None)
    with pytest.raises(ValueError, match="unknown events"):
        drawn_clip(events=["explodes"])
    with pytest.raises(ValueError, match="unknown subject"):
        drawn_clip(subject="pink")
    with pytest.raises(ValueError, match="cannot be drawn"):
        drawn_clip(frames=0)


def test_agreement_is_the_least_one() -> None:
    large = partial(dilated, by=1)
    clip = drawn_clip(0)
    wider = lambda frames: large(red(frames))  # noqa: E731
    score = (clip.truth[0].sum() / large(clip.truth)[0].sum()).round(2)
    with pytest.raises(Broken, match=rf"agreement {score}, least 0.95"):
        check_region_source(wider, clip, properties=["truth"], agreement=0.95)
    with pytest.raises(Broken, match="1 pixel too large, which fits better than the true ones"):
        check_region_source(wider, clip, properties=["truth"], agreement=0.6)


def test_the_second_clip_is_another() -> None:
    one, other = drawn_clip(0), drawn_clip(1)
    assert one.frames.shape == other.frames.shape
    assert not (one.truth & other.truth).all(axis=(1, 2)).any()
    for clip in (one, other):
        middles = [np.argwhere(mask)[:, 1:].mean(0) for mask in clip.truth]
        steps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
        assert steps.min() > 3
