"""Read the masks of tracked objects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from grainspec.regions.tracked.labels import Labels, image_name, read_labels
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

    assert state.records is not None
    numbers = state.records[source].numbers
    for labels_HW in _labels(state, frames):
        yield Image.fromarray(np.isin(labels_HW, numbers).astype(np.uint8) * 255)


def masks_hash(state: TrackedState, frames: Sequence[int]) -> str:
    """The hash of the masks of all tracked expressions on these source frames.

    It depends on the pixels alone, whatever the objects' numbers and however images are saved.
    ``state`` must be fresh. Raises GrainError as :func:`tracked_masks` does.
    """
    assert state.records is not None
    whole = hashlib.sha256()
    for frame, labels_HW in zip(frames, _labels(state, frames), strict=True):
        whole.update(f"{frame} {labels_HW.shape}".encode())
        for source in state.sources:
            inside_HW = np.isin(labels_HW, state.records[source].numbers)
            whole.update(np.packbits(inside_HW).tobytes())
    return whole.hexdigest()


def _labels(state: TrackedState, frames: Sequence[int]) -> Iterator[Labels]:
    assert state.manifest is not None
    known = state.manifest.numbers
    for frame in frames:
        yield read_labels(state.folder / image_name(frame), state.clip.size, known)
