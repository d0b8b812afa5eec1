"""How much of each pixel a tracked object covers, from engines that say so: soft edges.

    masks/tracked/edit/alpha/2/00031.png     object 2 on frame 31: 8-bit grey, 255 inside

They are beside the images of labels, of the same size, and blend pixels only: attention follows the
labels. Where an image of labels was repaired by hand, its objects have hard edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grainspec.clip.images import open_image, unreadable
from grainspec.diagnostics import fail
from grainspec.regions.tracked.images import alpha_name
from grainspec.regions.tracked.masks import tracked_masks
from grainspec.regions.tracked.sources import Source
from grainspec.regions.tracked.state import TrackedState

if TYPE_CHECKING:
    from PIL import Image


def has_alpha(state: TrackedState, source: Source) -> bool:
    """Whether the engine of a tracked expression has said how much of each pixel it covers."""
    return bool(state.records and source in state.records and state.records[source].soft)


def tracked_coverage(
    state: TrackedState, source: Source, frames: Sequence[int]
) -> Iterator[Image.Image]:
    """Read the coverage of a tracked expression, as 8-bit grey images of the clip's size.

    One image a source frame, in their order: the sum over its objects. Without coverage images it
    is that of the labels, 0 or 255. ``state`` must be fresh. Raises GrainError (G363) for an image
    that cannot be used.
    """
    from PIL import Image

    if not has_alpha(state, source):
        yield from tracked_masks(state, source, frames)
        return
    assert state.records is not None
    numbers, repaired = state.records[source].numbers, {*state.repaired}
    for frame in frames:
        if frame in repaired:
            yield from tracked_masks(state, source, [frame])
            continue
        paths = [state.folder / alpha_name(number, frame) for number in numbers]
        total_HW = sum(_read(path, state.clip.size).astype(np.uint16) for path in paths)
        yield Image.fromarray(np.minimum(total_HW, 255).astype(np.uint8))


def _read(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    cure = "Delete this image, and run `grain track`."
    try:
        with open_image(path) as image:
            coverage_HW = np.asarray(image.convert("L"))
    except unreadable() as error:
        raise fail("G363", f"{path} cannot be read as an image", cure) from error
    if coverage_HW.shape != (size[1], size[0]):
        high, wide = coverage_HW.shape
        message = f"{path} has {wide}x{high} pixels; the clip has {size[0]}x{size[1]}"
        raise fail("G363", message, cure)
    return coverage_HW
