"""The facts of clips, kept while their files do not change."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from grainspec.clip.facts import ClipFacts, probe
from grainspec.diagnostics import GrainError


def clip_facts(path: Path, fps: float | None = None) -> ClipFacts | None:
    """A clip's number of frames, size and rate; None if it cannot be read.

    A front end asks for them at every move of the mouse, and counting frames reads a whole file.
    """
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return _probed(str(path), fps, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _probed(path: str, fps: float | None, changed: int, size: int) -> ClipFacts | None:
    try:
        return probe(Path(path), fps=fps)
    except (GrainError, OSError, ValueError):
        return None
