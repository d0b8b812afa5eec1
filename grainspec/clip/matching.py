"""Which frame of a mask or control clip belongs to which frame of the clip."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from grainspec.clip.facts import IMAGE_SUFFIXES, ClipFacts
from grainspec.clip.timing import timestamps

_NEARLY = 0.05
"""Clips of as many frames whose rates differ by less were made of the same frames."""


@dataclass(frozen=True)
class Match:
    """The other clip's frame for each frame of the clip, and how they were matched.

    ``number``: by their numbers, since both clips have the same rate, or a rate is unknown.
    ``time``: by the time at which they are shown. ``doubtful``: by their numbers, although the
    rates or counts differ.
    """

    numbers: tuple[int, ...]
    how: Literal["number", "time", "doubtful"]


def match_frames(
    clip: Path, facts: ClipFacts, other: Path, own: ClipFacts, frames: Sequence[int]
) -> Match | None:
    """Match frames of ``clip`` to those of the clip ``other``, whose facts are ``own``.

    Folders of images have no rate. At different rates, clips of the same duration are matched by
    time, and those with as many frames by number. Returns None if neither is the same.
    """
    by_number = tuple(frames)
    if own.frames == facts.frames and same_rate(clip, facts, other, own):
        return Match(by_number, "number")
    if own.frames == facts.frames and abs(own.fps - facts.fps) < _NEARLY * facts.fps:
        return Match(by_number, "doubtful")  # such as PAL's 25 for film's 23.976
    times = timestamps(clip) if _is_timed(clip) else None
    own_times = timestamps(other) if _is_timed(other) else None
    if not times or not own_times or _same_times(times, own_times, facts.fps):
        return Match(by_number, "doubtful" if own.frames > facts.frames else "number")
    longest = max(_apart(times, facts), _apart(own_times, own))
    durations = times[-1] + _apart(times, facts), own_times[-1] + _apart(own_times, own)
    if abs(durations[0] - durations[1]) <= Fraction(3, 2) * longest and frames[-1] < len(times):
        slack = min(_apart(times, facts), _apart(own_times, own)) / 4
        shown = (bisect_right(own_times, times[frame] + slack) - 1 for frame in frames)
        return Match(tuple(shown), "time")
    return Match(by_number, "doubtful") if own.frames == facts.frames else None


def _same_times(times: Sequence[Fraction], own: Sequence[Fraction], fps: float) -> bool:
    """Whether frames of the same number are shown at the same time, as long as both clips last."""
    return all(abs(one - two) * 2 < 1 / fps for one, two in zip(times, own, strict=False))


def _apart(times: Sequence[Fraction], facts: ClipFacts) -> Fraction:
    """The mean time between frames."""
    if len(times) > 1:
        return times[-1] / (len(times) - 1)
    return 1 / Fraction(facts.fps).limit_denominator(1001)


def same_rate(clip: Path, facts: ClipFacts, other: Path, own: ClipFacts) -> bool:
    """Whether two clips have the same frame rate, as far as is known."""
    if not (_is_timed(clip) and _is_timed(other)):
        return True
    return abs(own.fps - facts.fps) <= 0.005 * facts.fps


def _is_timed(path: Path) -> bool:
    return not path.is_dir() and path.suffix.lower() not in IMAGE_SUFFIXES


def rates(facts: ClipFacts, own: ClipFacts) -> str:
    """The frames and rates of two clips, in words."""
    return f"{_rate(own)}, and the clip {_rate(facts)}"


def _rate(facts: ClipFacts) -> str:
    return f"{facts.frames} frames at {facts.fps:.4g} per second"
