"""A clip's number of frames, size and frame rate, read without decoding it.

A clip is a video file, or a folder of images whose names end in the frame number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainspec.clip.numbering import AmbiguousNumbers, has_number, number_names
from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """Number of frames, width and height in pixels as displayed, frames per second.

    ``rotation`` is the angle by which a player rotates each frame, in degrees counterclockwise:
    phones store upright clips sideways, with this angle in the file.
    """

    frames: int
    width: int
    height: int
    fps: float
    rotation: int = 0


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


def probe(path: Path, *, needed: int | None = None, span: Span | None = None) -> ClipFacts:
    """Read the facts of a clip.

    Frames of a file are counted by reading its packets, up to frame ``needed`` if given, so that
    truncated files are detected. Raises GrainError: G301 if the clip does not exist, G302 if it
    cannot be read.
    """
    try:
        there = path.exists()
    except OSError:  # such as a name that is too long
        there = False
    if not there:
        raise fail("G301", f"the video {path} does not exist", "Check the path.", span)
    if path.is_dir():
        return _probe_folder(path, span)
    if path.stat().st_size == 0:
        raise fail("G302", f"{path} is empty", "Copy the file again.", span)
    return _probe_file(path, needed, span)


def _probe_folder(path: Path, span: Span | None) -> ClipFacts:
    from PIL import Image

    images: dict[int, Path] = {}
    for number, image_path in numbered_images(path.iterdir(), span):
        if number in images:
            names = f"{images[number].name} and {image_path.name}"
            message = f"{names} in {path} have the same frame number"
            raise fail(
                "G302", message, "Put the frames of the clip into a folder of their own.", span
            )
        images[number] = image_path
    if not images:
        message = f"{path} contains no numbered images"
        raise fail("G302", message, "Name the frames 00000.png, 00001.png, ….", span)
    gap = next((number for number in range(len(images)) if number not in images), None)
    if gap is not None:
        message = f"{path} has no image for frame {gap}"
        raise fail("G302", message, "Frames must be numbered from 0 without gaps.", span)
    sizes = set()
    for image_path in images.values():
        try:
            with Image.open(image_path) as image:
                sizes.add(image.size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise fail("G302", f"{image_path} cannot be read as an image", "", span) from error
        if len(sizes) > 1:
            message = f"{image_path} has a different size than the frames before it"
            raise fail("G302", message, "All frames must have the same size.", span)
    width, height = sizes.pop()
    return ClipFacts(len(images), width, height, 8.0)


def _probe_file(path: Path, needed: int | None, span: Span | None) -> ClipFacts:
    import av

    try:
        with av.open(_file_url(path)) as container:
            if not container.streams.video:
                raise fail("G302", f"{path} contains no video stream", "", span)
            first = next(container.decode(video=0), None)
        with av.open(_file_url(path)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 25)
            width, height, promised = stream.width, stream.height, stream.frames
            count, hidden = _count_packets(container.demux(stream), needed, promised)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{path} cannot be read as a video: {reason}"
        raise fail(
            "G302", message, "Check it in a video player, or convert it to MP4.", span
        ) from error
    if first is None or count == 0 or width == 0 or height == 0:
        raise fail("G302", f"{path} contains no frames", "Copy or export the file again.", span)
    if count + hidden < promised:
        message = f"{path} is truncated: it has {count + hidden} of {promised} frames"
        raise fail("G302", message, "Copy or export the file again.", span)
    rotation = round(getattr(first, "rotation", 0)) % 360
    if rotation % 90:
        message = f"{path} is rotated by {rotation} degrees"
        raise fail(
            "G302",
            message,
            "Export it upright: only multiples of 90 degrees are supported.",
            span,
        )
    if rotation % 180:
        width, height = height, width
    return ClipFacts(count, width, height, rate, rotation)


def _file_url(path: Path) -> str:
    """The absolute path: in a relative one, FFmpeg reads a colon as the end of a protocol."""
    return str(path.absolute())


def _count_packets(packets: Iterable[Any], needed: int | None, promised: int) -> tuple[int, int]:
    """Count the frames that are shown, and those that the file's edit list removes.

    Stops once frame ``needed`` is known to exist, and then trusts the count in the file's header.
    """
    shown = hidden = 0
    for packet in packets:
        if packet.size > 0:
            hidden += packet.is_discard
            shown += not packet.is_discard
        if promised and needed is not None and shown > needed:
            return max(shown, promised - hidden), hidden
    return shown, hidden
