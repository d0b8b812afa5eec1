"""Files that are not what they say: only regular ones are opened, and claims are compared first."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import ClipFolder
from command import Grain

from grainspec import GrainError, parse
from grainspec.checks.files import check_files
from grainspec.cli.check import findings_in
from grainspec.limits import MAX_FILES, MAX_POINTS, MAX_SPEC_BYTES, MAX_WALKED
from grainspec.regions import globs
from grainspec.regions.claims import require_short_list
from grainspec.regions.coco import decode
from grainspec.regions.globs import Astray, files_of
from grainspec.regions.shapes import fill_polygon
from grainspec.regular_file import TooLarge, files_in, open_regular, read_bytes, read_json, regular


def socket_at(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # a socket's path must be short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(before)


NOT_FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "a socket": socket_at,
}


@pytest.fixture(params=NOT_FILES)
def no_file(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[Path], object]]:
    return request.param, NOT_FILES[request.param]


@pytest.mark.timeout(20)
def test_only_regular_files_are_opened(
    tmp_path: Path, no_file: tuple[str, Callable[[Path], object]]
) -> None:
    kind, make = no_file
    make(tmp_path / "x")
    assert not regular(tmp_path / "x")
    with pytest.raises(OSError, match=kind if kind != "a socket" else "."):
        open_regular(tmp_path / "x")
    (tmp_path / "file").write_bytes(b"123")
    (tmp_path / "link").symlink_to("file")
    assert read_bytes(tmp_path / "link", 3) == b"123"
    with pytest.raises(TooLarge):
        read_bytes(tmp_path / "link", 2)


@pytest.mark.timeout(20)
def test_no_door_waits_for_a_pipe(
    clip: ClipFolder, no_file: tuple[str, Callable[[Path], object]]
) -> None:
    _, make = no_file
    make(clip.root / "spec.grain")
    assert [found.code for found in findings_in(clip.root / "spec.grain").findings] == ["G311"]
    for suffix in ("png", "npy", "npz", "json", "xml", "mp4"):
        make(clip.root / f"0.{suffix}")
        spec = parse(
            clip.spec_text(regions=f'region left = masks("0.{suffix}")\nregion right = all')
        )
        found = check_files(spec, clip.root)
        assert found[0].is_error, suffix
        spec = parse(clip.spec_text(video=f'video "0.{suffix}"'))
        if suffix != "png" or (clip.root / "0.png").is_dir():
            assert check_files(spec, clip.root)[0].code in {"G302", "G330"}
    (clip.root / "odd").mkdir()
    for number in range(4):
        make(clip.root / "odd" / f"{number}.png")
    spec = parse(clip.spec_text(regions='region left = masks("odd")\nregion right = all'))
    assert check_files(spec, clip.root)[0].code == "G308"
    assert check_files(parse(clip.spec_text(video='video "odd"')), clip.root)[0].code == "G302"


def test_a_spec_is_not_read_without_end(grain: Grain, tmp_path: Path) -> None:
    with (tmp_path / "large.grain").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert grain("check", tmp_path / "large.grain", "--format=json").codes == ["G006"]
    (tmp_path / "most.grain").write_bytes(b"#" * MAX_SPEC_BYTES)
    assert "G006" in grain("check", tmp_path / "most.grain", "--format=json").codes
    (tmp_path / "lines.grain").write_bytes(b"grain 1\r\n# one\r# two\n")
    assert grain("check", tmp_path / "lines.grain", "--format=json").json


def test_json_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    monkeypatch.setattr("grainspec.regular_file.MAX_JSON_NODES", 100)
    monkeypatch.setattr("grainspec.regular_file.MAX_JSON_VALUES", 100)
    for text in ("[" * 90 + "]" * 90 + "[" * 20, "[" + "0," * 101 + "0]", "[" * 99, "", "{"):
        path.write_text(text)
        with pytest.raises(ValueError, match="."):
            read_json(path)
    path.write_bytes(b"\xef\xbb\xbf[1, 1e400, NaN, -5]")
    assert read_json(path)[0] == 1
    for wild in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e30",
        "9" * 400,
        str(2**64),
        "9" * 9000,
    ):
        path.write_text(f"[{wild}]")
        with pytest.raises(ValueError, match="."):
            read_json(path, bounded=True)
    path.write_text(f"[{2**64 - 1}, {-(2**63)}, 0.5, 1e29]")
    assert read_json(path, bounded=True) == [2**64 - 1, -(2**63), 0.5, 1e29]


def test_folders_have_a_limit(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).touch()
    assert len(files_in(tmp_path, 5)) == 5
    with pytest.raises(TooLarge):
        files_in(tmp_path, 4)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files in folders, some of them through links."""
    for name in (
        "m/a/0.png",
        "m/b/1.png",
        "m/.hidden/2.png",
        "m/.3.png",
        "m/b/c/4.png",
        "out/5.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "m" / "inside").symlink_to("a")
    (tmp_path / "m" / "outside").symlink_to("../out")
    (tmp_path / "m" / "loop").symlink_to(".")
    (tmp_path / "m" / "b" / "6.png").symlink_to("../../out/5.png")
    return tmp_path


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("m/a/*.png", ["m/a/0.png"]),
        ("m/?/[01].png", ["m/a/0.png", "m/b/1.png"]),
        ("m/inside/*.png", ["m/inside/0.png"]),
        ("m/*/*.png", ["m/a/0.png", "m/b/1.png", "m/b/6.png", "m/inside/0.png"]),
        ("m/outside/*.png", ["m/outside/5.png"]),
        ("m/**/*.png", ["m/a/0.png", "m/b/1.png", "m/b/6.png", "m/b/c/4.png"]),
        ("m/b/**", ["m/b/1.png", "m/b/6.png", "m/b/c/4.png"]),
        ("m/.*/*.png", ["m/.hidden/2.png"]),
        ("m/a/../b/*.png", ["m/a/../b/1.png", "m/a/../b/6.png"]),
        ("*/a/0.png", ["m/a/0.png"]),
        ("m/a/*.jpg", []),
        ("nowhere/*.png", []),
    ],
)
def test_what_globs_match(tree: Path, written: str, found: list[str]) -> None:
    paths = files_of(written, tree)
    assert sorted(path.relative_to(tree).as_posix() for path in paths) == found
    assert files_of(str(tree / written), Path("/nowhere")) == paths


