"""Five still frames of each clip of a benchmark, for the gallery."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from grainspec.whole_file import whole_file

COUNT = 5
_GAP = 4
"""White pixels between two frames."""


def stills_name(clip: str) -> str:
    """The file name of a clip's stills, without its ending.

    >>> stills_name("no-modulation")
    'no-modulation.stills'
    """
    return f"{clip}.stills"


def write_stills(clips: Iterable[Path]) -> None:
    """Write the stills of animated WebPs beside them, unless they are there and up to date.

    Clips that do not exist are left out.
    """
    for clip in clips:
        path = clip.with_name(f"{stills_name(clip.stem)}.webp")
        if not clip.is_file():
            continue
        if path.is_file() and path.stat().st_mtime_ns >= clip.stat().st_mtime_ns:
            continue
        with whole_file(path) as partial:
            strip(clip).save(partial, "WEBP", quality=90)


def strip(clip: Path) -> Image.Image:
    """Frames of an animated picture, spread evenly from the first to the last, side by side."""
    with Image.open(clip) as picture:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
    chosen = np.linspace(0, len(frames) - 1, min(COUNT, len(frames))).round().astype(int)
    width, height = frames[0].size
    drawn = Image.new("RGB", (len(chosen) * (width + _GAP) - _GAP, height), "white")
    for column, number in enumerate(chosen):
        drawn.paste(frames[number], (column * (width + _GAP), 0))
    return drawn
