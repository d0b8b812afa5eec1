"""A clip's number of frames, size, frame rate and colours, read without decoding it.

A clip is a video file, a folder of images whose names end in the frame number, or one image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from grainspec.clip.colours import PRIMARIES, TRANSFERS
from grainspec.clip.container import NotAContainer, not_supported
from grainspec.clip.extent import empty_frames, ends_early
from grainspec.clip.images import TooManyPixels, is_still, open_image, shown_size, unreadable
from grainspec.clip.numbering import AmbiguousNumbers, has_number, number_names
from grainspec.clip.video import BrokenFrame, VideoReader, open_video
from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec.near_path import BESIDE_URL, FROM_URL, near_path, url_of
from grainspec.regular_file import files_in

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})

_DEEP = frozenset({"F", "I"})
"""Pillow's modes of images with 32-bit values."""
_IMAGES_FPS = 8.0
_STATED_DURATION = frozenset({"matroska", "flv", "asf", "mxf"})
"""Containers whose header has the duration; of others, FFmpeg estimates it from the file."""
_SHORTER = 0.5
"""Seconds by which a file may be shorter than its header says."""
_SHORTER_IF_CUT = 0.5
"""Frames by which a file may be shorter if it surely ends early: what is cut may be its index."""


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Number of frames, width and height in pixels as displayed, frames per second.

    Displayed: rotated and mirrored as the file says (EXIF orientation, display matrix), and with
    square pixels. ``first`` is the number in the name of a folder's first image, which is frame 0.
    ``transfer`` and ``primaries`` are FFmpeg's names of a video's transfer function and primaries,
    "" if it does not state them; ``pixel_aspect`` is the width by the height of a stored pixel.
    """

    frames: int
    width: int
    height: int
    fps: float
    first: int = 0
    transfer: str = ""
    primaries: str = ""
    pixel_aspect: Fraction = Fraction(1)


def numbered_images(paths: Iterable[Path], span: Span | None = None) -> Iterator[tuple[int, Path]]:
    """Image files with their frame numbers, sorted by name; files without a number are skipped.

    Raises GrainError (G322) if several numbers in the names could be the frame number.
    """
    images = [path for path in sorted(paths) if path.suffix.lower() in IMAGE_SUFFIXES]
    numbered = [path for path in images if has_number(path.name)]
    try:
        found = number_names([path.name for path in numbered])
    except AmbiguousNumbers as error:
        if len(numbered) == 1:  # a clip of one frame: its number does not matter
            yield error.candidates[-1].values[0], numbered[0]
            return
        cure = "Name the frames 00000.png, 00001.png, …, without other numbers that vary."
        raise fail("G322", error.message, cure, span) from error
    yield from zip(found.values if found else (), numbered, strict=bool(found))


def still_images(path: Path, span: Span | None = None) -> list[tuple[int, Path]] | None:
    """The images of a clip with their numbers, in the order of its frames; None if it is a video.

    Frames are counted from 0, whatever the number of the first image is. An image that moves (APNG)
    is a video. Raises GrainError (G322) if several numbers in the names could be the frame number.
    """
    if path.is_dir():
        try:
            files = files_in(path)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            message = f"the folder {path} cannot be read: {reason}"
            raise fail(
                "G302", message, "Put the frames into a folder of their own.", span
            ) from error
        return sorted(numbered_images(files, span))
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    try:
        with open_image(path) as image:
            return [(0, path)] if is_still(image) else None
    except TooManyPixels:
        return [(0, path)]  # said when it is opened
    except unreadable():
        return None


def probe(
    path: Path, *, needed: int | None = None, fps: float | None = None, span: Span | None = None
) -> ClipFacts:
    """Read the facts of a clip; ``fps`` is the frame rate of images, 8 if not given.

    Frames of a file are counted by reading its packets, up to frame ``needed`` if given, so that
    truncated files are detected. Raises GrainError: G301 if the clip does not exist, G302 if it
    cannot be read, G330 if it is not a video.
    """
    try:
        there = path.exists()
    except OSError:  # such as a name that is too long
        there = False
    if not there:
        if url := url_of(path):
            raise fail("G301", f"the video {url} {FROM_URL}", BESIDE_URL, span)
        cure = near_path(path) or "Check the path."
        raise fail("G301", f"the video {path} does not exist", cure, span)
    if path.is_file() and path.stat().st_size == 0:
        raise fail("G302", f"{path} is empty", "Copy the file again.", span)
    images = still_images(path, span)
    if images is None:
        return _probe_file(path, needed, span)
    return _probe_images(path, images, fps or _IMAGES_FPS, span)


def _probe_images(
    path: Path, images: list[tuple[int, Path]], fps: float, span: Span | None
) -> ClipFacts:
    if not images:
        message = f"{path} contains no numbered images"
        raise fail("G302", message, "Name the frames 00000.png, 00001.png, ….", span)
    for (number, one), (following, other) in pairwise(images):
        if following == number:
            message = f"{one.name} and {other.name} in {path} have the same frame number"
            cure = "Put the frames of the clip into a folder of their own."
            raise fail("G302", message, cure, span)
        if following > number + 1:
            message = f"{path} has a gap: {one.name} is followed by {other.name}"
            cure = "The numbers of frames must have no gaps; the first may be any."
            raise fail("G302", message, cure, span)
    (first, image), *others = images
    width, height = _size_of(image, span)
    for _, other in others:
        if (size := _size_of(other, span)) != (width, height):
            message = f"{other} has a different size than the frames before it: "
            message += f"{size[0]}x{size[1]}, not {width}x{height}"
            raise fail("G302", message, "All frames must have the same size.", span)
    return ClipFacts(len(images), width, height, fps, first=first)


def _size_of(path: Path, span: Span | None) -> tuple[int, int]:
    try:
        with open_image(path) as image:
            deep = image.mode in _DEEP and image.format != "PNG"
            size = shown_size(image)
    except unreadable() as error:
        reason = f": {error}" if isinstance(error, TooManyPixels) else ""
        raise fail("G302", f"{path} cannot be read as an image{reason}", "", span) from error
    if deep:
        message = f"{path} has 32-bit values, of which black and white are not known"
        raise fail("G302", message, "Save it with 8 or 16 bits per channel.", span)
    return size


def _probe_file(path: Path, needed: int | None, span: Span | None) -> ClipFacts:
    import av

    try:
        with open_video(path) as reader:
            first = next(reader.frames(), None)
            width, height = reader.shown_size(first) if first is not None else (0, 0)
            tags = reader.tags
        with open_video(path) as reader:
            counted = _Counted.of(reader, path, needed)
    except NotAContainer as error:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            message = f"{path} cannot be read as an image, nor as a video"
            cure = "Save it, or all of its frames in a folder of their own, as PNG."
            raise fail("G302", message, cure, span) from error
        raise not_supported(path, error, span) from error
    except BrokenFrame as error:
        raise damaged(path, error, span) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path} cannot be read as a video: {reason}"
        cure = "Check it in a video player, or convert it to MP4."
        raise fail("G302", message, cure, span) from error
    if first is None or counted.shown == 0 or width == 0 or height == 0:
        raise fail("G302", f"{path} contains no frames", "Copy or export the file again.", span)
    counted.require_whole(path, span)
    return ClipFacts(
        counted.shown,
        width,
        height,
        counted.rate,
        transfer=TRANSFERS.get(tags.transfer, ""),
        primaries=PRIMARIES.get(tags.primaries, ""),
        pixel_aspect=reader.pixel_aspect,
    )


def damaged(path: Path, error: BrokenFrame, span: Span | None, first: int = 0) -> GrainError:
    """The error (G302) for a frame that cannot be decoded; the edit begins at frame ``first``."""
    message = f"frame {error.number} of {path}, at {error.time:.2f} s, cannot be used: {error}"
    cure = "Copy or export the file again."
    if error.number > first:
        cure = f"{cure[:-1]}, or edit the frames before it: `frames {first}..{error.number - 1}`."
    return fail("G302", message, cure, span)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What a file's packets say, without decoding them.

    ``shown`` frames are displayed, ``hidden`` ones removed by the file's edit list, ``empty`` ones
    repeat the frame before; the last one ends at ``end`` seconds. The header states ``promised``
    frames and ``stated`` seconds, or 0. The file may be ``shorter`` by so many seconds; one of raw
    frames is ``torn`` if it ends within one.
    """

    shown: int
    hidden: int
    end: float
    promised: int
    stated: float
    rate: float
    empty: int = 0
    shorter: float = _SHORTER
    torn: bool = False

    @classmethod
    def of(cls, reader: VideoReader, path: Path, needed: int | None) -> _Counted:
        """Count frames. Stop once frame ``needed`` exists, and then trust the header's count."""
        stream, promised = reader.stream, reader.stream.frames
        rate = float(stream.average_rate or 25)
        shown = hidden = places = read = 0
        end, enough = 0.0, False
        for packet in reader.packets():
            hidden += packet.is_discard
            shown += not packet.is_discard
            read = (packet.pos or 0) + packet.size
            if packet.dts is not None:
                places = packet.dts + 1
            if packet.pts is not None:
                end = max(end, float(packet.pts * packet.time_base) + 1 / rate)
            enough = needed is not None and shown > needed
            if enough and promised:
                return cls(max(shown, promised - hidden), hidden, end, promised, 0.0, rate)
        stated = 0.0 if enough else _stated_seconds(reader)
        kind, empty = reader.container.format.name, 0
        if kind == "avi":  # its times are the numbers of the frames
            skipped = max(0, places - shown - hidden)
            empty = max(skipped, empty_frames(path, stream.index))
        shorter = _SHORTER_IF_CUT / rate if ends_early(path) else _SHORTER
        shorter = min(shorter, _SHORTER)
        torn = kind == "yuv4mpegpipe" and not enough and read < path.stat().st_size
        return cls(shown, hidden, end, promised, stated, rate, empty, shorter, torn)

    def require_whole(self, path: Path, span: Span | None) -> None:
        """Raise GrainError (G302) if the file ends before its header says."""
        lost = ""
        if self.shown + self.hidden + self.empty < self.promised:
            lost = f"it has {self.shown + self.hidden} of {self.promised} frames"
        elif self.end + self.shorter < self.stated:
            end = f"{self.end:.2f} of {self.stated:.2f} s"
            lost = f"it ends after frame {self.shown - 1}, at {end}"
        elif self.torn:
            lost = f"it ends within frame {self.shown}"
        if lost:
            cure = "Copy or export the file again, or edit the frames that are there: "
            cure += f"`frames 0..{self.shown - 1}`."
            raise fail("G302", f"{path} is truncated: {lost}", cure, span)


def _stated_seconds(reader: VideoReader) -> float:
    """The seconds that the header states for the video, 0 if it does not."""
    stream, container = reader.stream, reader.container
    if _STATED_DURATION.isdisjoint(container.format.name.split(",")):
        return 0.0
    written = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if written:
        hours, minutes, seconds = written.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    alone = len(container.streams) == 1
    return container.duration / 1_000_000 if alone and container.duration else 0.0
