from __future__ import annotations

import struct
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import EXAMPLES, ClipFolder
from films import (
    COLOURS,
    bars_of,
    corners,
    quarters,
    rotated,
    write_bars,
    write_film,
    write_hdr,
)
from PIL import Image

from grainspec import GrainError
from grainspec.clip.crop import FrameCrop
from grainspec.clip.facts import probe
from grainspec_runtime.demo.render import render
from grainspec_runtime.demo.world import Figure, Scene, advance
from grainspec_runtime.media import decode
from grainspec_runtime.media.encode import encode_lossless, encode_video

CLIP = EXAMPLES / "clips" / "two_men.mp4"
WHOLE = FrameCrop((0.0, 0.0, 192.0, 192.0), 192, 192)


def frames_of_clip() -> np.ndarray:
    scene = Scene((Figure("robot", "red", x=0.4),))
    return np.stack([render(advance(scene, i), 64)[0] for i in range(6)])


def test_both_decoders_give_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("decord")
    one = decode.decode_frames(CLIP, [1, 4, 7], WHOLE)
    monkeypatch.setattr(decode, "_decord_reader", lambda path: None)
    other = decode.decode_frames(CLIP, [1, 4, 7], WHOLE)
    assert np.abs(one.astype(int) - other).max() <= 2


def test_nothing_is_lost_where_nothing_may_be(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 47, 33, 3), np.uint8)
    encode_lossless(frames, tmp_path / "v.mkv", fps=8)
    np.testing.assert_array_equal(decode.decode_lossless(tmp_path / "v.mkv", 5), frames)
    np.testing.assert_array_equal(decode.decode_lossless(tmp_path / "v.mkv", 2), frames[:2])
    with pytest.raises(GrainError, match=r"G302.*only 5 of 6"):
        decode.decode_lossless(tmp_path / "v.mkv", 6)


def test_encoding_and_decoding_come_close(tmp_path: Path) -> None:
    frames = frames_of_clip()
    encode_video(frames, tmp_path / "v.mp4", fps=12.5)
    facts = probe(tmp_path / "v.mp4")
    assert (facts.frames, facts.width, facts.fps) == (6, 64, 12.5)
    back = decode.decode_frames(tmp_path / "v.mp4", range(6), FrameCrop((0, 0, 64, 64), 64, 64))
    for number in range(6):  # each frame is nearest to itself: none is lost or doubled
        errors = [np.abs(back[number].astype(int) - frame).mean() for frame in frames]
        assert int(np.argmin(errors)) == number
        assert errors[number] < 6


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    encode_video(np.zeros((2, 33, 35, 3), np.uint8), tmp_path / "v.mp4", fps=8)
    facts = probe(tmp_path / "v.mp4")
    assert (facts.width, facts.height) == (36, 34)


def test_folders_of_frames(clip: ClipFolder) -> None:
    crop = FrameCrop((16.0, 0.0, 64.0, 48.0), 24, 24)
    assert decode.decode_frames(clip.root / "clip", [0, 3], crop).shape == (2, 24, 24, 3)


def test_images_that_are_read_at_once_keep_their_order(tmp_path: Path) -> None:
    for number in range(40):
        Image.new("RGB", (64, 32), (6 * number, 0, 0)).save(tmp_path / f"{number:03}.png")
    before, crop = list(warnings.filters), FrameCrop((0, 0, 64, 32), 64, 32)
    reds = decode.decode_frames(tmp_path, range(1, 40, 2), crop)[..., 0]
    assert (reds == np.arange(6, 240, 12)[:, None, None]).all()
    for number in (30, 20, 10):
        (tmp_path / f"{number:03}.png").write_bytes(b"no image")
    with pytest.raises(GrainError, match=r"G302: cannot read .*010\.png"):
        decode.decode_frames(tmp_path, range(40), crop)
    assert warnings.filters == before


def test_a_file_that_cannot_be_decoded_is_coded(tmp_path: Path) -> None:
    content = bytearray(CLIP.read_bytes())
    start = content.find(b"mdat") + 8
    content[start : start + 20_000] = b"\x00" * 20_000
    (tmp_path / "v.mp4").write_bytes(bytes(content))
    with pytest.raises(GrainError, match="G302"):
        decode.decode_frames(tmp_path / "v.mp4", range(8), WHOLE)


def counted(path: Path, frames: int = 20) -> Path:
    """A clip 64 x 32 whose k-th frame is k * 12 bright on the left and black on the right."""
    pictures = np.zeros((frames, 32, 64, 3), np.uint8)
    pictures[:, :, :32] = (np.arange(frames) * 12)[:, None, None, None]
    encode_video(pictures, path, fps=25)
    return path


