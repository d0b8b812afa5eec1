"""The seam of the engines: trackers follow objects from prompts, finders find what words name.

Frames are RGB, uint8 ``[H, W, 3]``, in the clip's own size, orientation corrected, before any crop.
Coordinates are source pixels, x to the right and y down; the centre of the first pixel is at 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]


class FrameReader(Protocol):
    """The consecutive source frames that are tracked, read when they are asked for."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    def __len__(self) -> int:
        """The number of frames."""

    def __getitem__(self, index: int) -> Frame:
        """One frame, uint8 ``[H, W, 3]``; the last one's neighbours are fast in both directions."""


@dataclass(frozen=True)
class FramePrompt:
    """What a user says about one object on one frame: points, and at most one of box and mask.

    points_N2: float32, x and y. positive_N: bool, False for a point outside the object.
    box: left, top, right, bottom. mask_HW: bool.
    """

    index: int
    """The frame, as an index into the :class:`FrameReader`."""
    points_N2: npt.NDArray[np.float32]
    positive_N: npt.NDArray[np.bool_]
    box: tuple[float, float, float, float] | None = None
    mask_HW: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class TrackedObject:
    """An object to track: at least one prompt, at most one a frame, in order of their frames."""

    name: str
    prompts: tuple[FramePrompt, ...]


@dataclass(frozen=True)
class TrackedFrame:
    """The objects on one frame.

    labels_HW: uint8, 0 where no object is, and ``k`` where ``objects[k - 1]`` is. confidence_K:
    float32 from 0 to 1, the engine's trust in each object's mask here, whether it is visible or
    not. soft_KHW: uint8 coverage per object, 255 inside, for engines that compute it.
    """

    index: int
    labels_HW: npt.NDArray[np.uint8]
    confidence_K: npt.NDArray[np.float32]
    soft_KHW: npt.NDArray[np.uint8] | None = None


class Tracker(Protocol):
    """An engine that follows objects through a clip, together, so that they exclude each other."""

    @property
    def name(self) -> str:
        """Its name in the language, such as ``colour``."""

    @property
    def weights(self) -> str:
        """Folder or hub id of its weights with their fingerprint; empty if it has none."""

    @property
    def version(self) -> str:
        """Changes whenever the same input may give other masks."""

    def track(
        self,
        frames: FrameReader,
        objects: Sequence[TrackedObject],
        finished: Mapping[int, TrackedFrame],
    ) -> Iterator[TrackedFrame]:
        """Yield every frame once, in any order, except those in ``finished``.

        It works forwards and backwards from each prompt. ``finished`` are the frames that an
        interrupted call has already yielded; the others come out as they would have then.
        """


@dataclass(frozen=True)
class Detection:
    """One object that words name. box: left, top, right, bottom. score: from 0 to 1."""

    box: tuple[float, float, float, float]
    score: float
    mask_HW: npt.NDArray[np.bool_] | None = None


class Finder(Protocol):
    """An engine that finds the objects on one frame that words name."""

    @property
    def name(self) -> str:
        """Its name in the language, such as ``grounding_dino``."""

    @property
    def weights(self) -> str:
        """Folder or hub id of its weights with their fingerprint."""

    @property
    def version(self) -> str:
        """Changes whenever the same input may give other boxes."""

    def find(self, frame: Frame, words: str) -> list[Detection]:
        """All objects, best score first, also those below the threshold of the spec."""


Engine = TypeVar("Engine", Tracker, Finder)


@dataclass(frozen=True)
class EngineRow(Generic[Engine]):
    """What is known of an engine before it is loaded.

    An engine's module has one as its constant ``TRACKER``, one as ``FINDER``, or both.
    """

    name: str
    """Its name in the language."""
    checkpoint: str
    """The hub id of its default weights; empty if it has none."""
    licence: str
    """The licence of these weights, in words; empty if it has none."""
    why_not: Callable[[], str]
    """Why it cannot run here, such as a package that is missing; empty if it can."""
    load: Callable[[str, str | None], Engine]
    """Load it: a folder or hub id of weights, and a device (None: the best available)."""
    version: Callable[[], str] = lambda: ""
    """The version that it will have once it is loaded, if it can run here; empty if not known."""
