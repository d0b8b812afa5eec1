"""Which latent tokens attract each other, and which edits they belong to."""

from __future__ import annotations

import numpy as np

from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import (
    centres,
    corners,
    groups_of,
    level_grids,
    members_by_pixels,
    pixel_counts,
    pixel_totals,
    taken_by_parts,
)
from grainspec.testing.invariants.places import at_token
from grainspec.testing.invariants.registry import invariant


@invariant("pairs")
def pairs(case: Case) -> None:
    """Two latent tokens are a positive pair exactly if they share an edit.

    The relation is symmetric. If no regions overlap, it is also transitive.
    """
    plan = case.plan
    relation, members = plan.self_relation_CC, plan.members_CE
    positive = np.zeros((len(members), len(members)), np.bool_)
    for edit in members.T:
        positive |= np.outer(edit, edit)
    if relation.shape != positive.shape or relation.dtype != np.bool_:
        raise Broken("pairs", f"self_relation_CC is {relation.dtype} {relation.shape}")
    for first, second in np.argwhere((relation != positive) | (relation != relation.T))[:1]:
        both = members[first] | members[second]
        names = [e.region for e, m in zip(plan.edits, both, strict=True) if m]
        kind = "negative" if positive[first, second] else "positive"
        message = f"classes {first} and {second} are a {kind} pair"
        raise Broken("pairs", message, region=" and ".join(names) or "none")
    if (members.sum(axis=1) <= 1).all():
        steps = relation.astype(int) @ relation.astype(int) > 0
        if (steps & ~relation).any():
            raise Broken("pairs", "the relation is not transitive, although no regions overlap")


@invariant("parts")
def parts(case: Case) -> None:
    """A part shares no pixel and no latent token with the regions behind it, such as its owner."""
    plan, names = case.plan, case.layout.names
    for part, behind in taken_by_parts(case.spec.claims).items():
        for other in sorted(behind):
            both = case.layout.mask(part) & case.layout.mask(other)
            for frame, row, column in np.argwhere(both)[:1]:
                message = f"the part shares the pixel {column},{row} with {other}, "
                message += "which is behind it"
                raise Broken("parts", message, region=part, frame=case.layout.frames[frame])
            shared = plan.members_CE[:, names.index(part)] & plan.members_CE[:, names.index(other)]
            for level in plan.levels:
                in_both = shared[level.labels_FHW].reshape(len(level.labels_FHW), -1)
                for frame, token in np.argwhere(in_both)[:1]:
                    message = f"the part shares a latent token with {other}, which is behind it"
                    raise at_token("parts", message, plan, level, frame, token, region=part)


@invariant("regions")
def regions(case: Case) -> None:
    """A latent token is in exactly the regions that the spec's `resize` puts it in.

    By `nearest`, those that have the pixel at its centre; by `corner`, that at its top left corner;
    by `any`, those that have any of its pixels; by `area`, those that have at least the share
    `threshold` of them, up to one part in 10^9. A token that stands for several frames has the
    pixels of all, and its centre and corner are on the middle one, the later of two. A token of a
    part is then in none of the regions behind it.
    """
    plan = case.plan
    for level, expected in zip(plan.levels, members_by_pixels(case), strict=True):
        actual = plan.members_CE[level.labels_FHW]
        for frame, row, column, edit in np.argwhere(actual != expected)[:1]:
            place = int(frame), int(row), int(column)
            region = plan.edits[edit].region
            message = f"the token is {'' if actual[*place, edit] else 'not '}in the region, "
            message += _reason(
                case, region, expected.shape[1:3], place, bool(expected[*place, edit])
            )
            token = int(row) * expected.shape[2] + int(column)
            raise at_token("regions", message, plan, level, frame, token, region=region)


def _reason(
    case: Case, region: str, grid: tuple[int, ...], place: tuple[int, int, int], inside: bool
) -> str:
    """Why a token is inside a region, or not: its pixels, and the rule."""
    mask, groups, shape = case.layout.mask(region), groups_of(case), (grid[0], grid[1])
    count = int(pixel_counts(mask, groups, shape)[place])
    total = int(pixel_totals(mask.shape[1:], groups, shape)[place])
    share = {0: "none", total: "all"}.get(count, f"{count} of {total}")
    reason = f"which has {share} of its pixels"
    modulation, centre = case.spec.modulation, bool(centres(mask, groups, shape)[place])
    corner = bool(corners(mask, groups, shape, level_grids(case)[0])[place])
    if 0 < count < total and modulation.resize == "corner":
        reason += f"; the pixel at its corner is {'in' if corner else 'outside'} the region"
    if 0 < count < total and modulation.resize == "nearest":
        reason += f"; the pixel at its centre is {'in' if centre else 'outside'} the region"
    if 0 < count < total and modulation.resize == "area":
        reason += f"; `threshold` is {modulation.threshold:.6g}"
    whole = {"nearest": centre, "corner": corner, "any": count > 0}.get(
        modulation.resize, count >= modulation.threshold * total * (1 - 1e-9)
    )
    return reason + ("; a part takes the token" if whole and not inside else "")
