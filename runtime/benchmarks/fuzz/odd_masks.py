"""Odd masks: arrays and annotations that claim more than there is, links, names."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from materials import image, region, spec
from odd import odd


def _spec(folder: Path, masks: str) -> None:
    for name, content in spec("clip", masks).items():
        (folder / name).write_bytes(content)


def _header(shape: str, kind: str = "|u1", order: str = "False") -> bytes:
    """The head of an `.npy` file, with any claim."""
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


_ARRAYS = {
    "2**60 frames": _header(f"({2**60}, 48, 64)"),
    "10**30 frames": _header(f"({10**30}, 48, 64)"),
    "frames of 60000x60000": _header("(4, 60000, 60000)"),
    "-1 frames": _header("(-1, 48, 64)") + bytes(9999),
    "0 frames": _header("(0, 48, 64)"),
    "half of its frames": _header("(8, 48, 64)") + bytes(4 * 48 * 64),
    "1000 dimensions": _header("(" + "1, " * 1000 + ")"),
    "nested brackets": _header("(" * 4000),
    "a number of 9,000 digits": _header(f"({'9' * 9000}, 48, 64)"),
    "Python objects": _header("(4, 48, 64)", "|O") + b"cos\nsystem\n(S'true'\ntR.",
    "complex numbers": _header("(4, 48, 64)", "<c16") + bytes(4 * 48 * 64 * 16),
    "a code in its header": _header("__import__('os').system('true')"),
    "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(99),
    "a version of its own": b"\x93NUMPY\x09\x00" + bytes(99),
    "half a header": b"\x93NUM",
}
for _name, _content in _ARRAYS.items():

    def _array(folder: Path, content: bytes = _content) -> None:
        (folder / "m.npy").write_bytes(content)
        _spec(folder, '"m.npy"')

    odd(f"array: {_name}")(_array)


def _archive(name: str, make: Callable[[zipfile.ZipFile], None], masks: str = '"m.npz"') -> None:
    def written(folder: Path) -> None:
        with zipfile.ZipFile(
            folder / "m.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as archive:
            make(archive)
        _spec(folder, masks)

    odd(f"archive: {name}")(written)


def _zeros(archive: zipfile.ZipFile, shape: str, size: int) -> None:
    with archive.open("left.npy", "w", force_zip64=True) as file:
        file.write(_header(shape))
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))


_archive("1.5 GB of zeros", lambda a: _zeros(a, "(500000, 48, 64)", 1_536_000_000))
_archive(
    "1 GB of zeros, of another size",
    lambda a: _zeros(a, "(4, 16000, 16000)", 1 << 30),
    '"m.npz", scaled',
)
_archive("60,000 arrays", lambda a: [a.writestr(f"{n}.npy", b"") for n in range(60_000)] and None)
_archive("a name that climbs", lambda a: a.writestr("../../../left.npy", _header("(4, 48, 64)")))
_archive(
    "a name with control characters",
    lambda a: [a.writestr(f"\x1b[2J{n}.npy", b"") for n in "ab"] and None,
)
_archive("an archive in it", lambda a: a.writestr("left.npy", b"PK\x03\x04" * 99))


@odd("archive: half of it")
def _(folder: Path) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, left=region())
    (folder / "m.npz").write_bytes(stream.getvalue()[:-40])
    _spec(folder, '"m.npz"')


def _annotation(name: str, make: Callable[[], Any], masks: str = '"m.json"') -> None:
    def written(folder: Path) -> None:
        value = make()
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / "m.json").write_text(text)
        _spec(folder, masks)

    odd(f"annotation: {name}")(written)


def _runs(counts: Any, size: Any = None) -> dict[str, Any]:
    return {"size": size or [48, 64], "counts": counts}


def _images(size: int = 4) -> list[dict[str, Any]]:
    return [{"id": n, "file_name": f"{n}.png", "height": 48, "width": 64} for n in range(size)]


def _polygons(ring: list[Any]) -> dict[str, Any]:
    annotations = [{"image_id": n, "segmentation": [ring], "category_id": 1} for n in range(4)]
    return {"images": _images(), "annotations": annotations}


_annotation("runs of 10**18", lambda: [_runs([0, 10**18])] * 4)
_annotation("runs of -1", lambda: [_runs([-1, 3073])] * 4)
_annotation("a frame of 60000x60000", lambda: [_runs([0, 60000 * 60000], [60000, 60000])] * 4)
_annotation(
    "a frame of 60000x60000, scaled",
    lambda: [_runs([0, 60000 * 60000], [60000, 60000])] * 4,
    '"m.json", scaled',
)
_annotation(
    "a frame of 8000x8000, scaled",
    lambda: [_runs([0, 64_000_000], [8000, 8000])] * 4,
    '"m.json", scaled',
)
_annotation("a size of true", lambda: [_runs([0, 1], [True, True])] * 4)
_annotation("4,000,000 runs of 0", lambda: [_runs([0] * 4_000_000)])
_annotation("20 MB of compressed runs", lambda: [_runs("0" * 20_000_000)])
_annotation("compressed runs without an end", lambda: [_runs("o" * 1_000_000)])
_annotation("a polygon of 1,000,000 points", lambda: _polygons([1, 2, 60, 40] * 500_000))
_annotation("a zigzag of 200,000 points", lambda: _polygons([0, 0, 64, 48] * 100_000))
_annotation("a polygon at 1e308", lambda: _polygons([1e308, -1e308, 0, 1e308, -1e308, 0]))
_annotation("a polygon at NaN", lambda: _polygons([float("nan"), 0, 1, 1, 2, 0]))
_annotation("a polygon of texts", lambda: _polygons(["1", "2", "3", "4", "5", "6"]))
_annotation(
    "a video of 1,000,000 frames",
    lambda: {"videos": [{"id": 1, "length": 1_000_000}], "annotations": []},
)
_annotation(
    "2,000,000 images", lambda: '{"annotations":[],"images":[' + ",".join(["{}"] * 2_000_000) + "]}"
)
_annotation("20,000,000 lists", lambda: "[" + "[]," * 20_000_000 + "[]]")
_annotation("1,000,000 brackets", lambda: "[" * 1_000_000)
_annotation("a number of 1,000,000 digits", lambda: "[" + "9" * 1_000_000 + "]")
_annotation("not UTF-8", lambda: "[\udcff]".encode("utf-8", "surrogateescape").decode("latin-1"))
_annotation("null", lambda: None)


@odd("annotation: 1 TB, sparse")
def _(folder: Path) -> None:
    with (folder / "m.json").open("wb") as file:
        file.truncate(1 << 40)
    _spec(folder, '"m.json"')


@odd("array: 60 GB, sparse")
def _(folder: Path) -> None:
    with (folder / "m.npy").open("wb") as file:
        file.write(_header("(20000000, 48, 64)"))
        file.truncate(20_000_000 * 48 * 64 + 999)
    _spec(folder, '"m.npy"')


for _suffix in ("png", "npy", "npz", "json", "mp4"):

    def _pipe(folder: Path, suffix: str = _suffix) -> None:
        os.mkfifo(folder / f"00000.{suffix}")
        _spec(folder, f'"00000.{suffix}"')

    def _zero(folder: Path, suffix: str = _suffix) -> None:
        (folder / f"00000.{suffix}").symlink_to("/dev/zero")
        _spec(folder, f'"00000.{suffix}"')

    odd(f"masks: a pipe, .{_suffix}")(_pipe)
    odd(f"masks: /dev/zero, .{_suffix}")(_zero)


@odd("masks: a folder of pipes")
def _(folder: Path) -> None:
    (folder / "m").mkdir()
    for number in range(4):
        os.mkfifo(folder / "m" / f"{number:05}.png")


@odd("masks: a folder of folders")
def _(folder: Path) -> None:
    for number in range(4):
        (folder / "m" / f"{number:05}.png").mkdir(parents=True)


@odd("masks: two links in a circle, by **")
def _(folder: Path) -> None:
    for name in ("m/a", "m/b"):
        (folder / name).mkdir(parents=True)
        for link in ("c", "d"):
            (folder / name / link).symlink_to(folder / "m")
    (folder / "m" / "0.png").write_bytes(image(region()[0].astype(np.uint8) * 255, "PNG"))
    _spec(folder, '"m/**/*.png"')


@odd("masks: two links in a circle, by */*/…")
def _(folder: Path) -> None:
    (folder / "m").mkdir()
    for link in "abcdef":
        (folder / "m" / link).symlink_to(folder / "m")
    _spec(folder, '"m' + "/*" * 20 + '.png"')


@odd("masks: a folder of 100,000 files")
def _(folder: Path) -> None:
    (folder / "m").mkdir()
    for number in range(100_000):
        os.mknod(folder / "m" / f"{number}.tmp")


@odd("masks: names with control characters")
def _(folder: Path) -> None:
    (folder / "m").mkdir()
    for sign in ("\x1b]0;x\x07", "\u202e", "[red]"):
        (folder / "m" / f"{sign}0.png").write_bytes(b"")


@odd("masks: a name that is no UTF-8")
def _(folder: Path) -> None:
    (folder / "m").mkdir()
    for number in range(4):
        (folder / "m" / os.fsdecode(b"\xff%d.png" % number)).write_bytes(b"\x89PNG")
