"""The sound of a clip: copied into a written video, or encoded anew if its container needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from grainspec.clip.container import open_container
from grainspec.clip.facts import still_images

_IN_MP4 = {"aac", "ac3", "alac", "eac3", "mp3", "opus"}
"""What players expect in MP4; FFmpeg would write more."""
_LAYOUTS = {"mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"}
_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}
_BEFORE = Fraction(1, 20)
"""How much earlier in seconds packets begin, for decoders to settle; MP4 says what to skip."""

_LONG = Fraction(1, 20)
"""Packets that last longer, as those of FLAC, are left out if most of one is after the end."""
_ROUNDED = Fraction(1, 500)


class SoundLost(Exception):
    """The sound of a clip cannot be read, or not be written as it is."""


@dataclass(frozen=True)
class Sound:
    """A span of a video file's sound: from ``start`` to ``end``, in seconds of the file's clock."""

    path: Path
    start: Fraction
    end: Fraction


def sound_of(path: Path, start: Fraction, end: Fraction) -> Sound | None:
    """Return a clip's sound between two times, counted from its first frame; None without any.

    Raises SoundLost if the file cannot be read.
    """
    if still_images(path) is not None:
        return None
    with _readable(), open_container(path) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(1)
        shown = [
            packet.pts
            for packet in container.demux(stream)
            if packet.size > 0 and not packet.is_discard
        ]
        known = [pts for pts in shown if pts is not None]
        # AVI has no presentation times
        first = (min(known) if len(known) == len(shown) > 0 else stream.start_time or 0) * base
    return Sound(path, first + start, first + end)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SoundLost(getattr(error, "strerror", None) or str(error)) from error


@contextmanager
def opened(sound: Sound) -> Iterator[Any]:
    """Open the file of a sound for a :class:`SoundWriter`; raises SoundLost."""
    with ExitStack() as held:
        with _readable():
            container = held.enter_context(open_container(sound.path))
        yield container


class SoundWriter:
    """Adds a sound's streams to a container that is about to be written, and then its packets.

    ``source`` is the file of the sound, opened.
    """

    def __init__(self, sound: Sound, source: Any, target: Any) -> None:
        self._sound = sound
        self._source = source
        self._target = target
        is_mp4 = "matroska" not in target.format.name
        self._before = _BEFORE if is_mp4 else Fraction(0)
        with _readable():
            self._tracks = {
                stream.index: self._track(stream, _IN_MP4 if is_mp4 else target.supported_codecs)
                for stream in source.streams.audio
            }
            self._packets = self._shifted()
            self._next = next(self._packets, None)

    def write_until(self, time: Fraction | None) -> None:
        """Write the packets that begin before ``time``, in seconds; all that are left if None."""
        while self._next and (time is None or self._next[0] < time):
            _, packet, stream = self._next
            packet.stream = stream
            try:
                self._target.mux(packet)
            except (av.ArgumentError, av.InvalidDataError) as error:  # such as times that go back
                raise SoundLost(error.strerror) from error
            self._next = next(self._packets, None)

    def _track(self, stream: Any, copied: Any) -> _Copied | _Encoded:
        if stream.codec_context is None:
            raise SoundLost("its codec is unknown")
        if stream.codec_context.codec.canonical_name in copied:
            return _Copied(self._target.add_stream_from_template(stream))
        return _Encoded(self._target, stream.codec_context)

    def _shifted(self) -> Iterator[tuple[Fraction, Any, Any]]:
        """Give the packets of the span with their times in the target, and their streams there."""
        sound = self._sound
        with _readable():
            for packet in self._source.demux(self._source.streams.audio):
                track = self._tracks[packet.stream.index]
                for ready in track.packets(packet, sound.start, sound.end, self._before):
                    base = ready.time_base
                    yield (ready.dts or 0) * base, ready, track.stream


class _Copied:
    """A stream whose packets are copied."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def packets(
        self, packet: Any, start: Fraction, end: Fraction, before: Fraction
    ) -> Iterator[Any]:
        if packet.pts is None or packet.dts is None:
            return
        base = packet.time_base
        begins, lasts = packet.pts * base, (packet.duration or 0) * base
        if begins + lasts <= start - before or begins >= end:
            return
        if lasts > _LONG and begins + lasts / 2 >= end:
            return
        if not before and begins < start - _ROUNDED:
            return
        shift = round(start / base)
        packet.pts -= shift
        packet.dts -= shift
        yield packet


class _Encoded:
    """A stream that is decoded, cut to the sample, and encoded as AAC."""

    def __init__(self, target: Any, codec: Any) -> None:
        rate = codec.sample_rate if codec.sample_rate in _RATES else 48000
        layout = codec.layout.name if codec.layout.name in _LAYOUTS else "stereo"
        self.stream = target.add_stream("aac", rate=rate, layout=layout)
        self._rate = rate
        self._layout = layout
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)

    def packets(
        self, packet: Any, start: Fraction, end: Fraction, before: Fraction
    ) -> Iterator[Any]:
        frames = packet.decode()
        if packet.size == 0:
            frames.append(None)  # the end: what the resampler still holds
        for frame in frames:
            for part in self._resampler.resample(frame):
                cut = self._cut(part, start, end)
                if cut is not None:
                    yield from self.stream.encode(cut)
        if packet.size == 0:
            yield from self.stream.encode(None)

    def _cut(self, frame: Any, start: Fraction, end: Fraction) -> Any | None:
        """Return the samples of a frame that lie in the span, with their time in it."""
        samples = frame.to_ndarray()
        first = round((frame.pts * frame.time_base - start) * self._rate)
        last = round((end - start) * self._rate)
        kept = samples[:, max(0, -first) : max(0, last - first)]
        if kept.shape[1] == 0:
            return None
        cut = av.AudioFrame.from_ndarray(kept.copy(), format="fltp", layout=self._layout)
        cut.sample_rate = self._rate
        cut.pts, cut.time_base = max(0, first), Fraction(1, self._rate)
        return cut