def numbers(path: Path, frames: list[int]) -> list[int]:
    """Which frames these are, told from their brightness."""
    facts = probe(path)
    crop = FrameCrop((0, 0, facts.width, facts.height), facts.width, facts.height)
    decoded = decode.decode_frames(path, frames, crop).astype(float)
    return [round(frame.max(axis=2).mean(axis=(0, 1)) / 6) for frame in decoded]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_frame_k_is_frame_k_in_every_container(tmp_path: Path, suffix: str) -> None:
    path = counted(tmp_path / f"v.{suffix}")  # x264's `slow` preset has B-frames
    assert probe(path).frames == 20
    wanted = list(range(1, 20, 3))
    assert numbers(path, wanted) == wanted


def turned(path: Path, matrix: tuple[int, ...]) -> Path:
    """The clip with this display matrix, as telephones write it."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(bytes(content))
    return path


def test_clips_that_lie_on_their_side_are_put_upright(tmp_path: Path) -> None:
    path = turned(counted(tmp_path / "v.mp4"), (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    facts = probe(path)
    assert (facts.width, facts.height) == (32, 64)
    crop = FrameCrop((0, 0, 32, 64), 32, 64)
    (frame,) = decode.decode_frames(path, [15], crop)
    bright = frame.max(axis=2) > 100
    assert bright.shape == (64, 32)
    assert bright[:28].all()  # left became top: turned clockwise
    assert not bright[36:].any()


def test_mirrored_and_wide_pixels_are_decoded_as_shown(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.mp4", [quarters()] * 3, aspect=Fraction(2))
    rotated(path, (0, 1, 1, 0))
    (frame,) = decode.decode_frames(path, [1], FrameCrop((0, 0, 32, 128), 32, 128))
    assert corners(frame) == "RBGW"


def test_photos_are_decoded_upright(tmp_path: Path) -> None:
    tag = Image.Exif()
    tag[0x0112] = 6
    for number in range(3, 6):
        Image.fromarray(quarters()).save(tmp_path / f"{number}.jpg", exif=tag)
    frames = decode.decode_frames(tmp_path, [0, 2], FrameCrop((0, 0, 32, 64), 32, 64))
    assert [corners(frame) for frame in frames] == ["BRWG", "BRWG"]


@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_both_decoders_follow_the_tags(
    tmp_path: Path, matrix: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bits, full in ((8, False), (10, True)):
        path = write_bars(tmp_path / f"{bits}.mkv", matrix=matrix, full=full, bits=bits)
        whole = FrameCrop((0, 0, 128, 32), 128, 32)
        one = decode.decode_frames(path, [1], whole)
        with monkeypatch.context() as patch:
            patch.setattr(decode, "_decord_reader", lambda path: None)
            other = decode.decode_frames(path, [1], whole)
        assert np.abs(bars_of(one[0]) - COLOURS).max() <= 1
        assert np.abs(bars_of(other[0]) - COLOURS).max() <= 1


def test_hdr_is_decoded_to_standard_range(tmp_path: Path) -> None:
    path = write_hdr(tmp_path / "v.mp4", [0, 0.58, 0.9, 0.3], 16)
    (frame,) = decode.decode_frames(path, [1], FrameCrop((0, 0, 64, 32), 64, 32))
    black, white, beyond, _ = bars_of(frame)[:, 0]
    assert (black, beyond) == (0, 255)
    assert 225 <= white <= 235


def test_transparent_frames_are_put_on_the_stated_colour(tmp_path: Path) -> None:
    picture = np.dstack([quarters(), np.full((32, 64), 255, np.uint8)])
    picture[:, 32:, 3] = 0
    path = write_film(tmp_path / "v.mov", [picture] * 2, codec="png", pix_fmt="rgba")
    crop = FrameCrop((0, 0, 64, 32), 64, 32, background="#ff00ff")
    (frame,) = decode.decode_frames(path, [1], crop)
    assert frame[4, 60].tolist() == [255, 0, 255]
    assert frame[4, 4].tolist() == [255, 0, 0]


def test_playlists_are_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "v.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nv.ts\n")
    with pytest.raises(GrainError, match="G330"):
        decode.decode_frames(tmp_path / "v.m3u8", [0], WHOLE)


def test_sixteen_bit_frames_are_scaled(tmp_path: Path) -> None:
    levels = np.tile(np.linspace(0, 65535, 32).astype(np.uint16), (32, 1))
    (tmp_path / "clip").mkdir()
    Image.fromarray(levels).save(tmp_path / "clip" / "0.png")
    (frame,) = decode.decode_frames(tmp_path / "clip", [0], FrameCrop((0, 0, 32, 32), 32, 32))
    np.testing.assert_array_equal(frame[0, :, 0], levels[0] >> 8)


def test_frame_rates_of_television_are_exact(tmp_path: Path) -> None:
    encode_video(np.zeros((3, 32, 32, 3), np.uint8), tmp_path / "v.mp4", fps=30000 / 1001)
    with av.open(str(tmp_path / "v.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
