"""The source clip's facts and geometry, found without decoding it.

A clip is a video file or a folder of images whose names end in the frame's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from grainspec.diagnostics import fail
from grainspec.nodes import Span

if TYPE_CHECKING:
    from PIL import Image

    from grainspec.spec import Size, Video

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Number of frames, width and height in pixels as shown, frames a second.

    ``rotation`` is what a player turns each frame by, in degrees counterclockwise: telephones write
    upright clips lying down, and say so.
    """

    frames: int
    width: int
    height: int
    fps: float
    rotation: int = 0


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


ResizeRule = Literal["nearest", "area", "any"]
"""Which pixels of a scaled mask are set: those with the mask set at their centre, those where it is
set in at least half of its pixels inside them, or in any."""


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
    if video.crop:
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


def frame_number(path: Path) -> int | None:
    """The last number in a file's name: ``left_00012.png`` is frame 12."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1][-15:]) if numbers else None


def numbered_images(paths: Iterable[Path]) -> Iterator[tuple[int, Path]]:
    """Image files with their frame numbers, by name; files without a number are left out."""
    for path in sorted(paths):
        number = frame_number(path)
        if path.suffix.lower() in IMAGE_SUFFIXES and number is not None:
            yield number, path


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


def probe(path: Path, *, needed: int | None = None, span: Span | None = None) -> ClipFacts:
    """The facts of a clip.

    Frames of a file are counted by reading its packets, up to frame ``needed`` if given, so a file
    that was cut off is found out. Raises GrainError: G301 not there, G302 cannot be read.
    """
    try:
        there = path.exists()
    except OSError:  # a name longer than any file's
        there = False
    if not there:
        raise fail("G301", f"there is no video {path}", "Check the path.", span)
    if path.is_dir():
        return _probe_folder(path, span)
    if path.stat().st_size == 0:
        raise fail("G302", f"{path} is empty", "Was it copied in full?", span)
    return _probe_file(path, needed, span)


def _probe_folder(path: Path, span: Span | None) -> ClipFacts:
    from PIL import Image

    images: dict[int, Path] = {}
    for number, image_path in numbered_images(path.iterdir()):
        if number in images:
            names = f"{images[number].name} and {image_path.name}"
            message = f"{names} in {path} both claim one frame"
            raise fail("G302", message, "Keep the clip's frames in a folder of their own.", span)
        images[number] = image_path
    if not images:
        message = f"{path} holds no numbered images"
        raise fail("G302", message, "Frames look like 00000.png, 00001.png, ….", span)
    gap = next((number for number in range(len(images)) if number not in images), None)
    if gap is not None:
        message = f"{path} has no image for frame {gap}"
        raise fail("G302", message, "Frames count from 0 without gaps.", span)
    sizes = set()
    for image_path in images.values():
        try:
            with Image.open(image_path) as image:
                sizes.add(image.size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise fail("G302", f"{image_path} is no image that can be read", "", span) from error
        if len(sizes) > 1:
            message = f"{image_path} has another size than the frames before it"
            raise fail("G302", message, "All frames must have the same size.", span)
    width, height = sizes.pop()
    return ClipFacts(len(images), width, height, 8.0)


def _probe_file(path: Path, needed: int | None, span: Span | None) -> ClipFacts:
    import av

    try:
        with av.open(_file_url(path)) as container:
            if not container.streams.video:
                raise fail("G302", f"{path} holds no video", "", span)
            first = next(container.decode(video=0), None)
        with av.open(_file_url(path)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 25)
            width, height, promised = stream.width, stream.height, stream.frames
            count, hidden = _count_packets(container.demux(stream), needed, promised)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path} cannot be read as a video: {reason}"
        raise fail("G302", message, "Does another player show it?", span) from error
    if first is None or count == 0 or width == 0 or height == 0:
        raise fail("G302", f"{path} holds no frames", "Was it copied in full?", span)
    if count + hidden < promised:
        message = f"{path} is cut off: it promises {promised} frames and holds {count + hidden}"
        raise fail("G302", message, "Was it copied in full?", span)
    rotation = round(getattr(first, "rotation", 0)) % 360
    if rotation % 90:
        message = f"{path} is turned by {rotation} degrees"
        raise fail("G302", message, "Save it upright, then name the new file.", span)
    if rotation % 180:
        width, height = height, width
    return ClipFacts(count, width, height, rate, rotation)


def _file_url(path: Path) -> str:
    """The path as FFmpeg takes it: absolute, so that a colon in it names no protocol."""
    return str(path.absolute())


def _count_packets(packets: Iterable[Any], needed: int | None, promised: int) -> tuple[int, int]:
    """How many frames are shown, and how many are cut away by the file's own edit list.

    Stops once it is known that frame ``needed`` is there; the file's promise counts from then on.
    """
    shown = hidden = 0
    for packet in packets:
        if packet.size > 0:
            hidden += packet.is_discard
            shown += not packet.is_discard
        if promised and needed is not None and shown > needed:
            return max(shown, promised - hidden), hidden
    return shown, hidden
