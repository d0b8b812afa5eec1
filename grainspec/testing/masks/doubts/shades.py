"""Masks with other values than black and white, on both sides of every limit."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from grainspec.testing.masks.doubts.case import (
    FRAMES,
    HEIGHT,
    ONE,
    OTHER,
    WIDTH,
    Case,
    Write,
    box,
    doubtful,
    good,
)
from grainspec.testing.masks.videos import write_video
from grainspec.testing.masks.written import Values, folder_of, white

PIXELS = FRAMES * WIDTH * HEIGHT
"""The pixels of all frames, which are judged together."""


def images(values: Values, options: str = "", **how: Any) -> Write:
    """Save pictures ``[F, H, W, …]`` as PNG."""

    def write(folder: Path) -> str:
        folder_of(folder / "m", values, **how)
        return f'masks("m"{options})'

    return write


def objects(ground: int, one: int, other: int) -> Values:
    """Grey pictures of both objects, with these values."""
    kind = np.uint16 if max(ground, one, other) > 255 else np.uint8
    return np.where(ONE, one, np.where(OTHER, other, ground)).astype(kind)


def _changed(change: Callable[[Image.Image], Image.Image], suffix: str = "png") -> Write:
    """Black and white masks of the first object, changed as tools do."""

    def write(folder: Path) -> str:
        pictures = [change(Image.fromarray(mask.astype(np.uint8) * 255)) for mask in ONE]
        folder_of(folder / "m", pictures, "{:05}." + suffix)
        return 'masks("m")'

    return write


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).copy()


def _first(area: Values, count: int) -> Values:
    """The first so many pixels of an area, over all frames, ``[F, H, W]``."""
    chosen = np.zeros((FRAMES, HEIGHT, WIDTH), np.bool_)
    for frame in range(FRAMES):
        rows, columns = np.nonzero(area)
        share = count // FRAMES + (frame < count % FRAMES)
        chosen[frame, rows[:share], columns[:share]] = True
    return chosen


def _soft(bright: int, grey: int) -> Values:
    """So many white pixels in one place, and so many grey ones far from them.

    The greys differ from pixel to pixel, so that none has an area of its own.
    """
    picture = np.where(_first(box(10, 10, 70, 110), bright), 255, 0)
    frames, rows, columns = np.nonzero(_first(box(90, 10, 150, 110), grey))
    picture[frames, rows, columns] = 60 + (7 * rows + 13 * columns) % 60
    return picture.astype(np.uint8)


def _band(width: int) -> Values:
    """Black and white, with a band of greys between them."""
    column = np.arange(WIDTH)
    greys = 60 + (np.arange(HEIGHT)[:, None] * 7 + column * 13) % 60
    picture = np.where(column < 40, 0, np.where(column < 40 + width, greys, 255))
    picture[100:] = 0
    return np.stack([picture.astype(np.uint8)] * FRAMES)


def _stripes(period: int) -> Values:
    """Columns of black, grey, white and so on; one column of each period is grey."""
    column = np.arange(WIDTH) % period
    shades = 100 + (np.arange(HEIGHT)[:, None] * 7 + np.arange(WIDTH) * 13) % 50
    white = np.where(column > period // 2, 255, 0)
    picture = np.where(column == period // 2, shades, white)
    return np.stack([picture.astype(np.uint8)] * FRAMES)


def _patch(wide: int, high: int, value: int = 100) -> Values:
    """A white object, and a small area of one grey beside it."""
    picture = np.where(box(20, 20, 80, 90), 255, 0)
    picture[box(120, 50, 120 + wide, 50 + high)] = value
    return np.stack([picture.astype(np.uint8)] * FRAMES)


def _lossy(values: Values, options: str = "") -> Write:
    """Save pictures as WebP, exactly; but its values may have been compressed, as in JPEG."""

    def write(folder: Path) -> str:
        grey = values[..., None].repeat(3, -1) if values.ndim == 3 else values
        folder_of(folder / "m", grey, "{:05}.webp", lossless=True)
        return f'masks("m"{options})'

    return write


def _uneven_patch(by: int) -> Values:
    """A grey area of 18x3 pixels, of which every other column is a bit brighter."""
    values = _patch(18, 3)
    values[:, :, 1::2][values[:, :, 1::2] == 100] += by
    return values


def _tinted(count: int, blue: int) -> Values:
    """A white object, of which so many pixels of each frame have a tint."""
    values = white(ONE)[..., None].repeat(3, -1)
    for frame, mask in zip(values, ONE, strict=True):
        rows, columns = np.nonzero(mask)
        frame[rows[:count], columns[:count]] = 250, 250, blue
    return np.asarray(values)


def _many(count: int) -> Values:
    """So many areas, each of its own value."""
    column = np.arange(WIDTH) * count // WIDTH
    values = np.broadcast_to(40 + 215 * column // max(1, count - 1), (HEIGHT, WIDTH))
    return np.stack([values.astype(np.uint8)] * FRAMES)


def _noise_at_the_ends(values: tuple[int, ...]) -> Values:
    """White and black with areas of values that are close to them."""
    picture = np.where(ONE, 255, 0)
    picture[:, 100:] = values[0]
    if len(values) > 1:
        picture[:, 40:60, 40:50] = values[1]
    return picture.astype(np.uint8)


def _video(values: Values, codec: str, name: str, pix_fmt: str) -> Write:
    def write(folder: Path) -> str:
        write_video(folder / name, [*values], codec, pix_fmt)
        return f'masks("{name}")'

    return write


def _array(values: Values, options: str = "") -> Write:
    def write(folder: Path) -> str:
        np.save(folder / "m.npy", values)
        return f'masks("m.npy"{options})'

    return write


_BLUR, _MORE_BLUR = ImageFilter.GaussianBlur(1.5), ImageFilter.GaussianBlur(2)


def shade_cases() -> dict[str, Case]:
    """Cases about the values of masks."""
    cases = {
        "smooth edges": good(_changed(lambda image: image.filter(_BLUR))),
        "smoother edges": good(_changed(lambda image: image.filter(_MORE_BLUR))),
        "bad JPEG": good(_changed(lambda image: _jpeg(image, 30), "jpg")),
        "JPEG that was saved as PNG": good(_changed(lambda image: _jpeg(image, 75))),
        "JPEG in colour": good(_changed(lambda image: _jpeg(image.convert("RGB"), 60), "jpg")),
        "0 and 128": good(images(objects(0, 128, 0)), ONE),
        "0 and 127": doubtful("G320", images(objects(0, 127, 0)), "0 and 127", "index 127"),
        "224 and 255": good(images(objects(224, 255, 255))),
        "223 and 255": doubtful("G320", images(objects(223, 255, 223)), "223 and 255"),
        "0, 3, 252 and 255": good(images(_noise_at_the_ends((3, 252)))),
        "0, 31, 224 and 255": good(images(_noise_at_the_ends((31, 224)))),
        "0, 32, 224 and 255": doubtful("G320", images(_noise_at_the_ends((32, 224)))),
        "0, 31, 223 and 255": doubtful("G320", images(_noise_at_the_ends((31, 223)))),
        "0, 3 and 255": doubtful("G320", images(_noise_at_the_ends((3,))), "0, 3 and 255"),
        "1% of grey": good(images(_soft(12000, PIXELS // 100))),
        "a pixel more than 1% of grey": doubtful(
            "G321", images(_soft(12000, PIXELS // 100 + 1)), "1% of the pixels", "threshold 50%"
        ),
        "5% of grey": doubtful("G321", images(_soft(12000, PIXELS // 20)), "5% of the pixels"),
        "a pixel more than 5% of grey": doubtful(
            "G320", images(_soft(12000, PIXELS // 20 + 1)), "many shades of grey", "threshold 50%"
        ),
        "as much grey as white": doubtful("G321", images(_soft(300, 300))),
        "more grey than white": doubtful("G320", images(_soft(300, 301)), "many shades of grey"),
        "0.5% of grey, more than white": doubtful("G321", images(_soft(150, PIXELS // 200))),
        "0.2% of grey": good(images(_soft(300, PIXELS // 500))),
        "a pixel more than 0.2% of grey": doubtful("G321", images(_soft(300, PIXELS // 500 + 1))),
        "a fifth of white is grey": good(images(_soft(5 * (PIXELS // 500 + 1), PIXELS // 500 + 1))),
        "more than a fifth of white is grey": doubtful(
            "G321", images(_soft(5 * (PIXELS // 500 + 1) - 1, PIXELS // 500 + 1))
        ),
        "a quarter of all pixels is an edge": good(images(_stripes(4))),
        "a third of all pixels is an edge": doubtful("G320", images(_stripes(3)), "many shades"),
        "a grey area of 4x3 pixels": good(images(_patch(4, 3))),
        "a grey area of 5x3 pixels": doubtful("G320", images(_patch(5, 3)), "0, 100 and 255"),
        "an edge of 4 pixels": good(images(_band(4))),
        "an edge of 8 pixels": doubtful("G321", images(_band(8))),
        "8 areas": doubtful("G320", images(_many(8)), "162, 193, 224 and 255"),
        "24 areas": doubtful("G320", images(_many(24)), "have the values 40, ", "105, …"),
        "25 areas": doubtful("G320", images(_many(25)), "many shades of grey"),
        "many greys, with a threshold": good(images(_soft(300, 9000), ", threshold 50%")),
        "many greys, with an index": good(images(_soft(300, 9000), ", index 255")),
        "255 only": good(images(objects(255, 255, 255))),
        "H.264": good(_video((ONE * 255).astype(np.uint8), "libx264", "m.mp4", "yuv420p")),
        "a grey object in JPEG": doubtful(
            "G321", images(_patch(16, 16), names="{:05}.jpg"), "threshold 50%"
        ),
        "WebP, a grey area of 17x3 pixels": good(_lossy(_patch(17, 3))),
        "WebP, a grey area of 18x3 pixels": doubtful("G321", _lossy(_patch(18, 3))),
        "WebP, 5 levels of difference": doubtful("G321", _lossy(_uneven_patch(5))),
        "WebP, 6 levels of difference": good(_lossy(_uneven_patch(6))),
        "WebP, 0 and 31": doubtful("G307", _lossy(objects(0, 31, 0)), "values 0 and 31"),
        "WebP, 0 and 32": doubtful("G320", _lossy(objects(0, 32, 0)), "threshold 6%"),
        "WebP, 0 and 31, inverted": good(_lossy(objects(0, 31, 0), ", invert")),
        "WebP, a tint of 32 levels": good(_lossy(_tinted(9999, 250 - 32))),
        "WebP, a tint of 33 levels": doubtful("G320", _lossy(_tinted(9999, 250 - 33)), "#fafad9"),
        "WebP, 19 pixels in colour": good(_lossy(_tinted(19, 0))),
        "WebP, 20 pixels in colour": doubtful("G320", _lossy(_tinted(20, 0)), "#fafa00"),
        "ids in H.264": doubtful(
            "G307",
            _video(objects(0, 1, 2), "libx264", "m.mp4", "yuv420p"),
            "all nearly black",
            "grey PNG",
        ),
        "ids in FFV1": doubtful(
            "G320", _video(objects(0, 1, 2), "ffv1", "m.mkv", "gray"), "0, 1 and 2", "index 1"
        ),
        "only 0 and 1": doubtful(
            "G308", images(objects(0, 1, 0)), "only 0 and 1", "masks(…, index 1)"
        ),
        "only 0 and 1 of three channels": doubtful(
            "G308",
            images(np.repeat(objects(0, 1, 0)[..., None], 3, axis=-1)),
            'masks(…, colour "#010101")',
        ),
        "only 0 and 1, with a threshold": good(images(objects(0, 1, 0), ", threshold 0.3%"), ONE),
        "0, 1 and 2 in an array": doubtful("G320", _array(objects(0, 1, 2)), "index 1"),
        "-1, 0 and 1 in an array": doubtful(
            "G320", _array(ONE.astype(np.int64) - OTHER), "-1, 0 and 1", "index 1"
        ),
        "0 and 100 in an array": doubtful("G320", _array(objects(0, 100, 0)), "0 and 100"),
        "0 and 1000 in an array": doubtful("G320", _array(objects(0, 1000, 0)), "0 and 1000"),
    }
    for values, index in {
        (0, 1, 2): 1,
        (0, 7, 200): 7,
        (0, 1, 255): 1,
        (0, 128, 255): 128,
        (0, 254, 255): 254,
        (0, 240, 255): 240,
        (200, 130, 255): 130,
        (0, 1000, 2000): 1000,
        (0, 300, 65535): 300,
        (0, 40000, 65535): 40000,
    }.items():
        shown = ", ".join(map(str, sorted(values)[:-1])) + f" and {max(values)}"
        bright = max(values) in (255, 65535, 200)
        more = ("threshold 50%",) if bright else ()
        cases[f"two objects of {shown}"] = doubtful(
            "G320", images(objects(*values)), f"have the values {shown}", f"index {index})`", *more
        )
    return cases
