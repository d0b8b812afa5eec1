"""Decode selected frames of a clip, cropped and scaled to the size of the edit."""

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
"""Containers in which decord's frame k is the k-th displayed frame. In others it may not be."""


def decode_frames(path: Path, frames: Sequence[int], crop: FrameCrop) -> Frames:
    """Decode frames by number, cropped and scaled to ``window``: uint8 ``[F, H, W, 3]`` RGB.

    ``frames`` must be in ascending order. A folder of images is read with Pillow. A file is read
    with decord if it is installed and its frame numbers are reliable for the file, otherwise with
    PyAV. Raises GrainError (G302) for frames that cannot be decoded.
    """
    if path.is_dir():
        pictures = _from_folder(path, frames)
    else:
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


def _from_folder(path: Path, frames: Sequence[int]) -> Iterator[Image.Image]:
    images = dict(numbered_images(path.iterdir()))
    for number in frames:
        try:
            with Image.open(images[number]) as image:
                yield _eight_bits(image).convert("RGB")
        except (OSError, KeyError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise fail("G302", f"cannot read frame {number} of {path}") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion would clip it."""
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))


def _decord_reader(path: Path) -> Any | None:
    """Return a decord reader, or None if decord is missing or unreliable for this file.

    decord misnumbers the frames of transport streams and of files whose edit list removes frames.
    It also applies the rotation in a file's metadata by itself.
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
        if not known or first is None or first.rotation:
            return None
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        return reader if float(reader.get_frame_timestamp(0)[0]) >= 0 else None
    except (av.FFmpegError, decord.DECORDError, IndexError, OSError):
        return None  # PyAV reports what is wrong with the file


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
        with av.open(str(path.absolute())) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in requested:
                    image = frame.to_image()  # type: ignore[no-untyped-call]
                    yield image.rotate(frame.rotation, expand=True)
                if number >= frames[-1]:
                    return
    except av.FFmpegError as error:
        raise fail("G302", f"cannot decode {path}: {error.strerror}") from error
