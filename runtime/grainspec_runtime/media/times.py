"""When the frames of an edited clip are shown: evenly, or at the times of the source's frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path

from grainspec.clip.container import open_container
from grainspec.clip.timing import timestamps

_ROUNDED = Fraction(1, 1000)
"""Containers round times, Matroska to milliseconds: up to this difference, times are even."""
_FINEST = 1_000_000
_USUAL = 90_000


@dataclass(frozen=True)
class FrameTimes:
    """The times of F frames in seconds.

    starts: when each is shown, the first at 0. end: when the last one ends. rate: frames per
    second; None if the frames are not evenly spaced.
    """

    starts: tuple[Fraction, ...]
    end: Fraction
    rate: Fraction | None = None

    @classmethod
    def even(cls, count: int, fps: float) -> FrameTimes:
        """Return the times of evenly spaced frames.

        >>> FrameTimes.even(3, 8).end
        Fraction(3, 8)
        """
        rate = Fraction(fps).limit_denominator(1001)
        return cls(tuple(index / rate for index in range(count)), count / rate, rate)

    @property
    def fps(self) -> float:
        """Frames per second; the mean if the frames are not evenly spaced."""
        return float(self.rate or len(self.starts) / self.end)

    @property
    def durations(self) -> list[Fraction]:
        """How long each frame is shown, in seconds."""
        ends = [*self.starts[1:], self.end]
        return [end - start for start, end in zip(self.starts, ends, strict=True)]

    @property
    def base(self) -> Fraction:
        """The unit of time, in seconds, that holds all times exactly, if there is a usual one."""
        common = lcm(*(time.denominator for time in (*self.starts, self.end)))
        return Fraction(1, common if common <= _FINEST else _USUAL)


def clip_times(path: Path, frames: Sequence[int], *, step: int, fps: float) -> FrameTimes:
    """Return the times of source frames, every ``step``-th of ``path``, a file or a folder.

    Frames of a folder, and those of a file at its mean rate ``fps``, are evenly spaced; others are
    shown when they are in the file, and the last one until the next one would be.
    """
    even = FrameTimes.even(len(frames), fps / step)
    source = None if path.is_dir() else timestamps(path)
    if source is None or len(source) <= frames[-1]:
        return even
    starts = tuple(source[frame] - source[frames[0]] for frame in frames)
    follows = frames[-1] + step
    end = source[follows] if follows < len(source) else _end(path, source)
    times = FrameTimes(starts, max(end - source[frames[0]], starts[-1] + _ROUNDED))
    pairs = zip((*times.starts, times.end), (*even.starts, even.end), strict=True)
    last_known = follows < len(source) or step == 1
    exact = [abs(one - other) <= _ROUNDED for one, other in pairs]
    return even if all(exact if last_known else exact[:-1]) else times


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
