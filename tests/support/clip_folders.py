"""Folders of clips and masks, as published data sets and users have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_frames(folder: Path, frames: int = 3, *, suffix: str = "png", first: int = 0) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(frames):
        picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
        picture.save(folder / f"{number + first:05}.{suffix}")


def write_masks(
    folder: Path, left: int, right: int, *, suffix: str = "png", first: int = 0
) -> None:
    folder.mkdir(parents=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, left:right] = 255
    for number in range(3):
        Image.fromarray(mask).save(folder / f"{number + first:05}.{suffix}")
