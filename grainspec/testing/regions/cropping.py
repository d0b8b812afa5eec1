"""Regions of cropped and scaled frames."""

from __future__ import annotations

from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.extent import Extent, require
from grainspec.testing.regions.registry import binding_property
from grainspec.testing.regions.written import text


@binding_property("cropping")
def cropping(binding: Binding) -> None:
    """Binding a cropped clip gives the crop of what binding the whole frames gives.

    It is tested where the crop is one of whole pixels that are not scaled; what lies beside the
    crop counts for regions that grow, shrink or refer to others.
    """
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
