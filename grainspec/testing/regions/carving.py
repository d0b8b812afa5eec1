"""What edits, parts and kept regions take from each other: a second reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from grainspec.model.spec import Edit, EditSpec, Free, Keep
from grainspec.regions.layout import Mask

Claim = Edit | Free


@dataclass
class Carved:
    """The regions of the edits, and the mistakes that make them impossible.

    ``errors``: code, what is said, and the region. ``cut``: the regions of the edits after changed
    parts were cut to their owners; ``apart``: after parts took their pixels; ``edits``: after kept
    regions were subtracted. ``outside``: for a cut part, how many of its pixels lie outside of its
    owner, and how many it has.
    """

    errors: list[tuple[str, str, str]] = field(default_factory=list)
    cut: dict[str, Mask] = field(default_factory=dict)
    apart: dict[str, Mask] = field(default_factory=dict)
    edits: dict[str, Mask] = field(default_factory=dict)
    outside: dict[str, tuple[int, int]] = field(default_factory=dict)


def claims_of(spec: EditSpec) -> list[Claim]:
    """The statements about regions that may change: edits in their order, then `free`."""
    edits: list[Claim] = [edit for edit in spec.edits if isinstance(edit, Edit)]
    return edits + [edit for edit in spec.edits if isinstance(edit, Free)]


def carved(spec: EditSpec, regions: Mapping[str, Mask]) -> Carved:
    """Carve the regions of edits: cut parts, let parts take pixels, subtract kept regions."""
    result = Carved()
    claims = claims_of(spec)
    for claim in claims:
        _cut(result, claim, regions)
    if result.errors:
        return result
    for claim in claims:
        taken = np.zeros_like(result.cut[claim.region])
        for part in claims:
            if _takes_from(part, claim, claims):
                taken |= result.cut[part.region]
        result.apart[claim.region] = result.cut[claim.region] & ~taken
        if not result.apart[claim.region].any():
            result.errors.append(("G307", "parts cover", claim.region))
    if result.errors:
        return result
    kept = np.zeros_like(next(iter(regions.values())))
    for keep in spec.edits:
        if isinstance(keep, Keep):
            if not regions[keep.region].any():
                result.errors.append(("G307", "empty on every frame", keep.region))
            kept |= regions[keep.region]
    for claim in claims:
        result.edits[claim.region] = result.apart[claim.region] & ~kept
        if not result.edits[claim.region].any():
            result.errors.append(("G307", "kept regions cover", claim.region))
    return result


def _cut(result: Carved, claim: Claim, regions: Mapping[str, Mask]) -> None:
    mask = regions[claim.region]
    owner = claim.owner if isinstance(claim, Edit) else None
    if not mask.any():
        result.errors.append(("G307", "empty on every frame", claim.region))
        return
    if owner is not None:
        whole = regions[owner]
        if not whole.any():
            result.errors.append(("G307", "empty on every frame", owner))
            return
        far = not is_near(mask, whole)
        if isinstance(claim, Edit) and claim.verb == "edit":
            far = not (mask & whole).any()
            if not far:
                result.outside[claim.region] = int((mask & ~whole).sum()), int(mask.sum())
                mask = mask & whole
        if far:
            result.errors.append(("G313", "outside its owner", claim.region))
            return
    result.cut[claim.region] = mask


def _takes_from(part: Claim, other: Claim, claims: Sequence[Claim]) -> bool:
    """Whether a part takes its pixels from another edit: from what is no part, or an ancestor."""
    if not isinstance(part, Edit) or part.grain != "part" or part.region == other.region:
        return False
    if not isinstance(other, Edit) or other.grain != "part":
        return True
    owners = {claim.region: claim.owner for claim in claims if isinstance(claim, Edit)}
    owner, steps = part.owner, 0
    while owner is not None and steps <= len(claims):
        if owner == other.region:
            return True
        owner, steps = owners.get(owner), steps + 1
    return False


def is_near(part: Mask, owner: Mask) -> bool:
    """Whether on some frame the gap between the boxes around both is at most the part's own box.

    The gap is measured across against the part's width, and down against its height.
    """
    for piece, whole in zip(part, owner, strict=True):
        if not (piece.any() and whole.any()):
            continue
        near = True
        for axis in (0, 1):
            own, its = np.flatnonzero(piece.any(axis=axis)), np.flatnonzero(whole.any(axis=axis))
            length = own[-1] - own[0] + 1
            gap = max(its[0] - own[-1], own[0] - its[-1]) - 1
            near = near and gap <= length
        if near:
            return True
    return False
