"""How far tracked masks can be trusted: the frames on which a region is doubtful or lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grainspec.model.settings import Tracking
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
