"""The regions of a spec on its first frame: their shares, and small pictures of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grainspec.clip.crop import FrameCrop, frame_crop, frame_numbers
from grainspec.clip.facts import ClipFacts, probe, still_images
from grainspec.diagnostics import GrainError
from grainspec.model.expressions import Expression, Smoothed, children
from grainspec.model.spec import EditSpec
from grainspec.palette import PALETTE

if TYPE_CHECKING:
    from PIL import Image

    from grainspec.regions.layout import Layout

MAX_DECODED = 300
"""Frames of a video file that are decoded to show one."""
WIDTH = 240
"""The width of a picture, in pixels; a tall one is narrower."""
HEIGHT = 180
MAX_PICTURE = 60_000
"""Bytes of a picture."""


@dataclass(frozen=True)
class FirstFrame:
    """The regions on the first frame that a spec uses; ``errors`` are why some are not known.

    ``count`` is the number of frames that it uses.
    """

    spec: EditSpec
    path: Path
    facts: ClipFacts
    crop: FrameCrop
    number: int
    layout: Layout
    errors: dict[str, str]
    count: int

    @cached_property
    def shares(self) -> dict[str, float]:
        """The share of the frame that each region covers, from 0 to 1."""
        areas = self.layout.areas()[0] if self.layout.names else []
        pixels = self.layout.bits_FHW[0].size
        return {
            name: float(area) / pixels
            for name, area in zip(self.layout.names, areas, strict=True)
            if name not in self.errors
        }

    @cached_property
    def image(self) -> Image.Image | None:
        """The frame, cropped and scaled as the spec says; None if it cannot be decoded soon."""
        try:
            found = _decoded(self.path, self.number)
        except (GrainError, OSError, ValueError):
            return None
        return self.crop.frame(found) if found is not None else None

    def picture(self, name: str) -> bytes | None:
        """A region in its colour on the frame, as a PNG file; None if one of them is not known."""
        import numpy as np
        from PIL import Image

        if name not in self.shares or self.image is None:
            return None
        frame = np.asarray(self.image.convert("RGB")).astype(np.float32)
        mask = self.layout.mask(name)[0]
        colour = np.array(PALETTE[self.layout.names.index(name) % len(PALETTE)], np.float32)
        shown = np.where(mask[..., None], frame * 0.4 + colour * 0.6, frame * 0.55)
        picture = Image.fromarray(shown.astype(np.uint8))
        picture.thumbnail((WIDTH, HEIGHT))
        for colours in (128, 32, 8):
            file = io.BytesIO()
            picture.quantize(colours).save(file, "PNG", optimize=True)
            if file.tell() <= MAX_PICTURE:
                return file.getvalue()
        return None


def first_frame(spec: EditSpec, folder: Path) -> FirstFrame | None:
    """The regions on the first frame that a spec uses; None if its clip or regions are not sound.

    Reads the clip's facts, and one mask of each source.
    """
    from graphlib import CycleError

    from grainspec.regions.bind import readable_regions
    from grainspec.regions.tracked.state import tracked_state

    video = spec.video
    try:
        facts = probe(
            folder / video.path, needed=video.frames.last if video.frames else None, fps=video.fps
        )
        used = frame_numbers(video, facts)
        if not used or not spec.regions:
            return None
        crop = frame_crop(video, facts)
        frames = used[: 1 + max(_reach(region.expression) for region in spec.regions)]
        layout, errors = readable_regions(tracked_state(spec, folder, facts), crop, frames)
    except (GrainError, KeyError, CycleError, OSError, ValueError):
        return None
    reasons = {name: found[0].message for name, found in errors.items() if found}
    return FirstFrame(
        spec, folder / video.path, facts, crop, used[0], layout.at([0]), reasons, len(used)
    )


def _reach(expression: Expression) -> int:
    """How many later frames matter to a region, because it is smoothed over time."""
    own = expression.frames // 2 if isinstance(expression, Smoothed) else 0
    return own + max(map(_reach, children(expression)), default=0)


def _decoded(path: Path, number: int) -> Any:
    """A frame of a clip; None if too many others would have to be decoded first."""
    from grainspec.clip.colours import frame_picture
    from grainspec.clip.images import open_image, upright
    from grainspec.clip.video import open_video

    images = still_images(path)
    if images is not None:
        with open_image(images[number][1]) as image:
            return upright(image).convert("RGB")
    if number >= MAX_DECODED:
        return None
    with open_video(path) as reader:
        for at, frame in enumerate(reader.frames()):
            if at == number:
                return frame_picture(frame, reader.tags)
    return None
