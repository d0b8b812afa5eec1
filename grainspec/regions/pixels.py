"""Which pixels of mask images are in a region, by the options of a source.

Without an option, masks are black and white; what else they are is reported, never guessed.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, cast

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.expressions import MaskFiles
from grainspec.regions.colours import MOST_COLOURS, Rgb, colours_of, hex_of
from grainspec.regions.shade_findings import coloured, listed, shade_findings
from grainspec.regions.shades import Shades

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

LOSSY_FORMATS = frozenset({"JPEG", "MPO", "WEBP"})


class Pixels:
    """Select the pixels of images that are in a region; :meth:`findings` judges all of them."""

    def __init__(self, source: MaskFiles, place: Path, *, lossy: bool = False) -> None:
        self.source = source
        self.place = place
        self.lossy = lossy
        self.largest = 0
        self.shades: Shades | None = None
        self.colours: Counter[Rgb] = Counter()
        self.entries: dict[int, Rgb] = {}
        self.alike: tuple[int, ...] = ()
        self.chosen: Rgb | None = None
        self.has_index = True
        self.opaque = source.alpha
        self.values: set[int] = set()

    def of(self, image: Image.Image, title: str, kind: str | None = None) -> Image.Image:
        """255 inside the region and 0 outside; raise GrainError (G308) for ambiguous images.

        ``kind`` is Pillow's name of the file's format.
        """
        source = self.source
        self.lossy = self.lossy or kind in LOSSY_FORMATS
        if source.alpha:
            return self._of_alpha(image, title)
        if source.index is not None:
            return self._of_index(image, source.index, title)
        if source.colour is not None:
            return self._of_colour(image, source.colour, title)
        if image.mode.startswith("I;16"):
            return self._of_words(image)
        self._refuse_unknown_range(image, title)
        self._refuse_transparency(image, title)
        judged = source.threshold is None
        if judged and self._is_coloured(image):
            return image.convert("L")  # an error follows
        grey = image.convert("L")
        return self._cut(grey, judged)

    def findings(self) -> list[Diagnostic]:
        """What is doubtful about all images together; raise GrainError for what is wrong."""
        if self.largest == 1 and cutoff(self.source, 255) > 1 and not self.source.alpha:
            message = f"the masks in {self.place} contain only 0 and 1, which are both nearly black"
            cure = "Save them with 0 and 255"
            if not self.lossy:
                option = self._index_of(1) if self.has_index else _as_colour(1)
                cure += f", or write `masks(…, {option})`"
            raise fail("G308", message, f"{cure}.", self.source.span)
        if self.opaque:
            message = f"`alpha` does not apply: the masks in {self.place} are opaque everywhere"
            raise fail("G308", message, "Remove `alpha`.", self.source.span_of("alpha"))
        if self.alike:
            shown = listed([f"`index {entry}`" for entry in self.alike])
            colour = hex_of(self.entries[self.alike[0]])
            message = f"palette entries of the masks in {self.place} have the same colour "
            message += f"(`{colour}`): {shown}"
            cure = f"Select the object's: `masks(…, index {max(self.alike)})`. If the region is "
            cure += f'all of the colour, write `masks(…, colour "{colour}")`.'
            raise fail("G320", message, cure, self.source.span)
        if self.colours:
            raise self._coloured()
        if self.shades is None:
            return []
        noise = self.largest and not self.shades.bright and self.shades.verdict() == "binary"
        if noise and self.lossy and not self.source.invert:
            values = listed(list(map(str, self.shades.values)))
            message = f"the region is empty: the masks in {self.place} have the values {values}, "
            message += "all nearly black"
            cure = "Compression mixes values that are so close. Save the masks as grey PNG: with 0 "
            cure += "and 255, or with ids, and then select the object's with `index`."
            raise fail("G307", message, cure, self.source.span)
        selects = self._index_of if self.has_index else _as_colour
        unselectable = self.lossy or self.source.alpha
        return shade_findings(
            self.source, self.place, self.shades, None if unselectable else selects
        )

    def known(self) -> str:
        """A sentence with the values found, if pixels were selected by `index`."""
        shown = listed(list(map(str, sorted(self.values)))) if self.values else ""
        return f"They have the values {shown}." if shown else ""

    def _cut(self, grey: Image.Image, judged: bool) -> Image.Image:
        self.largest = max(self.largest, cast(tuple[int, int], grey.getextrema())[1])
        if judged:
            self.shades = self.shades or Shades(255)
            self.shades.lossy = self.lossy
            self.shades.add_image(grey)
        least = cutoff(self.source, 255)
        return grey.point([255 * (value >= least) for value in range(256)])

    def _of_words(self, image: Image.Image) -> Image.Image:
        """Select pixels of an image of 16 bits."""
        import numpy as np
        from PIL import Image

        values = np.asarray(image)
        self.largest = max(self.largest, int(values.max()))
        if self.source.threshold is None:
            self.shades = self.shades or Shades(65535)
            self.shades.add(values)
        return Image.fromarray((values >= cutoff(self.source, 65535)).astype(np.uint8) * 255)

    def _of_alpha(self, image: Image.Image, title: str) -> Image.Image:
        if not image.has_transparency_data:
            message = f"`alpha` does not apply: {title} has no transparency"
            raise fail("G308", message, "Remove `alpha`.", self.source.span_of("alpha"))
        alpha = image.convert("RGBA").getchannel("A")
        self.opaque = self.opaque and cast(tuple[int, int], alpha.getextrema())[0] == 255
        return self._cut(alpha, self.source.threshold is None)

    def _of_index(self, image: Image.Image, index: int, title: str) -> Image.Image:
        from PIL import Image

        if image.mode in {"P", "L"}:
            if image.mode == "P":
                self._require_same_colour(image, index, title)
            # The bytes of a palette image are its indices; converting would lose them.
            plain = Image.frombytes("L", image.size, image.tobytes())
            self.values |= {value for value, count in enumerate(plain.histogram()) if count}
            return plain.point([255 * (value == index) for value in range(256)])
        if image.mode == "1":
            return image.convert("L").point([255 * ((value > 0) == index) for value in range(256)])
        if image.mode.startswith("I"):
            import numpy as np

            values = np.asarray(image)
            self.values |= {*np.unique(values).tolist()}
            return Image.fromarray((values == index).astype(np.uint8) * 255)
        message = f"`index` does not apply: {title} has colours ({image.mode})"
        cure = 'Select a colour, such as `colour "#800000"`, or save it with a palette.'
        if self.lossy:
            message = f"`index` does not apply: compression has changed the values of {title}"
            cure = f"Save the masks as grey PNG, then select the object's with `index {index}`."
        elif index < 256 and image.mode == "RGB" and not colours_of(image, lossy=False):
            shown = hex_of((index, index, index))
            cure = (
                f'Select the grey by its colour: `masks("{self.source.path}", colour "{shown}")`.'
            )
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
            cure = "Save it as 8-bit black and white"
            cure += ", or select a value, such as `index 1`." if image.mode == "I" else "."
            raise fail("G308", message, cure, self.source.span)

    def _refuse_transparency(self, image: Image.Image, title: str) -> None:
        if image.has_transparency_data:
            alpha = image.convert("RGBA").getchannel("A")
            low, high = cast(tuple[int, int], alpha.getextrema())
            if low != high:
                message = f"{title} is partly transparent, so the region is ambiguous"
                cure = "If the region is what is opaque, write `masks(…, alpha)`. Otherwise save "
                cure += "it in black and white without transparency."
                raise fail("G308", message, cure, self.source.span)

    def _is_coloured(self, image: Image.Image) -> bool:
        """Whether an image has colours, which are then counted; palettes count as colours."""
        self.has_index = self.has_index and image.mode in {"L", "P"}
        if image.mode in {"1", "L", "LA"}:
            return False
        if image.mode == "P":
            self._count_entries(image)
        found = colours_of(image.convert("RGB"), lossy=self.lossy)
        if found:
            self.colours.update(found)
            if len(found) > MOST_COLOURS:
                raise self._coloured()  # pictures: no need to read all of them
        return bool(found)

    def _count_entries(self, image: Image.Image) -> None:
        used = _used_entries(image)
        self.entries |= used
        entries_of: dict[Rgb, list[int]] = {}
        for index, rgb in sorted(used.items()):
            entries_of.setdefault(rgb, []).append(index)
        twice = (tuple(entries) for entries in entries_of.values() if len(entries) > 1)
        self.alike = self.alike or next(twice, ())

    def _require_same_colour(self, image: Image.Image, index: int, title: str) -> None:
        """Refuse palettes in which another entry has the colour that ``index`` had before."""
        used = _used_entries(image)
        other = next((entry for entry, rgb in used.items() if rgb == self.chosen), index)
        if other != index and used.get(index) != self.chosen:
            colour = hex_of(used[other])
            message = f"in {title}, the colour `{colour}` of `index {index}` is that of entry "
            message += f"{other}: the palettes of the masks differ"
            cure = f'Select by colour: `masks("{self.source.path}", colour "{colour}")`.'
            raise fail("G308", message, cure, self.source.span_of("index"))
        self.chosen = self.chosen or used.get(index)

    def _index_of(self, value: int) -> str:
        """The option that selects a shade of grey: in a palette, by its entry."""
        entries = (index for index, rgb in self.entries.items() if rgb == (value,) * 3)
        return f"index {next(entries, value)}"

    def _coloured(self) -> GrainError:
        entries = self.entries if self.has_index else {}
        return coloured(self.source, self.place, self.colours, entries, lossy=self.lossy)


def _used_entries(image: Image.Image) -> dict[int, Rgb]:
    """The colours of a palette's entries that occur in an image."""
    palette = image.getpalette("RGB") or []
    entries: dict[int, Rgb] = {}
    for _, index in image.getcolors(256) or []:
        rgb = palette[3 * cast(int, index) : 3 * cast(int, index) + 3]
        if len(rgb) == 3:
            entries[cast(int, index)] = (rgb[0], rgb[1], rgb[2])
    return entries


def _as_colour(value: int) -> str:
    return f'colour "{hex_of((value, value, value))}"'


def cutoff(source: MaskFiles, white: int) -> int:
    """The smallest value that is in the region, if ``white`` is the largest value.

    >>> cutoff(MaskFiles(path="m"), 255), cutoff(MaskFiles(path="m", threshold=0.2), 255)
    (128, 51)
    """
    # Rounded, because 0.07 * 100 is slightly more than 7.
    share = 0.5 if source.threshold is None else source.threshold
    return max(1, math.ceil(round(share * white, 6)))
