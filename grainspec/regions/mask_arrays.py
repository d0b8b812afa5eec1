"""Masks in NumPy arrays: ``[F, H, W]`` in an ``.npy`` or ``.npz`` file, or a folder of ``[H, W]``.

Pickled objects are never loaded, and the size of an array is checked before it is read.
"""

from __future__ import annotations

import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy
from PIL import Image

from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import Diagnostic, GrainError, fail, suggestion
from grainspec.limits import MAX_ARCHIVED_BYTES, MAX_ARRAY_BYTES, MAX_PIXELS
from grainspec.model.expressions import MaskFiles
from grainspec.regions.claims import require_short_list, require_size
from grainspec.regions.pixels import cutoff
from grainspec.regions.shade_findings import listed, shade_findings
from grainspec.regions.shades import Shades
from grainspec.regular_file import open_regular

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
_FEW = 24
"""So many different numbers can be those of objects."""


class _Arrays(ABC):
    """Masks in arrays, by their numbers; :meth:`_frame` loads one, ``[H, W]``."""

    facts: ClipFacts | None = None
    by_order = ""
    uncounted: bool
    numbers: Sequence[int]

    def __init__(self, source: MaskFiles, place: Path, clip: tuple[int, int]) -> None:
        self.source = source
        self.place = place
        self.clip = clip
        self.shades: Shades | None = None
        self.values: set[int] = set()

    @abstractmethod
    def _frame(self, number: int) -> npt.NDArray[Any]:
        """The values of one frame, ``[H, W]``."""

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"frame {number} of the masks {self.place}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these numbers, with the values 0 and 255."""
        index = self.source.index
        white = 1 if index is not None else self._white()
        least = self.source.threshold if self._frame(self.numbers[0]).dtype.kind == "f" else None
        least = cutoff(self.source, white) if least is None else least
        self.shades = None if self.source.threshold or index is not None else Shades(white)
        for number in numbers:
            frame = self._frame(number)
            if index is not None:
                self.values |= {*np.unique(frame).tolist()}
            elif self.shades:
                self.shades.add(frame.astype(np.uint8) if frame.dtype.kind == "f" else frame)
            inside = frame >= least if index is None else frame == index
            yield Image.fromarray(inside.astype(np.uint8) * 255)

    def findings(self) -> list[Diagnostic]:
        """What is doubtful about all masks together; raises GrainError for what is wrong."""
        if self.shades is None:
            return []
        return shade_findings(self.source, self.place, self.shades, "index {}".format)

    def known(self) -> str:
        """A sentence with the values that could be selected."""
        return f"They have the values {listed(list(map(str, sorted(self.values))))}."

    def _white(self) -> int:
        """The value of white: 1, 255 or the type's maximum, the first that no value exceeds.

        Numbers with fractions are shares from 0 to 1, and need a threshold.
        """
        kinds: set[str] = set()
        values: set[float] = set()
        low = high = np.float64(0)
        highest = 1
        for number in self.numbers:
            frame = self._frame(number)
            kinds.add(frame.dtype.kind)
            if kinds == {"b"} and self.uncounted:
                return 1
            # NumPy's, which pass NaN on
            low, high = np.minimum(low, frame.min()), np.maximum(high, frame.max())
            if frame.dtype.kind in "iu":
                highest = int(np.iinfo(frame.dtype).max)
            elif frame.dtype.kind == "f" and len(values) <= _FEW:
                values |= {*np.unique(frame)[: _FEW + 1].tolist()}
        if "f" in kinds:
            if self.source.threshold is not None or not values <= {0, 1} or high > 1 or low < 0:
                self._refuse_fractions(float(low), float(high), values)
            return 1
        return next(min(white, highest) for white in (1, 255, highest) if high <= white)

    def _refuse_fractions(self, low: float, high: float, values: set[float]) -> None:
        """Refuse logits, ids, other fractions, and probabilities without a threshold."""
        about = f"the masks {self.place} have numbers with fractions, from {low:.4g} to {high:.4g}"
        if not (np.isfinite(low) and np.isfinite(high)):
            raise self._fail(
                "G308", f"the masks {self.place} contain NaN or infinity", self._bool(0)
            )
        if low >= 0 and high <= 1:
            if self.source.threshold is None:
                cure = "If they are probabilities, write `masks(…, threshold 50%)`, or save bool: "
                raise self._fail("G308", about, cure + self._bool("0.5"))
        elif low >= 0 and len(values) <= _FEW and _are_ids(values):
            first = int(min(values - {0}))
            about = f"the masks {self.place} have the type float, and the values "
            about += listed([f"{value:.0f}" for value in sorted(values)])
            cure = f"If they are ids, save integers: `{self._integers()}`; then select the "
            raise self._fail("G308", about, f"{cure}object's with `index {first}`.")
        elif low >= 0 and high <= 255:
            raise self._fail("G308", about, f"Save bool: {self._bool(127)}")
        else:
            raise self._fail("G308", about, f"If they are logits, save bool: {self._bool(0)}")

    @abstractmethod
    def _bool(self, least: object) -> str:
        """The line of NumPy that saves bool, for pasting."""

    @abstractmethod
    def _integers(self) -> str:
        """NumPy that saves whole numbers, for pasting."""

    def _check_type(self, dtype: np.dtype[Any]) -> None:
        """Check the type before anything is loaded; raise GrainError."""
        if dtype.hasobject:
            message = f"the masks {self.place} are pickled Python objects, which are never loaded"
            cure = "Save plain numbers: `numpy.save(path, numpy.stack(masks).astype(bool))`."
            raise self._fail("G308", message, cure)
        if dtype.kind not in "biuf" or (dtype.kind == "f" and self.source.index is not None):
            message = f"the masks {self.place} have the type {dtype}"
            cure = "Use bool or integers: `numpy.save(path, masks.astype(int))`."
            raise self._fail("G308", message, cure)

    def _check_size(
        self, title: str, shape: tuple[int, ...], dtype: np.dtype[Any], most: int
    ) -> None:
        """Check the size before anything is loaded; raise GrainError."""
        require_size(self.source, title, (shape[-1], shape[-2]), self.clip)
        if prod(shape) * dtype.itemsize > most or shape[-2] * shape[-1] > MAX_PIXELS:
            message = f"the masks {self.place} are too large: {list(shape)} of {dtype}"
            cure = "Save them as bool in an `.npy` file, or as images."
            raise self._fail("G308", message, cure)

    def _fail(self, code: str, message: str, cure: str) -> GrainError:
        return fail(code, message, cure, self.source.span)


