"""The mask or the shape that shows an object to a tracker on one frame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grainspec.clip.facts import IMAGE_SUFFIXES, ClipFacts
from grainspec.clip.images import open_image, unreadable, upright
from grainspec.clip.mask_scaling import resize_mask
from grainspec.diagnostics import fail
from grainspec.model.expressions import Box, MaskFiles, Polygon
from grainspec.regions.claims import require_size
from grainspec.regions.masks import open_masks
from grainspec.regions.pixels import Pixels
from grainspec.regions.shapes import fill_box, fill_ellipse, fill_polygon

if TYPE_CHECKING:
    from PIL import Image


def prompt_mask(
    source: MaskFiles, base: Path, facts: ClipFacts, frame: int, *, clip: Path
) -> npt.NDArray[np.bool_]:
    """Read the mask of a prompt in the clip's size, bool ``[H, W]``.

    A single image is the mask of the prompt's frame, whatever its name; of several masks, the one
    of that frame is read. Raises GrainError as :func:`open_masks` does.
    """
    place = base / source.path
    if place.suffix.lower() in IMAGE_SUFFIXES and place.is_file():
        image = _single(source, place, facts)
    else:
        [image] = open_masks(source, base, facts, [frame], clip=clip)
    return np.asarray(image) >= 128


def prompt_area(shape: Box | Polygon, frame: int, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Draw the shape of a prompt, bool ``[H, W]``; ``size`` is width and height of the frame.

    Raises GrainError (G309) for a shape without a pixel, which shows no object.
    """
    wide, high = size
    numbers = shape.numbers(frame, wide, high)
    if isinstance(shape, Polygon):
        corners = list(zip(numbers[::2], numbers[1::2], strict=True))
        area_HW = fill_polygon((high, wide), corners)
    else:
        left, top, right, bottom = numbers
        fill = fill_ellipse if shape.kind == "ellipse" else fill_box
        area_HW = fill((high, wide), left, top, right, bottom)
    if not area_HW.any():
        message = f"the {shape.kind} has no pixel of the frame inside, so it shows no object"
        cure = f"The frames are {wide}x{high} pixels; a pixel is inside if its centre is."
        raise fail("G309", message, cure, shape.keyframes[0].span or shape.span)
    return area_HW


def _single(source: MaskFiles, place: Path, facts: ClipFacts) -> Image.Image:
    pixels, title = Pixels(source, place), f"the mask {place}"
    try:
        with open_image(place) as opened:
            kind = opened.format
            image = pixels.of(upright(opened), title, kind)
    except unreadable() as error:
        message = f"{title} cannot be read as an image"
        raise fail("G308", message, "Save it again as PNG.", source.span) from error
    pixels.findings()
    if source.invert:
        from PIL import ImageOps

        image = ImageOps.invert(image)
    size = facts.width, facts.height
    if image.size != size:
        require_size(source, title, image.size, size)
        image = resize_mask(image, size, source.resize)
    if not np.asarray(image).any():
        message = f"{title} shows no object: none of its pixels is selected"
        raise fail("G307", message, pixels.known() or "Check the mask.", source.span)
    return image
