"""Call a region source, and refuse what is no array of masks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken

Frames = npt.NDArray[np.uint8]
RegionSource = Callable[..., Mask]
"""From a clip, uint8 ``[F, H, W, 3]``, to the region's masks, bool ``[F, H, W]``.

A tracker may take the object's mask on the first frame, bool ``[H, W]``, as its second argument."""


class NeedsTruth(ValueError):
    """The source takes the mask of the first frame, which is not known."""


class Calls:
    """A source, and what its earlier calls returned."""

    def __init__(self, source: RegionSource) -> None:
        self.source = source
        self.takes_first = _takes_first(source)
        self.returned: Mask | None = None
        self.kept: Mask | None = None
        self._read: list[tuple[Frames, Mask]] = []

    def __call__(self, frames: Frames, first: Mask | None) -> Mask:
        """The masks of a clip, checked and copied; ``first`` is the mask of its first frame."""
        given = np.ascontiguousarray(frames).copy()
        if self.takes_first:
            if first is None:
                message = "the source takes the mask of the first frame, so `truth` is required"
                raise NeedsTruth(message)
            returned = self.source(given, first.copy())
        else:
            returned = self.source(given)
        if returned is None:
            raise Broken("shape", "the source returned None, not masks; is `return` missing?")
        if given.shape != frames.shape or not np.array_equal(given, frames):
            raise Broken(
                "input", "the source changed the frames that it was given; copy them first"
            )
        if self.kept is not None and not np.array_equal(self.kept, np.asarray(self.returned)):
            message = "the masks that an earlier call returned changed later; return a new array"
            raise Broken("output", message)
        masks = _checked(returned, frames.shape[:3])
        self.returned, self.kept = masks, masks.copy()
        self._read = [*self._read[-3:], (np.ascontiguousarray(frames).copy(), self.kept)]
        return self.kept

    def stale(self) -> list[Mask]:
        """What earlier calls returned for other clips than the latest one."""
        latest, _ = self._read[-1]
        return [masks for frames, masks in self._read[:-1] if not np.array_equal(frames, latest)]


def _takes_first(source: RegionSource) -> bool:
    """Whether a source has two parameters without a default."""
    try:
        parameters = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):  # not known, as of some functions that are written in C
        return False
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [one for one in parameters if one.kind in by_place and one.default is one.empty]
    return len(required) == 2


def _checked(returned: Any, shape: tuple[int, ...]) -> Mask:
    """Masks as an array; raise Broken with what is wrong about the type or the shape."""
    masks = np.asarray(returned)
    if masks.dtype == np.bool_ and masks.shape == shape:
        return masks
    message = f"the masks are {masks.dtype} {masks.shape}, not bool {shape}"
    if cause := _type_cause(masks) if masks.shape == shape else _shape_cause(masks.shape, shape):
        message += f": {cause}"
    raise Broken("shape", message)


def _type_cause(masks: npt.NDArray[Any]) -> str:
    """What a type other than bool seems to hold."""
    if masks.dtype.kind not in "iuf" or not masks.size:
        return ""
    low, high = masks.min(), masks.max()
    if low >= 0 and high <= 255 and {*np.unique(masks)[:3].tolist()} <= {0, 1, 255}:
        return f"they have the values 0 and {high:g}; return `masks > 0`"
    return f"they have values from {low:.3g} to {high:.3g}; compare them with a threshold"


def _shape_cause(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What a wrong shape seems to be."""
    frames, height, width = wanted
    if shape in ((frames, 1, height, width), (frames, height, width, 1)):
        return "drop the axis of length 1"
    if shape == (frames, width, height):
        return "height and width are swapped"
    if shape == wanted[1:]:
        return "they are one mask for all frames"
    if len(shape) == 3 and shape[1:] == wanted[1:]:
        return f"there are {shape[0]} masks for {frames} frames"
    if len(shape) == 3 and shape[0] == frames:
        return "they do not have the size of the frames"
    return ""
