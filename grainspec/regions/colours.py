"""The colours of masks: those of classes or objects, or those of a picture."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

Rgb = tuple[int, int, int]

MOST_COLOURS = 24
"""With more colours than these, an image is a picture."""
_CHROMA = 32
"""By so much the channels of a grey picture may differ after compression."""
_SAMPLE = 128


def colours_of(image: Image.Image, *, lossy: bool) -> Counter[Rgb]:
    """The colours of an RGB image, and how often they occur; none if it is grey.

    Colours along edges are left out. There are more than ``MOST_COLOURS`` for pictures.
    """
    from PIL import ImageChops

    red, green, blue = image.split()
    chroma = ImageChops.lighter(
        ImageChops.difference(red, green), ImageChops.difference(green, blue)
    ).histogram()
    if sum(chroma[1:]) == 0:
        return Counter()
    few = _counted(image, MOST_COLOURS)
    if few and not lossy:
        return few
    if sum(chroma[_CHROMA + 1 :]) <= 0.001 * sum(chroma):
        return Counter()
    return few or _main_colours(image)


def _counted(image: Image.Image, most: int) -> Counter[Rgb]:
    """The colours of an image, if these are at most ``most``."""
    return Counter({colour: count for count, colour in image.getcolors(most) or []})  # type: ignore[misc]


def _main_colours(image: Image.Image) -> Counter[Rgb]:
    """The most frequent of similar colours, if few of these cover nearly all of the image."""
    from PIL.Image import Resampling

    small = image.resize(
        (min(image.width, _SAMPLE), min(image.height, _SAMPLE)), Resampling.NEAREST
    )
    counts = _counted(small, _SAMPLE**2)
    similar: dict[Rgb, Counter[Rgb]] = {}
    for (red, green, blue), count in counts.items():
        cell = (red >> 5, green >> 5, blue >> 5)
        similar.setdefault(cell, Counter())[(red, green, blue)] += count
    total = sum(counts.values())
    main = [group for group in similar.values() if group.total() >= 0.01 * total]
    covered = sum(group.total() for group in main)
    if len(main) > MOST_COLOURS // 2 or covered < 0.85 * total:
        return counts + Counter({(0, 0, level): 1 for level in range(MOST_COLOURS + 1)})
    return Counter({group.most_common(1)[0][0]: group.total() for group in main})


def hex_of(colour: Rgb) -> str:
    """A colour as the language writes it.

    >>> hex_of((250, 50, 83))
    '#fa3253'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)
