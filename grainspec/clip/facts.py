"""A clip's facts, found without decoding it.

A clip is a video file or a folder of images whose names end in the frame's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span

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
