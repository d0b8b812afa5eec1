"""Which mask belongs to which frame, where that is doubtful."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.masks.doubts.case import ONE, Case, Write, doubtful, good
from grainspec.testing.masks.videos import write_video
from grainspec.testing.masks.written import folder_of, white, write_clip

_CLIP = '"clip.mkv"'
_COUNT = 8

MOVING = np.concatenate([ONE, ONE[::-1], ONE[:2]])
"""Masks of eight frames."""


def _videos(rate: int, masks: Mask, options: str = "", *, clip: int = _COUNT) -> Write:
    """A clip of 8 frames a second, and masks of another rate."""

    def write(folder: Path) -> str:
        grey = np.full((clip, *masks.shape[1:]), 90, np.uint8)
        write_video(folder / "clip.mkv", [*grey], "ffv1", "gray")
        write_video(folder / "m.mkv", [*white(masks)], "ffv1", "gray", rate=rate)
        return f'masks("m.mkv"{options})'

    return write


def _numbered(first: int, numbers: range, options: str = "") -> Write:
    """A clip whose files begin at ``first``, and masks with these numbers."""

    def write(folder: Path) -> str:
        write_clip(folder, _COUNT, MOVING, first=first)
        folder_of(folder / "m", white(MOVING[: len(numbers)]), numbers=numbers)
        return f'masks("m"{options})'

    return write


def _array(count: int, options: str = "") -> Write:
    def write(folder: Path) -> str:
        np.save(folder / "m.npy", np.concatenate([ONE, ONE])[:count])
        return f'masks("m.npy"{options})'

    return write


def _gone(*gone: int) -> Write:
    """Masks of a clip of eight frames, of which some are missing."""

    def write(folder: Path) -> str:
        write_clip(folder, _COUNT, MOVING)
        kept = [number for number in range(_COUNT) if number not in gone]
        folder_of(folder / "m", white(MOVING[kept]), numbers=kept)
        return 'masks("m")'

    return write


def _numbers(*numbers: int) -> Write:
    """A clip of eight frames, and masks with these numbers."""

    def write(folder: Path) -> str:
        write_clip(folder, _COUNT, MOVING)
        folder_of(
            folder / "m", white(np.concatenate([MOVING] * 3)[: len(numbers)]), numbers=numbers
        )
        return 'masks("m")'

    return write


def frame_cases() -> dict[str, Case]:
    """Cases about the frames of masks."""
    twice = np.repeat(MOVING, 2, axis=0)
    own: Any = {"video": _CLIP}
    files = '"clip"'
    return {
        "masks of the clip's rate": good(_videos(8, MOVING), MOVING, **own),
        "masks of twice the rate": doubtful("G324", _videos(16, twice), "matched by time", **own),
        "masks of twice the rate, in order": good(
            _videos(16, twice, ", in_order"), twice[:_COUNT], **own
        ),
        "masks of half the rate": doubtful("G324", _videos(4, MOVING[::2]), "by time", **own),
        "as many masks of another rate": doubtful(
            "G324", _videos(25, MOVING), "mask k is used for frame k", "8 frames at 25", **own
        ),
        "masks of another duration": doubtful(
            "G326", _videos(25, twice), "do not match", "with 8 frames", "in_order", **own
        ),
        "masks of another rate, from -1": doubtful(
            "G324", _videos(25, MOVING, ", from -1, missing empty"), "matched by number", **own
        ),
        "masks of the same rate, from -1": good(
            _videos(8, MOVING, ", from -1, missing empty"), **own
        ),
        "masks of another rate, from 1, in order": good(
            _videos(25, np.concatenate([~MOVING[:1], MOVING]), ", from 1, in_order"), MOVING, **own
        ),
        "more masks than frames in a video": doubtful(
            "G324", _videos(8, np.concatenate([MOVING, MOVING[:1]])), "9 frames", **own
        ),
        "fewer masks than frames in a video": doubtful(
            "G305", _videos(8, MOVING[:6]), "frame 6 has no mask", "missing empty", **own
        ),
        "masks as far as the clip's files": good(_numbered(1, range(1, 9)), MOVING, video=files),
        "masks counted from 0 for a clip from 1 on": good(
            _numbered(1, range(8)), MOVING, video=files
        ),
        "masks that may have the numbers of the clip's files": doubtful(
            "G324",
            _numbered(1, range(1, 8)),
            "numbered 1 to 7, and the files of the clip 1 to 8",
            "`from 1`",
            video=f"{files} frames 2..4",
        ),
        "the same masks, with their number": good(
            _numbered(1, range(1, 8), ", from 1"), MOVING[2:5], video=f"{files} frames 2..4"
        ),
        "the same masks, but for the last frames": doubtful(
            "G305", _numbered(1, range(1, 8)), "frame 0 has no mask", "`from 1`", video=files
        ),
        "masks of a clip from 50 on, counted from 3": doubtful(
            "G305", _numbered(50, range(3, 11)), "`from 3`", video=files
        ),
        "a frame more than masks, from 1 on": doubtful(
            "G305", _numbered(50, range(50, 57)), "frame 7 has no mask", video=files
        ),
        "one mask more in an array": doubtful("G324", _array(4), "has 4 masks"),
        "one mask more in an array, from 1": good(_array(4, ", from 1")),
        "as many masks in an array": good(_array(3), ONE),
        "three runs of masks": doubtful(
            "G305",
            _gone(2, 5),
            "2 of 8 frames",
            "during 0..1",
            "during 3..4",
            "during 6..7",
            video=files,
        ),
        "four runs of masks": doubtful("G305", _gone(1, 3, 5), "missing empty", video=files),
        "masks of every third frame": doubtful(
            "G305",
            _numbers(*range(0, 24, 3)),
            "5 of 8 frames have no mask",
            "in_order",
            video=files,
        ),
        "masks of uneven frames": doubtful(
            "G305", _numbers(0, 1, 2, 9, 12, 13, 14, 20), "have no mask", video=files
        ),
    }
