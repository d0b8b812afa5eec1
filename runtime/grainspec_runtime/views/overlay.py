"""Draw regions on frames: a tint, a contour and a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from grainspec.model.spec import Edit, EditSpec, Keep
from grainspec.palette import PALETTE
from grainspec.regions.layout import Layout
from grainspec_runtime.media.decode import Frames


def overlay(frames: Frames, layout: Layout) -> Frames:
    """Draw every region of ``layout`` on uint8 ``[F, H, W, 3]`` frames: a tint and a contour."""
    shown = frames.astype(np.float32)
    for index, name in enumerate(layout.names):
        colour = np.array(PALETTE[index % len(PALETTE)], np.float32)
        mask = layout.mask(name)
        shown[mask] = 0.55 * shown[mask] + 0.45 * colour
    for index, name in enumerate(layout.names):
        mask = layout.mask(name)
        inner = mask.copy()
        inner[:, 1:] &= mask[:, :-1]
        inner[:, :-1] &= mask[:, 1:]
        inner[:, :, 1:] &= mask[:, :, :-1]
        inner[:, :, :-1] &= mask[:, :, 1:]
        shown[mask & ~inner] = PALETTE[index % len(PALETTE)]
    return shown.round().clip(0, 255).astype(np.uint8)


def meanings(spec: EditSpec, layout: Layout) -> list[str]:
    """One line per region of ``layout``: its name and its edit."""
    bound = {edit.region: edit for edit in spec.edits}
    lines = []
    for name in layout.names:
        edit = bound.get(name)
        if isinstance(edit, Edit):
            lines.append(f"{name} -> “{edit.phrase}”")
        elif edit is not None:
            lines.append(f"{name}: {'kept' if isinstance(edit, Keep) else 'free'}")
        else:
            lines.append(f"{name}: not edited")
    return lines


def legend(lines: Sequence[str], width: int, size: int = 14) -> Image.Image:
    """A strip with one coloured line of text per region."""
    font = ImageFont.load_default(size)
    row = round(size * 1.7)
    strip = Image.new("RGB", (width, row * len(lines) + size // 2), "white")
    draw = ImageDraw.Draw(strip)
    for index, line in enumerate(lines):
        top = index * row + size // 3
        draw.rectangle([size // 2, top, size * 3 // 2, top + size], PALETTE[index % len(PALETTE)])
        draw.text((size * 2, top + size // 2), line, "black", font, anchor="lm")
    return strip
