"""Regions of several masks: those that seem to be inverted, and frames that are empty as stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.masks.doubts.case import (
    FRAMES,
    HEIGHT,
    ONE,
    OTHER,
    WIDTH,
    Case,
    Write,
    box,
    doubtful,
    good,
)
from grainspec.testing.masks.written import folder_of, white


def _regions(*masks: Mask, form: str = 'masks("m{0}")', without: tuple[int, ...] = ()) -> Write:
    """A region for each mask, in this form; ``without`` are frames that have no file."""

    def write(folder: Path) -> str:
        kept = [frame for frame in range(FRAMES) if frame not in without]
        for number, mask in enumerate(masks):
            folder_of(folder / f"m{number}", white(mask[kept]), numbers=kept)
        return "; ".join(form.format(number) for number in range(len(masks)))

    return write


def _pixels(first: int, end: int) -> Mask:
    """The pixels from one to another, counted along the rows, on each frame."""
    place = np.arange(WIDTH * HEIGHT)
    inside = (place >= first) & (place < end)
    return np.stack([inside.reshape(HEIGHT, WIDTH)] * FRAMES)


def _shown(*frames: int) -> Mask:
    """An object that is visible on these frames only."""
    masks = ONE.copy()
    masks[[frame for frame in range(FRAMES) if frame not in frames]] = False
    return masks


def region_cases() -> dict[str, Case]:
    """Cases about several masks, and about empty frames."""
    half, pixels = WIDTH * HEIGHT // 2, WIDTH * HEIGHT
    masks, missing = 'masks("m{0}")', 'masks("m{0}", missing empty)'
    inner = np.stack([box(40, 30, 120, 90)] * FRAMES)
    whole = np.stack([box(0, 0, WIDTH, HEIGHT)] * FRAMES)
    return {
        "inverted masks": doubtful(
            "G312", _regions(~ONE, ~OTHER), "seem to be inverted", 'masks("m0", invert)'
        ),
        "masks that `invert` inverts": doubtful(
            "G312", _regions(ONE, OTHER, form='masks("m{0}", invert)'), "Remove `invert`"
        ),
        "inverted masks, inverted": good(_regions(~ONE, ~OTHER, form='masks("m{0}", invert)'), ONE),
        "inverted masks of objects that overlap by 2%": doubtful(
            "G312", _regions(~_pixels(0, 5000), ~_pixels(4900, 9900)), "seem to be inverted"
        ),
        "inverted masks of objects that overlap by more than 2%": doubtful(
            "G312", _regions(~_pixels(0, 5000), ~_pixels(4899, 9900)), "overlap in"
        ),
        "inverted masks, of which nothing is left": doubtful(
            "G307",
            _regions(~ONE, ~OTHER, ~ONE | ~OTHER),
            "kept regions cover all of the region `bear`: the masks of `bear` and `robot`",
            'masks("m0", invert)',
            kept=1,
        ),
        "a mask that another one covers": doubtful(
            "G307",
            _regions(ONE, ONE | OTHER),
            "kept regions cover all of the region `bear`",
            "grain show",
            kept=1,
        ),
        "a mask beside one that is kept": good(_regions(ONE, OTHER), ONE),
        "inverted masks of two halves": good(_regions(~_pixels(0, half), ~_pixels(half, pixels))),
        "inverted masks of nearly two halves": doubtful(
            "G312", _regions(~_pixels(0, half - 200), ~_pixels(half, pixels)), "seem to be inverted"
        ),
        "nothing outside of a mask": doubtful("G312", _regions(whole, inner), "overlap in 100%"),
        "an overlap of 2%": good(_regions(_pixels(0, 5000), _pixels(4900, 12000))),
        "an overlap of more than 2%": doubtful(
            "G312", _regions(_pixels(0, 5000), _pixels(4899, 12000)), "overlap in 2%"
        ),
        "an object in a mask that surrounds it": doubtful(
            "G312",
            _regions(inner, whole),
            'all but its object, write `masks("m1", invert)`',
        ),
        "an object on a small mask": doubtful(
            "G312", _regions(inner, np.stack([box(30, 20, 130, 100)] * FRAMES)), "subtract it"
        ),
        "an empty frame": doubtful("G315", _regions(_shown(0, 2)), "is empty on frame 1"),
        "two empty frames": doubtful("G315", _regions(_shown(1)), "is empty on frames 0, 2"),
        "a missing mask": good(_regions(ONE, form=missing, without=(1,)), _shown(0, 2)),
        "a missing mask and an empty one": doubtful(
            "G315", _regions(_shown(0), form=missing, without=(1,)), "is empty on frame 2"
        ),
        "during": good(_regions(ONE, form=f"{masks} during 1..2"), _shown(1, 2)),
        "during, with an empty frame": doubtful(
            "G315", _regions(_shown(1), form=f"{masks} during 1..2"), "is empty on frame 2"
        ),
        "during, by a name": good(
            _regions(ONE, form=f"{masks} during 0..1; bear grow 2px - bear"), _shown(0, 1)
        ),
        "during, grown": good(_regions(ONE, form=f"({masks} during 0..1) grow 0px"), _shown(0, 1)),
        "during, without another region": good(
            _regions(ONE, form=f"{masks} during 0..1 - box(0%, 0%, 1%, 1%)"), _shown(0, 1)
        ),
        "during, in an intersection": good(
            _regions(ONE, form=f"{masks} during 0..1 & all"), _shown(0, 1)
        ),
        "during, in one half of a union": doubtful(
            "G315", _regions(_shown(0, 1), form=f"{masks} during 0..1 | {masks}"), "on frame 2"
        ),
        "during, in both halves of a union": good(
            _regions(ONE, form=f"{masks} during 0..1 | {masks} during 1..1"), _shown(0, 1)
        ),
        "during what is subtracted": doubtful(
            "G315",
            _regions(_shown(0, 1), form=masks + " - box(0%, 0%, 1%, 1%) during 2..2"),
            "on frame 2",
        ),
    }
