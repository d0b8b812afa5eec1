"""Where tracked objects meet what looks like them: after that, a tracker may follow the other one.

Every engine can confuse two people in dark coats who pass each other, and is sure of itself
afterwards. So meetings are found from the masks and the clip's pixels, whatever the engine.

Two tracked objects meet while they touch, and look alike if their histograms of colours have a
Bhattacharyya coefficient of at least 0.6 (over the frames on which they touch nothing). An object
meets something that is not tracked while pixels in its colours, not in those of the rest of the
frame, are joined to its mask, and are at least a fifth of its area. Both numbers were chosen on
clips of the demo world and on footage of pedestrians.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grainspec_runtime.tracking.engine import Frame

_SIDE = 192
"""The shorter side of the frames that are compared, in pixels."""
_REACH = 2
"""How far apart objects may be that touch, in these pixels."""
_JOINED = 12
"""How far from a mask pixels in its colours are counted, in these pixels."""
_SMALLEST = 20
"""The area of the smallest mask whose surroundings are judged, in these pixels."""
_ALIKE = 0.6
"""The Bhattacharyya coefficient from which two objects look alike."""
_SHARE = 0.2
"""The share of its area from which the pixels in its colours beside it are a look-alike."""
_TIMES = 4.0
"""A colour is an object's if it is so much more likely there than in the rest of the frame."""
_GAP = 3
"""Frames between two meetings that are one."""
_SHORTEST = 2
"""Frames of the shortest meeting."""
_LEVELS = 8
"""Levels of each channel in a histogram of RGB."""

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Histogram = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Meeting:
    """Two objects, by their numbers, touch from frame ``first`` to ``last``, and look alike.

    Without ``other``, the object touches something that is not tracked. The frames after it are
    doubtful, or, if ``before``, those before it, as the object is tracked backwards through it.
    """

    number: int
    other: int | None
    first: int
    last: int
    before: bool = False


class MeetingFinder:
    """Finds meetings from the frames of a clip, which are given to it in their order.

    ``prompted`` are the frames on which each object was shown, by its number; other numbers are not
    looked at.
    """

    def __init__(self, prompted: Mapping[int, Collection[int]]) -> None:
        self.prompted = prompted
        self._shown: dict[int, Histogram] = defaultdict(_no_colours)
        self._apart: dict[int, Histogram] = defaultdict(_no_colours)
        self._touching: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._joined: dict[int, dict[int, float]] = defaultdict(dict)
        self._frames: list[int] = []

    def show(self, picture: Frame, labels_HW: Labels) -> None:
        """Learn colours on a frame with prompts, before any frame is added."""
        labels_hw, codes_hw = _reduced(picture, labels_HW)
        for number in self.prompted:
            self._shown[number] += _histogram(codes_hw[labels_hw == number])

    def add(self, frame: int, picture: Frame, labels_HW: Labels) -> None:
        """Look at a frame: uint8 ``[H, W, 3]``, and uint8 labels ``[H, W]``."""
        self._frames.append(frame)
        labels_hw, codes_hw = _reduced(picture, labels_HW)
        touching = _touching(labels_hw)
        for pair in touching:
            self._touching[pair].append(frame)
        alone = {*np.unique(labels_hw).tolist()} - {0, *(n for pair in touching for n in pair)}
        for number in alone:
            self._apart[number] += _histogram(codes_hw[labels_hw == number])
        rest = _histogram(codes_hw[labels_hw == 0])
        for number, shown in self._shown.items():
            share = _joined_share(labels_hw, codes_hw, number, shown, rest)
            if share is not None:
                self._joined[number][frame] = share

    def meetings(self) -> Iterator[Meeting]:
        """The meetings after which no prompt says which object is which."""
        for (one, other), frames in sorted(self._touching.items()):
            if not {one, other} <= self.prompted.keys():
                continue
            alike = _likeness(self._apart[one], self._apart[other]) >= _ALIKE
            if alike:
                both = {*self.prompted[one], *self.prompted[other]}
                yield from self._unsettled(one, other, frames, both)
        for number, shares in sorted(self._joined.items()):
            prompts = self.prompted[number]
            # What a mask leaves out of its object is beside it from the beginning.
            usual = min((shares[frame] for frame in prompts if frame in shares), default=0.0)
            frames = [f for f, share in shares.items() if share >= max(_SHARE, 2 * usual)]
            yield from self._unsettled(number, None, frames, prompts)

    def _unsettled(
        self, number: int, other: int | None, frames: Sequence[int], prompts: Collection[int]
    ) -> Iterator[Meeting]:
        for first, last in _runs(frames):
            at_start, at_end = first == self._frames[0], last == self._frames[-1]
            after = any(p > last or (at_end and p > first) for p in prompts)
            before = any(p < first or (at_start and p < last) for p in prompts)
            if not after or not before:
                yield Meeting(number, other, first, last, before=not before)


