"""Masks as images (a folder, a glob or one image), and which of their pixels are in the region."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from grainspec.clip.facts import numbered_images
from grainspec.diagnostics import fail
from grainspec.model.expressions import MaskFiles
from grainspec.regions.globs import Astray, files_of, is_glob

if TYPE_CHECKING:
    from PIL import Image

_UNREADABLE = (OSError, EOFError, SyntaxError, ValueError, OverflowError, struct.error)
"""What Pillow raises for broken images."""


class ImageMasks:
    """Mask images, numbered by the last number in their names."""

    def __init__(self, source: MaskFiles, base: Path) -> None:
        self.source = source
        self.place = base / source.path
        self.files = mask_files(source, base)
        self.numbers: Sequence[int] = sorted(self.files)

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"the mask {self.files[number]}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Read the masks with these numbers, with the values 0 and 255."""
        from PIL import Image

        pixels = Pixels(self.source, self.place)
        for number in numbers:
            try:
                with Image.open(self.files[number]) as opened:
                    chosen = pixels.of(opened, self.title(number))
            except (*_UNREADABLE, Image.DecompressionBombError) as error:
                message = f"{self.title(number)} cannot be read as an image"
                raise fail("G308", message, "Save it again as PNG.", self.source.span) from error
            yield chosen
        pixels.check()


def mask_files(source: MaskFiles, base: Path) -> dict[int, Path]:
    """Find the mask images of a source, by the last number in their names.

    Relative paths start at ``base``. Raises GrainError (G304) if there are none, or if two files
    have the same number.
    """
    place = base / source.path
    try:
        paths = _paths(source.path, base)
    except Astray as error:
        cure = "Name the folder before the first wildcard, such as `../shared/left/*.png`."
        raise fail("G346", f"the masks {place}: {error}", cure, source.span) from error
    except (OSError, ValueError) as error:  # such as a name that is too long
        message = f"{place} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise fail("G304", message, "Check the path.", source.span) from error
    if paths is None:
        message = f"the mask folder {place} does not exist"
        raise fail(
            "G304",
            message,
            "Check the path. A glob such as `masks/*.png` is also possible.",
            source.span,
        )
    files: dict[int, Path] = {}
    for number, path in numbered_images(paths):
        if number in files:
            message = f"{files[number].name} and {path.name} are both masks for frame {number}"
            cure = "The last number in a name is the frame. Use a narrower glob."
            raise fail("G304", message, cure, source.span)
        files[number] = path
    if not files:
        message = f"{place} contains no images with a frame number in their names"
        raise fail("G304", message, "Name the masks 00000.png, 00001.png, ….", source.span)
    return files


def _paths(written: str, base: Path) -> list[Path] | None:
    """The files that a path of masks names; an existing path is not read as a glob."""
    place = base / written
    if place.is_dir():
        return list(place.iterdir())
    if place.is_file():
        return [place]
    return files_of(written, base) if is_glob(written) else None


class Pixels:
    """Select the pixels of images that are in a region, by the options of a source."""

    def __init__(self, source: MaskFiles, place: Path) -> None:
        self.source = source
        self.place = place
        self.largest = 0

    def of(self, image: Image.Image, title: str) -> Image.Image:
        """255 inside the region and 0 outside; raise GrainError (G308) for ambiguous images."""
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
        """Raise GrainError (G308) if all images together contain only the values 0 and 1."""
        if self.largest == 1 and cutoff(self.source, 255) > 1:
            message = f"the masks in {self.place} contain only 0 and 1, which are both nearly black"
            cure = "Save them with 0 and 255, or write `masks(…, index 1)`."
            raise fail("G308", message, cure, self.source.span)

    def _of_index(self, image: Image.Image, index: int, title: str) -> Image.Image:
        from PIL import Image

        if image.mode in {"P", "L"}:
            # The bytes of a palette image are its indices; converting would lose them.
            plain = Image.frombytes("L", image.size, image.tobytes())
            return plain.point([255 * (value == index) for value in range(256)])
        if image.mode == "1":
            return image.convert("L").point([255 * ((value > 0) == index) for value in range(256)])
        if image.mode.startswith("I"):
            import numpy as np

            return Image.fromarray((np.asarray(image) == index).astype(np.uint8) * 255)
        message = f"`index` does not apply: {title} has colours ({image.mode})"
        cure = 'Select a colour, such as `colour "#800000"`, or save it with a palette.'
        raise fail("G308", message, cure, self.source.span)

    def _of_colour(self, image: Image.Image, colour: str, title: str) -> Image.Image:
        from PIL import ImageChops

        if image.mode.startswith("I;16"):
            message = f"`colour` does not apply: {title} is 16-bit grey"
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
            message = f"{title} has 32-bit values, whose white is unknown"
            cure = "Save it as 8-bit black and white."
            raise fail("G308", message, cure, self.source.span)

    def _refuse_transparency(self, image: Image.Image, title: str) -> None:
        if image.has_transparency_data:
            alpha = image.convert("RGBA").getchannel("A")
            low, high = cast(tuple[int, int], alpha.getextrema())
            if low != high:
                message = f"{title} is partly transparent, so the region is ambiguous"
                cure = "Save it in black and white without transparency."
                raise fail("G308", message, cure, self.source.span)


def cutoff(source: MaskFiles, white: int) -> int:
    """The smallest value that is in the region, if ``white`` is the largest value.

    >>> cutoff(MaskFiles(path="m"), 255), cutoff(MaskFiles(path="m", threshold=0.2), 255)
    (128, 51)
    """
    # Rounded, because 0.07 * 100 is slightly more than 7.
    return max(1, math.ceil(round(source.threshold * white, 6)))
