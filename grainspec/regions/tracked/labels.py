"""The images of tracked masks: one palette image a frame, whose index is the object's number.

Paint programs write them in many ways. An image that has its colours but not its palette is read by
these colours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from grainspec.clip.images import open_image, unreadable, upright
from grainspec.diagnostics import GrainError, fail

if TYPE_CHECKING:
    from PIL import Image

Labels = npt.NDArray[np.uint8]


def image_name(frame: int) -> str:
    """The name of a frame's image: ``00031.png``."""
    return f"{frame:05}.png"


def palette() -> list[int]:
    """Red, green and blue of 256 indices: the palette of DAVIS and PASCAL VOC.

    >>> palette()[:9]
    [0, 0, 0, 128, 0, 0, 0, 128, 0]
    """
    values = []
    for index in range(256):
        for channel in range(3):
            bits = (index >> (3 * place + channel) & 1 for place in range(3))
            values.append(sum(bit << (7 - place) for place, bit in enumerate(bits)))
    return values


def label_image(labels_HW: Labels) -> Image.Image:
    """Make the palette image of labels, uint8 ``[H, W]``."""
    from PIL import Image

    image = Image.fromarray(labels_HW)
    image.putpalette(palette())
    return image


def read_labels(path: Path, size: tuple[int, int], numbers: Mapping[int, str]) -> Labels:
    """Read an image of tracked masks as labels, uint8 ``[H, W]``.

    ``size`` is the width and height of the clip, ``numbers`` the objects with a region of each.
    Raises GrainError (G363) if the image cannot be read, has another size, or other objects.
    """
    try:
        with open_image(path) as opened:
            image = upright(opened)
    except unreadable() as error:
        raise _unusable(f"{path} cannot be read as an image") from error
    if image.size != size:
        wide, high = image.size
        message = f"{path} has {wide}x{high} pixels; the clip has {size[0]}x{size[1]}"
        raise _unusable(message)
    labels_HW = _labels(image, path)
    present = np.flatnonzero(np.bincount(labels_HW.ravel(), minlength=256)).tolist()
    strange = sorted({*present} - {0, *numbers})
    if strange:
        known = ", ".join(f"{k} (`{region}`)" for k, region in sorted(numbers.items()) if region)
        message = f"{path} has pixels of index {strange[0]}, which is no object"
        raise _unusable(message, f"The objects are {known}; 0 is outside all of them.")
    return labels_HW


def _labels(image: Image.Image, path: Path) -> Labels:
    from PIL import Image

    if image.mode == "L":
        return np.asarray(image)
    if image.mode == "P":
        indices_HW = np.asarray(Image.frombytes("L", image.size, image.tobytes()))
        used, ours = image.getpalette("RGB") or [], palette()
        count = 3 * (int(indices_HW.max()) + 1)
        if used[:count] == ours[:count]:
            return indices_HW
    rgba_HW4 = np.asarray(image.convert("RGBA")).astype(np.int32)
    codes_HW = rgba_HW4[..., 0] << 16 | rgba_HW4[..., 1] << 8 | rgba_HW4[..., 2]
    codes_HW = np.where(rgba_HW4[..., 3] < 128, 0, codes_HW)
    ours_K3 = np.array(palette(), np.int32).reshape(256, 3)
    known = {int(r << 16 | g << 8 | b): index for index, (r, g, b) in enumerate(ours_K3)}
    codes, places = np.unique(codes_HW, return_inverse=True)
    strange = [code for code in codes.tolist() if code not in known]
    if strange:
        message = f"{path} has the colour `#{strange[0]:06x}`, which is not in its palette"
        cure = "Paint with a hard brush, without antialiasing, in the colours that the image has."
        raise _unusable(message, cure)
    indices = np.array([known[code] for code in codes.tolist()], np.uint8)
    return indices[places].reshape(codes_HW.shape)


def _unusable(message: str, cure: str = "") -> GrainError:
    default = "Repair it, or delete it and run `grain track`."
    return fail("G363", message, f"{cure} {default}".strip())
