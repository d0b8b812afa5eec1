"""A region source of one's own, and the bug that a property found in it.

    pytest examples/test_shirt.py -s

The red man's shirt is found by its colour. To keep the region from flickering, the first version
smooths it over time. That makes its masks lag behind the man, which nobody sees on a still picture:
the edit comes out beside the shirt.
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
    """Where a clip, uint8 ``[F, H, W, 3]``, is red: bool ``[F, H, W]``."""
    r, g, b = np.moveaxis(frames.astype(int), -1, 0)
    return np.asarray((r > 150) & (g < 90) & (b < 90))


def shirt_that_lags(frames: np.ndarray) -> np.ndarray:
    """The first version: a running mean of what is red, more than half of it."""
    mean = red(frames)[0].astype(float)
    masks = []
    for here in red(frames):
        mean = 0.6 * mean + 0.4 * here
        masks.append(mean > 0.5)
    return np.stack(masks)


def shirt(frames: np.ndarray) -> np.ndarray:
    """The second version: a frame's mask depends on the frame alone."""
    return red(frames)


@pytest.fixture
def frames() -> np.ndarray:
    clip = HERE / "clips" / "two_men.mp4"
    facts = grainspec.clip.facts.probe(clip)
    crop = grainspec.clip.crop.frame_crop(grainspec.model.spec.Video(path=str(clip)), facts)
    return decode_frames(clip, range(facts.frames), crop)


def test_the_first_version_lags(frames: np.ndarray) -> None:
    with pytest.raises(Broken) as found:
        check_region_source(shirt_that_lags, frames)
    assert str(found.value).startswith(
        "frame: the mask of the frame alone differs from its mask within the clip"
    )
    print(found.value)  # … (frame 1, pixel 32,44)


def test_the_second_does_not(frames: np.ndarray) -> None:
    check_region_source(shirt, frames)


def test_its_plan_holds(frames: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "SHIRT.npy", shirt(frames))
    spec = grainspec.parse(SPEC.replace("SHIRT.npy", (tmp_path / "SHIRT.npy").as_posix()))
    layout: Layout = grainspec.bind(spec, base=HERE).edits
    check_plan(spec, layout, word_backbone(levels=3, pixels_per_latent=4))
    Image.fromarray(layout.mask("shirt")[0]).save(tmp_path / "look.png")  # and look at it
