"""Decode chosen frames of a clip into its edited window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from grainspec.clip import Window, numbered_images
from grainspec.diagnostics import fail

Frames = npt.NDArray[np.uint8]


def decode_frames(path: Path, frames: Sequence[int], window: Window) -> Frames:
    """The frames with these numbers, cut and scaled to ``window``: uint8 ``[F, H, W, 3]`` RGB.

    Reads a folder of images with Pillow, a file with decord or, where that is not installed, with
    PyAV. Raises GrainError (G302) for frames that cannot be decoded.
    """
    if path.is_dir():
        pictures = _from_folder(path, frames)
    elif _has_decord():
        pictures = _with_decord(path, frames)
    else:
        pictures = _with_pyav(path, frames)
    scaled = [np.asarray(window.frame(picture)) for picture in pictures]
    if len(scaled) < len(frames):
        message = f"only {len(scaled)} of {len(frames)} frames of {path} can be decoded"
        raise fail("G302", message, "Does another player show the whole clip?")
    return np.stack(scaled)


def _from_folder(path: Path, frames: Sequence[int]) -> Iterator[Image.Image]:
    images = numbered_images(list(path.iterdir()))
    for number in frames:
        try:
            with Image.open(images[number]) as image:
                yield image.convert("RGB")
        except (OSError, KeyError) as error:
            raise fail("G302", f"frame {number} of {path} cannot be read") from error


def _has_decord() -> bool:
    try:
        import decord  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def _with_decord(path: Path, frames: Sequence[int]) -> Iterator[Image.Image]:
    import decord

    try:
        reader = decord.VideoReader(str(path), num_threads=1)
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
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    yield frame.to_image()
                if number >= frames[-1]:
                    return
    except av.FFmpegError as error:
        raise fail("G302", f"{path} cannot be decoded: {error.strerror}") from error
