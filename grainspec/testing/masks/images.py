"""Masks as images: modes, file types, and the options that select pixels."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from grainspec.regions.layout import Mask
from grainspec.testing.masks.written import (
    Values,
    Writer,
    Written,
    folder_of,
    places,
    turns,
    white,
    write_clip,
)

Picture = Image.Image | Values


def least(share: Fraction, most: int) -> int:
    """The smallest value that is at least this share of the largest one."""
    return max(1, ceil(share * most))


def levels(masks: Mask, first: int, most: int) -> Values:
    """Values from ``first`` to ``most`` inside, and lower ones outside, mostly those in between."""
    turn = turns(masks)
    away = np.where(turn % 3 == 2, turn, 0)
    inside, outside = first + away % (most - first + 1), first - 1 - away % first
    return np.asarray(np.where(masks, inside, outside))


def _as(
    convert: Callable[[Values], Picture],
    options: str = "",
    name: str = "{:05}.png",
    **how: Any,
) -> Writer:
    """A writer of black and white masks, each converted to another kind of image."""

    def write(folder: Path, masks: Mask) -> Written:
        folder_of(folder / "m", [convert(mask) for mask in white(masks)], name, **how)
        return Written(f'masks("m"{options})')

    return write


def _mode(mode: str) -> Callable[[Values], Picture]:
    return lambda mask: Image.fromarray(mask).convert(mode)


def _two_entries(mask: Values) -> Picture:
    """A palette whose second entry is black, and whose first is white."""
    image = Image.fromarray((mask == 0).astype(np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    return image


def _near_grey(mask: Values) -> Picture:
    """127 and 128: the two values beside the middle."""
    return np.asarray(127 + (mask > 0), np.uint8)


def _turned(orientation: int) -> Writer:
    """Images that are stored turned, and shown upright as EXIF says."""
    turn: Callable[[Values], Values] = {
        2: lambda mask: mask[:, ::-1],
        3: lambda mask: mask[::-1, ::-1],
        4: lambda mask: mask[::-1],
        5: lambda mask: mask.T,
        6: lambda mask: np.rot90(mask, 1),
        7: lambda mask: mask[::-1, ::-1].T,
        8: lambda mask: np.rot90(mask, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _as(lambda mask: np.ascontiguousarray(turn(mask)), exif=exif)


def _threshold(share: str, bits: int, *, invert: bool = False) -> Writer:
    def write(folder: Path, masks: Mask) -> Written:
        most = 2**bits - 1
        values = levels(~masks if invert else masks, least(Fraction(share) / 100, most), most)
        folder_of(folder / "m", values.astype(np.uint8 if bits == 8 else np.uint16))
        return Written(f'masks("m", threshold {share}%{", invert" * invert})')

    return write


def _middle_of_16_bits(folder: Path, masks: Mask) -> Written:
    folder_of(folder / "m", (32767 + masks).astype(np.uint16))
    return Written('masks("m")')


def ids(masks: Mask, index: int, most: int) -> Values:
    """The index inside, and others outside, among them those next to it."""
    others = [n for n in (index - 1, index + 1, 0, 1, most) if 0 <= n <= most and n != index]
    chosen = np.array(others)[turns(masks) % len(others)]
    return np.asarray(np.where(masks, index, chosen))


PALETTE = [level for n in range(256) for level in (n * 7 % 256, n * 29 % 256, (n * 53 + 9) % 256)]
"""256 colours, none of which is twice or grey but for chance."""


def _index(index: int, mode: str, *, invert: bool = False) -> Writer:
    def write(folder: Path, masks: Mask) -> Written:
        drawn = ~masks if invert else masks
        most = {"1": 1, "I;16": 65535, "I": 70002}.get(mode, 255)
        values = ids(drawn, index, most)
        kind = {"I;16": np.uint16, "I": np.int32}.get(mode, np.uint8)
        images = []
        for frame in values.astype(kind):
            image = Image.fromarray(frame * 255 if mode == "1" else frame)
            if mode == "P":
                image.putpalette(PALETTE)
            images.append(image.convert("1") if mode == "1" else image)
        folder_of(folder / "m", images, "{:05}.tif" if mode == "I" else "{:05}.png")
        return Written(f'masks("m", index {index}{", invert" * invert})')

    return write


def _near_colours(colour: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Colours that differ in one channel by one, and those with two channels swapped."""
    near: list[tuple[int, int, int]] = [colour[::-1], (colour[1], colour[0], colour[2])]
    for channel in range(3):
        for by in (-1, 1):
            changed = [*colour]
            changed[channel] += by
            if 0 <= changed[channel] <= 255:
                near.append((changed[0], changed[1], changed[2]))
    return [other for other in near if other != colour]


