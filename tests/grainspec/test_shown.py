"""Clips as players show them: upright, with square pixels, in the right colours."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
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
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from grainspec import Diagnostic, check, parse
from grainspec.clip.crop import FrameCrop
from grainspec.clip.facts import probe, still_images
from grainspec.clip.hdr import _TO_BT709, BT2020, HLG, P3_D65, P3_DCI, PQ, to_sdr
from grainspec.clip.images import open_image, upright
from grainspec.clip.video import open_video

SPEC = 'grain 1 video "{}" {} target "a bear" region r = box(0%, 0%, 90%, 90%) edit r -> "bear"'

TURNS = {  # the corners of `quarters` as shown, by orientation in EXIF and by display matrix
    1: ((1, 0, 0, 1), "RGBW"),
    2: ((-1, 0, 0, 1), "GRWB"),
    3: ((-1, 0, 0, -1), "WBGR"),
    4: ((1, 0, 0, -1), "BWRG"),
    5: ((0, 1, 1, 0), "RBGW"),
    6: ((0, 1, -1, 0), "BRWG"),
    7: ((0, -1, -1, 0), "WGBR"),
    8: ((0, -1, 1, 0), "GWRB"),
}


def first_picture(path: Path, background: str | None = None) -> np.ndarray:
    """The first frame of a clip, through the crop that leaves it whole."""
    facts = probe(path)
    crop = FrameCrop(
        (0, 0, facts.width, facts.height), facts.width, facts.height, background=background
    )
    images = still_images(path)
    if images is not None:
        with open_image(images[0][1]) as image:
            return np.asarray(crop.frame(upright(image)))
    with open_video(path) as reader:
        return np.asarray(crop.frame(reader.picture(next(reader.frames()))))


def findings(path: Path, settings: str = "") -> list[Diagnostic]:
    block = f"{{ {settings} }}" if settings else ""
    return check(parse(SPEC.format(path.name, block)), base=path.parent)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_photos_are_put_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    tag = Image.Exif()
    tag[0x0112] = orientation
    Image.fromarray(quarters()).save(tmp_path / f"0.{suffix}", exif=tag)
    facts = probe(tmp_path)
    assert (facts.width, facts.height) == ((64, 32) if orientation < 5 else (32, 64))
    picture = first_picture(tmp_path)
    assert picture.shape[:2] == (facts.height, facts.width)
    assert corners(picture) == TURNS[orientation][1]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", TURNS)
def test_tiff_files_of_all_modes_are_put_upright(
    tmp_path: Path, orientation: int, mode: str
) -> None:
    tag = Image.Exif()
    tag[0x0112] = orientation
    levels = np.arange(32 * 64, dtype=np.uint16).reshape(32, 64) * 31
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    stored = Image.fromarray(levels) if mode == "I;16" else grey.convert(mode)
    stored.save(tmp_path / "plain.tif")
    stored.save(tmp_path / "turned.tif", exif=tag)
    at = [(y, x) for y in (0, -1) for x in (0, -1)]
    with open_image(tmp_path / "plain.tif") as plain:
        values = np.asarray(plain)
        expected = [values[at["RGBW".index(name)]] for name in TURNS[orientation][1]]
    with open_image(tmp_path / "turned.tif") as opened:
        shown = upright(opened)
        assert shown.size == ((64, 32) if orientation < 5 else (32, 64))
        assert np.array_equal([np.asarray(shown)[place] for place in at], expected)


def p3_profile() -> bytes:
    """The profile of sRGB with the primaries of Display P3, adapted to D50."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = bytearray(profile.replace("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be")))
    colours = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for name, values in colours.items():
        entry = profile.index(name)
        at = int.from_bytes(profile[entry + 4 : entry + 8], "big")
        content[at + 8 : at + 20] = struct.pack(">3i", *(round(v * 65536) for v in values))
    return bytes(content)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_photos_with_a_colour_profile_are_shown_in_srgb(tmp_path: Path, mode: str) -> None:
    stored = Image.new("RGB", (32, 32), (204, 102, 51)).convert(mode)
    stored.save(tmp_path / "0.png", icc_profile=p3_profile())
    linear = (np.array([204, 102, 51]) / 255 + 0.055) / 1.055
    light = np.array(_TO_BT709[P3_D65]) @ linear**2.4
    expected = (1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert abs(first_picture(tmp_path)[0, 0] - expected).max() <= 2
    assert abs(expected - [204, 102, 51]).max() > 10


def test_transparency_and_a_colour_profile_go_together(tmp_path: Path) -> None:
    Image.new("RGBA", (32, 32), (255, 255, 255, 51)).save(
        tmp_path / "0.png", icc_profile=p3_profile()
    )
    assert first_picture(tmp_path, "#000000")[0, 0].tolist() == [51, 51, 51]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_other_profiles_change_nothing(tmp_path: Path, mode: str) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    stored = Image.fromarray(quarters()).convert(mode)
    for profile in (srgb, lab, p3_profile()[:300], b"nothing", b""):
        stored.save(tmp_path / "0.png", icc_profile=profile)
        assert np.array_equal(first_picture(tmp_path), stored.convert("RGB"))


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_images_with_32_bit_values_are_refused(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.ones((32, 64), kind)).save(tmp_path / "0.tif")
    (finding,) = findings(tmp_path)
    assert (finding.code, "32-bit" in finding.message) == ("G302", True)
    assert "8 or 16 bits" in finding.cure


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    tag = Image.Exif()
    tag[0x0112] = 6
    Image.fromarray(quarters()).save(tmp_path / "0.png", exif=tag)
    content = (tmp_path / "0.png").read_bytes()
    start = content.index(b"eXIf") - 4
    size = int.from_bytes(content[start : start + 4], "big") + 12
    chunk, end = content[start : start + size], content.rindex(b"IEND") - 4
    moved = content[:start] + content[start + size : end] + chunk + content[end:]
    (tmp_path / "0.png").write_bytes(moved)
    assert (probe(tmp_path).width, probe(tmp_path).height) == (32, 64)
    assert corners(first_picture(tmp_path)) == "BRWG"


@pytest.mark.parametrize("turn", TURNS.values())
def test_films_are_rotated_and_mirrored_as_players_do(
    tmp_path: Path, turn: tuple[tuple[int, ...], str]
) -> None:
    matrix, expected = turn
    path = rotated(write_film(tmp_path / "v.mp4", [quarters()] * 2), matrix)
    facts = probe(path)
    assert (facts.width, facts.height) == ((64, 32) if matrix[0] else (32, 64))
    assert corners(first_picture(path)) == expected


@pytest.mark.parametrize(
    ("aspect", "expected"),
    [
        (Fraction(2), (128, 32)),  # one side grows, so no pixel is lost
        (Fraction(8, 9), (64, 36)),
        (Fraction(640, 639), (64, 32)),  # what rounding a size leaves
    ],
)
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, expected: tuple[int, int]) -> None:
    path = write_film(tmp_path / "v.mp4", [quarters()] * 2, aspect=aspect)
    facts = probe(path)
    assert (facts.width, facts.height) == expected
    picture = first_picture(path)
    assert picture.shape[:2] == expected[::-1]
    assert corners(picture) == "RGBW"
    facts = probe(rotated(path, (0, 1, -1, 0)))  # pixels are stored, then rotated
    assert (facts.width, facts.height) == expected[::-1]


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_colours_follow_the_tags(tmp_path: Path, matrix: int, full: bool, bits: int) -> None:
    path = write_bars(tmp_path / "v.mkv", matrix=matrix, full=full, bits=bits)
    assert np.abs(bars_of(first_picture(path)) - COLOURS).max() <= 1


