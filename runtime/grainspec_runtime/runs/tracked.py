"""What a run's manifest says of the tracked masks that the run used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from grainspec.diagnostics import Diagnostic
from grainspec.regions.tracked.alpha import has_alpha, tracked_coverage
from grainspec.regions.tracked.quality import SourceQuality, qualities
from grainspec.regions.tracked.state import TrackedState


@dataclass(frozen=True)
class UsedMasks:
    """The tracked masks of a run, on the source frames that it edits.

    ``sha256`` is the hash of their images, by which a repeated run tells whether they are the same.
    """

    state: TrackedState
    sha256: str
    qualities: tuple[SourceQuality, ...]

    @classmethod
    def of(cls, state: TrackedState, frames: Sequence[int]) -> UsedMasks:
        """The masks of a fresh state; raises GrainError (G363) if one cannot be used."""
        whole = state.masks_hash(frames)
        if state.clip.spec.blend.edges == "soft":
            whole = _with_coverage(whole, state, frames)
        return cls(state, whole, qualities(state, frames))

    def as_json(self) -> dict[str, Any]:
        """The masks as JSON values."""
        state = self.state
        assert state.records is not None
        regions = []
        for quality in self.qualities:
            record = state.records[quality.source]
            regions.append(
                {
                    "regions": list(quality.regions),
                    "tracker": record.tracker.model_dump(),
                    "finder": record.finder.model_dump() if record.finder else None,
                    "doubtful": list(quality.doubtful),
                    "lost": list(quality.lost),
                }
            )
        return {
            "file": state.clip.spec.file,
            "folder": Path(os.path.relpath(state.folder, state.clip.base)).as_posix(),
            "sha256": self.sha256,
            "repaired": list(state.repaired),
            "regions": regions,
        }

    def unlike(self, recorded: object) -> Diagnostic | None:
        """The warning (G367) if an earlier run recorded other masks in its manifest."""
        if isinstance(recorded, dict) and recorded.get("sha256") == self.sha256:
            return None
        message = f"the tracked masks in {self.state.folder} are not those of the run"
        cure = "They were tracked again or repaired since. The repeated edit may differ."
        return Diagnostic("G367", message, cure)


def _with_coverage(masks: str, state: TrackedState, frames: Sequence[int]) -> str:
    """The hash of masks and of the soft edges beside them."""
    whole = hashlib.sha256(masks.encode())
    for source in filter(partial(has_alpha, state), state.sources):
        for image in tracked_coverage(state, source, frames):
            whole.update(image.tobytes())
    return whole.hexdigest()
