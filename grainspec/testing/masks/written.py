"""What a writer of masks returns: how a spec names the files, and what they show.

The writers in this package are a second reading of every format: they share no code with the
readers in ``grainspec/regions``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from grainspec.regions.layout import Mask

CLIP = 'video "../clip"'
"""The clip of all formats that do not write one of their own."""


@dataclass(frozen=True)
class Written:
    """Written masks.

    ``region`` is the region's expression, such as ``masks("m", index 1)``. ``drawn`` are the
    region's pixels on the frames of ``video``, bool ``[F, H, W]``; None for those that were given.
    ``warnings`` are the codes of the findings that are due.
    """

    region: str
    drawn: Mask | None = None
    video: str = CLIP
    warnings: frozenset[str] = frozenset()


Writer = Callable[[Path, Mask], Written]
"""Writes masks, bool ``[F, H, W]``, into an empty folder."""

Values = npt.NDArray[Any]


def folder_of(
    folder: Path,
    pictures: Any,
    names: str = "{:05}.png",
    *,
    numbers: Any = None,
    **how: Any,
) -> None:
    """Save pictures, arrays or images, as files with their numbers in their names."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [*pictures]
    for number, picture in zip(numbers or range(len(pictures)), pictures, strict=True):
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(folder / names.format(number), **how)


def write_clip(folder: Path, count: int, masks: Mask, *, first: int = 0) -> None:
    """Write a clip of grey frames in the size of masks; the first file has the number ``first``."""
    height, width = masks.shape[1:]
    grey = Image.new("RGB", (width, height), (90, 90, 90))
    folder_of(folder / "clip", [grey] * count, numbers=range(first, first + count))


def white(masks: Mask) -> Values:
    """Masks in black and white."""
    return np.asarray(masks.astype(np.uint8) * 255)


def places(masks: Mask) -> npt.NDArray[np.int64]:
    """A number for each pixel, of which those beside each other differ."""
    count, height, width = masks.shape
    index = np.arange(count)[:, None, None] + 3 * np.arange(height)[:, None] + np.arange(width)
    return np.asarray(index)


def turns(masks: Mask) -> npt.NDArray[np.int64]:
    """For each pixel, how many pixels inside or outside, as it is itself, come before it.

    What is chosen by it takes turns, so that all of a few choices occur in small masks too.
    """
    flat = masks.reshape(-1)
    counted = np.where(flat, np.cumsum(flat), np.cumsum(~flat)) - 1
    return np.asarray(counted.reshape(masks.shape))


def beside(masks: Mask) -> Mask:
    """A second object beside the first, on every frame that has room for it."""
    return np.asarray(~masks & (np.arange(masks.shape[2]) // 3 % 2 == 0))
