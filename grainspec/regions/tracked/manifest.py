"""The manifest of tracked masks: what they were made of, and how sure the engine was."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from grainspec.limits import MAX_FILES, MAX_JSON_BYTES
from grainspec.model.names import Name
from grainspec.model.shapes import FrameNumber
from grainspec.regular_file import read_bytes

MANIFEST = "manifest.json"
MAX_OBJECTS = 255
"""The number of objects: an image's index has 8 bits, and 0 is the background."""

MAX_MEETINGS = 10_000
"""The number of meetings that are recorded."""

_Number = Annotated[int, Field(ge=1, le=MAX_OBJECTS)]
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Short = Annotated[str, Field(max_length=4096)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Pixels = Annotated[int, Field(ge=0, le=2**40)]
_Side = Annotated[int, Field(ge=1, le=2**20)]
_Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ClipRecord(_Record):
    """The clip that was tracked. ``sha256`` is that of :func:`clip_hash`.

    ``alpha`` is the background colour of transparent frames, if the spec said one.
    """

    path: _Short
    sha256: _Hash
    width: _Side
    height: _Side
    alpha: _Short | None = None


class EngineRecord(_Record):
    """The engine that was used, and its weights."""

    name: _Short
    weights: _Short = ""
    version: _Short = ""


class FoundRecord(_Record):
    """What a finder found: left, top, right and bottom in source pixels, and its score."""

    box: tuple[_Coordinate, _Coordinate, _Coordinate, _Coordinate]
    score: _Share


class ObjectRecord(_Record):
    """An object: its number in the images, and per frame the engine's confidence and its area."""

    number: _Number
    confidence: Annotated[tuple[_Share, ...], Field(max_length=MAX_FILES)]
    pixels: Annotated[tuple[_Pixels, ...], Field(max_length=MAX_FILES)]


class OutdatedRecord(_Record):
    """An object on a repaired image, which is another one than its prompts show now.

    ``sha256`` is that of :func:`pixels_hash`: with other pixels, it was painted anew.
    """

    frame: FrameNumber
    sha256: _Hash


class SourceRecord(_Record):
    """One ``track(…)`` or ``find(…)``, which several regions may use.

    ``key`` is the hash of its prompts, ``stated`` that of the statements about its engines. For a
    ``find(…)``, ``finder`` is the engine that found its objects, and ``found`` are they. If the
    engine says how much of each pixel its objects cover, ``soft`` is true.
    """

    key: _Hash
    stated: _Hash
    regions: Annotated[tuple[Name, ...], Field(max_length=1024)]
    tracker: EngineRecord
    finder: EngineRecord | None = None
    found: Annotated[tuple[FoundRecord, ...], Field(max_length=MAX_OBJECTS)] = ()
    objects: Annotated[tuple[ObjectRecord, ...], Field(min_length=1, max_length=MAX_OBJECTS)]
    soft: bool = False
    kept: Annotated[tuple[FrameNumber, ...], Field(max_length=MAX_FILES)] = ()
    """Frames whose images were repaired before this was tracked, and kept without its objects."""
    outdated: Annotated[tuple[OutdatedRecord, ...], Field(max_length=MAX_FILES)] = ()
    """Frames whose images were repaired under other prompts of this, and kept."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its objects in the images."""
        return tuple(record.number for record in self.objects)


class CoverRecord(_Record):
    """On a frame with prompts, another object lies on a point of a region's object."""

    frame: FrameNumber
    region: Name
    by: Name


class MeetingRecord(_Record):
    """A region's object touches another from frame ``first`` to ``last``, and looks like it.

    ``by`` is the region of the other; None for something that is not tracked. The frames after it
    are doubtful; if ``before``, those before it, as the object was tracked backwards through it.
    """

    region: Name
    by: Name | None = None
    first: FrameNumber
    last: FrameNumber
    before: bool = False

    @model_validator(mode="after")
    def _has_frames(self) -> MeetingRecord:
        if self.first > self.last:
            raise ValueError(f"the first frame is {self.first}, the last one {self.last}")
        return self


class TrackedManifest(_Record):
    """What the tracked masks of a spec were made of. Frames are source frames.

    ``images`` are the SHA-256 of the images of frames ``first`` to ``last``, as they were written:
    an image with another hash was repaired by hand.
    """

    format: Literal[1] = 1
    clip: ClipRecord
    first: FrameNumber
    last: FrameNumber
    sources: Annotated[tuple[SourceRecord, ...], Field(max_length=MAX_OBJECTS)]
    covers: Annotated[tuple[CoverRecord, ...], Field(max_length=10_000)] = ()
    meetings: Annotated[tuple[MeetingRecord, ...], Field(max_length=MAX_MEETINGS)] = ()
    images: Annotated[tuple[_Hash, ...], Field(max_length=MAX_FILES)]
    retired: Annotated[tuple[_Number, ...], Field(max_length=MAX_OBJECTS)] = ()
    """Numbers of objects that are tracked no more, and may be in images that were repaired."""
    versions: Annotated[dict[_Short, _Short], Field(max_length=100)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_complete(self) -> TrackedManifest:
        if self.last < self.first:
            raise ValueError("the last frame is before the first")
        for meeting in self.meetings:
            if meeting.first < self.first or meeting.last > self.last:
                raise ValueError("a meeting is on frames that were not tracked")
        if any(cover.frame not in self.frames for cover in self.covers):
            raise ValueError("an object covers another on a frame that was not tracked")
        count = self.last - self.first + 1
        lists = [self.images]
        for source in self.sources:
            for record in source.objects:
                lists += [record.confidence, record.pixels]  # type: ignore[list-item]
        if any(len(values) != count for values in lists):
            raise ValueError(f"a list does not have {count} values, one for each frame")
        numbers = [number for source in self.sources for number in source.numbers]
        if len(set(numbers)) < len(numbers):
            raise ValueError("two objects have the same number")
        return self

    @property
    def frames(self) -> range:
        """The source frames that were tracked."""
        return range(self.first, self.last + 1)

    @property
    def numbers(self) -> dict[int, str]:
        """The name of a region of each object number; empty for those that are retired."""
        return dict.fromkeys(self.retired, "") | {
            number: source.regions[0] if source.regions else ""
            for source in self.sources
            for number in source.numbers
        }


def read_manifest(folder: Path) -> TrackedManifest:
    """Read the manifest of a folder of tracked masks.

    Raises OSError if it cannot be read, ValueError if it is not one.
    """
    content = read_bytes(folder / MANIFEST, MAX_JSON_BYTES)
    try:
        return TrackedManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}".removeprefix(": ")) from error
