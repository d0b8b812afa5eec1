"""Open video files: the only place where a container of a clip, mask or control is opened."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec.limits import MAX_PIXELS
from grainspec.regular_file import regular

if TYPE_CHECKING:
    from av.container import InputContainer

DEMUXERS = {
    "mov": "MP4, MOV",
    "matroska": "Matroska, WebM",
    "avi": "AVI",
    "mpegts": "MPEG-TS",
    "mpeg": "MPEG-PS",
    "flv": "FLV",
    "asf": "WMV",
    "ogg": "Ogg",
    "mxf": "MXF",
    "ivf": "IVF",
    "yuv4mpegpipe": "Y4M",
    "gif": "GIF",
    "apng": "APNG",
}
"""FFmpeg's names of the containers that are opened, and how people call them.

Each holds its frames itself. What names other files or addresses (HLS, DASH, concat, SDP, image
patterns) is not among them.
"""

_OPTIONS = {
    "format_whitelist": ",".join(DEMUXERS),
    "protocol_whitelist": "file",
    "enable_drefs": "0",  # an MOV can name another file that has its frames
    "max_pixels": str(MAX_PIXELS),
}


class NotAContainer(ValueError):
    """The file is not regular, or its format is not one of ``DEMUXERS``."""


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a video file, and nothing else than this file.

    Raises NotAContainer at once for anything but a regular file in one of the formats of
    ``DEMUXERS``, and PyAV's errors for files that are broken.
    """
    import av

    if not regular(path):
        raise NotAContainer("it is not a regular file")
    # Absolute: in a relative path, FFmpeg reads a colon as the end of a protocol.
    url = str(path.absolute())
    try:
        container = av.open(url, "r", options=_OPTIONS)
    except av.FFmpegError as error:
        if error.errno == errno.EINVAL:  # FFmpeg's answer if a format is not on the list
            raise NotAContainer("it is not in a supported container") from error
        raise
    with container:
        yield container


def not_supported(path: Path, error: NotAContainer, span: Span | None) -> Exception:
    """The error (G330) for a file that :func:`open_container` refuses."""
    kinds = ", ".join(DEMUXERS.values())
    cure = f"Name the video itself; playlists are not followed. Containers that are read: {kinds}."
    return fail("G330", f"{path} is not opened as a video: {error}", cure, span)
