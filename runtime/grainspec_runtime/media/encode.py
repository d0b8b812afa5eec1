"""Encode frames as H.264, which every player supports, or losslessly as FFV1.

Files are tagged with what their pixels mean, square ones, so that no player guesses: BT.709
primaries and transfer, and for H.264 BT.601's matrix and limited range, which old players assume in
small clips anyway. The same frames give the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.sound import Sound, SoundWriter, opened
from grainspec_runtime.media.times import FrameTimes

_RGB, _BT709, _BT601 = 0, 1, 6  # FFmpeg's numbers of matrices; 1 also of primaries and transfers
_THREADS = 4
"""Fixed, because x264 encodes differently with another number of threads."""
_X264 = {"preset": "slow", "x264-params": "cpu-independent=1"}
"""Without ``cpu-independent``, x264's choices depend on the processor, and vary between runs."""


def encode_video(
    frames_FHW3: Frames,
    path: Path | BinaryIO,
    *,
    fps: float | FrameTimes,
    crf: int = 14,
    container: str | None = None,
    sound: Sound | None = None,
) -> None:
    """Write frames, uint8 ``[F, H, W, 3]`` RGB, as H.264.

    ``path`` is a file or a seekable stream. Its suffix selects the container, unless ``container``
    names one. ``fps`` is the frame rate, or the times of all frames. Odd sides are padded by one
    pixel because 4:2:0 chroma needs even sizes. ``crf`` is x264's quality; lower is better.
    ``sound`` is added. Raises OSError if the file cannot be written, SoundLost if the sound cannot
    be read.
    """
    _, height, width, _ = frames_FHW3.shape
    padded = np.pad(frames_FHW3, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    pictures = (
        av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG
        )
        for picture in padded
    )
    tags = {"pix_fmt": "yuv420p", "colorspace": _BT601, "color_range": ColorRange.MPEG}
    options = {"crf": str(crf), **_X264}
    _write(pictures, path, container, "libx264", padded.shape, fps, tags, options, sound)


def encode_lossless(
    frames_FHW3: Frames,
    path: Path,
    *,
    fps: float | FrameTimes,
    sound: Sound | None = None,
) -> None:
    """Write frames, uint8 ``[F, H, W, 3]`` RGB, losslessly as FFV1 in Matroska.

    H.264's 4:2:0 halves the resolution of colour. In unedited areas that loss is larger than the
    change most edits make, so clips that are measured or processed further are stored losslessly.
    Raises as :func:`encode_video` does.
    """
    pictures = (
        av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
            format="bgr0"
        )
        for picture in frames_FHW3
    )
    tags = {"pix_fmt": "bgr0", "colorspace": _RGB, "color_range": ColorRange.JPEG}
    _write(pictures, path, "matroska", "ffv1", frames_FHW3.shape, fps, tags, {}, sound)


def _write(
    pictures: Iterable[av.VideoFrame],
    path: Path | BinaryIO,
    container: str | None,
    codec: str,
    shape: tuple[int, ...],
    fps: float | FrameTimes,
    tags: dict[str, Any],
    options: dict[str, str],
    sound: Sound | None,
) -> None:
    times = FrameTimes.of(shape[0], fps)
    place = str(path) if isinstance(path, Path) else path
    bare = {"fflags": "+bitexact"}  # else Matroska gives every file an identity of its own
    with ExitStack() as held:
        file = held.enter_context(av.open(place, "w", format=container, container_options=bare))
        stream = _video_stream(file, codec, shape, times, tags, options)
        tracks = None
        if sound:
            tracks = SoundWriter(sound, held.enter_context(opened(sound)), file)
        for packet in _timed(stream, pictures, times):
            if tracks:
                tracks.write_until(packet.dts * packet.time_base)
            file.mux(packet)
        if tracks:
            tracks.write_until(None)


def _video_stream(
    file: Any,
    codec: str,
    shape: tuple[int, ...],
    times: FrameTimes,
    tags: dict[str, Any],
    options: dict[str, str],
) -> Any:
    rate = times.rate or Fraction(times.fps).limit_denominator(1001)
    stream = file.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height = shape[2], shape[1]
    context = stream.codec_context
    context.thread_count = _THREADS
    context.sample_aspect_ratio = Fraction(1)
    context.color_primaries, context.color_trc = _BT709, _BT709
    for name, value in tags.items():
        setattr(context, name, value)
    if times.rate is None:
        context.max_b_frames = 0  # they would make MP4's durations wrong
        context.time_base = stream.time_base = times.base
    return stream


def _timed(stream: Any, pictures: Iterable[av.VideoFrame], times: FrameTimes) -> Iterator[Any]:
    """Encode pictures, and give the packets their times."""
    base = 1 / times.rate if times.rate else times.base
    durations = {
        round(start / base): round(duration / base)
        for start, duration in zip(times.starts, times.durations, strict=True)
    }
    for picture, start in zip(pictures, durations, strict=True):
        picture.pts, picture.time_base = start, base
        yield from _encoded(stream, picture, durations)
    yield from _encoded(stream, None, durations)


def _encoded(stream: Any, picture: Any, durations: dict[int, int]) -> Iterator[Any]:
    for packet in stream.encode(picture):
        packet.duration = durations[packet.pts]
        yield packet