def _runs(frames: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last frames of meetings, of frames in order."""
    start = 0
    for index in range(1, len(frames) + 1):
        if index == len(frames) or frames[index] > frames[index - 1] + _GAP:
            if index - start >= _SHORTEST:
                yield frames[start], frames[index - 1]
            start = index


def _no_colours() -> Histogram:
    return np.zeros(_LEVELS**3)


def _reduced(picture: Frame, labels_HW: Labels) -> tuple[Labels, npt.NDArray[np.intp]]:
    """Labels and colours of a frame at a fraction of its size; a colour is a histogram's bin."""
    step = max(1, round(min(labels_HW.shape) / _SIDE))
    levels_hw3 = picture[::step, ::step].astype(np.intp) * _LEVELS // 256
    codes_hw = (levels_hw3[..., 0] * _LEVELS + levels_hw3[..., 1]) * _LEVELS + levels_hw3[..., 2]
    return labels_HW[::step, ::step], codes_hw


def _histogram(codes_N: npt.NDArray[np.intp]) -> Histogram:
    """Count colours, and spread each over its neighbours, so that noise does not move it away."""
    counts = np.bincount(codes_N, minlength=_LEVELS**3).astype(np.float64)
    cube = counts.reshape(_LEVELS, _LEVELS, _LEVELS)
    for _ in range(3):
        padded = np.pad(cube, ((1, 1), (0, 0), (0, 0)), "edge")
        cube = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        cube = np.moveaxis(cube, 0, 2)
    return np.ascontiguousarray(cube).ravel()


def _likeness(one: Histogram, other: Histogram) -> float:
    """The Bhattacharyya coefficient of two histograms: 1 for the same colours, 0 for others."""
    total = one.sum() * other.sum()
    return float(np.sqrt(one * other).sum() / np.sqrt(total)) if total else 0.0


def _touching(labels_hw: Labels) -> set[tuple[int, int]]:
    """The pairs of objects that have pixels within reach of each other."""
    pairs: set[tuple[int, int]] = set()
    for down in range(_REACH + 1):
        for across in range(-_REACH, _REACH + 1):
            high, wide = labels_hw.shape
            here = labels_hw[: high - down, max(0, -across) : wide - max(0, across)]
            there = labels_hw[down:, max(0, across) : wide - max(0, -across)]
            both = (here != there) & (here > 0) & (there > 0)
            if both.any():
                found = zip(here[both].tolist(), there[both].tolist(), strict=True)
                pairs |= {(min(pair), max(pair)) for pair in found}
    return pairs


def _joined_share(
    labels_hw: Labels,
    codes_hw: npt.NDArray[np.intp],
    number: int,
    shown: Histogram,
    rest: Histogram,
) -> float | None:
    """The area of what is joined to an object and has its colours, as a share of the object's.

    None if too little of the object can be seen.
    """
    rows, columns = np.nonzero(labels_hw == number)
    if len(rows) < _SMALLEST or not shown.any():
        return None
    margin = _JOINED + 1
    top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
    box = np.s_[top : rows.max() + margin + 1, left : columns.max() + margin + 1]
    labels, codes = labels_hw[box], codes_hw[box]
    own = shown / shown.sum() > _TIMES * rest / max(1.0, rest.sum())
    alike = own[codes] & (labels == 0)
    joined = _near(labels == number)
    for _ in range(_JOINED):
        joined |= _near(joined) & alike
    return float(np.count_nonzero(joined & alike) / len(rows))


def _near(mask_hw: Mask) -> Mask:
    """A mask and its neighbours above, below, left and right."""
    near_hw = mask_hw.copy()
    near_hw[1:] |= mask_hw[:-1]
    near_hw[:-1] |= mask_hw[1:]
    near_hw[:, 1:] |= mask_hw[:, :-1]
    near_hw[:, :-1] |= mask_hw[:, 1:]
    return near_hw
