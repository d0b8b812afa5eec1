"""Which frames of the clip a spec edits, and which part of each frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grainspec.clip.facts import ClipFacts
from grainspec.clip.images import composited
from grainspec.clip.mask_scaling import resize_mask
from grainspec.diagnostics import fail
from grainspec.model.expressions import ResizeRule
from grainspec.model.spec import Size, Video

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image


Box4 = tuple[float, float, float, float]
Padding = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class NativeSize:
    """The frame size that a model was trained on, and what sides must be multiples of."""

    size: Size
    multiple: int = 8

    def of_aspect(self, wide: float, high: float) -> tuple[int, int]:
        """The size nearest to this aspect, of about as many pixels as the native one.

        Both sides are multiples. Of those whose area differs by at most an eighth, it is the one
        with which the least is cut away or padded; of those that lose less than 1%, the one nearest
        to the native area.

        >>> sd = NativeSize(Size(width=512, height=512))
        >>> sd.of_aspect(100, 100), sd.of_aspect(1920, 1080), sd.of_aspect(1080, 1920)
        ((512, 512), (680, 384), (384, 680))
        """
        area = self.size.width * self.size.height
        if wide * self.size.height == high * self.size.width:
            return self.size.width, self.size.height
        if wide < high:
            return self.of_aspect(high, wide)[::-1]
        unit, aspect = self.multiple, wide / high

        def lost(width: int, height: int) -> tuple[float, float]:
            cut = abs(math.log(width / height / aspect))
            return max(cut, 0.01), abs(math.log(width * height / area))

        ideal = math.sqrt(area / aspect)
        choices = [
            (width, height)
            for height in range(unit, int(ideal * 1.1) + 2 * unit, unit)
            if (width := max(1, round(height * aspect / unit)) * unit)
        ]
        near = [size for size in choices if lost(*size)[1] <= math.log(9 / 8)]
        return min(near or choices, key=lambda size: lost(*size) if near else lost(*size)[::-1])


@dataclass(frozen=True, slots=True)
class FrameCrop:
    """The part of each source frame that is edited, the size that it is scaled to, and its padding.

    ``box`` is left, top, right, bottom in source pixels; fractions are allowed. ``width`` and
    ``height`` are what it is scaled to. ``padding`` are the pixels added to the left, above, to the
    right and below. Frames and masks are cropped and scaled alike, so a mask stays on the pixels
    that it was drawn on. ``background`` is the colour behind transparent pixels.
    """

    box: Box4
    width: int
    height: int
    padding: Padding = (0, 0, 0, 0)
    background: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the edited frames, with padding."""
        left, above, right, below = self.padding
        return left + self.width + right, above + self.height + below

    @property
    def inside(self) -> tuple[slice, slice]:
        """The rows and columns of the edited frames that are not padding."""
        left, above, _, _ = self.padding
        return slice(above, above + self.height), slice(left, left + self.width)

    def unpadded(self, frames_FHW3: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Edited frames, or a mask of them, without padding; the same array if there is none."""
        if not any(self.padding):
            return frames_FHW3
        import numpy as np

        return np.ascontiguousarray(frames_FHW3[(slice(None), *self.inside)])

    def padded(self, frames_FHW3: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Frames with padding: their border pixels, repeated."""
        if not any(self.padding):
            return frames_FHW3
        import numpy as np

        left, above, right, below = self.padding
        return np.pad(frames_FHW3, ((0, 0), (above, below), (left, right), (0, 0)), mode="edge")

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
        box: Box4 = (
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
        """Crop, scale and pad a source frame, with antialiasing."""
        scaled = composited(image, self.background).resize(
            (self.width, self.height), _resampling("LANCZOS"), box=self.box
        )
        if not any(self.padding):
            return scaled
        import numpy as np
        from PIL import Image

        return Image.fromarray(self.padded(np.asarray(scaled)[None])[0])

    def mask(self, image: Image.Image, rule: ResizeRule = "nearest") -> Image.Image:
        """Crop and scale a source mask, without padding."""
        return resize_mask(image, (self.width, self.height), rule, self.box)

    def grey(self, image: Image.Image) -> Image.Image:
        """Crop and scale an 8-bit grey image with antialiasing, without padding."""
        return image.resize((self.width, self.height), _resampling("BILINEAR"), box=self.box)


def _resampling(name: str) -> Image.Resampling:
    from PIL import Image

    return Image.Resampling[name]


def frame_crop(
    video: Video, facts: ClipFacts, default: Size | NativeSize | None = None
) -> FrameCrop:
    """The crop and padding that a spec's ``video`` statement asks for.

    ``default`` is the size if the statement gives none: a size, or one of the clip's aspect for a
    model; without a default, the size is that of the ``crop`` box. With ``fit crop``, the box is
    cut further, around its centre, to the aspect ratio of the size. With ``fit pad``, the whole box
    is scaled until it lies inside the size, in its centre. Raises GrainError (G309) if the box lies
    outside the frame.
    """
    box = _crop_box(video, facts)
    wide, high = box[2] - box[0], box[3] - box[1]
    width, height = round(wide), round(high)
    if video.size is not None:
        width, height = video.size.width, video.size.height
    elif isinstance(default, NativeSize):
        width, height = default.of_aspect(wide, high)
    elif default is not None:
        width, height = default.width, default.height
    if video.fit == "pad":
        scale = min(width / wide, height / high)
        inner = max(1, round(wide * scale)), max(1, round(high * scale))
        left, above = (width - inner[0]) // 2, (height - inner[1]) // 2
        padding = left, above, width - inner[0] - left, height - inner[1] - above
        return FrameCrop(box, *inner, padding, video.alpha)
    scale = min(wide / width, high / height)
    # max: rounding may leave a cut slightly below zero
    cut_x, cut_y = max(0.0, wide - width * scale) / 2, max(0.0, high - height * scale) / 2
    cut = (box[0] + cut_x, box[1] + cut_y, box[2] - cut_x, box[3] - cut_y)
    return FrameCrop(cut, width, height, background=video.alpha)


def _crop_box(video: Video, facts: ClipFacts) -> Box4:
    """The box of the ``crop`` setting, in source pixels, limited by the frame."""
    if video.crop is None:
        return 0.0, 0.0, float(facts.width), float(facts.height)
    key = video.crop.keyframes[0]
    box = (
        max(0.0, key.x0.pixels(facts.width)),
        max(0.0, key.y0.pixels(facts.height)),
        min(float(facts.width), key.x1.pixels(facts.width)),
        min(float(facts.height), key.y1.pixels(facts.height)),
    )
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        cure = f"The frames are {facts.width}x{facts.height} pixels."
        raise fail("G309", "`crop` lies outside the frame", cure, video.span_of("crop"))
    return box


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
