"""What a crop takes from the regions of edits: a second reading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grainspec.model.expressions import All, Complement, Expression, Reference, Rest
from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.carving import claims_of
from grainspec.testing.regions.extent import require
from grainspec.testing.regions.grid import Placed, grid_of
from grainspec.testing.regions.reading import Reading, nodes_of
from grainspec.testing.regions.registry import binding_property

_SMALL = 256
_SLIVER = 0.03


@dataclass(frozen=True)
class Cut:
    """What a crop takes from a region: a share of its pixels, those of ``frames`` in particular.

    ``lost`` and ``all_of_it`` are None where rounding decides.
    """

    region: str
    lost: float | None
    all_of_it: bool | None
    frames: list[int]


def is_cut(binding: Binding) -> bool:
    """Whether the crop takes so much of the frames that regions are compared with whole ones."""
    left, top, right, bottom = binding.placed.box
    across, down = (right - left) / binding.facts.width, (bottom - top) / binding.facts.height
    return min(across, down) <= 1 - _SLIVER


def cuts_of(binding: Binding) -> list[Cut]:
    """What the crop takes from each edit's region; none for those that reach the border anyway."""
    cuts: list[Cut] | None = binding.__dict__.get("cuts")
    if cuts is None:
        cuts = binding.__dict__["cuts"] = _cuts(binding) if is_cut(binding) else []
    return cuts


def _cuts(binding: Binding) -> list[Cut]:
    reading = _small(binding)
    left, top, right, bottom = binding.placed.box
    x, y = reading.grid.x, reading.grid.y
    near = 1e-6 if not binding.grid.exact else 0.0
    found = []
    for claim in claims_of(binding.spec):
        if reaches_the_border(binding, binding.spec.region(claim.region).expression):
            continue
        extent = reading.region(claim.region)
        inside, maybe = (
            ((y >= top + e) & (y < bottom - e))[:, None] & ((x >= left + e) & (x < right - e))
            for e in (near, -near)
        )
        certain = np.array_equal(extent.sure, extent.possible) and np.array_equal(inside, maybe)
        if not certain or len(binding.some) < len(binding.frames):
            found.append(Cut(claim.region, None, None, []))
            continue
        if extent.sure.any():  # what is empty anyway is not the crop's doing
            found.append(_cut(binding, claim.region, extent.sure, inside))
    return found


def _cut(binding: Binding, region: str, mask: Mask, inside: Mask) -> Cut:
    total = mask.sum(axis=(1, 2)).astype(int)
    kept = (mask & inside).sum(axis=(1, 2)).astype(int)
    lost = int((total - kept).sum()) / int(total.sum())
    frames = [
        frame
        for frame, has, keeps in zip(binding.frames, total, kept, strict=True)
        if has > keeps and 20 * (has - keeps) >= has
    ]
    return Cut(region, lost, not kept.any(), frames)


def reaches_the_border(binding: Binding, node: Expression) -> bool:
    """Whether `all`, `rest` or a complement occurs in an expression, also through names."""
    for inner in nodes_of(node):
        if isinstance(inner, All | Rest | Complement):
            return True
        if isinstance(inner, Reference):
            whole = binding.spec.region(inner.name).expression
            if reaches_the_border(binding, whole):
                return True
    return False


def _small(binding: Binding) -> Reading:
    """The second reading on whole frames, scaled to at most 256 pixels a side."""
    width, height = binding.facts.width, binding.facts.height
    scale = min(1.0, _SMALL / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    where = Placed((0.0, 0.0, float(width), float(height)), (float(size[0]), float(size[1])))
    grid = grid_of(where, size, size, binding.facts)
    return Reading(binding.spec, binding.facts, binding.some, grid, binding.masks)


@binding_property("uncropped")
def uncropped(binding: Binding) -> None:
    """Where a crop takes more than a sliver, the regions of whole frames are known, and right."""
    bound = binding.bound
    if bound is None:
        return
    if (bound.uncropped is not None) != is_cut(binding):
        verb = "are not" if is_cut(binding) else "are"
        raise Broken("uncropped", f"the regions of whole frames {verb} bound")
    if bound.uncropped is None:
        return
    reading = _small(binding)
    for name in bound.uncropped.regions.names:
        require(
            "uncropped",
            f"`{name}` of the whole frames",
            reading.region(name),
            bound.uncropped.regions.mask(name)[binding.indices],
            binding.some,
            source="a second reading says otherwise",
            region=name,
        )
