"""A first spec for a clip: its facts, two tracked objects, an edit of each, and why."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from grainspec.clip.facts import ClipFacts, probe
from grainspec.clip.timing import timestamps
from grainspec.diagnostics import GrainError, fail, visible
from grainspec.model.numbers import decimal_text
from grainspec.model.spec import Video
from grainspec.model.validation import made
from grainspec.shell import shell_path
from grainspec.text.kinds import quoted

_ROUNDED = Fraction(2, 1000)
"""Containers round times, Matroska to milliseconds: up to this difference, gaps are even."""
_FIRST = 16
"""Frames of a long clip that the first run edits."""


def new_spec(clip: Path, spec: Path) -> str:
    """The text of a first spec for a clip; ``spec`` is the file that it is for, which is not read.

    It can be checked as it is, and its comments say what each statement is for. The clip's path is
    relative to the folder of ``spec``. Raises GrainError: G301, G302 or G330 for a clip that cannot
    be read, G202 for a path that cannot be written in a spec.
    """
    facts = probe(clip)
    path = _path_from(spec.parent, clip)
    try:
        made(Video, path=path)
    except GrainError as error:
        message = f"the path of the clip cannot be written in a spec: {visible(path)}"
        raise fail("G202", message, "Rename the clip, or its folder.") from error
    return _TEXT.format(
        clip=visible(clip_name(clip)),
        facts=_facts(clip, facts),
        spec=shell_path(spec.name),
        first=f" The first {_FIRST} frames are quick to try." if facts.frames > _FIRST else "",
        times="\n# The rate varies: an edit keeps the time of each frame." if _varies(clip) else "",
        video=_video(path, facts),
    )


def clip_name(clip: Path) -> str:
    """The name of a clip's file or folder, also of `.`."""
    return clip.name if clip.name not in ("", "..") else clip.resolve().name


def _path_from(folder: Path, clip: Path) -> str:
    """A clip's path from a folder, without the symbolic links between them."""
    here = clip.name == clip_name(clip)
    clip = clip.parent.resolve() / clip.name if here else clip.resolve()
    try:
        path = Path(os.path.relpath(clip, folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        return clip.as_posix()
    return f"./{path}" if path.startswith("~") else path


def _facts(clip: Path, facts: ClipFacts) -> str:
    count = f"{facts.frames} frame{'s' * (facts.frames != 1)}"
    size = f"{count} of {facts.width}x{facts.height} pixels"
    if clip.is_dir() or facts.frames == 1:  # images have no rate of their own
        return size
    rate = decimal_text(round(facts.fps, 2))
    if _varies(clip):
        return f"{size}, {rate} a second on average"
    return f"{size}, {rate} a second"


def _varies(clip: Path) -> bool:
    """Whether the frames of a file are unevenly spaced in time."""
    if clip.is_dir() or clip.suffix.lower() == ".avi":  # AVI has no times
        return False
    times = timestamps(clip) or ()
    gaps = [later - time for time, later in pairwise(times)]
    return bool(gaps) and max(gaps) - min(gaps) > _ROUNDED


def _video(path: str, facts: ClipFacts) -> str:
    chosen = f" {{ frames 0..{_FIRST - 1} }}" if facts.frames > _FIRST else ""
    return f"video {quoted(path)}{chosen}"


_TEXT = """\
grain 1

# {clip}: {facts}.{first}{times}
{video}

# `demo` knows only cartoons. For others: model "owner/name".
model demo

# The clip as it is, and as it becomes.
source "a man and a cat on grass before green trees"
target "a robot and a bear on grass before green trees"

# A point on each object. Beside it: not point(50%, 90%).
region left  = track(point(30%, 55%) @ 0)
region right = track(point(70%, 55%) @ 0)

# Words of `target` for each. What no edit names is kept.
edit instance left  -> "robot"
edit instance right -> "bear"

# Change words and places to yours, then edit the clip:
#   grain studio {spec}
#   grain run {spec}
"""
