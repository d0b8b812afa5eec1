"""Name the cause of wrong masks: the usual faults are tried on the expected masks.

A fault explains wrong masks if the expected masks, changed by it, have less than half as many wrong
pixels. The fault with the fewest is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from grainspec.regions.layout import Mask

_EXPLAINED = 0.5
_FARTHEST = 3
"""Shifts by up to so many pixels in both directions are all tried."""
_LARGEST = 4
"""Regions that are too large or too small by up to so many pixels."""

_WAYS = {"to the right": (0, 1), "to the left": (0, -1), "down": (1, 0), "up": (-1, 0)}

Counts = npt.NDArray[np.int64]


def cause(
    expected: Mask,
    actual: Mask,
    others: Mapping[str, Mask],
    earlier: Sequence[Mask],
    frames: Sequence[int] | None = None,
) -> tuple[str, Mask] | None:
    """The fault that explains wrong masks in words, and the masks that it makes; None if none does.

    ``others`` are the masks of other objects by name, ``earlier`` those that earlier calls
    returned. ``frames`` are those that are wrong, by default all that differ; others do not count.

    >>> mask = np.zeros((2, 8, 8), bool)
    >>> mask[:, 2:5, 1:4] = True
    >>> cause(mask, np.roll(mask, 1, axis=2), {}, [])[0]
    'the masks are shifted by 1 pixel to the right'
    """
    wrong = np.flatnonzero((expected != actual).any(axis=(1, 2)))
    if frames is not None:
        wrong = np.array(frames)
    if not len(wrong):
        return None
    before = _differing(expected, actual, wrong)
    fewest, found = _EXPLAINED * before, None
    for words, changed in _faults(expected, actual, others, earlier, int(wrong[0])):
        count = _differing(changed, actual, wrong)
        if count < fewest:
            fewest, found = count, (words, changed)
    if found is None:
        return None
    words, changed = found
    return f"{_where(wrong, len(expected))}{words}", changed


def _differing(one: Mask, other: Mask, frames: Counts) -> float:
    return float((one[frames] ^ other[frames]).sum())


def _where(wrong: Counts, frames: int) -> str:
    """The frames that are wrong, if these are few or the last ones."""
    if len(wrong) >= frames - 1:  # a fault in time may not be seen on the first or the last
        return ""
    if len(wrong) == 1:
        return f"on frame {wrong[0]}, "
    if wrong[-1] == frames - 1 and len(wrong) == frames - wrong[0]:
        return f"from frame {wrong[0]} on, "
    return ""


def _faults(
    expected: Mask,
    actual: Mask,
    others: Mapping[str, Mask],
    earlier: Sequence[Mask],
    begin: int,
) -> Iterator[tuple[str, Mask]]:
    """The usual faults in words, and the masks that they make of the expected ones.

    ``begin`` is the first frame that is wrong.
    """
    for masks in earlier[::-1]:
        if masks.shape == expected.shape:
            yield "the masks are those that an earlier call returned", masks
    yield "the masks are empty", np.zeros_like(expected)
    yield "the masks are full", np.ones_like(expected)
    yield from _faults_in_time(expected, begin)
    yield "the masks are upside down", expected[:, ::-1]
    yield "the masks are mirrored, left and right are swapped", expected[:, :, ::-1]
    yield "the masks are rotated by 180 degrees", expected[:, ::-1, ::-1]
    if expected.shape[1] == expected.shape[2]:
        yield "x and y are swapped in the masks", expected.transpose(0, 2, 1)
    yield from _shifts(expected, actual)
    for name, mask in others.items():
        yield f"the masks are those of another object, `{name}`", mask
        yield f"the masks contain another object too, `{name}`", expected | mask
    yield from _sizes(expected)
    for way, (down, across) in _WAYS.items():
        for by in (1, 2):
            wider = expected | shifted(expected, by * down, by * across)
            words = f"the masks reach {by} pixel{'s' * (by > 1)} too far {way}"
            yield words, wider
            narrower = expected & shifted(expected, -by * down, -by * across)
            yield f"the masks fall short by {by} pixel{'s' * (by > 1)} {way}", narrower
    yield "the masks are inverted", ~expected
    yield "the masks are boxes around the object", _boxes(expected)
    in_rows, in_columns = _reached(expected, 2), _reached(expected, 1)
    yield "holes in the masks are filled", in_rows & in_columns
    yield "each row of the masks is filled from its first to its last pixel", in_rows
    yield "each column of the masks is filled from its first to its last pixel", in_columns
    yield (
        "the masks are those of all frames together",
        np.broadcast_to(expected.any(axis=0), expected.shape),
    )
    before = np.concatenate([expected[:1], expected[:-1]])
    yield "the masks contain those of one frame earlier, too", expected | before
    yield "the masks lack what is not in those of one frame earlier", expected & before


def _boxes(expected: Mask) -> Mask:
    """The smallest box around the mask of each frame."""
    rows, columns = (_reached(np.asarray(expected.any(axis=axis)), 1) for axis in (2, 1))
    return np.asarray(rows[:, :, None] & columns[:, None])


def _reached(masks: Mask, axis: int) -> Mask:
    """What is between the first and the last pixel along an axis."""
    onwards = np.logical_or.accumulate(masks, axis=axis)
    backwards = np.flip(np.logical_or.accumulate(np.flip(masks, axis), axis=axis), axis)
    return np.asarray(onwards & backwards)


def _faults_in_time(expected: Mask, begin: int) -> Iterator[tuple[str, Mask]]:
    count = len(expected)
    index = np.arange(count)
    for by in (1, -1, 2, -2):
        at = index - by
        inside = (at >= 0) & (at < count)
        # A frame beyond the clip's ends is not known, and explains nothing.
        masks = np.where(inside[:, None, None], expected[at.clip(0, count - 1)], expected)
        frames = "one frame" if abs(by) == 1 else f"{abs(by)} frames"
        if inside.any():
            yield f"the masks are those of {frames} {'earlier' if by > 0 else 'later'}", masks
    for frame in {0, max(0, begin - 1)}:
        if expected[frame].any():
            masks = np.repeat(expected[frame : frame + 1], count, axis=0)
            yield f"the masks stay those of frame {frame}", masks
    if count > 2:
        yield "the masks are in reverse order", expected[::-1]


def _shifts(expected: Mask, actual: Mask) -> Iterator[tuple[str, Mask]]:
    """Shifts by a few pixels, the smallest first, and the one that brings the middles together."""
    near = range(-_FARTHEST, _FARTHEST + 1)
    shifts = sorted(
        ((down, across) for down in near for across in near if down or across),
        key=lambda shift: abs(shift[0]) + abs(shift[1]),
    )
    if expected.any() and actual.any():
        middles = (
            np.argwhere(actual)[:, 1:].mean(0) - np.argwhere(expected)[:, 1:].mean(0)
        ).round()
        shifts.append((int(middles[0]), int(middles[1])))
    for down, across in shifts:
        ways = [(across, "to the right", "to the left"), (down, "down", "up")]
        said = [
            f"{abs(by)} pixel{'s' * (abs(by) > 1)} {more if by > 0 else less}"
            for by, more, less in ways
            if by
        ]
        if said:
            yield f"the masks are shifted by {' and '.join(said)}", shifted(expected, down, across)


def _sizes(expected: Mask) -> Iterator[tuple[str, Mask]]:
    """Regions whose edge is moved, by squares and by diamonds."""
    for way, start in (("large", expected), ("small", ~expected)):
        square = diamond = start
        for by in range(1, _LARGEST + 1):
            square, diamond = _wider(square, corners=True), _wider(diamond, corners=False)
            words = f"the masks are {by} pixel{'s' * (by > 1)} too {way}"
            for masks in (square, diamond):
                yield words, masks if way == "large" else ~masks


def _wider(masks: Mask, *, corners: bool) -> Mask:
    """The pixels of masks and those beside them."""
    result = masks.copy()
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            if corners or not (down and across):
                result |= shifted(masks, down, across)
    return result


def shifted(masks: Mask, down: int, across: int) -> Mask:
    """Masks moved by whole pixels; what comes in from outside is empty."""
    result = np.zeros_like(masks)
    height, width = masks.shape[1:]
    if abs(down) < height and abs(across) < width:
        result[:, max(0, down) : height + min(0, down), max(0, across) : width + min(0, across)] = (
            masks[
                :, max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)
            ]
        )
    return result
