"""When the frames of an edited clip are shown: evenly, or at the times of the source's frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import lcm
from pathlib import Path

from grainspec.clip.container import open_container
from grainspec.clip.facts import still_images
from grainspec.clip.timing import timestamps

_ROUNDED = Fraction(1, 1000)
"""Containers round times, Matroska to milliseconds: up to this difference, times are even."""
_FINEST = 1_000_000
_USUAL = 90_000


@dataclass(frozen=True)
class FrameTimes:
    """The times of F frames in seconds.

    starts: when each is shown, the first at 0. end: when the last one ends. rate: frames per
    second; None if the frames are not evenly spaced. offset: how long after the clip's first frame
    the first of these frames is shown.
    """

    starts: tuple[Fraction, ...]
    end: Fraction
    rate: Fraction | None = None
    offset: Fraction = Fraction(0)

    @classmethod
    def even(cls, count: int, fps: float, *, step: int = 1) -> FrameTimes:
        """Return the times of every ``step``-th of evenly spaced frames.

        >>> FrameTimes.even(3, 8).end
        Fraction(3, 8)
        """
        rate = Fraction(fps).limit_denominator(1001) / step
        return cls(tuple(index / rate for index in range(count)), count / rate, rate)

    @classmethod
    def of(cls, count: int, fps: float | FrameTimes) -> FrameTimes:
        """Return the times themselves, or those of evenly spaced frames."""
        return fps if isinstance(fps, FrameTimes) else cls.even(count, fps)

    @property
    def fps(self) -> float:
        """Frames per second; the mean if the frames are not evenly spaced."""
        return float(self.rate or len(self.starts) / self.end)

    @property
    def durations(self) -> list[Fraction]:
        """How long each frame is shown, in seconds."""
        ends = [*self.starts[1:], self.end]
        return [end - start for start, end in zip(self.starts, ends, strict=True)]

    def milliseconds(self, unit: int = 1) -> list[int]:
        """How long each frame is shown, in milliseconds that are multiples of ``unit``.

        >>> FrameTimes.even(4, 30).milliseconds(10)
        [30, 40, 30, 30]
        """
        ticks = [round(1000 * time / unit) for time in (*self.starts, self.end)]
        return [max(1, end - start) * unit for start, end in pairwise(ticks)]

    @property
    def base(self) -> Fraction:
        """The unit of time, in seconds, that holds all times exactly, if there is a usual one."""
        common = lcm(*(time.denominator for time in (*self.starts, self.end)))
        return Fraction(1, common if common <= _FINEST else _USUAL)


def clip_times(path: Path, frames: Sequence[int], *, step: int, fps: float) -> FrameTimes:
    """Return the times of source frames, every ``step``-th of a clip at ``fps``.

    Images are evenly spaced. So are the frames of a file whose times are, but for rounding, those
    of its mean rate ``fps``; others are shown when they are in the file, and the last one until the
    next one would be.
    """
    even = FrameTimes.even(len(frames), fps, step=step)
    source = timestamps(path) if still_images(path) is None else None
    if source is None or len(source) <= frames[-1]:
        return even
    offset = source[frames[0]]
    starts = tuple(source[frame] - offset for frame in frames)
    follows = frames[-1] + step
    end = (source[follows] if follows < len(source) else _end(path, source)) - offset
    differences = [abs(one - other) for one, other in zip(starts, even.starts, strict=True)]
    if follows < len(source) or step == 1:
        differences.append(abs(end - even.end))
    if max(differences) <= _ROUNDED:
        return replace(even, offset=offset)
    return FrameTimes(starts, max(end, starts[-1] + _ROUNDED), offset=offset)


def _end(path: Path, source: Sequence[Fraction]) -> Fraction:
    """Return when a file's last frame ends, as far as its container tells."""
    with open_container(path) as container:
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(1)
        lasts = [
            (packet.pts, packet.duration or 0)
            for packet in container.demux(stream)
            if packet.pts is not None and packet.size > 0 and not packet.is_discard
        ]
    lasting = max(lasts)[1] * base if lasts else Fraction(0)
    if lasting <= 0:
        lasting = source[-1] - source[-2] if len(source) > 1 else Fraction(1, 25)
    return source[-1] + lasting
