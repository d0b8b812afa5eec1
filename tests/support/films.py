"""Video files for tests: tagged colours, rotation, pixels that are not square, damage."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

COLOURS = np.array(
    [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [128, 128, 128],
        [255, 255, 255],
        [0, 0, 0],
        [200, 100, 50],
        [30, 180, 220],
    ]
)
"""The colours of the bars of ``write_bars``, from the left, each 16 pixels wide."""

WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Red's and blue's share of luma, by the number of the matrix: BT.709, BT.601, BT.2020."""


def quarters(size: tuple[int, int] = (64, 32)) -> np.ndarray:
    """A picture of four colours, each at one corner: red, green / blue, white."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2, 0] = 255
    picture[: height // 2, width // 2 :, 1] = 255
    picture[height // 2 :, : width // 2, 2] = 255
    picture[height // 2 :, width // 2 :] = 255
    return picture


def corners(picture: np.ndarray) -> str:
    """The colours at the corners of a picture: top left, top right, bottom left, bottom right.

    >>> corners(quarters())
    'RGBW'
    """
    height, width, _ = picture.shape
    near = [(height // 8, width // 8), (height // 8, -width // 8)]
    near += [(-height // 8, width // 8), (-height // 8, -width // 8)]
    names = {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W"}
    return "".join(names[tuple((picture[place] > 127).astype(int).tolist())] for place in near)


def write_film(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    rate: int = 8,
) -> Path:
    """Encode RGB or RGBA pictures; ``aspect`` is that of a pixel."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = pix_fmt, options or {}
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for index, picture in enumerate(pictures):
            layout = "rgb24" if picture.shape[2] == 3 else "rgba"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=layout)
            frame.pts, frame.time_base = index, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def rotated(path: Path, matrix: Sequence[int]) -> Path:
    """Give an MP4 a display matrix, as phones do; ``matrix`` is a, b, c, d, each -1, 0 or 1."""
    a, b, c, d = (value << 16 for value in matrix)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))
    return path


def write_bars(
    path: Path, *, matrix: int, full: bool, bits: int, tagged: bool = True, height: int = 32
) -> Path:
    """A lossless clip of two frames whose bars have ``COLOURS``, in YUV by this matrix."""
    layout = {8: "yuv444p", 10: "yuv444p10le"}[bits]
    frame = av.VideoFrame(16 * len(COLOURS), height, layout)
    for plane, values in zip(frame.planes, _yuv(matrix, full, bits), strict=True):
        row = np.repeat(values, 16).astype(np.uint8 if bits == 8 else np.uint16)
        rows = np.zeros((plane.height, plane.line_size // row.itemsize), row.dtype)
        rows[:, : row.size] = row
        plane.update(rows.tobytes())
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=8)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, layout
        if tagged:
            stream.codec_context.colorspace = matrix
            stream.codec_context.color_range = 2 if full else 1
        for _ in range(2):
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def _yuv(matrix: int, full: bool, bits: int) -> list[np.ndarray]:
    red_share, blue_share = WEIGHTS[matrix]
    red, green, blue = (COLOURS / 255).T
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    chroma = [(blue - luma) / (2 - 2 * blue_share), (red - luma) / (2 - 2 * red_share)]
    most, unit = 2**bits - 1, 2 ** (bits - 8)
    if full:
        planes = [luma * most, *(c * most + 2 ** (bits - 1) for c in chroma)]
    else:
        planes = [(16 + 219 * luma) * unit, *((128 + 224 * c) * unit for c in chroma)]
    return [np.clip(np.rint(plane), 0, most) for plane in planes]


def bars_of(picture: np.ndarray) -> np.ndarray:
    """The colours at the middle of the bars of ``write_bars``."""
    return picture[picture.shape[0] // 2, 8::16].astype(int)


def write_hdr(path: Path, signal: Sequence[float], transfer: int) -> Path:
    """Grey bars of 16 pixels with these PQ (16) or HLG (18) signals, in BT.2020 and 10 bits."""
    row = np.repeat(np.rint(np.array(signal) * 65535), 16).astype(np.uint16)
    picture = np.broadcast_to(row[None, :, None], (32, row.size, 3))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx265", rate=8)
        stream.width, stream.height, stream.pix_fmt = row.size, 32, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_trc = 9, transfer
        context.color_primaries, context.color_range = 9, 1
        names = {16: "smpte2084", 18: "arib-std-b67"}
        stream.options = {
            "x265-params": "log-level=none:pools=1:frame-threads=1:lossless=1:colorprim=bt2020:"
            f"transfer={names[transfer]}:colormatrix=bt2020nc:bframes=0"
        }
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace=9)
            # without a time, x265 now and then gives a packet that Matroska refuses
            frame.pts, frame.time_base = index, Fraction(1, 8)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path
