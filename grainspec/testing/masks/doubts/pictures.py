"""Masks that are images with colours, palettes or transparency, of another size, or damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from grainspec.regions.layout import Mask
from grainspec.testing.masks.doubts.case import (
    FRAMES,
    HEIGHT,
    ONE,
    OTHER,
    WIDTH,
    Case,
    Write,
    doubtful,
    good,
)
from grainspec.testing.masks.doubts.shades import images, objects
from grainspec.testing.masks.videos import write_video
from grainspec.testing.masks.written import Values, beside, folder_of, places, white

RED, GREEN = (250, 50, 83), (102, 255, 102)

Rgb = tuple[int, int, int]


def colours(one: Rgb, other: Rgb, ground: Rgb = (0, 0, 0)) -> Values:
    """Colour pictures of both objects."""
    picture = np.full((FRAMES, HEIGHT, WIDTH, 3), ground, np.uint8)
    picture[ONE], picture[OTHER] = one, other
    return picture


def _bands(count: int) -> Values:
    """So many colours that are far from each other, in columns."""
    band = np.arange(WIDTH) * count // WIDTH
    row = np.stack([37 * band % 256, 91 * band % 256, 151 * band % 256], axis=-1)
    return np.broadcast_to(row, (FRAMES, HEIGHT, WIDTH, 3)).astype(np.uint8)


def _kinds(count: int) -> Values:
    """So many kinds of colours that are far from each other, each of three that are near."""
    band = np.arange(WIDTH) * count // WIDTH
    near = (np.arange(HEIGHT) % 3)[:, None]
    levels = [64 * (band % 4) + 8, 64 * (band // 4) + 8]
    row = np.stack([levels[0] + near, levels[1] + 0 * near, 200 + 0 * band + 0 * near], axis=-1)
    return np.broadcast_to(row, (FRAMES, HEIGHT, WIDTH, 3)).astype(np.uint8)


def _palette(values: Values, *entries: Rgb, options: str = "", **how: Any) -> Write:
    """Palette images; the palette has these entries."""

    def write(folder: Path) -> str:
        made = [Image.fromarray(frame, "P") for frame in values.astype(np.uint8)]
        for image in made:
            image.putpalette([level for entry in entries for level in entry])
        folder_of(folder / "m", made, **how)
        return f'masks("m"{options})'

    return write


def _changing_palettes(options: str, swapped: bool) -> Write:
    """The last image has another palette: its entries are swapped, or it has other colours."""

    def write(folder: Path) -> str:
        made = [Image.fromarray(frame, "P") for frame in objects(0, 1, 2)]
        for number, image in enumerate(made):
            entries = [RED, GREEN]
            if number == FRAMES - 1:
                entries = [GREEN, RED] if swapped else [(1, 2, 3), (4, 5, 6)]
            image.putpalette([0, 0, 0, *entries[0], *entries[1]])
        folder_of(folder / "m", made)
        return f'masks("m"{options})'

    return write


def _opacity(mode: str, inside: int, outside: int, options: str = "") -> Write:
    def write(folder: Path) -> str:
        made = [Image.fromarray(frame) for frame in colours(RED, GREEN)]
        for image, mask in zip(made, ONE, strict=True):
            opacity = np.where(mask, inside, outside).astype(np.uint8)
            image.putalpha(Image.fromarray(opacity))
        folder_of(folder / "m", [image.convert(mode) for image in made])
        return f'masks("m"{options})'

    return write


def _opacities(ground: int, one: int, other: int, options: str) -> Write:
    """Objects of different opacities."""
    opacity = objects(ground, one, other)
    grey = np.full_like(opacity, 90)
    return images(np.stack([grey, grey, grey, opacity], axis=-1), options)


def _mode(mode: str, values: Values, options: str = "") -> Write:
    """Images of 32 bits, which only TIFF has."""

    def write(folder: Path) -> str:
        kind = np.int32 if mode == "I" else np.float32
        folder_of(folder / "m", values.astype(kind), "{:05}.tif")
        return f'masks("m"{options})'

    return write


def _size(width: int, height: int, options: str = "") -> Write:
    return images(np.full((FRAMES, height, width), 255, np.uint8), options)


def _numbers(numbers: list[int], options: str = "", names: str = "{:05}.png") -> Write:
    def write(folder: Path) -> str:
        masks = white(np.concatenate([ONE] * 3))[: len(numbers)]
        folder_of(folder / "m", masks, names, numbers=numbers)
        return f'masks("m"{options})'

    return write


def _names(names: list[str], options: str = "") -> Write:
    def write(folder: Path) -> str:
        for name, mask in zip(names, white(np.concatenate([ONE, ONE])), strict=False):
            folder_of(folder / "m", [mask], name)
        return f'masks("m"{options})'

    return write


def _damaged(change: Callable[[bytes], bytes]) -> Write:
    def write(folder: Path) -> str:
        folder_of(folder / "m", white(ONE))
        path = folder / "m" / "00001.png"
        path.write_bytes(change(path.read_bytes()))
        return 'masks("m")'

    return write


def _video(values: Values, options: str = "", *, cut: float = 1) -> Write:
    def write(folder: Path) -> str:
        path = folder / "m.mkv"
        write_video(path, [*values], "ffv1", "gray" if values.ndim == 3 else "bgr0")
        content = path.read_bytes()
        path.write_bytes(content[: int(cut * len(content))])
        return f'masks("m.mkv"{options})'

    return write


def _written(name: str, content: bytes, region: str | None = None) -> Write:
    def write(folder: Path) -> str:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return region or f'masks("{name}")'

    return write


def _noise(masks: Mask) -> Values:
    """Grey pictures with soft transitions."""
    smooth = (np.sin(places(masks) / 9) + 1) * 127
    return np.asarray(smooth.astype(np.uint8))


def picture_cases() -> dict[str, Case]:
    """Cases about images and videos."""
    colour, palette = colours(RED, GREEN), [(0, 0, 0), RED, GREEN]
    near = np.where(ONE, 255, 0)
    no_number = ["left.png", "right.png"]
    return {
        "two colours": doubtful(
            "G320", images(colour), "`#fa3253`", "`#66ff66`", "`#000000`", "masks(…, colour"
        ),
        "one colour on black": doubtful(
            "G320", images(colours(RED, (0, 0, 0))), 'colour "#fa3253"'
        ),
        "a colour that is nearly grey": doubtful(
            "G320", images(colours((200, 200, 201), (0, 0, 0))), 'colour "#c8c8c9"'
        ),
        "a colour, with a threshold": good(images(colour, ", threshold 30%")),
        "24 colours": doubtful("G320", images(_bands(24)), "have the colours"),
        "25 colours": doubtful("G320", images(_bands(25)), "pictures with many colours"),
        "two colours in JPEG": doubtful(
            "G320", images(colour, names="{:05}.jpg", quality=95), "Compression has changed"
        ),
        "a picture in JPEG": doubtful(
            "G320", images(_bands(60), names="{:05}.jpg"), "pictures with many colours"
        ),
        "12 kinds of colours in WebP": doubtful(
            "G320",
            images(_kinds(12), names="{:05}.webp", lossless=True),
            "Compression has changed",
        ),
        "13 kinds of colours in WebP": doubtful(
            "G320",
            images(_kinds(13), names="{:05}.webp", lossless=True),
            "pictures with many colours",
        ),
        "a tint in JPEG": good(
            images(colours((250, 250, 240), (0, 0, 0)), names="{:05}.jpg", quality=95)
        ),
        "colours in a video": doubtful("G320", _video(colour), "`#fa3253`"),
        "a grey picture": doubtful("G320", images(_noise(ONE)), "many shades of grey"),
        "palette entries": doubtful(
            "G320",
            _palette(objects(0, 1, 2), *palette),
            "1 (`#fa3253`)",
            "2 (`#66ff66`)",
            "index 1",
        ),
        "palette entries of grey": doubtful(
            "G320",
            _palette(objects(0, 1, 2), (0, 0, 0), (90, 90, 90), (255, 255, 255)),
            "0, 90 and 255",
            "index 1",
        ),
        "palette entries of one colour": doubtful(
            "G320",
            _palette(objects(0, 1, 2), (0, 0, 0), RED, RED),
            "`index 1` and `index 2`",
            'colour "#fa3253"',
        ),
        "palette of black and white": good(
            _palette(objects(0, 1, 0), (0, 0, 0), (255, 255, 255)), ONE
        ),
        "palettes that swap entries": doubtful(
            "G308", _changing_palettes(", index 1", swapped=True), "entry 2", 'colour "#fa3253"'
        ),
        "palettes of other colours": good(_changing_palettes(", index 1", swapped=False), ONE),
        "partly transparent": doubtful(
            "G308", _opacity("RGBA", 255, 0), "partly transparent", "masks(…, alpha)"
        ),
        "partly transparent, with a colour": doubtful(
            "G308", _opacity("RGBA", 255, 254, ', colour "#fa3253"'), "partly transparent"
        ),
        "partly transparent, with alpha": good(_opacity("RGBA", 255, 0, ", alpha"), ONE),
        "nearly transparent, with alpha": doubtful(
            "G320", _opacity("RGBA", 90, 0, ", alpha"), "0 and 90", "threshold 17%"
        ),
        "hardly opaque, with alpha": doubtful(
            "G320", _opacity("RGBA", 3, 0, ", alpha"), "0 and 3", "threshold 1%"
        ),
        "three opacities, with alpha": doubtful(
            "G320", _opacities(0, 130, 255, ", alpha"), "0, 130 and 255", "threshold 50%`."
        ),
        "no transparency, with alpha": doubtful(
            "G308", images(colour, ", alpha"), "has no transparency", "Remove `alpha`"
        ),
        "opaque, with alpha": doubtful(
            "G308", _opacity("RGBA", 255, 255, ", alpha"), "opaque everywhere"
        ),
        "invisible, with alpha": doubtful("G307", _opacity("RGBA", 0, 0, ", alpha"), "transparent"),
        "index of colours": doubtful("G308", images(colour, ", index 1"), "has colours"),
        "index of grey in three channels": doubtful(
            "G308",
            images(np.repeat(objects(0, 1, 2)[..., None], 3, axis=-1), ", index 1"),
            'colour "#010101"',
        ),
        "index in JPEG": doubtful(
            "G308",
            images(
                np.repeat(near[..., None], 3, -1).astype(np.uint8), ", index 255", names="{:05}.jpg"
            ),
            "compression has changed the values",
        ),
        "colour of 16 bits": doubtful(
            "G308", images(objects(0, 999, 0), ', colour "#ffffff"'), "is 16-bit grey"
        ),
        "32 bits": doubtful("G308", _mode("I", objects(0, 1, 2)), "32-bit", "index 1"),
        "32-bit fractions": doubtful("G308", _mode("F", objects(0, 1, 2)), "32-bit", "8-bit"),
        "32 bits, colour": doubtful("G308", _mode("I", objects(0, 1, 2), ', colour "#010101"')),
        "all black": doubtful("G307", images(objects(0, 0, 0)), "are all black", "invert"),
        "all white, inverted": doubtful(
            "G307", images(objects(255, 255, 255), ", invert"), "are all white"
        ),
        "no such index": doubtful(
            "G307", images(objects(0, 3, 7), ", index 5"), "has index 5", "values 0, 3 and 7"
        ),
        "nothing but the index, inverted": doubtful(
            "G307", images(objects(4, 4, 4), ", index 4, invert"), "all pixels"
        ),
        "no such colour": doubtful("G307", images(colour, ', colour "#fa3254"'), "has #fa3254"),
        "half the size": doubtful("G306", _size(80, 60), "80x60", "160x120", "masks(…, scaled)"),
        "half the size, scaled": good(_size(80, 60, ", scaled")),
        "nearly the aspect, scaled": good(_size(43, 32, ", scaled")),
        "another aspect, scaled": doubtful(
            "G306", _size(100, 60, ", scaled"), "another aspect ratio", "160x120"
        ),
        "on its side": doubtful("G306", _size(120, 160), "lie on their side"),
        "a mask is missing": doubtful(
            "G305", _numbers([0, 1]), "frame 2 has no mask", "missing empty", "during 0..1"
        ),
        "numbers from 1": doubtful("G305", _numbers([1, 2, 3]), "frame 0", "`from 1`"),
        "every fifth number": doubtful("G305", _numbers([0, 5, 10]), "`in_order`"),
        "too few in order": doubtful("G305", _numbers([4, 9], ", in_order"), "found 2 masks"),
        "none is there": doubtful("G305", _numbers([50, 51], ", missing empty"), "frame 0"),
        "masks of frames that are not used": good(_numbers([0, 1, 2, 7, 9]), ONE),
        "two numbers that count": doubtful(
            "G322", _names(["f0_t0.png", "f1_t2.png", "f2_t4.png"]), "may be", "m/f*_t?.png"
        ),
        "two numbers that count, of other lengths": doubtful(
            "G322",
            _names(["f8_t6.png", "f9_t8.png", "f10_t12.png"]),
            "may be `10` or `12`",
            "Name the masks 00000.png",
        ),
        "two numbers that count, in order": good(
            _names(["f0_t0.png", "f1_t2.png", "f2_t4.png"], ", in_order"), ONE
        ),
        "the same number twice": doubtful(
            "G304",
            _names(["a_0.png", "b_0.png", "a_1.png", "b_1.png", "a_2.png", "b_2.png"]),
            "both masks for frame 0",
        ),
        "no number": doubtful("G304", _names(no_number), "no images with a frame number"),
        "no folder": doubtful("G304", lambda folder: 'masks("none")', "does not exist"),
        "no file": doubtful("G304", lambda folder: 'masks("none.npy")', "does not exist"),
        "a glob that leads out": doubtful("G346", lambda folder: 'masks("*/../m_*.png")', "`..`"),
        "a truncated image": doubtful("G308", _damaged(lambda png: png[: len(png) // 2]), "00001"),
        "an empty image": doubtful("G308", _damaged(lambda png: b""), "cannot be read as an image"),
        "no image": doubtful("G308", _damaged(lambda png: b"hello"), "cannot be read as an image"),
        "a truncated video": doubtful("G308", _video(white(ONE), cut=0.3)),
        "no video": doubtful("G308", _written("m.mp4", b"none\n" * 40)),
        "a video with alpha": doubtful(
            "G205", _video(white(ONE), ", alpha"), "`alpha` does not apply", "`threshold`, `index`"
        ),
        "images with a label": doubtful(
            "G205", images(white(ONE), ', label "man"'), "`label` does not apply"
        ),
        "images with an array": doubtful(
            "G205", images(white(ONE), ', array "left"'), "`array` does not apply"
        ),
        "two masks that overlap": doubtful(
            "G312",
            _regions(ONE, ONE | OTHER),
            "`bear` and `robot` overlap in 100% of the smaller one",
        ),
        "two masks that are the same": doubtful("G312", _regions(ONE, ONE), "have the same masks"),
        "two masks": good(_regions(ONE, OTHER), ONE),
        "a mask and what is beside it": good(_regions(ONE, beside(ONE))),
    }


def _regions(*masks: Mask) -> Write:
    def write(folder: Path) -> str:
        for number, mask in enumerate(masks):
            folder_of(folder / f"m{number}", white(mask))
        return "; ".join(f'masks("m{number}")' for number in range(len(masks)))

    return write
