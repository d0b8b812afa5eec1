"""Masks as images: a folder of them, a glob or a single one; and which of their pixels count."""

from __future__ import annotations

import glob
import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from grainspec.clip.facts import numbered_images
from grainspec.diagnostics import fail
from grainspec.model.expressions import MaskFiles

if TYPE_CHECKING:
    from PIL import Image

_UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, OverflowError, struct.error)
"""What Pillow raises for broken images."""


class ImageMasks:
    """Mask images by the last number in their names."""

    def __init__(self, source: MaskFiles, base: Path) -> None:
        self.source = source
        self.place = base / source.path
        self.files = mask_files(source, base)
        self.numbers: Sequence[int] = sorted(self.files)

    def title(self, number: int) -> str:
        """What messages call a mask."""
        return f"the mask {self.files[number]}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """The masks with these numbers, 0 and 255."""
        from PIL import Image

        pixels = Pixels(self.source, self.place)
        for number in numbers:
            try:
                with Image.open(self.files[number]) as opened:
                    chosen = pixels.of(opened, self.title(number))
            except (*_UNREADABLE, Image.DecompressionBombError) as error:
                message = f"{self.title(number)} is no image that can be read"
                raise fail("G308", message, "Save it again as PNG.", self.source.span) from error
            yield chosen
        pixels.check()


def mask_files(source: MaskFiles, base: Path) -> dict[int, Path]:
    """The mask images of a source by the last number in their names.

    Relative paths start at ``base``. Raises GrainError: G304 nothing there, or two files with one
    number.
    """
    place = base / source.path
    try:
        paths = _paths(source.path, base)
    except (OSError, ValueError) as error:  # such as a name longer than any file's
        message = f"{place} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise fail("G304", message, "Check the path.", source.span) from error
    if paths is None:
        message = f"there is no folder of masks {place}"
        raise fail("G304", message, "Name a folder, or a glob such as `masks/*.png`.", source.span)
    found: dict[int, Path] = {}
    for number, path in numbered_images(paths):
        if number in found:
            message = f"{found[number].name} and {path.name} are both masks for frame {number}"
            cure = "A mask's frame is the last number in its name; narrow the glob."
            raise fail("G304", message, cure, source.span)
        found[number] = path
    if not found:
        message = f"{place} has no mask images whose names end in a frame's number"
        raise fail("G304", message, "Masks look like 00000.png, 00001.png, ….", source.span)
    return found


def _paths(written: str, base: Path) -> list[Path] | None:
    """What a path of masks names; what is there under that very name goes before any glob."""
    place = base / written
    if place.is_dir():
        return list(place.iterdir())
    if place.is_file():
        return [place]
    if not any(sign in written for sign in "*?["):
        return None
    pattern = Path(glob.escape(str(base))) / written
    return [Path(name) for name in glob.glob(str(pattern), recursive=True)]


class Pixels:
    """Which pixels of pictures are in a region, as the options of a source say."""

    def __init__(self, source: MaskFiles, place: Path) -> None:
        self.source = source
        self.place = place
        self.largest = 0

    def of(self, image: Image.Image, title: str) -> Image.Image:
        """255 where the picture is in the region and 0 elsewhere; G308 if it does not say."""
        if self.source.index is not None:
            return self._of_index(image, self.source.index, title)
        if self.source.colour is not None:
            return self._of_colour(image, self.source.colour, title)
        if image.mode.startswith("I;16"):
            import numpy as np
            from PIL import Image

            values = np.asarray(image)
            self.largest = max(self.largest, int(values.max()))
            return Image.fromarray((values >= cutoff(self.source, 65535)).astype(np.uint8) * 255)
        self._refuse_unknown_range(image, title)
        self._refuse_transparency(image, title)
        grey = image.convert("L")
        self.largest = max(self.largest, cast(tuple[int, int], grey.getextrema())[1])
        least = cutoff(self.source, 255)
        return grey.point([255 * (value >= least) for value in range(256)])

    def check(self) -> None:
        """Refuse pictures that, taken together, hold nothing but 0 and 1."""
        if self.largest == 1 and cutoff(self.source, 255) > 1:
            message = f"the masks in {self.place} hold 0 and 1, which is black and almost black"
            cure = "Save them with 0 and 255, or say `index 1`."
            raise fail("G308", message, cure, self.source.span)

    def _of_index(self, image: Image.Image, index: int, title: str) -> Image.Image:
        from PIL import Image

        if image.mode in {"P", "L"}:
            # the bytes of a palette image are its indices, which converting would lose
            plain = Image.frombytes("L", image.size, image.tobytes())
            return plain.point([255 * (value == index) for value in range(256)])
        if image.mode == "1":
            return image.convert("L").point([255 * ((value > 0) == index) for value in range(256)])
        if image.mode.startswith("I"):
            import numpy as np

            return Image.fromarray((np.asarray(image) == index).astype(np.uint8) * 255)
        message = f"{title} has colours ({image.mode}), not indices"
        cure = 'Say the colour, as `colour "#800000"`, or save it with its palette.'
        raise fail("G308", message, cure, self.source.span)

    def _of_colour(self, image: Image.Image, colour: str, title: str) -> Image.Image:
        from PIL import ImageChops

        if image.mode.startswith("I;16"):
            message = f"{title} is grey, with 16 bits"
            raise fail("G308", message, "Use `index` or `threshold`.", self.source.span)
        self._refuse_unknown_range(image, title)
        self._refuse_transparency(image, title)
        wanted = bytes.fromhex(colour[1:])
        red, green, blue = (
            channel.point([255 * (value == level) for value in range(256)])
            for channel, level in zip(image.convert("RGB").split(), wanted, strict=True)
        )
        return ImageChops.darker(ImageChops.darker(red, green), blue)

    def _refuse_unknown_range(self, image: Image.Image, title: str) -> None:
        if image.mode in {"I", "F"}:
            message = f"{title} has numbers without a known white"
            cure = "Save it with 8 bits, black and white."
            raise fail("G308", message, cure, self.source.span)

    def _refuse_transparency(self, image: Image.Image, title: str) -> None:
        if image.has_transparency_data:
            alpha = image.convert("RGBA").getchannel("A")
            low, high = cast(tuple[int, int], alpha.getextrema())
            if low != high:
                message = f"{title} is transparent in places: which part is the region?"
                cure = "Save it as black and white without transparency."
                raise fail("G308", message, cure, self.source.span)


def cutoff(source: MaskFiles, white: int) -> int:
    """The least value that is in the region, where ``white`` is the largest there is.

    >>> cutoff(MaskFiles(path="m"), 255), cutoff(MaskFiles(path="m", threshold=0.2), 255)
    (128, 51)
    """
    # rounded, so that 0.07 * 100 and its like are no hair above the number that is meant
    return max(1, math.ceil(round(source.threshold * white, 6)))