def test_without_tags_large_clips_are_high_definition(tmp_path: Path) -> None:
    settings = {"full": False, "bits": 8, "tagged": False}
    small = write_bars(tmp_path / "small.mkv", matrix=6, **settings)
    large = write_bars(tmp_path / "large.mkv", matrix=1, height=720, **settings)
    for path in (small, large):
        assert np.abs(bars_of(first_picture(path)) - COLOURS).max() <= 1


def test_hdr_becomes_standard_range(tmp_path: Path) -> None:
    # BT.2408, table 1: reference white is 58% of PQ and 75% of HLG, black is 0
    pq = write_hdr(tmp_path / "pq.mp4", [0, 0.58, 0.7518, 0.9], PQ)
    hlg = write_hdr(tmp_path / "hlg.mkv", [0, 0.75, 1, 0.5], HLG)
    black, white, peak, beyond = bars_of(first_picture(pq))[:, 0]
    assert (black, peak, beyond) == (0, 255, 255)
    assert 225 <= white <= 235
    assert np.ptp(bars_of(first_picture(pq)), axis=1).max() <= 1  # grey stays grey
    assert abs(bars_of(first_picture(hlg))[1, 0] - white) <= 2
    (finding,) = findings(pq)
    assert (finding.code, probe(pq).transfer) == ("G334", "smpte2084")
    assert "PQ" in finding.message
    assert "ffmpeg -i pq.mp4" in finding.cure


@given(st.sampled_from([PQ, HLG]), st.lists(st.integers(0, 65535), min_size=2, max_size=20))
def test_brighter_stays_brighter(transfer: int, values: list[int]) -> None:
    grey = np.repeat(np.array(sorted(values), np.uint16)[None, :, None], 3, axis=2)
    shown = to_sdr(grey, transfer, BT2020)[0, :, 0].astype(int)
    assert (np.diff(shown) >= 0).all()


