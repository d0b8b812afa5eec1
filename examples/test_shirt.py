"""Test your own region source: how `check_region_source` finds a bug in it.

    pytest examples/test_shirt.py -s

The region source finds the red man's shirt by its colour. The first version smooths the region over
time, to prevent flicker. Its masks then lag behind the man. This is hard to see in a single frame,
but the edit ends up beside the shirt.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import grainspec
from grainspec.regions.layout import Layout
from grainspec.testing import Broken, check_plan, check_region_source, word_backbone
from grainspec_runtime.media.decode import decode_frames

HERE = Path(__file__).parent
SPEC = """
grain 1
video "clips/two_men.mp4"
target "a man in a green shirt and a blue man on grass before green trees"
region shirt = masks("SHIRT.npy")
edit part shirt -> "green shirt"
"""


def red(frames: np.ndarray) -> np.ndarray:
    """Find the red pixels of a clip, uint8 ``[F, H, W, 3]``: bool ``[F, H, W]``."""
    r, g, b = np.moveaxis(frames.astype(int), -1, 0)
    return np.asarray((r > 150) & (g < 90) & (b < 90))


def shirt_that_lags(frames: np.ndarray) -> np.ndarray:
    """The first version: pixels whose running mean of redness is above one half."""
    mean = red(frames)[0].astype(float)
    masks = []
    for mask in red(frames):
        mean = 0.6 * mean + 0.4 * mask
        masks.append(mean > 0.5)
    return np.stack(masks)


def shirt(frames: np.ndarray) -> np.ndarray:
    """The second version: the mask of a frame depends only on that frame."""
    return red(frames)


@pytest.fixture
def frames() -> np.ndarray:
    clip = HERE / "clips" / "two_men.mp4"
    facts = grainspec.clip.facts.probe(clip)
    crop = grainspec.clip.crop.frame_crop(grainspec.model.spec.Video(path=str(clip)), facts)
    return decode_frames(clip, range(facts.frames), crop)


def test_the_first_version_lags(frames: np.ndarray) -> None:
    with pytest.raises(Broken) as raised:
        check_region_source(shirt_that_lags, frames)
    assert str(raised.value).startswith(
        "frame: the mask of the frame alone differs from its mask within the clip"
    )
    print(raised.value)  # … (frame 1, pixel 32,44)


def test_the_second_version_does_not_lag(frames: np.ndarray) -> None:
    check_region_source(shirt, frames)


def test_its_plan_is_correct(frames: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "SHIRT.npy", shirt(frames))
    spec = grainspec.parse(SPEC.replace("SHIRT.npy", (tmp_path / "SHIRT.npy").as_posix()))
    layout: Layout = grainspec.bind(spec, base=HERE).edits
    check_plan(spec, layout, word_backbone(levels=3, pixels_per_latent=4))
    Image.fromarray(layout.mask("shirt")[0]).save(tmp_path / "shirt.png")  # to look at