def test_globs_do_not_stray(tree: Path) -> None:
    with pytest.raises(Astray):
        files_of("m/*/../../out/*.png", tree)
    with pytest.raises(Astray):
        files_of("m/**/*.png", tree, most=5)
    for link in "abcdef":
        (tree / "out" / link).symlink_to(tree / "out")
    with pytest.raises(Astray):
        files_of("out" + "/*" * 20 + ".png", tree)


def test_globs_of_several_folders_stop_earlier(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(globs, "MAX_WALKED", 1)
    assert len(files_of("m/b/*.png", tree)) == 2  # one folder: as many as a folder may have
    for written in ("m/*/*.png", "m/**", "m/**/1.png"):
        with pytest.raises(Astray, match="more than 1 files"):
            files_of(written, tree)
    assert MAX_WALKED < MAX_FILES


def test_a_glob_that_strays_is_coded(clip: ClipFolder) -> None:
    for written in ("*/../left/*.png", "**/../left/*.png"):
        spec = parse(
            clip.spec_text(regions=f'region left = masks("{written}")\nregion right = all')
        )
        assert [found.code for found in check_files(spec, clip.root)] == ["G346"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("suffix", ["", ".png", ".mp4", ".npy", ".json", ".xml"])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a socket"])
def test_masks_that_are_no_files_are_told(clip: ClipFolder, kind: str, suffix: str) -> None:
    NOT_FILES[kind](clip.root / f"x{suffix}")
    text = clip.spec_text(regions=f'region left = masks("x{suffix}")\nregion right = all')
    (found,) = check_files(parse(text), clip.root)
    assert found.code == "G304"
    assert found.message.endswith("not a regular file")


def header(shape: str) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def refused(clip: ClipFolder, masks: str) -> str:
    spec = parse(clip.spec_text(regions=f"region left = masks({masks})\nregion right = all"))
    found = [one for one in check_files(spec, clip.root) if one.is_error]
    return found[0].code if found else ""


@pytest.mark.parametrize("options", ["", ", scaled"])
def test_claims_of_arrays_are_compared_first(
    clip: ClipFolder, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("the array is read")

    monkeypatch.setattr("numpy.lib.format.read_array", read)
    monkeypatch.setattr("numpy.lib.format.open_memmap", read)
    for shape in ("(4, 60000, 60000)", "(4, 100, 64)", "(4, 48, 6400000)"):
        (clip.root / "m.npy").write_bytes(header(shape))
        assert refused(clip, f'"m.npy"{options}') == "G306"
        with zipfile.ZipFile(clip.root / "m.npz", "w") as archive:
            archive.writestr("left.npy", header(shape))
        assert refused(clip, f'"m.npz"{options}') == "G306"
        (clip.root / "arrays").mkdir(exist_ok=True)
        for number in range(4):
            array = header(shape.replace("4, ", "", 1))
            (clip.root / "arrays" / f"{number}.npy").write_bytes(array)
        assert refused(clip, f'"arrays/*.npy"{options}') == "G306"


@pytest.mark.parametrize(
    ("segmentation", "code"),
    [
        ({"size": [60000, 60000], "counts": [0, 3_600_000_000]}, "G308"),
        ({"size": [8000, 6000], "counts": [0, 48_000_000]}, "G306"),
        ({"size": [48, 64], "counts": [0] * 50_000}, "G308"),
        ({"size": [48, 64], "counts": "0" * 200_000}, "G308"),
        ({"size": [48, 64], "counts": [-1, 3073]}, "G308"),
        ({"size": [48, 64], "counts": [10**30, -(10**30) + 3072]}, "G308"),
        ([[0.0, 0.0, 64.0, 48.0] * (MAX_POINTS // 2 + 1)], "G308"),
        ([[float("nan"), 0.0, 1.0, 1.0, 2.0, 0.0]], "G308"),
    ],
)
def test_claims_of_annotations_are_compared_first(
    clip: ClipFolder, segmentation: Any, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expand(*_: object) -> None:
        raise AssertionError("it is expanded")

    monkeypatch.setattr("numpy.repeat", expand)
    (clip.root / "m.json").write_text(json.dumps([segmentation] * 4))
    assert refused(clip, '"m.json"') == code


def test_archives_with_endless_lists() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("left.npy", b"")
    require_short_list(stream)
    content = bytearray(stream.getvalue())
    end = content.rindex(b"PK\x05\x06")
    content[end + 12 : end + 16] = struct.pack("<I", 1 << 30)
    with pytest.raises(ValueError, match="too many"):
        require_short_list(io.BytesIO(bytes(content)))
    with pytest.raises(ValueError, match="4 GB"):
        require_short_list(io.BytesIO(stream.getvalue() + b"PK\x06\x07" + bytes(20)))


def test_polygons_of_many_points_are_filled_as_few_are() -> None:
    """The rule, edge by edge: a pixel is inside if an odd number of edges is left of its centre."""
    rng = np.random.default_rng(0)
    for case in range(300):
        shape = rng.integers(1, 30), rng.integers(1, 30)
        corners = rng.uniform(-9, 40, (rng.integers(3, 25), 2))
        if case % 3 == 0:
            corners = np.round(corners * 2) / 2  # on centres, and level edges
        if case % 20 == 0:
            corners *= 1e300
        inside = np.zeros(shape, bool)
        x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
        with np.errstate(all="ignore"):
            for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                rows = np.flatnonzero((y < y0) != (y < y1))
                crossing = x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0)
                inside[rows] ^= x[None] >= crossing[:, None]
        points = [(float(a), float(b)) for a, b in corners]
        assert (fill_polygon((int(shape[0]), int(shape[1])), points) == inside).all(), points


def test_decoding_is_unchanged_within_the_limits() -> None:
    assert decode({"size": [1, 2], "counts": [0, 0, 0, 2]}, (1, 2)).tolist() == [[True, True]]
    with pytest.raises(ValueError, match="more runs"):
        decode({"size": [1, 2], "counts": [0] * 7}, (1, 2))


@pytest.mark.timeout(20)
def test_plans_are_regular_files(tmp_path: Path) -> None:
    from grainspec.plan.save import load_plan

    for kind, make in NOT_FILES.items():
        path = tmp_path / kind
        make(path)
        with pytest.raises(GrainError, match="G405"):
            load_plan(path)