def test_wide_colours_are_brought_to_bt709() -> None:
    # BT.2087: the red of BT.709 is (0.6274, 0.0691, 0.0164) in linear BT.2020
    red = np.rint(np.array([[[0.6274, 0.0691, 0.0164]]]) ** (1 / 2.4) * 65535).astype(np.uint16)
    assert np.abs(to_sdr(red, 1, BT2020)[0, 0].astype(int) - [255, 0, 0]).max() <= 2


def _clear() -> np.ndarray:
    """Red on the left, transparent green on the right."""
    picture = np.zeros((32, 64, 4), np.uint8)
    picture[:, :32] = (255, 0, 0, 255)
    picture[:, 32:] = (0, 255, 0, 0)
    return picture


def _of_palette(path: Path) -> None:
    image = Image.fromarray(_clear()[..., :3]).quantize(2)
    green = image.getpixel((60, 5))
    image.save(path, transparency=green)


def _moving(path: Path) -> None:
    frames = [Image.fromarray(_clear())] * 3
    changed = _clear()
    changed[0, 0] = (0, 0, 255, 255)  # equal frames are joined
    frames[1] = Image.fromarray(changed)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, disposal=2)


CLEAR = {
    "rgba/0.png": lambda path: Image.fromarray(_clear()).save(path),
    "palette/0.png": _of_palette,
    "webp/0.webp": lambda path: Image.fromarray(_clear()).save(path, lossless=True),
    "photo.png": lambda path: Image.fromarray(_clear()).save(path),
    "moving.gif": _moving,
    "moving.png": _moving,
    "vp9.webm": lambda path: write_film(
        path, [_clear()] * 3, codec="libvpx-vp9", pix_fmt="yuva420p"
    ),
    "prores.mov": lambda path: write_film(
        path, [_clear()] * 3, codec="prores_ks", pix_fmt="yuva444p10le"
    ),
    "png.mov": lambda path: write_film(path, [_clear()] * 3, codec="png", pix_fmt="rgba"),
}


@pytest.mark.parametrize("name", CLEAR)
def test_transparency_is_put_on_a_stated_colour(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    CLEAR[name](path)
    clip = path if path.parent == tmp_path else path.parent
    (finding,) = findings(clip)
    assert (finding.code, finding.is_error) == ("G333", False)
    assert 'alpha "#000000"' in finding.cure
    assert findings(clip, 'alpha "#0000ff"') == []
    for background, expected in ((None, (0, 0, 0)), ("#0000ff", (0, 0, 255))):
        picture = first_picture(clip, background).astype(int)
        assert np.abs(picture[16, 60] - expected).max() <= 8
        assert np.abs(picture[16, 4] - (255, 0, 0)).max() <= 8


def test_alpha_without_transparency_is_reported(tmp_path: Path) -> None:
    path = write_film(tmp_path / "v.mp4", [quarters()] * 2)
    (finding,) = findings(path, 'alpha "#0000ff"')
    assert finding.code == "G111"


def write_tagged(path: Path, matrix: int, transfer: int, primaries: int) -> Path:
    """Bars of white and of a red in FFV1, which keeps the picture whatever its tags are."""
    picture = np.full((32, 64, 3), 255, np.uint8)
    picture[:, 32:] = 200, 60, 40
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv444p"
        context = stream.codec_context
        context.colorspace, context.color_trc = matrix, transfer
        context.color_primaries, context.color_range = primaries, 1
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            file.mux(stream.encode(frame.reformat(format="yuv444p", dst_colorspace=1)))
        file.mux(stream.encode())
    return path


TAGS = {
    (8, 1, 1): "the matrix YCgCo",
    (14, 16, 9): "the matrix ICtCp",
    (1, 8, 1): "the transfer function linear",
    (9, 9, 9): "the transfer function logarithmic",
}


@pytest.mark.parametrize("tags", TAGS)
def test_colours_that_are_not_decoded_are_refused(
    tmp_path: Path, tags: tuple[int, int, int]
) -> None:
    (finding,) = findings(write_tagged(tmp_path / "v.mkv", *tags))
    assert finding.code == "G302"
    assert TAGS[tags] in finding.message
    assert "BT.709" in finding.cure


@pytest.mark.parametrize("transfer", [1, 4, 6, 13, 14])
def test_ordinary_colours_are_fine(tmp_path: Path, transfer: int) -> None:
    assert findings(write_tagged(tmp_path / "v.mkv", 1, transfer, 1)) == []


def test_the_primaries_of_cinemas_are_converted(tmp_path: Path) -> None:
    path = write_tagged(tmp_path / "v.mkv", 1, 1, P3_DCI)
    assert findings(path) == []
    picture = first_picture(path)
    assert picture[5, 5].min() >= 254  # white stays white
    light = np.array(_TO_BT709[P3_DCI]) @ (np.array([200, 60, 40]) / 255) ** 2.4
    expected = np.clip(light, 0, 1) ** (1 / 2.4) * 255
    assert abs(picture[5, 60] - expected).max() <= 3
    assert abs(expected - [200, 60, 40]).max() > 10
