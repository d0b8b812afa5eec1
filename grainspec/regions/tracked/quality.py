"""How far tracked masks can be trusted: the frames on which a region is doubtful or lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from grainspec.model.settings.tracking import Tracking
from grainspec.regions.tracked.manifest import ObjectRecord
from grainspec.regions.tracked.sources import Source
from grainspec.regions.tracked.state import TrackedState


@dataclass(frozen=True)
class SourceQuality:
    """The quality of one tracked expression, on the frames that a spec uses.

    ``confidence`` is the least of its objects' on each frame. On ``doubtful`` frames it is below
    the threshold; on ``lost`` ones an object has no pixels, and the engine is not sure of that.
    Frames that were repaired by hand are neither.
    """

    source: Source
    regions: tuple[str, ...]
    engine: str
    frames: tuple[int, ...]
    confidence: tuple[float, ...]
    doubtful: tuple[int, ...]
    lost: tuple[int, ...]

    @property
    def worst(self) -> int:
        """Of the doubtful frames, the one with the least confidence."""
        of_frame = dict(zip(self.frames, self.confidence, strict=True))
        return min(self.doubtful, key=lambda frame: of_frame[frame])

    @property
    def lost_to_the_end(self) -> bool:
        """Whether the object is lost on all frames from one on."""
        count = len(self.lost)
        return count > 0 and self.lost == self.frames[-count:]


@dataclass(frozen=True)
class Encounter:
    """The frames on which a region's object touches another, or, without ``by``, something else.

    They look alike, so that the tracker may follow the other one once they have separated: after
    frame ``edge``, or, if ``before``, before it.
    """

    region: str
    by: str | None
    before: bool
    edge: int
    frames: tuple[int, ...]

    @property
    def apart(self) -> int:
        """The frame on which they have separated."""
        return self.edge - 1 if self.before else self.edge + 1

    @property
    def names(self) -> str:
        """The regions, as text."""
        return self.region if self.by is None else f"{self.region} and {self.by}"


def encounters(state: TrackedState, frames: Sequence[int]) -> tuple[Encounter, ...]:
    """Where objects meet what looks like them, on these source frames; none if not ``fresh``.

    Meetings with a frame that was repaired by hand, or before one, are none.
    """
    if state.manifest is None or state.status != "fresh":
        return ()
    used, repaired = {*frames}, {*state.repaired}
    found: dict[tuple[str, str | None, bool], list[range]] = {}
    for meeting in state.manifest.meetings:
        if not {meeting.region, meeting.by or meeting.region} <= {*state.regions}:
            continue
        span = range(meeting.first, meeting.last + 1)
        if repaired.isdisjoint(range(span.start - 1, span.stop + 1)):
            key = meeting.region, meeting.by, meeting.before
            found.setdefault(key, []).append(span)
    results = []
    for (region, by, before), spans in found.items():
        edge = max(span[0] for span in spans) if before else min(span[-1] for span in spans)
        touching = sorted(used.intersection(chain.from_iterable(spans)))
        if touching:
            results.append(Encounter(region, by, before, edge, tuple(touching)))
    return tuple(results)


def qualities(state: TrackedState, frames: Sequence[int]) -> tuple[SourceQuality, ...]:
    """The quality of each tracked expression on these source frames; none if not ``fresh``."""
    if state.manifest is None or state.status != "fresh":
        return ()
    threshold = (state.clip.spec.tracker or Tracking()).confidence
    first, repaired = state.manifest.first, {*state.repaired}
    results = []
    for source, record in (state.records or {}).items():
        places = [frame - first for frame in frames]
        judged = [frame for frame in frames if frame not in repaired]
        results.append(
            SourceQuality(
                source,
                state.sources[source],
                record.tracker.name,
                tuple(frames),
                tuple(min(of.confidence[place] for of in record.objects) for place in places),
                tuple(f for f in judged if _any(record.objects, f - first, threshold, seen=True)),
                tuple(f for f in judged if _any(record.objects, f - first, threshold, seen=False)),
            )
        )
    return tuple(results)


def _any(objects: Sequence[ObjectRecord], place: int, threshold: float, *, seen: bool) -> bool:
    """Whether the engine is not sure of an object there that it sees, or that it does not see."""
    return any(
        record.confidence[place] < threshold and (record.pixels[place] > 0) == seen
        for record in objects
    )
