"""Which files are opened as a video, and how damage is found."""

from __future__ import annotations

import io
import os
import time
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import av
import numpy as np
import pytest
from films import quarters, write_film
from PIL import Image

from grainspec import Diagnostic, GrainError, check, parse
from grainspec.checks.files import check_files
from grainspec.clip.facts import probe
from grainspec.clip.timing import timestamps
from grainspec.regular_file import regular
from grainspec.waiting import Waiting

SPEC = 'grain 1 video "{}" {{ {} }} target "a bear" region r = all edit r -> "bear"'


def findings(path: Path, settings: str = "step 1") -> list[Diagnostic]:
    return check(parse(SPEC.format(path.name, settings)), base=path.parent)


def noise(frames: int, size: tuple[int, int] = (64, 64)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (*size[::-1], 3), np.uint8) for _ in range(frames)]


LISTS = {
    "live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n",
    "live.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {}\n",
    "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "stream.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
    "<AdaptationSet><Representation><BaseURL>{}</BaseURL></Representation></AdaptationSet>"
    "</Period></MPD>",
}


@pytest.mark.parametrize("name", LISTS)
def test_files_that_name_others_are_refused_at_once(tmp_path: Path, name: str) -> None:
    write_film(tmp_path / "part.ts", [quarters()] * 3)
    (tmp_path / name).write_text(LISTS[name].format("part.ts"))
    began = time.monotonic()
    (finding,) = findings(tmp_path / name)
    assert time.monotonic() - began < 1
    recognised = not name.endswith((".mp4", ".mpd"))
    assert finding.code == ("G330" if recognised else "G302")
    assert not recognised or "playlists are not followed" in finding.cure


def test_patterns_of_images_are_names(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(quarters()).save(tmp_path / f"{number}.png")
    (finding,) = findings(tmp_path / "%d.png")
    assert finding.code == "G301"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    for name in ("pipe.mp4", "zero.mp4"):
        assert not regular(tmp_path / name)
        (finding,) = findings(tmp_path / name)
        assert finding.code == "G330"
        assert "regular file" in finding.message
    os.mkfifo(tmp_path / "pipe.png")
    (finding,) = findings(tmp_path / "pipe.png")
    assert finding.code in {"G302", "G330"}
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "0.png")
    (finding,) = findings(tmp_path / "folder")
    assert finding.code == "G302"


@pytest.mark.parametrize("name", ["large.gif", "large.png"])
def test_images_that_claim_to_be_huge_are_refused(tmp_path: Path, name: str) -> None:
    mode = "P" if name.endswith("gif") else "L"
    pictures = [Image.new(mode, (16, 16), index) for index in (0, 1)]
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:])
    content = bytearray((tmp_path / name).read_bytes())
    if name.endswith("gif"):
        content[6:10] = b"\xff\xff\xff\xff"
    else:
        content[16:24] = (60000).to_bytes(4, "big") * 2
    (tmp_path / name).write_bytes(bytes(content))
    (finding,) = findings(tmp_path / name)
    assert finding.code in {"G302", "G330"}


def test_moving_images_that_are_not_read_are_refused(tmp_path: Path) -> None:
    pictures = [Image.fromarray(picture) for picture in noise(3)]
    for name in ("v.webp", "v.tif"):
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:])
        (finding,) = findings(tmp_path / name)
        assert finding.code == "G302"
        assert "in a folder" in finding.cure


