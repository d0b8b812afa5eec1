"""Masks in COCO JSON, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from grainspec.diagnostics import GrainError, fail
from grainspec.model.expressions import MaskFiles
from grainspec.regions.coco import decode, frame_size, read_coco


class CocoMasks:
    """The frames of a COCO document as masks, numbered from 0.

    ``shape`` is the source frame's height and width, used for polygons if the document gives no
    size.
    """

    def __init__(self, source: MaskFiles, place: Path, shape: tuple[int, int]) -> None:
        self.source = source
        self.place = place
        self.shape = shape
        try:
            self.frames = read_coco(place, index=source.index)
        except (OSError, ValueError, OverflowError) as error:
            raise self._broken(f"the masks {place}", error) from error
        self.numbers: Sequence[int] = range(len(self.frames))

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"frame {number} of the masks {self.place}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these numbers, with the values 0 and 255."""
        for number in numbers:
            frame = self.frames[number]
            try:
                shape = frame_size(frame) or self.shape
                mask = np.zeros(shape, np.bool_)
                for segmentation in frame.segmentations:
                    mask |= decode(segmentation, shape)
            except (ValueError, TypeError, OverflowError) as error:
                raise self._broken(self.title(number), error) from error
            yield Image.fromarray(mask.astype(np.uint8) * 255)

    def _broken(self, title: str, error: Exception) -> GrainError:
        cure = "It must be COCO JSON: a list with one segmentation per frame, or a dataset."
        return fail("G308", f"{title} cannot be read as COCO JSON: {error}", cure, self.source.span)
