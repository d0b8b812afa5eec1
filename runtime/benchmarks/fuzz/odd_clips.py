"""Odd clips: playlists, claims, and what is no clip at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from materials import image, pixels, spec, video
from odd import odd
from PIL import Image


def _spec(folder: Path, clip: str) -> None:
    for name, content in spec(clip, '"m"').items():
        (folder / name).write_bytes(content)


def _file(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    _spec(folder, name)


_PLAYLISTS = {
    "HLS playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n",
    "HLS playlist of a device": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///dev/zero\n",
    "concat script": b"ffconcat version 1.0\nfile /dev/zero\n",
    "DASH manifest": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">'
    b"<Period><AdaptationSet><Representation id='1'><BaseURL>http://127.0.0.1:9/</BaseURL>"
    b"</Representation></AdaptationSet></Period></MPD>",
    "SDP session": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\n"
    b"t=0 0\r\nm=video 9 RTP/AVP 96\r\n",
    "ffmetadata": b";FFMETADATA1\ntitle=x\n",
    "subtitles": b"1\n00:00:00,000 --> 00:00:09,000\nx\n",
    "text": b"hello\n" * 1000,
    "nothing": b"",
    "zeros": bytes(1 << 20),
}
for _name, _content in _PLAYLISTS.items():
    odd(f"clip: {_name}")(lambda folder, content=_content: _file(folder, "clip.mp4", content))  # type: ignore[misc]


@odd("clip: a pipe")
def _(folder: Path) -> None:
    os.mkfifo(folder / "clip.mp4")
    _spec(folder, "clip.mp4")


@odd("clip: /dev/zero")
def _(folder: Path) -> None:
    _spec(folder, "/dev/zero")


@odd("clip: an address")
def _(folder: Path) -> None:
    _spec(folder, "http://127.0.0.1:9/a.mp4")


@odd("clip: a pattern of FFmpeg's")
def _(folder: Path) -> None:
    _spec(folder, "concat:/dev/zero|/dev/zero")


@odd("clip: a folder of pipes")
def _(folder: Path) -> None:
    (folder / "clip").mkdir()
    for number in range(4):
        os.mkfifo(folder / "clip" / f"{number:05}.png")
    _spec(folder, "clip")


@odd("clip: a folder that links to itself")
def _(folder: Path) -> None:
    (folder / "clip").mkdir()
    (folder / "clip" / "00000.png").symlink_to("00000.png")
    (folder / "clip" / "00001.png").symlink_to("..")
    _spec(folder, "clip")


@odd("clip: the folder /dev")
def _(folder: Path) -> None:
    _spec(folder, "/dev")


def _png(width: int, height: int, extra: bytes = b"") -> bytes:
    """A PNG that claims a size and has a row of it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        size, check = len(content), zlib.crc32(kind + content)
        return struct.pack(">I", size) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(3 * width + 1) if width < 1 << 20 else b"")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def _frame(folder: Path, content: bytes, suffix: str = "png") -> None:
    (folder / "clip").mkdir()
    (folder / "clip" / f"00000.{suffix}").write_bytes(content)
    _spec(folder, "clip")


@odd("frame: a PNG of 100000x100000")
def _(folder: Path) -> None:
    _frame(folder, _png(100_000, 100_000))


@odd("frame: a PNG of 2147483647x1")
def _(folder: Path) -> None:
    _frame(folder, _png(2**31 - 1, 1))


@odd("frame: a PNG of 13000x13000, all there")
def _(folder: Path) -> None:
    stream = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(stream, "PNG")
    _frame(folder, stream.getvalue())


@odd("frame: a PNG with 300 MB of text")
def _(folder: Path) -> None:
    text = b"Comment\x00\x00" + zlib.compress(bytes(300_000_000), 1)
    size, check = len(text), zlib.crc32(b"zTXt" + text)
    chunk = struct.pack(">I", size) + b"zTXt" + text + struct.pack(">I", check)
    _frame(folder, _png(64, 48, chunk))


