"""The result of an edit as self-contained HTML for notebooks: source and edit side by side."""

from __future__ import annotations

import io
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from grainspec.diagnostics import visible
from grainspec.notebook import card, findings, inline, label, table
from grainspec_runtime.media.times import FrameTimes
from grainspec_runtime.views.regions import region_sheet
from grainspec_runtime.views.sheet import enlarged, side_by_side

if TYPE_CHECKING:
    from grainspec_runtime.editing.result import EditResult
    from grainspec_runtime.media.decode import Frames

__all__ = ["region_sheet", "result_html"]

MAX_FRAMES = 24
"""Maximum number of frames; longer clips are sampled evenly and keep their speed."""

MAX_SIDE = 420
"""Maximum width and height of each of the two clips, in pixels."""

MAX_BYTES = 2_000_000
"""Maximum size of the picture, which is saved in the notebook's file."""


def result_html(result: EditResult) -> str:
    """Show the source and the edited clip as one animated picture, with facts and warnings."""
    spec, frames = result.prepared.spec, result.edited
    data, width = animation(result.source, result.edited, fps=result.times)
    seconds = sum(result.seconds.values())
    facts = [
        ("target", spec.target),
        ("clip", f"{len(frames)} frames of {frames.shape[2]}×{frames.shape[1]}"),
        ("model", f"{spec.model}, {spec.sampler.method}, {spec.sampler.steps} steps"),
        ("time", f"{seconds:.1f} s on {result.device}, {result.dtype}"),
    ]
    rows = [(label(name), escape(visible(value))) for name, value in facts]
    half = f"display:inline-block;width:{width // 2}px;color:#59636e"
    title = f'<span style="{half}">source</span><span style="{half}">edited</span>'
    clip = inline(data, "image/webp", "source and edited clip")
    return card(f"<div>{title}</div>", clip, table(rows), findings(result.warnings))


def animation(source: Frames, edited: Frames, *, fps: float | FrameTimes) -> tuple[bytes, int]:
    """Encode two clips side by side as an animated WebP of at most ``MAX_BYTES``, and its width.

    source, edited: uint8 ``[F, H, W, 3]``.
    """
    durations = FrameTimes.of(len(source), fps).milliseconds()
    every = max(1, -(-len(source) // MAX_FRAMES))
    clips = side_by_side(source[::every], edited[::every], least=1)
    chosen = [sum(durations[i : i + every]) for i in range(0, len(durations), every)]
    largest, quality = MAX_SIDE, 82
    while True:
        pictures = [_fitted(frame, largest) for frame in clips]
        data = _encoded(pictures, durations=chosen, quality=quality)
        if len(data) <= MAX_BYTES or largest < 64:
            return data, pictures[0].width
        largest, quality = largest * 2 // 3, 70


def _fitted(frame: Frames, largest: int) -> Image.Image:
    """Scale a frame of both clips so that each is at most ``largest`` pixels wide and high."""
    frame = enlarged(frame[None], min(192, largest))[0]
    image = Image.fromarray(frame)
    factor = min(1.0, 2 * largest / image.width, largest / image.height)
    return image.resize((round(image.width * factor), round(image.height * factor)))


def _encoded(pictures: list[Image.Image], *, durations: list[int], quality: int) -> bytes:
    data = io.BytesIO()
    first, *others = pictures
    first.save(
        data,
        format="WEBP",
        save_all=True,
        append_images=others,
        duration=durations,
        loop=0,
        quality=quality,
    )
    return data.getvalue()
