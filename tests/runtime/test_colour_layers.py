"""What tells an object's layer from the background's, for the tracker without weights."""

from __future__ import annotations

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from grainspec_runtime.tracking.engines.colour.layers import Layers  # noqa: E402
from grainspec_runtime.tracking.engines.colour.parts import parts, pooled  # noqa: E402
from grainspec_runtime.tracking.engines.colour.picture import picture  # noqa: E402

SIZE = 96
STRIPES = np.repeat(np.random.default_rng(0).integers(60, 200, (SIZE // 8, SIZE // 8, 3)), 8, 0)
GROUND = np.repeat(STRIPES, 8, 1).astype(np.uint8)


def moved(frame):
    """A square of two colours on squares that stay; it moves by a pixel and a half a frame."""
    image = GROUND.copy()
    left = 24 + round(1.5 * frame)
    image[30:66, left : left + 36] = 220, 30, 30
    image[40:56, left + 10 : left + 26] = 30, 30, 220
    return image


def layers_of(frames, shifts):
    first, *rest = (picture(frame, (SIZE, SIZE)) for frame in frames)
    square = np.zeros((SIZE, SIZE, 1), np.float32)
    square[30:66, 24:60] = 1
    others = [
        (pic, np.float32([shift, 0]) * square) for pic, shift in zip(rest, shifts, strict=True)
    ]
    inside = first.regions.mean(square)[:, 0]
    layers = Layers(first, others, parts(first.regions, first.noise))
    core = np.hypot(*(first.regions.xy_S2 - (42, 48)).T) < 8
    ground = layers.ground(1.0 - core, [np.float32([[42, 48]])])
    return layers.compared(core.astype(np.float32), ground), inside


def test_the_edges_of_an_object_move_with_it_although_only_its_core_is_known():
    frames = [moved(index) for index in (0, 4, 8)]
    signs, inside = layers_of(frames, (6, 12))
    its, grounds = signs[:, 2], signs[:, 3]
    assert signs.shape == (len(inside), 7)
    # it moves across, so its upper and lower edges do not tell
    assert np.median(its[inside > 0.9]) > 0.4
    assert np.median(grounds[inside > 0.9]) < 0.4
    assert np.median(its[inside < 0.1]) < 0.05
    assert np.median(grounds[inside < 0.1]) > 0.5


def test_without_motion_nothing_speaks_for_either_layer():
    signs, _ = layers_of([moved(0)] * 3, (0, 0))
    assert np.allclose(signs[:, [0, 1, 4, 5]], 0, atol=1e-5)
    assert np.allclose(signs[:, 2], signs[:, 3])


def test_without_other_frames_nothing_speaks_for_either_layer():
    signs, _ = layers_of([moved(0)], ())
    assert np.allclose(signs[:, :2], 0)


def test_colours_are_told_apart_more_finely_without_noise():
    halves = np.full((48, 48, 3), 120, np.uint8)
    halves[:, 24:] = 124, 124, 127
    noise = np.random.default_rng(1).normal(0, 8, halves.shape)
    noisy = np.clip(halves + noise, 0, 255).astype(np.uint8)
    clean, rough = picture(halves, (48, 48)), picture(noisy, (48, 48))
    assert clean.noise == 0 < rough.noise
    assert parts(clean.regions, clean.noise).max() + 1 == 2
    assert parts(clean.regions, rough.noise).max() + 1 == 1


def test_parts_are_pooled_by_area():
    component, area = np.int32([0, 0, 1]), np.float32([3, 1, 2])
    values = np.float32([[4, 0], [8, 4], [5, 5]])
    assert pooled(component, area, values).tolist() == [[5, 1], [5, 1], [5, 5]]