def coloured(masks: Mask, colour: tuple[int, int, int]) -> Values:
    """The colour inside, uint8 ``[F, H, W, 3]``, and others that are near to it outside."""
    near = np.array(_near_colours(colour), np.uint8)
    return np.where(masks[..., None], np.array(colour, np.uint8), near[turns(masks) % len(near)])


def _colour(written: str, mode: str = "RGB", *, invert: bool = False) -> Writer:
    def write(folder: Path, masks: Mask) -> Written:
        colour = tuple(bytes.fromhex(written[1:]))
        pixels = coloured(~masks if invert else masks, (colour[0], colour[1], colour[2]))
        images = [Image.fromarray(frame).convert(mode) for frame in pixels]
        folder_of(folder / "m", images)
        return Written(f'masks("m", colour "{written}"{", invert" * invert})')

    return write


def _colour_of_grey(folder: Path, masks: Mask) -> Written:
    folder_of(folder / "m", ids(masks, 7, 255).astype(np.uint8))
    return Written('masks("m", colour "#070707")')


def _colour_of_palette(folder: Path, masks: Mask) -> Written:
    images = [Image.fromarray(frame, "P") for frame in np.where(masks, 2, 1).astype(np.uint8)]
    for image in images:
        image.putpalette([0, 0, 0, 128, 0, 1, 128, 0, 0, 128, 0, 0])
    folder_of(folder / "m", images)
    return Written('masks("m", colour "#800000")')


