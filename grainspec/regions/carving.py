"""Cut the regions of edits out of each other: parts, what they cover, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import combinations
from types import MappingProxyType

import numpy as np

from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.expressions import MaskFiles
from grainspec.model.spec import Edit, EditSpec, Free, Keep
from grainspec.regions.layout import Layout, Mask
from grainspec.regions.parts import covered
from grainspec.regions.polarity import explained, inversion, inverted_masks, surrounds


def carve(
    spec: EditSpec, regions: Layout, absent: Mapping[str, Set[int]] = MappingProxyType({})
) -> tuple[Layout, list[Diagnostic]]:
    """Compute one region per edit, in which a part has its pixels to itself.

    A changed part is cut to its owner; an added part may extend beyond it, as a hat does. Both take
    their pixels from every edit that is not a part, whether it is the owner or not, and from the
    parts that they belong to. Kept regions are then subtracted from all. Returns the layout of the
    edits, and warnings, but none about the frames in ``absent``, on which the spec says that a
    region is empty. Raises GrainError for empty regions, and for parts far from their owner.
    """
    errors: list[Diagnostic] = []
    warnings: list[Diagnostic] = []
    changes = spec.claims
    masks: dict[str, Mask] = {}
    for edit in changes:
        mask = regions.mask(edit.region)
        if not mask.any():
            errors.append(_empty(edit, _NOWHERE))
            continue
        if edit.owner:
            owner = regions.mask(edit.owner)
            if not owner.any():
                errors.append(_empty(edit, _NOWHERE, "owner"))
                continue
            inside = mask & owner
            if edit.verb == "edit":
                if not inside.any():
                    errors.append(_outside(edit))
                    continue
                share = 1 - inside.sum() / mask.sum()
                if share > 0.25:
                    message = f"{share:.0%} of `{edit.region}` lies outside `{edit.owner}`"
                    cure = f"Only the pixels inside `{edit.owner}` are edited."
                    warnings.append(Diagnostic("G316", message, cure, edit.span_of("region")))
                mask = inside
            elif not _near(mask, owner):
                errors.append(_outside(edit))
                continue
        masks[edit.region] = mask
        stated = {*absent.get(edit.region, ()), *absent.get(edit.owner or "", ())}
        empty = [regions.frames[i] for i in np.flatnonzero(~mask.any(axis=(1, 2)))]
        if empty := [frame for frame in empty if frame not in stated]:
            shown = ", ".join(map(str, empty[:8])) + ", …" * (len(empty) > 8)
            message = f"`{edit.region}` is empty on frame{'s' * (len(empty) > 1)} {shown}"
            cure = "Nothing is edited there. This is correct if the object is not visible."
            warnings.append(Diagnostic("G315", message, cure, edit.span_of("region")))
    if errors:
        raise GrainError(explained(spec, regions, errors))
    masks = _without_parts(changes, masks)
    for edit in changes:
        if not masks[edit.region].any():
            errors.append(_empty(edit, "parts cover all of the region `{}`"))
    if errors:
        raise GrainError(errors)
    inverted = inverted_masks(spec, changes, masks)
    warnings += [inversion(spec, inverted)] if inverted else []
    warnings += _overlaps(spec, changes, masks, {edit.region for edit in inverted})
    for keep in spec.edits:
        if isinstance(keep, Keep):
            kept = regions.mask(keep.region)
            if not kept.any():
                errors.append(_empty(keep, _NOWHERE))
    masks = _without_kept(spec, regions, masks)
    for edit in changes:
        if not masks[edit.region].any():
            errors.append(_empty(edit, "kept regions cover all of the region `{}`"))
    if errors:
        raise GrainError(explained(spec, regions, errors))
    return Layout.of(masks, regions.frames), warnings


def edited_masks(spec: EditSpec, regions: Layout) -> dict[str, Mask]:
    """The pixels that :func:`carve` gives each edit, bool ``[F, H, W]`` by region.

    For some frames of a spec in the making: nothing is checked, and a mask may be empty.
    """
    masks = {}
    for edit in spec.claims:
        mask = regions.mask(edit.region)
        cut = edit.owner and edit.verb == "edit"
        masks[edit.region] = mask & regions.mask(str(edit.owner)) if cut else mask
    return _without_kept(spec, regions, _without_parts(spec.claims, masks))


def _without_parts(changes: Sequence[Edit | Free], masks: dict[str, Mask]) -> dict[str, Mask]:
    """The masks of edits without the pixels that parts take from them."""
    left = dict(masks)
    for part, behind in covered((edit.region, edit.grain, edit.owner) for edit in changes).items():
        for other in behind:
            left[other] = left[other] & ~masks[part]
    return left


def _without_kept(spec: EditSpec, regions: Layout, masks: dict[str, Mask]) -> dict[str, Mask]:
    """The masks of edits without the pixels that the spec keeps."""
    for keep in spec.edits:
        if isinstance(keep, Keep):
            kept = regions.mask(keep.region)
            masks = {name: mask & ~kept for name, mask in masks.items()}
    return masks


def _near(part: Mask, owner: Mask) -> bool:
    """Whether the part's bounding box, grown by its own size, meets the owner's on some frame."""
    for piece, whole in zip(part, owner, strict=True):
        if not piece.any() or not whole.any():
            continue
        (y0, y1), (x0, x1) = (_extent(piece.any(axis=axis)) for axis in (1, 0))
        (oy0, oy1), (ox0, ox1) = (_extent(whole.any(axis=axis)) for axis in (1, 0))
        wide, high = x1 - x0, y1 - y0
        if x0 - wide <= ox1 and ox0 <= x1 + wide and y0 - high <= oy1 and oy0 <= y1 + high:
            return True
    return False


def _extent(line: Mask) -> tuple[int, int]:
    at = np.flatnonzero(line)
    return int(at[0]), int(at[-1]) + 1


def _overlaps(
    spec: EditSpec, changes: Sequence[Edit | Free], masks: dict[str, Mask], inverted: set[str]
) -> list[Diagnostic]:
    findings = []
    areas = {name: int(mask.sum()) for name, mask in masks.items()}
    for pair in combinations(changes, 2):
        one, other = (edit.region for edit in pair)
        if {one, other} <= inverted:
            continue
        shared = int((masks[one] & masks[other]).sum())
        smaller, larger = sorted((one, other), key=lambda name: areas[name])
        if shared > 0.02 * areas[smaller]:
            share = shared / areas[smaller]
            if shared == areas[larger]:
                message, cure = _same(spec, one, other)
            else:
                message = f"`{one}` and `{other}` overlap in {share:.0%} of the smaller one"
                behind, front = (one, other) if share < 1 else (larger, smaller)
                cure = surrounds(spec, larger, masks[larger], share)
                cure += "Both edits act there. If one object is in front, subtract it: "
                cure += f"`region {behind} = … - {front}`."
            findings.append(Diagnostic("G312", message, cure, pair[1].span_of("region")))
    return findings


def _same(spec: EditSpec, one: str, other: str) -> tuple[str, str]:
    """The message and the cure for two regions of the same pixels."""
    sources = [spec.region(name).expression for name in (one, other)]
    if not all(isinstance(source, MaskFiles) for source in sources):
        cure = "Both edits act there. Give each its own region, or remove one of them."
        return f"`{one}` and `{other}` are the same pixels", cure
    cure = f"Both edits act there. Write the masks of its own object in `region {other}`, "
    cure += "such as another folder, or another `index` of the same masks; or remove one edit."
    return f"`{one}` and `{other}` have the same masks", cure


_NOWHERE = "the region `{}` is empty on every frame"


def _empty(edit: Edit | Keep | Free, message: str, field: str = "region") -> Diagnostic:
    cure = "Look at the regions with `grain show`."
    return Diagnostic("G307", message.format(getattr(edit, field)), cure, edit.span_of(field))


def _outside(edit: Edit | Free) -> Diagnostic:
    message = f"the part `{edit.region}` lies outside its owner `{edit.owner}`"
    cure = "Look at both with `grain show`."
    return Diagnostic("G313", message, cure, edit.span_of("region"))
