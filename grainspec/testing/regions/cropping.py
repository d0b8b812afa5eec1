"""Regions of cropped and scaled frames."""

from __future__ import annotations

from grainspec.model.expressions import Box, Reference
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.extent import Extent, require
from grainspec.testing.regions.formula import disc
from grainspec.testing.regions.registry import binding_property
from grainspec.testing.regions.written import text


@binding_property("cropping")
def cropping(binding: Binding) -> None:
    """Binding a cropped clip gives the crop of what binding the whole frames gives.

    It is tested where the crop is one of whole pixels that are not scaled, and of another such
    crop; what lies beside the crop counts for regions that grow, shrink or refer to others.
    """
    _require_own_crop(binding)
    _require_another_crop(binding)


def _require_own_crop(binding: Binding) -> None:
    grid = binding.grid
    if not grid.exact or grid.scale != (1.0, 1.0):
        return
    for region in binding.spec.regions:
        whole = binding.whole.mask(region.name)
        expected = grid.cropped(Extent(whole, whole))
        require(
            "cropping",
            f"`{region.name}` of the cropped frame",
            expected,
            binding.regions.mask(region.name)[binding.indices],
            binding.some,
            source="the whole frame's does not agree",
            region=region.name,
        )


_GROWTH = 3


def _require_another_crop(binding: Binding) -> None:
    """Cut away a third at the left, a quarter above, a pixel at the right and two below."""
    width, height = binding.facts.width, binding.facts.height
    x, y, right, bottom = width // 3, height // 4, width - 1, height - 2
    if not binding.room or right - x < 1 or bottom - y < 1:
        return
    sides = {"x0": x, "y0": y, "x1": right, "y1": bottom}
    key = {name: {"value": float(side), "unit": "px"} for name, side in sides.items()}
    crop = Box.model_validate({"keyframes": (key,)})
    video = binding.whole_video.model_copy(update={"crop": crop})
    names = [region.name for region in binding.spec.regions][: binding.room]
    grown = [Reference(name=name).grow(f"{_GROWTH}px") for name in names]
    for name, node, mask in zip(names, grown, binding.values(grown, video), strict=True):
        require(
            "cropping",
            f"`{text(node)}` of frames cropped to {x},{y} to {right},{bottom}",
            disc(binding.whole.mask(name), _GROWTH)[:, y:bottom, x:right],
            mask,
            binding.some,
            source="the whole frame's does not agree",
            region=name,
        )


@binding_property("pixels")
def pixels(binding: Binding) -> None:
    """A region has the pixels whose centres, in source pixels, its expression selects.

    A second reading evaluates whole expressions at the centres of the cropped, scaled and padded
    frames' pixels; padding belongs to no region.
    """
    for region in binding.spec.regions:
        require(
            "pixels",
            f"`{region.name}`",
            binding.extent(region.name),
            binding.regions.mask(region.name)[binding.indices],
            binding.some,
            source=f"a second reading of `{text(region.expression)}` says otherwise",
            region=region.name,
        )
