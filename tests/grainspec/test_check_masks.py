"""Drawn mask files are read back as drawn, and planted faults of the readers are found by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import grainspec.regions.coco
import grainspec.regions.cvat
import grainspec.regions.draw
import grainspec.regions.mask_arrays
import grainspec.regions.mask_images
import grainspec.regions.mask_labels
import grainspec.regions.mask_numbers
import grainspec.regions.mask_video
import grainspec.regions.masks
import grainspec.regions.pixels
import grainspec.regions.polarity
import grainspec.regions.shades
import grainspec.regions.yolo
from grainspec.testing import (
    Broken,
    DrawnClip,
    check_mask_findings,
    check_masks,
    clips,
    drawn_clip,
)
from grainspec.testing.masks import CASES, FORMATS
from grainspec.testing.masks.outlines import columns_of, compressed, ring_of

MASKS = drawn_clip(3, size=(27, 18), frames=4, events=["late"]).truth


@pytest.mark.parametrize("name", FORMATS)
def test_masks_are_read_as_drawn(name: str) -> None:
    check_masks(MASKS, formats=[name])


@pytest.mark.parametrize("name", CASES)
def test_findings_are_those_that_are_due(name: str) -> None:
    check_mask_findings(cases=[name])


@pytest.mark.parametrize(
    "masks",
    [
        np.random.default_rng(0).random((2, 13, 21)) < 0.4,
        np.pad(np.ones((1, 1, 1), bool), ((0, 0), (5, 0), (8, 0))),
        np.pad(np.ones((3, 4, 5), bool), ((0, 2), (0, 7), (0, 3))),
    ],
    ids=["noise", "one pixel", "leaves"],
)
def test_other_masks_are_read_as_drawn(masks: np.ndarray, tmp_path: Path) -> None:
    check_masks(masks, tmp_path)
    assert not [*tmp_path.iterdir()]


SOME = ("PNG, 8-bit grey", "COCO, compressed run lengths", "CVAT for video, mask", "YOLO, tracks")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(clips(size=(19, 31)).filter(lambda clip: clip.truth.any()))
def test_masks_of_any_clip(clip: DrawnClip) -> None:
    check_masks(clip.truth, formats=SOME)


def test_masks_that_cannot_be_drawn() -> None:
    for masks, words in (
        (MASKS & False, "a pixel inside"),
        (MASKS | True, "a pixel inside"),
        (MASKS[0], "not bool"),
        (MASKS.astype(int), "not bool"),
    ):
        with pytest.raises(ValueError, match=words):
            check_masks(masks)
    with pytest.raises(ValueError, match=r"unknown formats \['PNG'\]"):
        check_masks(MASKS, formats=["PNG"])
    with pytest.raises(ValueError, match=r"unknown cases \['x'\]"):
        check_mask_findings(cases=["x"])


def test_run_lengths_are_those_of_pycocotools() -> None:
    """The writer is a reading of the format of its own, so it is compared with the original."""
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (40, 70), (200, 300)):
        for share in (0.0, 0.01, 0.5, 1.0):
            mask = rng.random(shape) < share
            written = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
            assert written["counts"].decode() == compressed(columns_of(mask))


def test_rings_go_around_all_pixels() -> None:
    assert ring_of(np.zeros((2, 2), bool)) == [(0, 0)]
    assert ring_of(np.ones((1, 2), bool)) == [(0, 0), (0, 1), (2, 1), (2, 0), (0, 0)]


# --- faults that are planted in the readers ---

Change = Callable[[Callable[..., Any]], Callable[..., Any]]


def planted(owner: Any, name: str, change: Change) -> Any:
    return mock.patch.object(owner, name, change(getattr(owner, name)))


def _frames_later(by: int) -> Change:
    def change(read: Callable[..., Any]) -> Callable[..., Any]:
        def numbers(*args: Any, **more: Any) -> Any:
            found = read(*args, **more)
            return found[by:] + found[:by]

        return numbers

    return change


def _result(change: Callable[[Any], Any]) -> Change:
    return lambda read: lambda *args, **more: change(read(*args, **more))


def _fails(error: Exception) -> Change:
    def change(read: Callable[..., Any]) -> Callable[..., Any]:
        def raises(*args: Any, **more: Any) -> Any:
            raise error

        return raises

    return change


READERS = grainspec.regions
FAULTS: dict[str, tuple[Any, str, Change, str, str]] = {
    "cutoff one too high": (
        READERS.pixels, "cutoff", _result(lambda least: least + 1),
        "PNG, threshold 20%", "drawn inside the region is read as outside",
    ),
    "cutoff one too low": (
        READERS.pixels, "cutoff", _result(lambda least: max(1, least - 1)),
        "PNG, 127 and 128", "drawn outside the region is read as inside",
    ),
    "cutoff of arrays": (
        READERS.mask_arrays, "cutoff", _result(lambda least: least + 1),
        "npy, uint8, threshold 20%", "drawn inside the region is read as outside",
    ),
    "one frame later": (
        READERS.masks, "mask_numbers", _frames_later(1),
        "PNG, 8-bit grey", "the masks are those of one frame later",
    ),
    "row-major run lengths": (
        READERS.draw, "decode", lambda read: lambda runs, shape: read(runs, shape).T.reshape(shape),
        "COCO, run lengths", "is read as",
    ),
    "differences of compressed runs": (
        READERS.coco, "_expand", lambda read: lambda counts: [run + (run == 3) for run in read(counts)],
        "COCO, compressed run lengths", "its runs add up to",
    ),
    "upside-down outlines": (
        READERS.mask_labels, "draw", _result(lambda mask: mask[::-1]),
        "LabelMe, polygon", "the masks are upside down",
    ),
    "ellipses": (
        READERS.draw, "fill_ellipse",
        lambda read: lambda shape, x0, y0, x1, y1: read(shape, x0, y0, x1 + 1, y1),
        "CVAT, ellipse", "drawn outside the region is read as inside",
    ),
    "placed masks one to the right": (
        READERS.draw, "_placed", _result(lambda mask: np.roll(mask, 1, 1)),
        "CVAT for video, mask", "the masks are shifted by 1 pixel to the right",
    ),
    "turned the other way": (
        READERS.cvat, "_turned", lambda read: lambda points, degrees: read(points, -degrees),
        "CVAT, box turned by 33 degrees", "is read as",
    ),
    "crash": (
        READERS.mask_labels, "labels_of_yolo", _fails(KeyError("x")),
        "YOLO, tracks", "raised KeyError: 'x'",
    ),
    "EXIF ignored": (
        READERS.mask_images, "upright", lambda read: lambda image: image,
        "PNG, EXIF orientation 3", "the masks are rotated by 180 degrees",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_readers_are_named(name: str) -> None:
    owner, function, change, kind, words = FAULTS[name]
    with planted(owner, function, change), pytest.raises(Broken) as raised:
        check_masks(MASKS, formats=[kind])
    assert (raised.value.invariant, raised.value.where["format"]) == ("masks", kind)
    assert words in str(raised.value)


FINDINGS: dict[str, tuple[Any, str, Change | float, str, str]] = {
    "near black is wider": (
        READERS.shades, "_NEAR", 33 / 256, "0, 32, 224 and 255", "there should be G320, and there is: none"
    ),
    "near black is narrower": (
        READERS.shades, "_NEAR", 31 / 256, "224 and 255", "there should be no finding, and there is: G320"
    ),
    "areas of objects": (
        READERS.shades, "_SOLID", 0.21, "a grey area of 5x3 pixels", "there should be G320"
    ),
    "small areas": (
        READERS.shades, "_SOLID", 0.16, "a grey area of 4x3 pixels", "there should be no finding"
    ),
    "soft edges": (
        READERS.shades, "_soft_pixels", _result(lambda count: count + 1),
        "1% of grey", "there should be no finding, and there is: G321",
    ),
    "inverted masks": (
        READERS.polarity, "_LITTLE", 0.019, "inverted masks of objects that overlap by 2%", "seem to be inverted"
    ),
    "objects": (
        READERS.mask_labels, "_count", _result(lambda count: 1), "COCO, two tracks", "there is: none"
    ),
    "crash": (
        READERS.masks, "mask_numbers", _fails(IndexError("y")), "0 and 128", "IndexError was raised: y"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FINDINGS)
def test_faults_of_findings_are_named(name: str) -> None:
    owner, attribute, change, case, words = FINDINGS[name]
    patch = (
        planted(owner, attribute, change)
        if callable(change)
        else mock.patch.object(owner, attribute, change)
    )
    with patch, pytest.raises(Broken) as raised:
        check_mask_findings(cases=[case])
    assert (raised.value.invariant, raised.value.where["case"]) == ("findings", case)
    assert words in str(raised.value)
