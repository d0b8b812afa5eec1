"""What a run does besides the edit itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run does besides the edit itself.

    backend: that of :func:`grainspec_runtime.modulated_attention`.
    use_cache: look up and keep inversions, and keep unfinished runs so that they can be resumed.
    fresh: look up nothing in the cache; what is made is kept as usual.
    reconstruct: also sample the clip back without an edit, to measure the inversion.
    study: also record attention; such a run samples from its first step.
    """

    backend: str = "auto"
    use_cache: bool = True
    fresh: bool = False
    reconstruct: bool = False
    study: bool = False

    @property
    def look_up(self) -> bool:
        """Whether cached inversions are used."""
        return self.use_cache and not self.fresh

    @property
    def resumes(self) -> bool:
        """Whether an interrupted run is resumed; recording has to see every step."""
        return self.look_up and not self.study