class ArrayMasks(_Arrays):
    """The frames of an array as masks, numbered from 0; ``clip`` is the clip's size."""

    uncounted = True

    def __init__(self, source: MaskFiles, place: Path, clip: tuple[int, int]) -> None:
        super().__init__(source, place, clip)
        self.member = ""
        try:
            self.array = self._archived() if place.suffix.lower() == ".npz" else self._mapped()
        except _UNREADABLE as error:
            raise _unreadable(source, place, error) from error
        self.numbers = range(len(self.array))

    def _frame(self, number: int) -> npt.NDArray[Any]:
        return np.asarray(self.array[number])

    def _bool(self, least: object) -> str:
        member = f'["{self.member}"]' if self.member else ""
        name = f"{self.source.path.removesuffix(self.place.suffix)}_bool.npy"
        load = f'numpy.load("{self.source.path}"){member}'
        return f'`numpy.save("{name}", {load} > {least})`; then name that file.'

    def _integers(self) -> str:
        member = f'["{self.member}"]' if self.member else ""
        name = f"{self.source.path.removesuffix(self.place.suffix)}_ids.npy"
        return f'numpy.save("{name}", numpy.load("{self.source.path}"){member}.astype(int))'

    def _mapped(self) -> npt.NDArray[Any]:
        with open_regular(self.place) as stream:
            chosen = self._check_header(stream, MAX_ARRAY_BYTES)
        return np.asanyarray(npy.open_memmap(self.place, mode="r")[chosen])

    def _archived(self) -> npt.NDArray[Any]:
        with open_regular(self.place) as file:
            require_short_list(file)
            return self._archived_in(file)

    def _archived_in(self, file: BinaryIO) -> npt.NDArray[Any]:
        with zipfile.ZipFile(file) as archive:
            member = self._member([name for name in archive.namelist() if name.endswith(".npy")])
            self.member = member.removesuffix(".npy")
            with archive.open(member) as stream:
                chosen = self._check_header(stream, MAX_ARCHIVED_BYTES)
            with archive.open(member) as stream:
                return np.asarray(npy.read_array(stream, allow_pickle=False)[chosen])

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

    def _check_header(self, stream: IO[bytes], most: int) -> tuple[Any, ...]:
        """Check an array before it is loaded; returns the index that drops an axis of length 1."""
        shape, dtype = _header(stream)
        self._check_type(dtype)
        chosen = _without_channel(shape, 4)
        if min(shape, default=0) < 1 or (len(shape) != 3 and chosen == ()):
            message = f"the masks {self.place} have the shape {list(shape)}"
            raise self._fail("G308", message, self._shape_cure(shape))
        title = f"a frame of the masks {self.place}"
        self._check_size(title, _without(shape, chosen), dtype, most)
        return chosen

    def _shape_cure(self, shape: tuple[int, ...]) -> str:
        cure = "The shape must be [frames, height, width]."
        if len(shape) == 2 and min(shape) > 0:
            return f"{cure} For a single frame, save `masks[None]`."
        if len(shape) == 4 and min(shape) > 0:
            place = ":, 0" if shape[1] < shape[3] else "..., 0"
            cure += f" Save one of the {min(shape[1], shape[3])} masks of each frame, such as "
            return f"{cure}`masks[{place}]`."
        return cure


