"""When the frames of a clip are shown: frame rates may vary within a clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from grainspec.clip.facts import still_images
from grainspec.clip.video import BrokenFrame, open_video


def timestamps(path: Path) -> tuple[Fraction, ...] | None:
    """The times in seconds at which the frames of a video file are shown, the first being 0.

    There is one for each displayed frame, in ascending order. None for images, which have no
    times. No frame is decoded, unless the container lacks presentation times (AVI); then the times
    end before the first damaged frame. Raises what :func:`open_video` raises: probe the clip first.
    """
    if still_images(path) is not None:
        return None
    times = _of_packets(path) or _of_frames(path)
    return tuple(time - times[0] for time in times)


def _of_packets(path: Path) -> list[Fraction]:
    """The packets' presentation times; empty if they are missing, or not one for each frame."""
    with open_video(path) as reader:
        shown = [packet.pts for packet in reader.packets() if not packet.is_discard]
        base = reader.stream.time_base or Fraction(1)
    known = sorted(pts for pts in shown if pts is not None)
    if len(known) < len(shown) or len(set(known)) < len(known):
        return []
    return [pts * base for pts in known]


def _of_frames(path: Path) -> list[Fraction]:
    """The decoded frames' times; a frame without one follows the one before it at the mean rate."""
    times: list[Fraction] = []
    with open_video(path) as reader:
        apart = 1 / Fraction(reader.stream.average_rate or 25)
        try:
            for frame in reader.frames():
                time = times[-1] + apart if times else Fraction(0)
                if frame.pts is not None and frame.time_base is not None:
                    stated = Fraction(frame.pts * frame.time_base)
                    time = stated if not times or stated > times[-1] else time
                times.append(time)
        except BrokenFrame:  # the checks report it
            pass
    return times
