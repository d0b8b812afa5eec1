"""Read the masks of tracked objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from grainspec.regions.tracked.labels import image_name, read_labels
from grainspec.regions.tracked.sources import Source
from grainspec.regions.tracked.state import TrackedState

if TYPE_CHECKING:
    from PIL import Image


def tracked_masks(
    state: TrackedState, source: Source, frames: Sequence[int]
) -> Iterator[Image.Image]:
    """Read the masks of a tracked expression, as 8-bit grey images: 255 inside the region.

    One image a source frame, in their order, of the clip's size. ``state`` must be fresh. Raises
    GrainError (G363) for an image that cannot be used.
    """
    from PIL import Image

    assert state.manifest is not None
    assert state.records is not None
    numbers, known = state.records[source].numbers, state.manifest.numbers
    for frame in frames:
        labels_HW = read_labels(state.folder / image_name(frame), state.clip.size, known)
        yield Image.fromarray(np.isin(labels_HW, numbers).astype(np.uint8) * 255)
