"""Frames that are tracked already, kept until all are: an interrupted command resumes with them.

masks/tracked/.edit.tracking-<hash of the request>/
  00000.png, …       the labels of one frame, in the engine's numbers, with its confidence
  00000-soft.png, …  the coverage of its objects, one below the other, if the engine gives it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import copy
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from grainspec.clip.images import open_image, unreadable
from grainspec.regions.tracked.labels import image_name
from grainspec.regions.tracked.manifest import MANIFEST
from grainspec.whole_file import whole_file
from grainspec_runtime.tracking.engine import TrackedFrame

_TAG = "grainspec"
_DONE = "-done"
"""The end of the folder's name while it is deleted."""


class PartialFrames(Mapping[int, TrackedFrame]):
    """The finished frames of one request, by index; a frame is written whole or not at all.

    ``size`` is the width and height of frames, ``objects`` the number of objects. A file that has
    other pixels or other objects is not a finished frame.
    """

    def __init__(self, folder: Path, count: int, size: tuple[int, int], objects: int) -> None:
        self.folder, self._size, self._objects = folder, size, objects
        folder.mkdir(parents=True, exist_ok=True)
        self._done = {index for index in range(count) if self._read(index) is not None}

    @classmethod
    def of(
        cls, final: Path, key: str, count: int, size: tuple[int, int], objects: int
    ) -> PartialFrames:
        """Open the finished frames of a request; those of earlier, other requests are deleted."""
        wanted = final.parent / f".{final.name}.tracking-{key[:16]}"
        for folder in _others(final):
            if folder != wanted:
                shutil.rmtree(folder, ignore_errors=True)
        return cls(wanted, count, size, objects)

    def add(self, frame: TrackedFrame) -> None:
        """Write a finished frame. Raises ValueError if it does not have what was asked for."""
        high, wide = frame.labels_HW.shape
        confidence = frame.confidence_K
        if (wide, high) != self._size or frame.labels_HW.dtype != np.uint8:
            raise ValueError(
                f"frame {frame.index} has {wide}x{high} {frame.labels_HW.dtype} labels"
            )
        if confidence.shape != (self._objects,) or int(frame.labels_HW.max()) > self._objects:
            raise ValueError(f"frame {frame.index} has other objects than the {self._objects}")
        soft_KHW = frame.soft_KHW
        if soft_KHW is not None:
            if soft_KHW.shape != (self._objects, high, wide) or soft_KHW.dtype != np.uint8:
                raise ValueError(f"frame {frame.index} has coverage of other objects or pixels")
            with whole_file(self._soft(frame.index)) as partial:
                Image.fromarray(soft_KHW.reshape(-1, wide)).save(partial, format="PNG")
        info = PngInfo()
        shown = np.nan_to_num(confidence).clip(0, 1)
        info.add_text(_TAG, json.dumps([round(float(value), 3) for value in shown]))
        with whole_file(self.folder / image_name(frame.index)) as partial:
            Image.fromarray(frame.labels_HW).save(partial, format="PNG", pnginfo=info)
        self._done.add(frame.index)

    def until_now(self) -> PartialFrames:
        """The frames that are finished now; those that follow are not added to them."""
        now = copy(self)
        now._done = {*self._done}
        return now

    def delete(self) -> None:
        """Delete all finished frames; if that is interrupted, :func:`left_over` knows the rest."""
        done = self.folder.with_name(self.folder.name.rpartition("-")[0] + _DONE)
        shutil.rmtree(done, ignore_errors=True)
        with suppress(OSError):
            self.folder.rename(done)
        for folder in (done, self.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def __getitem__(self, index: int) -> TrackedFrame:
        frame = self._read(index) if index in self._done else None
        if frame is None:
            raise KeyError(index)
        return frame

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._done))

    def __len__(self) -> int:
        return len(self._done)

    def _read(self, index: int) -> TrackedFrame | None:
        try:
            with open_image(self.folder / image_name(index)) as image:
                image.load()
                confidence = np.array(json.loads(image.info[_TAG]), np.float32)
                labels_HW = np.asarray(image)
                fits = (image.size, image.mode) == (self._size, "L")
        except unreadable():
            return None
        except RecursionError:
            return None
        if not fits or confidence.shape != (self._objects,) or labels_HW.max() > self._objects:
            return None
        return TrackedFrame(index, labels_HW, confidence, self._read_soft(index))

    def _soft(self, index: int) -> Path:
        return self.folder / f"{index:05}-soft.png"

    def _read_soft(self, index: int) -> npt.NDArray[np.uint8] | None:
        """The coverage of a finished frame, which was written before its labels."""
        wide, high = self._size
        try:
            with open_image(self._soft(index)) as image:
                soft_KHW = np.asarray(image).reshape(self._objects, high, wide)
        except unreadable():
            return None
        return soft_KHW


def left_over(final: Path) -> list[Path]:
    """What a killed command left after it had written the folder ``final``."""
    try:
        written = (final / MANIFEST).stat().st_mtime_ns
        return [
            folder
            for folder in _others(final)
            if folder.name.endswith(_DONE) or folder.stat().st_mtime_ns <= written
        ]
    except OSError:
        return []


def _others(final: Path) -> list[Path]:
    start = f".{final.name}.tracking-"
    return [path for path in final.parent.iterdir() if path.name.startswith(start)]
