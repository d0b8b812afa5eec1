"""What a container's own structure says about its file: where it ends, which frames are empty."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_INDEX_ENTRY = 16
_MOST_CHUNKS = 64
"""Chunks of an AVI among which its index is looked for; mostly it is the fourth or so."""
_LARGEST_INDEX = 1 << 26
"""Bytes of an AVI's index that are read: some days of frames."""


def ends_early(path: Path) -> bool:
    """Whether a Matroska file is shorter than its segment's size says; False for other files."""
    with path.open("rb") as file:
        header = _element(file)
        if header is None or header[0] != _EBML:
            return False
        file.seek(header[1], 1)
        segment = _element(file)
        if segment is None or segment[0] != _SEGMENT:
            return False
        return file.tell() + segment[1] > path.stat().st_size


def empty_frames(path: Path, stream: int) -> int:
    """How many frames of an AVI's stream are empty: the frame before is shown again.

    FFmpeg's demuxer skips them, while the header counts them. 0 if the file has no index.
    """
    with path.open("rb") as file:
        if file.read(12)[8:] != b"AVI ":
            return 0
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            size = int.from_bytes(head[4:], "little")
            if head[:4] == b"idx1":
                return _empty_entries(file.read(min(size, _LARGEST_INDEX)), b"%02d" % stream)
            file.seek(size + size % 2, 1)
    return 0


def _empty_entries(index: bytes, stream: bytes) -> int:
    return sum(
        index[at : at + 2] == stream and index[at + 12 : at + _INDEX_ENTRY] == bytes(4)
        for at in range(0, len(index) - _INDEX_ENTRY + 1, _INDEX_ENTRY)
    )


def _element(file: BinaryIO) -> tuple[bytes, int] | None:
    """The name and the size of an EBML element of four bytes' name; None if it has no size."""
    name, first = file.read(4), file.read(1)
    if len(name) < 4 or not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    bits = 7 * length
    size = int.from_bytes(first + rest, "big") & ((1 << bits) - 1)
    unknown = size == (1 << bits) - 1
    return None if unknown or len(rest) < length - 1 else (name, size)
