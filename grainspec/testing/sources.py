"""Test your own region sources: a tracker, a segmenter, a script that draws masks."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken

Frames = npt.NDArray[np.uint8]
RegionSource = Callable[[Frames], Mask]
"""From a clip, uint8 ``[F, H, W, 3]``, to the region's masks, bool ``[F, H, W]``."""

PROPERTIES = ("repeat", "region", "frame", "mirror", "crop")
"""The properties that :func:`check_region_source` tests, besides the masks' shape and type."""


def check_region_source(
    source: RegionSource, frames: Frames, *, properties: Collection[str] = PROPERTIES
) -> None:
    """Test a source of masks on a clip; raise :class:`grainspec.testing.Broken` if a test fails.

    - ``repeat``: a second call returns the same masks.
    - ``region``: the masks are not all empty, and not all full.
    - ``frame``: the mask of a frame does not depend on other frames. This detects masks that belong
      to another frame. Leave it out for trackers.
    - ``mirror``: a mirrored clip has mirrored masks. This detects swapped axes.
    - ``crop``: the left half of the clip has the left half of the masks. Leave it out for sources
      that look at the whole picture, as most networks do.

    >>> frames = np.zeros((3, 8, 8, 3), np.uint8)
    >>> frames[:, 2:5, 1:4, 0] = 255
    >>> check_region_source(lambda frames: frames[..., 0] > 128, frames)
    >>> check_region_source(lambda frames: np.roll(frames[..., 0] > 128, 1, axis=2), frames)
    Traceback (most recent call last):
    grainspec.testing.broken.Broken: mirror: the mask of a mirrored frame is not the mirrored \
mask (frame 0, pixel 0,2)
    """
    unknown = set(properties) - set(PROPERTIES)
    if unknown:
        raise ValueError(f"unknown properties {sorted(unknown)}; expected some of {PROPERTIES}")
    masks = _masks(source, frames)
    if "repeat" in properties:
        _compare("repeat", "a second call returned another mask", masks, _masks(source, frames))
    if "region" in properties and (not masks.any() or masks.all()):
        extent = "full" if masks.all() else "empty"
        raise Broken("region", f"the mask is {extent} on every frame")
    if "frame" in properties:
        for number in range(len(frames)):
            alone = _masks(source, frames[number : number + 1])
            message = "the mask of the frame alone differs from its mask within the clip"
            _compare("frame", message, masks[number : number + 1], alone, first=number)
    if "mirror" in properties:
        mirrored = _masks(source, np.ascontiguousarray(frames[:, :, ::-1]))
        message = "the mask of a mirrored frame is not the mirrored mask"
        _compare("mirror", message, masks, mirrored[:, :, ::-1])
    if "crop" in properties:
        half = frames.shape[2] // 2
        cut = _masks(source, np.ascontiguousarray(frames[:, :, :half]))
        _compare(
            "crop",
            "the mask of the left half is not the left half of the mask",
            masks[:, :, :half],
            cut,
        )


def _masks(source: RegionSource, frames: Frames) -> Mask:
    masks = np.asarray(source(frames))
    if masks.dtype != np.bool_ or masks.shape != frames.shape[:3]:
        message = f"the masks are {masks.dtype} {masks.shape}, not bool {frames.shape[:3]}"
        raise Broken("shape", message)
    return masks


def _compare(name: str, message: str, expected: Mask, actual: Mask, *, first: int = 0) -> None:
    for frame, row, column in np.argwhere(expected != actual)[:1]:
        raise Broken(name, message, frame=int(frame) + first, pixel=f"{column},{row}")
