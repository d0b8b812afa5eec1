"""Decode chosen frames of a clip and crop them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from grainspec.clip.crop import FrameCrop
from grainspec.clip.facts import numbered_images
from grainspec.diagnostics import fail

Frames = npt.NDArray[np.uint8]


_DECORD_FORMATS = frozenset({"mp4", "matroska"})
"""Containers in which decord's frame k is the k-th frame shown; in others it may not be."""


def decode_frames(path: Path, frames: Sequence[int], crop: FrameCrop) -> Frames:
    """The frames with these numbers, cut and scaled to ``crop``: uint8 ``[F, H, W, 3]`` RGB.

    ``frames`` rise. Reads a folder of images with Pillow, a file with decord where that is
    installed and counts frames as a player does, and else with PyAV. Raises GrainError (G302) for
    frames that cannot be decoded.
    """
    if path.is_dir():
        pictures = _from_folder(path, frames)
    else:
        reader = _decord_reader(path)
        pictures = _with_decord(reader, path, frames) if reader else _with_pyav(path, frames)
    scaled = [np.asarray(crop.frame(picture)) for picture in pictures]
    if len(scaled) < len(frames):
        message = f"only {len(scaled)} of {len(frames)} frames of {path} can be decoded"
        raise fail("G302", message, "Does another player show the whole clip?")
    return np.stack(scaled)


def decode_lossless(path: Path, count: int) -> Frames:
    """The first frames exactly as they were given to ``encode_lossless``, uint8 ``[F, H, W, 3]``.

    Raises GrainError (G302) where there are fewer than ``count``.
    """
    pictures = list(_with_pyav(path, range(count)))
    if len(pictures) < count:
        message = f"only {len(pictures)} of {count} frames of {path} can be decoded"
        raise fail("G302", message, "Was it copied in full?")
    return np.stack([np.asarray(picture) for picture in pictures])


def _from_folder(path: Path, frames: Sequence[int]) -> Iterator[Image.Image]:
    images = dict(numbered_images(path.iterdir()))
    for number in frames:
        try:
            with Image.open(images[number]) as image:
                yield _eight_bits(image).convert("RGB")
        except (OSError, KeyError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise fail("G302", f"frame {number} of {path} cannot be read") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits scaled to 8; Pillow's own conversion would clip it."""
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _decord_reader(path: Path) -> Any | None:
    """A decord reader, where it is installed and its frame numbers can be trusted for this file.

    decord misnumbers frames of transport streams, and of files whose edit list cuts frames away;
    it also turns frames by itself.
    """
    try:
        import av
        import decord
    except (ImportError, OSError):
        return None
    try:
        with av.open(str(path.absolute())) as container:
            first = next(container.decode(video=0), None)
            known = not _DECORD_FORMATS.isdisjoint(container.format.name.split(","))
        if not known or first is None or getattr(first, "rotation", 1):
            return None
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        return reader if float(reader.get_frame_timestamp(0)[0]) >= 0 else None
    except (av.FFmpegError, decord.DECORDError, IndexError, OSError):
        return None  # PyAV will say what is wrong with it


def _with_decord(reader: Any, path: Path, frames: Sequence[int]) -> Iterator[Image.Image]:
    import decord

    try:
        for start in range(0, len(frames), 16):
            for picture in reader.get_batch(list(frames[start : start + 16])).asnumpy():
                yield Image.fromarray(picture)
    except (decord.DECORDError, IndexError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise fail("G302", f"{path} cannot be decoded: {reason}") from error


def _with_pyav(path: Path, frames: Sequence[int]) -> Iterator[Image.Image]:
    import av

    wanted = set(frames)
    try:
        with av.open(str(path.absolute())) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    turned = getattr(frame, "rotation", 0)
                    yield frame.to_image().rotate(turned, expand=True)
                if number >= frames[-1]:
                    return
    except av.FFmpegError as error:
        raise fail("G302", f"{path} cannot be decoded: {error.strerror}") from error
