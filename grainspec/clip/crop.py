"""Which frames of the clip a spec edits, and which part of each frame."""

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
class FrameCrop:
    """The part of each source frame that is edited, and the size that it is scaled to.

    ``box`` is left, top, right, bottom in source pixels; fractions are allowed. Frames and masks
    are cropped and scaled alike, so a mask stays on the pixels that it was drawn on.
    """

    box: tuple[float, float, float, float]
    width: int
    height: int

    @property
    def scale(self) -> tuple[float, float]:
        """Cropped pixels per source pixel: horizontally, vertically."""
        left, top, right, bottom = self.box
        return self.width / (right - left), self.height / (bottom - top)

    def widened(self, margin: int, facts: ClipFacts) -> tuple[FrameCrop, tuple[slice, slice]]:
        """This crop widened by up to ``margin`` pixels on each side, limited by the frame.

        Also returns the rows and columns of the wider crop that this crop covers.
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
        return FrameCrop(box, width, height), (rows, slice(more_left, more_left + self.width))

    def frame(self, image: Image.Image) -> Image.Image:
        """Crop and scale a source frame, with antialiasing."""
        return image.resize((self.width, self.height), _resampling("LANCZOS"), box=self.box)

    def mask(self, image: Image.Image, rule: ResizeRule = "nearest") -> Image.Image:
        """Crop and scale a source mask."""
        return resize_mask(image, (self.width, self.height), rule, self.box)


def resize_mask(
    image: Image.Image,
    size: tuple[int, int],
    rule: ResizeRule,
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Crop a mask to ``box`` and scale it to ``size``, width and height.

    The mask is 8-bit grey with the values 0 and 255.
    """
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


def frame_crop(video: Video, facts: ClipFacts, default: Size | None = None) -> FrameCrop:
    """The crop that a spec's ``video`` statement asks for.

    ``default`` is the size if the statement gives none; without a default, the size is that of the
    ``crop`` box. The box is cut further, around its centre, to the aspect ratio of the size.
    Raises GrainError (G309) if the box lies outside the frame.
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
        raise fail("G309", "`crop` lies outside the frame", cure, video.span_of("crop"))
    size = video.size or default
    width, height = (size.width, size.height) if size else (round(wide), round(high))
    scale = min(wide / width, high / height)
    # max: rounding may leave a cut slightly below zero
    cut_x, cut_y = max(0.0, wide - width * scale) / 2, max(0.0, high - height * scale) / 2
    return FrameCrop(
        (box[0] + cut_x, box[1] + cut_y, box[2] - cut_x, box[3] - cut_y), width, height
    )


def frame_numbers(video: Video, facts: ClipFacts) -> list[int]:
    """The numbers of the source frames that a ``video`` statement selects.

    Raises GrainError (G303) if the clip ends before the last one.
    """
    first, last = 0, facts.frames - 1
    if video.frames:
        first, last = video.frames.first, video.frames.last
    if last >= facts.frames:
        message = (
            f"frame {last} is past the end of the video: "
            f"it has {facts.frames} frames, 0 to {facts.frames - 1}"
        )
        end = facts.frames - 1
        cure = f"Write `frames {min(first, end)}..{end}`."
        raise fail("G303", message, cure, video.span_of("frames"))
    return list(range(first, last + 1, video.step))