@odd("frame: a GIF of 65535x65535")
def _(folder: Path) -> None:
    gif = bytearray(image(pixels()[0], "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    _frame(folder, bytes(gif))


@odd("clip: a GIF of 65535x65535")
def _(folder: Path) -> None:
    gif = bytearray(image(pixels()[0], "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    _file(folder, "clip.gif", bytes(gif))


@odd("frame: a BMP of 2000000000x1")
def _(folder: Path) -> None:
    bmp = bytearray(image(pixels()[0], "BMP"))
    bmp[18:26] = struct.pack("<ii", 2_000_000_000, 1)
    _frame(folder, bytes(bmp), "bmp")


@odd("frame: a TIFF of 4294967295x4294967295")
def _(folder: Path) -> None:
    tiff = image(pixels()[0], "TIFF")
    for side in (64, 48):
        tiff = tiff.replace(struct.pack("<HHIHH", 256 + (side == 48), 4, 1, side, 0), b"", 0)
    wide = tiff.replace(
        b"\x00\x01\x04\x00\x01\x00\x00\x00\x40\x00\x00\x00",
        b"\x00\x01\x04\x00\x01\x00\x00\x00\xff\xff\xff\xff",
    )
    _frame(
        folder,
        wide.replace(
            b"\x01\x01\x04\x00\x01\x00\x00\x00\x30\x00\x00\x00",
            b"\x01\x01\x04\x00\x01\x00\x00\x00\xff\xff\xff\xff",
        ),
        "tif",
    )


@odd("frame: a JPEG of 65535x65535")
def _(folder: Path) -> None:
    jpeg = bytearray(image(pixels()[0], "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    _frame(folder, bytes(jpeg), "jpg")


@odd("frame: PostScript named PNG")
def _(folder: Path) -> None:
    _frame(folder, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n{} loop\n")


@odd("frame: SVG named PNG")
def _(folder: Path) -> None:
    _frame(
        folder, b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    )


@odd("clip: names with control characters")
def _(folder: Path) -> None:
    (folder / "clip").mkdir()
    for number, sign in enumerate(["\x1b]0;x\x07", "\u202e", "\n", "[red]"]):
        content = image(pixels()[number][: 48 - number], "PNG")
        (folder / "clip" / f"{sign}{number}.png").write_bytes(content)
    _spec(folder, "clip")


@odd("clip: numbers of 200 digits")
def _(folder: Path) -> None:
    (folder / "clip").mkdir()
    for number in range(4):
        (folder / "clip" / f"{number:0200}.png").write_bytes(image(pixels()[number], "PNG"))
    _spec(folder, "clip")


@odd("clip: 2,000 frames of one pixel")
def _(folder: Path) -> None:
    (folder / "clip").mkdir()
    pixel = image(np.zeros((1, 1, 3), np.uint8), "PNG")
    (folder / "clip" / "00000.png").write_bytes(pixel)
    for number in range(1, 2_000):
        os.link(folder / "clip" / "00000.png", folder / "clip" / f"{number:05}.png")
    _spec(folder, "clip")


@odd("clip: an MP4 that claims 2,147,483,647 frames")
def _(folder: Path) -> None:
    mp4 = bytearray(video("mp4", "libx264", "yuv420p", "mp4"))
    at = mp4.index(b"stsz") + 12
    mp4[at : at + 4] = b"\x7f\xff\xff\xff"
    at = mp4.index(b"stts") + 12
    mp4[at : at + 4] = b"\x7f\xff\xff\xff"
    _file(folder, "clip.mp4", bytes(mp4))


@odd("clip: an MP4 of 65535x65535")
def _(folder: Path) -> None:
    mp4 = bytearray(video("mov", "mjpeg", "yuvj420p", "mov"))
    at = mp4.index(b"stsd") + 12 + 8 + 28
    mp4[at : at + 4] = b"\xff\xff\xff\xff"
    _file(folder, "clip.mov", bytes(mp4))


@odd("clip: a Matroska cut after its head")
def _(folder: Path) -> None:
    _file(folder, "clip.mkv", video("mkv", "ffv1", "bgr0", "matroska")[:300])


@odd("clip: 1 TB, sparse")
def _(folder: Path) -> None:
    with (folder / "clip.mp4").open("wb") as file:
        file.write(video("mp4", "libx264", "yuv420p", "mp4"))
        file.truncate(1 << 40)
    _spec(folder, "clip.mp4")
