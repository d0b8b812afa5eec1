"""The part of the clip that a spec edits: which frames, and which pixels of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import fail
from grainspec.model.expressions import ResizeRule
from grainspec.model.spec import Size, Video

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Window:
    """The part of each source frame that is edited, and the size it is scaled to.

    ``box`` is left, top, right, bottom in source pixels (fractions allowed). Frames and masks go
    through the same window, so a mask lands on the pixels it was drawn on.
    """

    box: tuple[float, float, float, float]
    width: int
    height: int

    @property
    def scale(self) -> tuple[float, float]:
        """The window's pixels for a source pixel, across and down."""
        left, top, right, bottom = self.box
        return self.width / (right - left), self.height / (bottom - top)

    def widened(self, margin: int, facts: ClipFacts) -> tuple[Window, tuple[slice, slice]]:
        """This window with up to so many more pixels on each side, as far as the frame goes.

        Also returns which rows and columns of the wider one are its own.
        """
        left, top, right, bottom = self.box
        across, down = self.scale
        more_left = min(margin, int(left * across))
        more_above = min(margin, int(top * down))
        more_right = min(margin, int(max(0.0, facts.width - right) * across))
        more_below = min(margin, int(max(0.0, facts.height - bottom) * down))
        box = (
            max(0.0, left - more_left / across),
            max(0.0, top - more_above / down),
            min(float(facts.width), right + more_right / across),
            min(float(facts.height), bottom + more_below / down),
        )
        width = more_left + self.width + more_right
        height = more_above + self.height + more_below
        rows = slice(more_above, more_above + self.height)
        return Window(box, width, height), (rows, slice(more_left, more_left + self.width))

    def frame(self, image: Image.Image) -> Image.Image:
        """A source frame cut and scaled, antialiased."""
        return image.resize((self.width, self.height), _resampling("LANCZOS"), box=self.box)

    def mask(self, image: Image.Image, rule: ResizeRule = "nearest") -> Image.Image:
        """A source mask cut and scaled."""
        return resize_mask(image, (self.width, self.height), rule, self.box)


def resize_mask(
    image: Image.Image,
    size: tuple[int, int],
    rule: ResizeRule,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """A mask, 8-bit grey of 0 and 255, cut to ``box`` and scaled to ``size``, width and height."""
    if rule == "nearest":
        return image.resize(size, _resampling("NEAREST"), box=box)
    import numpy as np
    from PIL import Image

    share = np.asarray(image.convert("F").resize(size, _resampling("BOX"), box=box)) / 255
    chosen = share > 1e-6 if rule == "any" else share >= 0.5 - 1e-6
    return Image.fromarray(chosen.astype(np.uint8) * 255)


def _resampling(name: str) -> Image.Resampling:
    from PIL import Image

    return Image.Resampling[name]


def window(video: Video, facts: ClipFacts, default: Size | None = None) -> Window:
    """The window that a spec's ``video`` statement opens on a clip.

    ``default`` is the size to take where the statement gives none; without one it is the crop's
    own. The crop is cut further, around its middle, to the shape of the size.
    """
    box: tuple[float, float, float, float] = (0.0, 0.0, float(facts.width), float(facts.height))
    if video.crop is not None:
        key = video.crop.keyframes[0]
        box = (
            max(0.0, key.x0.pixels(facts.width)),
            max(0.0, key.y0.pixels(facts.height)),
            min(float(facts.width), key.x1.pixels(facts.width)),
            min(float(facts.height), key.y1.pixels(facts.height)),
        )
    wide, high = box[2] - box[0], box[3] - box[1]
    if wide < 1 or high < 1:
        cure = f"The frames are {facts.width}x{facts.height} pixels."
        raise fail("G309", "the crop leaves nothing of the frame", cure, video.span_of("crop"))
    size = video.size or default
    width, height = (size.width, size.height) if size else (round(wide), round(high))
    scale = min(wide / width, high / height)
    # max: rounding may leave a cut a hair below zero
    cut_x, cut_y = max(0.0, wide - width * scale) / 2, max(0.0, high - height * scale) / 2
    return Window((box[0] + cut_x, box[1] + cut_y, box[2] - cut_x, box[3] - cut_y), width, height)


def frame_numbers(video: Video, facts: ClipFacts) -> list[int]:
    """The source frames that a ``video`` statement chooses.

    Raises GrainError (G303) if the clip ends before the last of them.
    """
    first, last = 0, facts.frames - 1
    if video.frames:
        first, last = video.frames.first, video.frames.last
    if last >= facts.frames:
        message = (
            f"the video has {facts.frames} frames, 0 to {facts.frames - 1}; {last} was asked for"
        )
        there = facts.frames - 1
        cure = f"Lower the range, for example `frames {min(first, there)}..{there}`."
        raise fail("G303", message, cure, video.span_of("frames"))
    return list(range(first, last + 1, video.step))
