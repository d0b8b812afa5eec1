"""Contact sheets: rows of frames in one image."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from grainspec_runtime.media.decode import Frames

_LABEL, _GAP = 20, 4
"""The height of a row's label and the gap after each frame, in pixels."""


def enlarged(frames: Frames, least: int = 192) -> Frames:
    """Enlarge frames by a whole factor until they are at least ``least`` pixels high."""
    factor = max(1, -(-least // frames.shape[1]))
    return frames.repeat(factor, axis=1).repeat(factor, axis=2)


def sheet(rows: Mapping[str, Frames], *, columns: int = 6, least: int = 144) -> Image.Image:
    """Draw one labelled row per entry, with up to ``columns`` frames spread over the clip."""
    strips = []
    for label, frames in rows.items():
        chosen = np.linspace(0, len(frames) - 1, min(columns, len(frames))).round().astype(int)
        pictures = enlarged(frames[chosen], least)
        spaced = np.pad(pictures, ((0, 0), (0, 0), (0, _GAP), (0, 0)), constant_values=255)
        strip = np.concatenate(list(spaced), axis=1)
        header = Image.new("RGB", (strip.shape[1], _LABEL), "white")
        font = ImageFont.load_default(13)
        ImageDraw.Draw(header).text((4, _LABEL // 2), label, "black", font, anchor="lm")
        strips += [np.asarray(header), strip]
    width = max(strip.shape[1] for strip in strips)
    padded = [
        np.pad(strip, ((0, 0), (0, width - strip.shape[1]), (0, 0)), constant_values=255)
        for strip in strips
    ]
    return Image.fromarray(np.concatenate(padded))


def side_by_side(*clips: Frames, least: int = 288) -> Frames:
    """Place clips of the same size side by side, enlarged if they are small."""
    first = clips[0]
    gap = np.full((*first.shape[:2], max(1, first.shape[2] // 48), 3), 255, np.uint8)
    spaced = [first, *chain.from_iterable((gap, clip) for clip in clips[1:])]
    return enlarged(np.concatenate(spaced, axis=2), least)