def test_half_a_file_is_truncated(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.mkv", noise(80))
    content = path.read_bytes()
    assert findings(path) == []
    path.write_bytes(content[: len(content) // 2])
    (finding,) = findings(path)
    assert (finding.code, finding.is_error) == ("G302", True)
    assert "truncated" in finding.message
    assert "of 10.00 s" in finding.message
    cure = finding.cure.split("`")[1]
    assert cure.startswith("frames 0..")
    assert findings(path, cure) == []  # the frames that are there can be edited


def test_damage_is_found_with_its_frame_and_time(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.mp4", noise(40))
    content = bytearray(path.read_bytes())
    at = len(content) // 2
    content[at : at + 2000] = bytes(2000)
    path.write_bytes(bytes(content))
    (finding,) = findings(path)
    assert finding.code == "G302"
    frame = int(finding.message.split()[1])
    assert 5 < frame < 40
    assert f"at {frame / 8:.2f} s" in finding.message
    assert findings(path, f"frames 0..{frame - 1}") == []
    assert f"`frames 0..{frame - 1}`" in finding.cure
    assert findings(path, f"frames 2..{frame}")[0].cure.endswith(f"`frames 2..{frame - 1}`.")


CODECS = [
    ("v.mp4", "libx264", "yuv420p"),
    ("v.ts", "mpeg2video", "yuv420p"),
    ("v.avi", "mpeg4", "yuv420p"),
    ("v.mov", "prores_ks", "yuv422p10le"),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), CODECS)
def test_what_a_decoder_conceals_is_found(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    path = write_film(tmp_path / name, noise(12), codec=codec, pix_fmt=pix_fmt)
    assert findings(path) == []
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(3)
    for place in rng.integers(len(content) // 4, len(content) * 3 // 4, 40):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    assert [finding.code for finding in findings(path)] == ["G302"]


def test_a_stream_whose_frames_change_size_is_reported(tmp_path: Path) -> None:
    parts = [
        write_film(tmp_path / f"{n}.ts", noise(4, size))
        for n, size in ((0, (64, 64)), (1, (32, 32)))
    ]
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    (finding,) = findings(path)
    assert finding.code == "G302"
    assert "frame 4" in finding.message
    assert "32x32" in finding.message
    assert findings(path, "frames 0..3") == []


def test_a_damaged_image_of_a_folder_is_named(tmp_path: Path) -> None:
    for number, picture in zip(range(4), cycle(noise(2)), strict=False):
        Image.fromarray(picture).save(tmp_path / f"{number:03}.png")
    content = (tmp_path / "002.png").read_bytes()
    (tmp_path / "002.png").write_bytes(content[: len(content) // 2])
    spec = parse(SPEC.format(tmp_path.name, "step 1"))
    (finding,) = check(spec, base=tmp_path.parent)
    assert finding.code == "G302"
    assert "002.png" in finding.message
    assert check(parse(SPEC.format(tmp_path.name, "frames 0..1")), base=tmp_path.parent) == []


def test_folders_may_begin_at_any_number(tmp_path: Path) -> None:
    for number in range(7, 11):
        Image.fromarray(quarters()).save(tmp_path / f"frame_{number:04}.png")
    facts = probe(tmp_path)
    assert (facts.frames, facts.first) == (4, 7)
    base, name = tmp_path.parent, tmp_path.name
    assert check(parse(SPEC.format(name, "step 2")), base=base) == []
    (finding,) = check(parse(SPEC.format(name, "frames 1..3")), base=base)
    assert (finding.code, finding.is_error) == ("G336", False)
    assert "frame 0 is frame_0007.png and frame 1 is frame_0008.png" in finding.message
    assert "subtract 7" in finding.cure
    (tmp_path / "frame_0009.png").unlink()
    with pytest.raises(GrainError, match=r"G302.*frame_0008\.png is followed by frame_0010\.png"):
        probe(tmp_path)


def test_times_are_those_of_the_frames_that_are_shown(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.mp4", noise(5))
    times = timestamps(path)
    assert times is not None
    with av.open(str(path)) as container:
        assert len(times) == len(list(container.decode(video=0)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_long_checks_say_how_far_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    shown, piped = Terminal(), io.StringIO()
    lines = [Waiting("reading frame", stream) for stream in (shown, piped)]
    for number in range(1, 5):
        clock[0] += 0.6
        for line in lines:
            line(number, 4)
    assert shown.getvalue() == "\rreading frame 2 of 4\rreading frame 3 of 4\r" + " " * 20 + "\r"
    assert piped.getvalue() == ""


def test_frames_are_counted_while_they_are_checked(tmp_path: Path) -> None:
    write_film(tmp_path / "v.mp4", noise(6))
    calls: list[tuple[int, int]] = []
    spec = parse(SPEC.format("v.mp4", "frames 1..3"))
    assert check_files(spec, tmp_path, lambda done, total: calls.append((done, total))) == []
    assert calls[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("kept", [[0, 1, 2, 4, 5, 8], [0, 1, 2, 3]])
def test_an_avi_with_empty_frames_is_whole(tmp_path: Path, kept: list[int]) -> None:
    path = tmp_path / "v.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", 8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        for number in kept:
            frame = av.VideoFrame.from_ndarray(noise(1)[0], format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 8)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert findings(path) == []
    if kept[-1] == 3:  # two more, as a capture whose last frames were dropped
        path.write_bytes(with_empty_frames(path.read_bytes(), 2))
        assert findings(path) == []
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"idx1") * 2 // 3])
    (finding,) = findings(path)
    assert finding.code == "G302"


def with_empty_frames(avi: bytes, more: int) -> bytes:
    """An AVI to whose end empty frames are added: in its chunks, its index and its header."""
    entries = b"00dc" + bytes(12)
    at = avi.index(b"idx1")
    size = int.from_bytes(avi[at + 4 : at + 8], "little")
    index = avi[at + 8 : at + 8 + size] + entries * more
    movi = avi.index(b"movi") - 4
    moved = int.from_bytes(avi[movi : movi + 4], "little") + 8 * more
    content = bytearray(avi[:at] + (b"00dc" + bytes(4)) * more)
    content[movi : movi + 4] = moved.to_bytes(4, "little")
    for place in (avi.index(b"avih") + 24, avi.index(b"strh") + 40):
        frames = int.from_bytes(avi[place : place + 4], "little")
        content[place : place + 4] = (frames + more).to_bytes(4, "little")
    return bytes(content) + b"idx1" + len(index).to_bytes(4, "little") + index


@pytest.mark.parametrize("name", ["v.mkv", "v.webm"])
def test_a_matroska_file_cut_by_some_frames_is_truncated(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name == "v.webm" else "libx264"
    path = write_film(tmp_path / name, noise(24), codec=codec)
    content = path.read_bytes()
    assert findings(path) == []
    for left in (len(content) * 21 // 24, len(content) - 1000):  # some frames less, one less
        path.write_bytes(content[:left])
        (finding,) = findings(path)
        assert (finding.code, finding.is_error) == ("G302", True)
    path.write_bytes(content[:-10])  # a part of its index is missing, but no frame
    assert findings(path) == []


def test_half_an_mxf_file_is_truncated(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.mxf", noise(40), codec="mpeg2video", rate=25)
    content = path.read_bytes()
    assert findings(path) == []
    path.write_bytes(content[: len(content) // 2])
    (finding,) = findings(path)
    assert "truncated" in finding.message


def test_a_y4m_file_that_ends_within_a_frame_is_truncated(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.y4m", noise(4), codec="rawvideo")
    content = path.read_bytes()
    assert findings(path) == []
    path.write_bytes(content[:-100])
    (finding,) = findings(path)
    assert "ends within frame 3" in finding.message
    assert findings(path, "frames 0..2") == []
