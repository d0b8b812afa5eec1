"""Which kind of UNet a pipeline has. Free of torch."""

from __future__ import annotations


def has_motion_modules(pipe: object) -> bool:
    """Return whether a pipeline's UNet is a ``UNetMotionModel``, compiled or not."""
    unet = getattr(pipe, "unet", None)
    return type(getattr(unet, "_orig_mod", unet)).__name__ == "UNetMotionModel"