class ArrayFiles(_Arrays):
    """A folder of arrays, one a frame."""

    uncounted = False

    def __init__(
        self, source: MaskFiles, place: Path, clip: tuple[int, int], files: Mapping[int, Path]
    ) -> None:
        super().__init__(source, place, clip)
        self.files = files
        self.numbers = sorted(files)

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"the mask {self.files[number]}"

    def _frame(self, number: int) -> npt.NDArray[Any]:
        path = self.files[number]
        try:
            with open_regular(path) as stream:
                shape, dtype = _header(stream)
                self._check_type(dtype)
                chosen = _without_channel(shape, 3)
                if min(shape, default=0) < 1 or (len(shape) != 2 and chosen == ()):
                    message = f"{self.title(number)} has the shape {list(shape)}"
                    raise self._fail("G308", message, "The shape must be [height, width].")
                size = _without(shape, chosen)
                self._check_size(self.title(number), size, dtype, MAX_ARCHIVED_BYTES)
                stream.seek(0)
                return np.asarray(npy.read_array(stream, allow_pickle=False)[chosen])
        except _UNREADABLE as error:
            raise _unreadable(self.source, path, error) from error

    def _bool(self, least: object) -> str:
        return f"`numpy.save(path, numpy.load(path) > {least})` for each file."

    def _integers(self) -> str:
        return "numpy.save(path, numpy.load(path).astype(int))"


def _are_ids(values: set[float]) -> bool:
    """Whether numbers of a type with fractions are whole, and not the two of a mask."""
    several = len(values) > 2 or 1 < max(values) < 128
    return several and all(value == int(value) for value in values)


def _without_channel(shape: tuple[int, ...], axes: int) -> tuple[Any, ...]:
    """The index that drops the channel of an array with this number of axes, if it has one.

    It is the axis of length 1 before or after height and width.
    """
    if len(shape) == axes and shape[-3] == 1:
        return (..., 0, slice(None), slice(None))
    if len(shape) == axes and shape[-1] == 1:
        return (..., 0)
    return ()


def _without(shape: tuple[int, ...], chosen: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape after the index of :func:`_without_channel`."""
    if not chosen:
        return shape
    return shape[:-1] if len(chosen) == 2 else (*shape[:-3], *shape[-2:])


def _unreadable(source: MaskFiles, place: Path, error: Exception) -> GrainError:
    message = f"the masks {place} cannot be read as a NumPy file: {error}"
    cure = "Write them with `numpy.save` or `numpy.savez`; pickles are never loaded."
    return fail("G308", message, cure, source.span)


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
