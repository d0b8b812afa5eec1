"""Bring images with an embedded colour profile (ICC) to sRGB, as a viewer shows them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageCms import ImageCmsTransform

_MODES = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}
"""What an image is converted from and to; grey keeps its levels."""
_LARGEST = 1 << 22
"""Bytes of the largest profile that is used; those of printers have some two million."""


def in_srgb(image: Image.Image) -> Image.Image:
    """The image in sRGB: as it is if it has no profile, that of sRGB, or a broken one."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or len(profile) > _LARGEST:
        return image
    if image.mode == "P" or (image.mode == "RGB" and image.has_transparency_data):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    transform = _to_srgb(profile, image.mode) if image.mode in _MODES else None
    if transform is None:
        return image
    converted = transform.apply(image)
    converted.info.pop("icc_profile", None)
    return converted


@lru_cache(maxsize=4)
def _to_srgb(profile: bytes, mode: str) -> ImageCmsTransform | None:
    import io

    from PIL import ImageCms

    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in (ImageCms.getProfileDescription(embedded) or ""):
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.ImageCmsTransform(embedded, srgb, mode, _MODES[mode])
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # viewers ignore broken ones
        return None
