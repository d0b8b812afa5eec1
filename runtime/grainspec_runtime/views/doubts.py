"""Doubtful frames of tracked regions, marked in pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grainspec.regions.tracked.quality import Encounter, SourceQuality, encounters, qualities
from grainspec.regions.tracked.state import TrackedState
from grainspec_runtime.media.decode import Frames

AMBER = (255, 160, 0)


def marked(frames: Frames, doubtful: Sequence[bool]) -> Frames:
    """Draw a thick amber border on doubtful frames, uint8 ``[F, H, W, 3]``."""
    drawn = frames.copy()
    wide = max(2, min(frames.shape[1:3]) // 24)
    for picture, is_doubtful in zip(drawn, doubtful, strict=True):
        if is_doubtful:
            for side in (np.s_[:wide], np.s_[-wide:], np.s_[:, :wide], np.s_[:, -wide:]):
                picture[side] = AMBER
    return drawn


class Doubts:
    """The doubtful and lost frames of a spec's tracked regions; none without such regions.

    Frames on which an object touches one that looks like it are doubtful, too.
    """

    def __init__(self, state: TrackedState | None, frames: Sequence[int]) -> None:
        self.qualities: tuple[SourceQuality, ...] = qualities(state, frames) if state else ()
        self.encounters: tuple[Encounter, ...] = encounters(state, frames) if state else ()
        self.frames = {
            frame for quality in self.qualities for frame in (*quality.doubtful, *quality.lost)
        } | {frame for met in self.encounters for frame in met.frames}

    def at(self, frames: Sequence[int]) -> list[bool]:
        """Whether each of these source frames is doubtful."""
        return [frame in self.frames for frame in frames]

    def label(self, frames: Sequence[int]) -> str:
        """A line about some doubtful frames: ``doubtful: left 12% on frame 31``."""
        notes = []
        for frame in frames:
            for quality in self.qualities:
                if frame in quality.doubtful or frame in quality.lost:
                    share = quality.confidence[quality.frames.index(frame)]
                    how = "lost" if frame in quality.lost else f"{share:.0%}"
                    notes.append(f"{', '.join(quality.regions)} {how} on frame {frame}")
            for met in self.encounters:
                if frame in met.frames:
                    other = "" if met.by else " a look-alike"
                    touch = "touches" if other else "touch"
                    notes.append(f"{met.names} {touch}{other} on frame {frame}")
        return f"doubtful: {'; '.join(notes)}"

    def _touches(self, regions: Sequence[str]) -> list[int]:
        """The frames on which one of these regions touches what looks like it."""
        met = (one for one in self.encounters if {one.region, one.by} & {*regions})
        return sorted({frame for one in met for frame in one.frames})

    def as_json(self) -> list[dict[str, object]]:
        """One object for each tracked expression, with its regions and frames."""
        return [
            {
                "regions": list(quality.regions),
                "tracker": quality.engine,
                "confidence": dict(zip(map(str, quality.frames), quality.confidence, strict=True)),
                "doubtful": list(quality.doubtful),
                "lost": list(quality.lost),
                "touches": self._touches(quality.regions),
            }
            for quality in self.qualities
        ]
