"""Which repaired images, kept as they are, show another object than is tracked now."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grainspec.diagnostics import GrainError
from grainspec.regions.tracked.labels import image_name, read_labels
from grainspec.regions.tracked.manifest import OutdatedRecord
from grainspec.regions.tracked.outdated import is_outdated, pixels_hash
from grainspec.regions.tracked.sources import Source
from grainspec.regions.tracked.state import TrackedState
from grainspec_runtime.tracking.numbering import Numbering
from grainspec_runtime.tracking.request import Request

_SAME = 0.5
"""The share of their union that two masks of one object have in common, at least."""


class OutdatedFinder:
    """Compares repaired images with what is tracked there now; ``state`` is that before."""

    def __init__(self, state: TrackedState, request: Request, numbering: Numbering) -> None:
        self._state, self._clip, self._earlier = state, request.clip, numbering.earlier
        self._numbers: dict[Source, list[int]] = {}
        for number, owner in zip(numbering.numbers, request.owners, strict=True):
            self._numbers.setdefault(owner, []).append(number)
        self._found: dict[Source, list[OutdatedRecord]] = {}

    def add(self, frame: int, labels_HW: npt.NDArray[np.uint8]) -> None:
        """Compare the image of a source frame with the labels, uint8 ``[H, W]``, tracked now."""
        assert self._state.manifest is not None
        path, numbers = self._state.folder / image_name(frame), self._state.manifest.numbers
        try:
            painted_HW = read_labels(path, self._clip.size, numbers)
        except GrainError:  # on a frame in use it is an error already; mended, it is another one
            return
        for source in self._earlier:
            if self._is_outdated(source, frame, painted_HW, labels_HW):
                sha256 = pixels_hash(painted_HW, self._numbers[source])
                record = OutdatedRecord(frame=frame, sha256=sha256)
                self._found.setdefault(source, []).append(record)

    def of(self, source: Source) -> tuple[OutdatedRecord, ...]:
        """The images that an expression's objects were repaired in under other prompts."""
        return tuple(self._found.get(source, ()))

    def _is_outdated(
        self,
        source: Source,
        frame: int,
        painted_HW: npt.NDArray[np.uint8],
        labels_HW: npt.NDArray[np.uint8],
    ) -> bool:
        earlier = self._earlier[source]
        if earlier.key == self._clip.key(source):
            return is_outdated(earlier, frame, painted_HW)
        before_HW = np.isin(painted_HW, earlier.numbers)
        now_HW = np.isin(labels_HW, self._numbers[source])
        if frame in earlier.kept and not before_HW.any():
            return False  # it is told as an image that lacks the region
        # More prompts for the same object do not make its repair outdated.
        shared, union = np.count_nonzero(before_HW & now_HW), np.count_nonzero(before_HW | now_HW)
        return bool(shared < _SAME * union)
