"""Layouts: regions as bit sets."""

from __future__ import annotations

import numpy as np

from grainspec.diagnostics import GrainError
from grainspec.regions.layout import Layout, Mask
from grainspec.testing.broken import Broken
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.registry import binding_property

_COUNTS = (1, 8, 9, 16, 17, 32, 33, 64)
_SIDE, _FRAMES = 6, 2


@binding_property("layout")
def layout(binding: Binding) -> None:
    """A layout has bit ``i`` where region ``i`` is, in the smallest type that has so many bits.

    Its masks, areas, parts and frames are those that it was made of, for up to 64 regions.
    """
    known = [region.name for region in binding.spec.regions]
    if list(binding.regions.names) != known:
        raise Broken("layout", f"the regions are {binding.regions.names}, not {tuple(known)}")
    _require_bits(binding.plain.regions)
    if binding.bound:
        _require_bits(binding.bound.edits)
    frames = binding.regions.frames[:_FRAMES]
    seeds = [binding.regions.mask(name)[:_FRAMES, :_SIDE, :_SIDE] for name in known]
    for count in _COUNTS:
        masks = {f"r{i}": _varied(seeds[i % len(seeds)], i) for i in range(count)}
        made = Layout.of(masks, frames)
        _require_bits(made)
        for name, mask in masks.items():
            if not np.array_equal(made.mask(name), mask):
                raise Broken("layout", f"of {count} regions, one has other pixels", region=name)
        areas = np.stack([*masks.values()]).sum(axis=(2, 3)).T
        if not np.array_equal(made.areas(), areas):
            raise Broken("layout", f"the areas are {made.areas().tolist()}, not {areas.tolist()}")
        _require_parts(made)
    _require_refusals(seeds[0])
    _require_few(binding)


def _require_few(binding: Binding) -> None:
    """Binding refuses specs of more than 64 regions (G203), and no others."""
    many = binding.spec.model_copy(update={"regions": binding.spec.regions[:1] * 65})
    try:
        binding.bind(many, binding.base)
    except GrainError as error:
        if [finding.code for finding in error.diagnostics] == ["G203"]:
            return
    except Exception as error:
        raise Broken("layout", f"binding 65 regions raises {type(error).__name__}") from error
    raise Broken("layout", "65 regions are not refused (G203)")


def _varied(mask: Mask, number: int) -> Mask:
    """A mask that depends on a number, so that regions differ."""
    return np.asarray(np.roll(mask, number, axis=2) ^ (number % 3 == 0))


def _require_bits(layout: Layout) -> None:
    bits, count = layout.bits_FHW, len(layout.names)
    size = next(size for size in (8, 16, 32, 64) if count <= size)
    if bits.dtype.kind != "u" or bits.dtype.itemsize * 8 != size:
        raise Broken("layout", f"{count} regions are in {bits.dtype}, not in {size} bits")
    if len(layout.frames) != len(bits):
        raise Broken("layout", f"{len(bits)} layouts have {len(layout.frames)} frame numbers")
    octets = bits.astype("<u8")[..., None].view(np.uint8)
    members = np.unpackbits(octets, axis=-1, count=count, bitorder="little").astype(bool)
    for index, name in enumerate(layout.names):
        if not np.array_equal(layout.mask(name), members[..., index]):
            raise Broken("layout", f"the mask is not bit {index}", region=name)


def _require_parts(layout: Layout) -> None:
    chosen = [len(layout.frames) - 1, 0]
    some = layout.at(chosen)
    inner = layout.inside((slice(1, 4), slice(0, 3)))
    frames = tuple(layout.frames[i] for i in chosen)
    if some.frames != frames or not np.array_equal(some.bits_FHW, layout.bits_FHW[chosen]):
        raise Broken("layout", "some of the frames are not those that were chosen")
    same = np.array_equal(inner.bits_FHW, layout.bits_FHW[:, 1:4, 0:3])
    if inner.frames != layout.frames or not same:
        raise Broken("layout", "rows and columns are not those that were chosen")
    if {some.names, inner.names} != {layout.names}:
        raise Broken("layout", "a part of a layout has other regions")


def _require_refusals(mask: Mask) -> None:
    """More than 64 regions, none, and masks of different shapes are refused."""
    counted = Layout.of({"one": mask})
    if counted.frames != tuple(range(len(mask))):
        raise Broken("layout", f"frames without numbers are {counted.frames}")
    refused: dict[str, dict[str, Mask]] = {
        "65 regions": {f"r{number}": mask for number in range(65)},
        "no region": {},
        "masks of two shapes": {"a": mask, "b": mask[:, :, :-1]},
        "masks without frames": {"a": mask[0]},
    }
    for title, masks in refused.items():
        try:
            Layout.of(masks)
        except ValueError:
            continue
        raise Broken("layout", f"{title} are not refused with a ValueError")
