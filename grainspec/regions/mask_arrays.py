"""Masks in NumPy arrays ``[F, H, W]``: an ``.npy`` file, or a member of an ``.npz`` archive.

Pickled objects are never loaded, and the size of an array is checked before it is read.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy
from PIL import Image

from grainspec.diagnostics import GrainError, fail, suggestion
from grainspec.model.expressions import MaskFiles
from grainspec.regions.mask_images import cutoff

MAX_MAPPED_BYTES = 1 << 36
"""Largest array in an ``.npy`` file, which is read frame by frame."""
MAX_LOADED_BYTES = 1 << 32
"""Largest array in an ``.npz`` archive, which is read as a whole."""
MAX_PIXELS = 1 << 28
"""Largest frame."""

_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    KeyError,
    OverflowError,
    RecursionError,
    MemoryError,
    NotImplementedError,  # a compression method that zipfile does not support
    RuntimeError,  # an encrypted archive
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy and zipfile raise for broken files."""


class ArrayMasks:
    """The frames of an array as masks, numbered from 0."""

    def __init__(self, source: MaskFiles, place: Path) -> None:
        self.source = source
        self.place = place
        try:
            self.values = self._archived() if place.suffix.lower() == ".npz" else self._mapped()
        except _UNREADABLE as error:
            message = f"the masks {place} cannot be read as a NumPy file: {error}"
            cure = "Write them with `numpy.save` or `numpy.savez`; pickles are never loaded."
            raise fail("G308", message, cure, source.span) from error
        self.numbers: Sequence[int] = range(len(self.values))

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"frame {number} of the masks {self.place}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these numbers, with the values 0 and 255."""
        index = self.source.index
        least = cutoff(self.source, self._white()) if index is None else 0
        for number in numbers:
            frame = self.values[number]
            inside = frame >= least if index is None else frame == index
            yield Image.fromarray(inside.astype(np.uint8) * 255)

    def _white(self) -> int:
        """The value of white: 1, 255 or the type's maximum, the first that no value exceeds."""
        if self.values.dtype == np.bool_:
            return 1
        largest = max(int(frame.max()) for frame in self.values)
        highest = int(np.iinfo(self.values.dtype).max)
        return next(min(white, highest) for white in (1, 255, highest) if largest <= white)

    def _mapped(self) -> npt.NDArray[Any]:
        with self.place.open("rb") as stream:
            self._check_header(stream, MAX_MAPPED_BYTES)
        return npy.open_memmap(self.place, mode="r")

    def _archived(self) -> npt.NDArray[Any]:
        with zipfile.ZipFile(self.place) as archive:
            member = self._member([name for name in archive.namelist() if name.endswith(".npy")])
            with archive.open(member) as stream:
                self._check_header(stream, MAX_LOADED_BYTES)
            with archive.open(member) as stream:
                return np.asarray(npy.read_array(stream, allow_pickle=False))

    def _member(self, members: list[str]) -> str:
        names = [member.removesuffix(".npy") for member in members]
        wanted = self.source.array
        if wanted is None and len(names) == 1:
            return members[0]
        if wanted in names:
            return f"{wanted}.npy"
        if wanted is None:
            message = f"{self.place} contains {len(names)} arrays"
            shown = f' Select one: `array "{names[0]}"`.' if names else ""
            raise self._fail("G304", message, suggestion("", names) + shown)
        message = f"{self.place} contains no array `{wanted}`"
        raise self._fail("G304", message, suggestion(wanted, names))

    def _check_header(self, stream: IO[bytes], most: int) -> None:
        """Check the type, shape and size before anything is loaded; raise GrainError."""
        shape, dtype = _header(stream)
        if dtype.hasobject:
            message = f"the masks {self.place} are pickled Python objects, which are never loaded"
            cure = "Save plain numbers: `numpy.save(path, numpy.stack(masks).astype(bool))`."
            raise self._fail("G308", message, cure)
        if dtype.kind not in "biu":
            message = f"the masks {self.place} have the type {dtype}"
            raise self._fail(
                "G308", message, "Use bool or integers: `numpy.save(path, masks > 0.5)`."
            )
        if len(shape) != 3 or min(shape) < 1:
            message = f"the masks {self.place} have the shape {list(shape)}"
            raise self._fail("G308", message, "The shape must be [frames, height, width].")
        if prod(shape) * dtype.itemsize > most or shape[1] * shape[2] > MAX_PIXELS:
            message = f"the masks {self.place} are too large: {list(shape)} of {dtype}"
            cure = "Save them as bool in an `.npy` file, or as images."
            raise self._fail("G308", message, cure)

    def _fail(self, code: str, message: str, cure: str) -> GrainError:
        return fail(code, message, cure, self.source.span)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version != (1, 0):
        # Later versions are for structured arrays; their headers may have any length.
        raise ValueError(f"version {version[0]} of the format is for structured arrays")
    try:
        shape, _, dtype = npy.read_array_header_1_0(stream)
    except Exception as error:  # NumPy parses Python here, so nearly any error is possible
        raise ValueError(f"its header is broken ({error})") from error
    return shape, dtype
