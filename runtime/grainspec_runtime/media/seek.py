"""Frames of a clip in any order, one at a time, as a timeline asks for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from PIL import Image

from grainspec.clip.colours import has_alpha
from grainspec.clip.container import NotAContainer, not_supported
from grainspec.clip.facts import damaged, still_images
from grainspec.clip.images import composited, open_image, unreadable, upright
from grainspec.clip.video import BrokenFrame, VideoReader, open_video
from grainspec.diagnostics import fail

_AHEAD = 32
"""Frames that are decoded in passing rather than sought."""
_EARLIER = (1, 8)
"""Seconds before a frame from which it is decoded where the nearest key frame comes after it."""
_BROKEN = 16
"""Frames after a seek that may be broken: those of an open group refer to frames before it."""


class SeekableClip:
    """The frames of a clip, RGB as a player shows them, each at about the cost of its group.

    A video file stays open. Going forwards decodes on; other frames are sought by their
    presentation time, which is compared, because not every container can be sought exactly: where
    another frame comes, the file is decoded from its beginning. May be used by several threads.
    """

    def __init__(self, path: Path, background: str | None = None) -> None:
        self._path, self._background = path, background
        self._one = threading.Lock()
        self._images = still_images(path)
        self._held = ExitStack()
        self._reader: VideoReader | None = None
        self._times: tuple[int, ...] = ()
        self._frames: Iterator[Any] = iter(())
        self._next = 0

    def frame(self, number: int) -> Image.Image:
        """One frame, RGB; raises GrainError (G302) if it does not exist or cannot be decoded."""
        import av

        with self._one:
            if self._images is not None:
                return self._image(number)
            try:
                return composited(self._decoded(number), self._background)
            except BrokenFrame as error:
                self._rewind()
                raise damaged(self._path, error, None, number) from error
            except NotAContainer as error:
                raise not_supported(self._path, error, None) from error
            except (av.FFmpegError, OSError, ValueError) as error:
                self._rewind()
                reason = getattr(error, "strerror", None) or str(error)
                raise fail("G302", f"cannot decode {self._path}: {reason}") from error

    def close(self) -> None:
        """Close the file."""
        with self._one:
            self._rewind()

    def _image(self, number: int) -> Image.Image:
        assert self._images is not None
        if not 0 <= number < len(self._images):
            raise fail("G302", f"{self._path} has no frame {number}")
        place = self._images[number][1]
        try:
            with open_image(place) as image:
                return composited(upright(image), self._background)
        except unreadable() as error:
            raise fail("G302", f"cannot read {place}") from error

    def _decoded(self, number: int) -> Image.Image:
        if self._reader is None:
            self._open()
        assert self._reader is not None
        if not self._next <= number <= self._next + _AHEAD and (found := self._sought(number)):
            return found
        if number < self._next:
            self._open()
        for frame in self._frames:
            self._next += 1
            if self._next == number + 1:
                return self._reader.picture(frame)
        self._rewind()
        raise fail("G302", f"{self._path} has no frame {number}")

    def _sought(self, number: int) -> Image.Image | None:
        """The frame, decoded from the key frame before it; None if it cannot be reached so."""
        reader = self._reader
        assert reader is not None
        if not 0 <= number < len(self._times):
            return None
        time = self._times[number]
        for before in (0, *_EARLIER):
            start = time - round(before / (reader.stream.time_base or 1))
            reader.container.seek(max(start, self._times[0]), stream=reader.stream)
            if found := self._forwards(reader, time, number):
                return found
        self._open()
        self._times = ()
        return None

    def _forwards(self, reader: VideoReader, time: int, number: int) -> Image.Image | None:
        """Decode up to the frame of a presentation time; None if another one comes."""
        for _ in range(_BROKEN):
            frames = reader.frames()
            with suppress(BrokenFrame):
                for frame in frames:
                    if frame.pts == time:
                        self._frames, self._next = frames, number + 1
                        return reader.picture(frame)
                    if frame.pts is None or frame.pts > time:
                        break
                return None
        return None

    def _open(self) -> None:
        """Open the file at its beginning."""
        times = self._times or _times(self._path) if self._reader is None else self._times
        self._rewind()
        self._reader = self._held.enter_context(open_video(self._path))
        self._frames, self._times = self._reader.frames(), times

    def _rewind(self) -> None:
        self._held.close()
        self._reader, self._frames, self._next = None, iter(()), 0


def _times(path: Path) -> tuple[int, ...]:
    """The presentation times of the frames, in units of the stream; empty if they do not tell.

    Transparent VP8 and VP9 have a decoder of their own, which does not seek.
    """
    with open_video(path) as reader:
        first = next(reader.frames(), None)
        if first is None or has_alpha(first):
            return ()
    with open_video(path) as reader:
        shown = [packet.pts for packet in reader.packets() if not packet.is_discard]
    known = sorted(time for time in shown if time is not None)
    distinct = len({*known}) == len(shown)
    return tuple(known) if distinct else ()
