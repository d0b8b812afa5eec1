"""Decode a video file as a player shows it: upright, with square pixels, in RGB.

Damage is found while decoding: FFmpeg would conceal much of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grainspec.clip.colours import ColourTags, frame_picture
from grainspec.clip.container import open_container
from grainspec.limits import MAX_PIXELS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL import Image

_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode", "max_pixels": str(MAX_PIXELS)}

_ALMOST_SQUARE = Fraction(1, 100)
"""Encoders write 639:640 and the like where they rounded a size; masks keep that size."""

Matrix = tuple[int, int, int, int]


class BrokenFrame(ValueError):
    """A frame cannot be decoded, or not without errors; the message is the reason.

    ``number`` is the frame, ``time`` when it is shown, in seconds.
    """

    def __init__(self, number: int, time: float, reason: str) -> None:
        super().__init__(reason)
        self.number = number
        self.time = time


class UnlikeFrame(BrokenFrame):
    """A frame has another size or rotation than those before it."""


class VideoReader:
    """The frames of an open video file, in the order of display."""

    def __init__(self, container: InputContainer) -> None:
        self.stream = container.streams.video[0]
        if self.stream.codec_context is None:
            raise ValueError("its codec is not supported")
        self.tags = ColourTags.of(container)
        self.pixel_aspect = pixel_aspect(self.stream.sample_aspect_ratio)
        self.container = container
        self._like: tuple[Any, ...] | None = None

    def frames(self) -> Iterator[VideoFrame]:
        """Decode from the first frame on, or after a seek from there; raise BrokenFrame.

        After a seek, the numbers of broken frames count from there.
        """
        import av

        number, time = 0, 0.0
        apart = 1 / float(self.stream.average_rate or 25)
        try:
            for frame in self._decoded():
                time = number * apart if frame.time is None else float(frame.time)
                if frame.is_corrupt:
                    raise BrokenFrame(number, time, "its data are damaged")
                self._require_alike(frame, number, time)
                yield frame
                number, time = number + 1, time + apart
        except (av.FFmpegError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise BrokenFrame(number, time, reason) from error

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """The packets of the stream, in the order of the file; those with data only."""
        return (packet for packet in self._demuxed() if packet.size > 0)

    def shown_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height in which a player shows a frame."""
        width, height = _square(frame.width, frame.height, self.pixel_aspect)
        return (height, width) if display_matrix(frame)[0] == 0 else (width, height)

    def picture(self, frame: VideoFrame) -> Image.Image:
        """A frame as it is shown, in RGB, or in RGBA if it can be transparent."""
        from PIL.Image import Resampling

        image = frame_picture(frame, self.tags)
        size = _square(*image.size, self.pixel_aspect)
        if size != image.size:
            image = image.resize(size, Resampling.LANCZOS)
        turn = _turns()[display_matrix(frame)]
        return image if turn is None else image.transpose(turn)

    def _require_alike(self, frame: VideoFrame, number: int, time: float) -> None:
        like = frame.width, frame.height, display_matrix(frame)
        if self._like is None:
            self._like = like
        if like != self._like:
            width, height, _ = self._like
            reason = f"it is {frame.width}x{frame.height}, those before it are {width}x{height}"
            if like[:2] == self._like[:2]:
                reason = "it is rotated otherwise than those before it"
            raise UnlikeFrame(number, time, reason)

    def _decoded(self) -> Iterator[VideoFrame]:
        context = self.stream.codec_context
        if self.stream.metadata.get("alpha_mode") == "1" and context.name in ("vp8", "vp9"):
            yield from self._with_alpha(f"libvpx{'-vp9' * (context.name == 'vp9')}")
            return
        if not context.is_open:  # it is after a seek
            context.options = _STRICT
            self.stream.thread_type = "AUTO"
        for packet in self._demuxed():
            yield from packet.decode()

    def _demuxed(self) -> Iterator[Packet[VideoStream]]:
        """The packets of the stream, at the end one without data, which ends the decoder."""
        try:
            yield from self.container.demux(self.stream)
        except IndexError:  # PyAV's at the end of a file in which another stream begins late
            return

    def _with_alpha(self, decoder: str) -> Iterator[VideoFrame]:
        """FFmpeg's own decoders of VP8 and VP9 drop transparency; libvpx's do not."""
        import av
        from av.video.codeccontext import VideoCodecContext

        context = av.CodecContext.create(decoder, "r")
        assert isinstance(context, VideoCodecContext)
        context.options = _STRICT
        for packet in self._demuxed():
            yield from context.decode(packet if packet.size else None)


@contextmanager
def open_video(path: Path) -> Iterator[VideoReader]:
    """Open a video file to decode it.

    Raises what :func:`grainspec.clip.container.open_container` raises, and ValueError for a file
    without a video stream that can be decoded.
    """
    with open_container(path) as container:
        if not container.streams.video:
            raise ValueError("it contains no video stream")
        yield VideoReader(container)


def pixel_aspect(stated: Fraction | None) -> Fraction:
    """Width by height of a pixel; 1 if a file says nothing, nonsense, or almost 1.

    >>> pixel_aspect(Fraction(8, 9)), pixel_aspect(Fraction(639, 640)), pixel_aspect(None)
    (Fraction(8, 9), Fraction(1, 1), Fraction(1, 1))
    """
    if not stated or not Fraction(1, 8) <= stated <= 8 or abs(stated - 1) < _ALMOST_SQUARE:
        return Fraction(1)
    return Fraction(stated)


def _square(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size with square pixels: one side grows, as the HTML standard has it for video.

    >>> _square(720, 480, Fraction(8, 9)), _square(96, 192, Fraction(2))
    ((720, 540), (192, 192))
    """
    if aspect >= 1:
        return round(width * aspect), height
    return width, round(height / aspect)


def display_matrix(frame: VideoFrame) -> Matrix:
    """How a player rotates and mirrors a frame: the four numbers of a matrix, each -1, 0 or 1.

    A pixel at (x, y) is shown at (a x + c y, b x + d y), for (a, b, c, d). Raises ValueError for
    angles other than multiples of 90 degrees.
    """
    stored: Any = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack("=5i", bytes(stored)[:20])
    most = max(map(abs, (a, b, c, d)), default=0)
    a, b, c, d = ((n > 0) - (n < 0) if abs(n) > most / 100 else 0 for n in (a, b, c, d))
    if (a, b, c, d) not in _turns():
        raise ValueError(f"it is rotated by {frame.rotation} degrees")
    return a, b, c, d


def _turns() -> dict[Matrix, Image.Transpose | None]:
    from PIL.Image import Transpose

    return {
        (1, 0, 0, 1): None,
        (0, 1, -1, 0): Transpose.ROTATE_270,
        (-1, 0, 0, -1): Transpose.ROTATE_180,
        (0, -1, 1, 0): Transpose.ROTATE_90,
        (-1, 0, 0, 1): Transpose.FLIP_LEFT_RIGHT,
        (1, 0, 0, -1): Transpose.FLIP_TOP_BOTTOM,
        (0, 1, 1, 0): Transpose.TRANSPOSE,
        (0, -1, -1, 0): Transpose.TRANSVERSE,
    }
