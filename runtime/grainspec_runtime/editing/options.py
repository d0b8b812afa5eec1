"""Options of a run."""

from __future__ import annotations

from dataclasses import dataclass

from grainspec_runtime.processes.registry import DEFAULT


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run.

    process: the editing process, one of :data:`grainspec_runtime.processes.registry.PROCESSES`.
    backend: the attention backend, as in :func:`grainspec_runtime.modulated_attention`.
    use_cache: read and write the cache: inversions, and the state of unfinished runs.
    fresh: write to the cache, but do not read it: no cached inversion, no resuming.
    reconstruct: also reconstruct the clip without an edit, to measure the inversion.
    study: also record attention; such a run does not resume, it starts at the first step.
    """

    process: str = DEFAULT
    backend: str = "auto"
    use_cache: bool = True
    fresh: bool = False
    reconstruct: bool = False
    study: bool = False

    @property
    def look_up(self) -> bool:
        """Whether to use cached inversions."""
        return self.use_cache and not self.fresh

    @property
    def resumes(self) -> bool:
        """Whether to resume an interrupted run; a study has to record every step."""
        return self.look_up and not self.study
