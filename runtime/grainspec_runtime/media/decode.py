"""Decode selected frames of a clip, cropped and scaled to the size of the edit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from grainspec.clip.colours import has_alpha, untagged_matrix
from grainspec.clip.container import NotAContainer, not_supported, open_container
from grainspec.clip.crop import FrameCrop
from grainspec.clip.facts import damaged, still_images
from grainspec.clip.images import open_image, unreadable, upright
from grainspec.clip.video import BrokenFrame, VideoReader, display_matrix, open_video
from grainspec.diagnostics import fail

Frames = npt.NDArray[np.uint8]


_AT_ONCE = 8
"""How many images are read at once, at most."""
_PIXELS_AT_ONCE = 1 << 25
"""Pixels of these images, at most, unless one alone has more."""
_DECORD_FORMATS = frozenset({"mp4", "matroska"})
"""Containers in which decord's frame k is the k-th displayed frame. In others it may not be."""


def decode_frames(path: Path, frames: Sequence[int], crop: FrameCrop) -> Frames:
    """Decode frames by number, cropped, scaled and padded by ``crop``: uint8 ``[F, H, W, 3]`` RGB.

    ``frames`` must be in ascending order. Images are read with Pillow. A file is read with decord
    if it is installed and gives the same frames as PyAV, otherwise with PyAV. Raises GrainError:
    G302 for frames that cannot be decoded, G330 for a file that is not a video.
    """
    images = still_images(path)
    if images is not None:
        return np.stack(_of_images(path, images, frames, crop))
    reader = _decord_reader(path)
    pictures = _with_decord(reader, path, frames) if reader else _with_pyav(path, frames)
    scaled = [np.asarray(crop.frame(picture)) for picture in pictures]
    if len(scaled) < len(frames):
        message = f"only {len(scaled)} of {len(frames)} frames of {path} can be decoded"
        raise fail("G302", message, "Check that a video player shows the whole clip.")
    return np.stack(scaled)


def decode_lossless(path: Path, count: int) -> Frames:
    """Decode the first ``count`` frames that ``encode_lossless`` wrote, uint8 ``[F, H, W, 3]``.

    The frames are bit-identical to the encoded ones. Raises GrainError (G302) if there are fewer.
    """
    pictures = list(_with_pyav(path, range(count)))
    if len(pictures) < count:
        message = f"only {len(pictures)} of {count} frames of {path} can be decoded"
        raise fail("G302", message, "Check that the file was copied completely.")
    return np.stack([np.asarray(picture) for picture in pictures])


def _of_images(
    path: Path, images: list[tuple[int, Path]], frames: Sequence[int], crop: FrameCrop
) -> list[Frames]:
    """Read images, several at once: Pillow decodes and scales without Python's lock."""

    def scaled(number: int) -> Frames:
        if number >= len(images):
            raise fail("G302", f"{path} has no frame {number}")
        place = images[number][1]
        try:
            with open_image(place) as image:
                picture = upright(image)
        except unreadable() as error:
            raise fail("G302", f"cannot read {place}") from error
        return np.asarray(crop.frame(picture))

    with ThreadPoolExecutor(_at_once(images)) as threads:
        return list(threads.map(scaled, frames))


def _at_once(images: list[tuple[int, Path]]) -> int:
    """How many images of a folder to read at once, by the size of the first one."""
    try:
        with open_image(images[0][1]) as image:
            pixels = image.width * image.height
    except unreadable():  # reading it says so
        return 1
    return max(1, min(_AT_ONCE, os.cpu_count() or 1, _PIXELS_AT_ONCE // max(1, pixels)))


def _decord_reader(path: Path) -> Any | None:
    """Return a decord reader, or None if decord is missing or unreliable for this file.

    decord misnumbers the frames of transport streams and of files whose edit list removes frames.
    It rotates by itself, and knows no mirroring, transparency, HDR or pixels that are not square.
    """
    try:
        import av
        import decord
    except (ImportError, OSError):
        return None
    try:
        with open_container(path) as container:
            known = not _DECORD_FORMATS.isdisjoint(container.format.name.split(","))
            if not known or not _ordinary(VideoReader(container)):
                return None
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        return reader if float(reader.get_frame_timestamp(0)[0]) >= 0 else None
    except (av.FFmpegError, decord.DECORDError, IndexError, OSError, ValueError):
        return None  # PyAV reports what is wrong with the file


def _ordinary(reader: VideoReader) -> bool:
    """Whether a player shows the frames of a file as they are stored, and by their tags."""
    first = next(reader.frames(), None)
    return (
        first is not None
        and display_matrix(first) == (1, 0, 0, 1)
        and reader.pixel_aspect == 1
        and reader.tags.plain
        and not has_alpha(first)
        and not untagged_matrix(first, reader.tags)
    )


def _with_decord(reader: Any, path: Path, frames: Sequence[int]) -> Iterator[Image.Image]:
    import decord

    try:
        for start in range(0, len(frames), 16):
            for picture in reader.get_batch(list(frames[start : start + 16])).asnumpy():
                yield Image.fromarray(picture)
    except (decord.DECORDError, IndexError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise fail("G302", f"cannot decode {path}: {reason}") from error


def _with_pyav(path: Path, frames: Sequence[int]) -> Iterator[Image.Image]:
    import av

    requested = set(frames)
    try:
        with open_video(path) as reader:
            for number, frame in enumerate(reader.frames()):
                if number in requested:
                    yield reader.picture(frame)
                if number >= frames[-1]:
                    return
    except BrokenFrame as error:
        raise damaged(path, error, None, frames[0]) from error
    except NotAContainer as error:
        raise not_supported(path, error, None) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise fail("G302", f"cannot decode {path}: {reason}") from error