def _alpha(options: str, inside: int, outside: int, mode: str = "RGBA") -> Writer:
    """Pictures of any colour, whose opacity is the mask."""

    def write(folder: Path, masks: Mask) -> Written:
        drawn = ~masks if "invert" in options else masks
        opacity = np.where(drawn, inside, outside).astype(np.uint8)
        grey = (places(masks) * 11 % 256).astype(np.uint8)
        colours = [grey] if mode == "LA" else [grey, 255 - grey, grey // 2]
        pixels = np.stack([*colours, opacity], axis=-1)
        folder_of(folder / "m", [Image.fromarray(frame, mode) for frame in pixels])
        return Written(f'masks("m", {options})')

    return write


def _alpha_of_palette(folder: Path, masks: Mask) -> Written:
    images = [Image.fromarray(frame, "P") for frame in np.where(masks, 2, 1).astype(np.uint8)]
    for image in images:
        image.putpalette([0, 0, 0, 255, 255, 255, 0, 0, 0])
    folder_of(folder / "m", images, transparency=1)
    return Written('masks("m", alpha)')


def _scaled(rule: str, factor: int) -> Writer:
    """Masks of several times the clip's size, in which pixels are partly covered."""

    def write(folder: Path, masks: Mask) -> Written:
        fine = _mottled(masks.repeat(factor, 1).repeat(factor, 2))
        folder_of(folder / "m", white(fine))
        return Written(f'masks("m", scaled, resize {rule})', _resized(fine, rule, factor))

    return write


def _with_the_clip(rule: str, factor: int) -> Writer:
    """Masks of a large clip, scaled down with it."""

    def write(folder: Path, masks: Mask) -> Written:
        count, height, width = masks.shape
        times = factor * ceil(_SMALLEST / min(height, width))
        fine = _mottled(masks.repeat(times, 1).repeat(times, 2))
        write_clip(folder, count, fine)
        folder_of(folder / "m", white(fine))
        size = f"{width * times // factor}x{height * times // factor}"
        video = f'video "clip" {{ size {size} }}'
        return Written(f'masks("m", resize {rule})', _resized(fine, rule, factor), video)

    return write


_SMALLEST = 16
"""The shortest side of an edited clip."""


def _mottled(fine: Mask) -> Mask:
    """Masks with some pixels changed, so that blocks have from none to all of theirs."""
    return np.asarray(fine ^ (places(fine) % 5 < 2))


def _resized(fine: Mask, rule: str, factor: int) -> Mask:
    """Masks made smaller: by the pixel at the centre, by half of the area, or by any pixel."""
    count, height, width = fine.shape
    high, wide = height // factor, width // factor
    covered = fine.reshape(count, high, factor, wide, factor).sum(axis=(2, 4))
    if rule == "any":
        return np.asarray(covered > 0)
    if rule == "area":
        return np.asarray(2 * covered >= factor**2)
    return fine[:, factor // 2 :: factor, factor // 2 :: factor]


def image_formats() -> dict[str, Writer]:
    """Writers of images, by what they write."""
    formats: dict[str, Writer] = {
        "PNG, 8-bit grey": _as(lambda mask: mask),
        "PNG, 8-bit grey, inverted": _as(lambda mask: 255 - mask, ", invert"),
        "PNG, 127 and 128": _as(_near_grey),
        "PNG, 16-bit grey": _as(lambda mask: mask.astype(np.uint16) * 257),
        "PNG, 16-bit grey, 32767 and 32768": _middle_of_16_bits,
        "PNG, palette of white and black": _as(_two_entries),
        "BMP": _as(lambda mask: mask, name="{:05}.bmp"),
        "TIFF": _as(lambda mask: mask, name="{:05}.tiff"),
        "TIFF, 1-bit": _as(_mode("1"), name="{:05}.tif"),
        "WebP, lossless": _as(_mode("RGB"), name="{:05}.webp", lossless=True),
        "JPEG": _as(lambda mask: mask, name="{:05}.jpg", quality=100),
        "JPEG, named PNG": _as(lambda mask: mask, name="{:05}.png", format="JPEG", quality=100),
        "PNG, colour of a grey image": _colour_of_grey,
        "PNG, colour of a palette": _colour_of_palette,
        "PNG, alpha of a palette": _alpha_of_palette,
    }
    for mode in ("1", "RGB", "RGBA", "LA"):
        formats[f"PNG, mode {mode}"] = _as(_mode(mode))
    for orientation in range(2, 9):
        formats[f"PNG, EXIF orientation {orientation}"] = _turned(orientation)
    for share in ("0.3", "7", "20", "50", "99.7", "100"):
        formats[f"PNG, threshold {share}%"] = _threshold(share, 8)
    for share in ("20", "50"):
        formats[f"PNG, 16-bit, threshold {share}%"] = _threshold(share, 16)
    formats["PNG, threshold 30%, inverted"] = _threshold("30", 8, invert=True)
    kinds = [*[(n, "P") for n in (0, 1, 2, 254, 255)], *[(n, "L") for n in (0, 1, 128, 255)]]
    kinds += [(0, "1"), (1, "1"), (0, "I;16"), (300, "I;16"), (65535, "I;16"), (70001, "I")]
    for index, mode in kinds:
        formats[f"image of mode {mode}, index {index}"] = _index(index, mode)
    formats["image of mode P, index 3, inverted"] = _index(3, "P", invert=True)
    for colour in ("#800000", "#FFFFFF", "#000000", "#010203"):
        formats[f"PNG, colour {colour}"] = _colour(colour)
    formats["PNG, colour #fa3253, inverted"] = _colour("#fa3253", invert=True)
    formats["PNG, colour #fa3253, opaque"] = _colour("#fa3253", "RGBA")
    for options, inside, outside in (
        ("alpha", 255, 0),
        ("alpha", 128, 127),
        ("alpha, invert", 255, 0),
        ("alpha, threshold 20%", 51, 50),
    ):
        formats[f"PNG, {options}, {inside} and {outside}"] = _alpha(options, inside, outside)
    formats["PNG, alpha of grey"] = _alpha("alpha", 255, 0, "LA")
    for rule in ("nearest", "area", "any"):
        formats[f"PNG, scaled from 3 times the size by {rule}"] = _scaled(rule, 3)
        formats[f"PNG, scaled with the clip by {rule}"] = _with_the_clip(rule, 2)
    formats["PNG, scaled from twice the size by area"] = _scaled("area", 2)
    formats["PNG, scaled with the clip by nearest, to a third"] = _with_the_clip("nearest", 3)
    return formats
