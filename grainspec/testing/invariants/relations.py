"""Which latent tokens attract each other, and which edits they belong to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.places import at_token, covered_by_parts
from grainspec.testing.invariants.registry import invariant


@invariant("pairs")
def pairs(case: Case) -> None:
    """Two latent tokens are a positive pair exactly if they share an edit.

    The relation is symmetric. If no regions overlap, it is also transitive.
    """
    plan = case.plan
    relation = plan.self_relation_CC
    for first, first_edits in enumerate(plan.members_CE):
        for second, second_edits in enumerate(plan.members_CE):
            positive = bool((first_edits & second_edits).any())
            if relation[first, second] != positive or relation[second, first] != positive:
                both = first_edits | second_edits
                names = [e.region for e, m in zip(plan.edits, both, strict=True) if m]
                kind = "negative" if positive else "positive"
                message = f"classes {first} and {second} are a {kind} pair"
                raise Broken("pairs", message, region=" and ".join(names) or "none")
    if (plan.members_CE.sum(axis=1) <= 1).all():
        steps = relation.astype(int) @ relation.astype(int) > 0
        if (steps & ~relation).any():
            raise Broken("pairs", "the relation is not transitive, although no regions overlap")


@invariant("parts")
def parts(case: Case) -> None:
    """A part shares no pixel and no latent token with the regions behind it, such as its owner."""
    plan, names = case.plan, case.layout.names
    for part, behind in covered_by_parts(case).items():
        for other in behind:
            both = case.layout.mask(part) & case.layout.mask(other)
            for frame, row, column in np.argwhere(both)[:1]:
                message = (
                    f"the part shares the pixel {column},{row} with {other}, which is behind it"
                )
                raise Broken("parts", message, region=part, frame=case.layout.frames[frame])
            shared = plan.members_CE[:, names.index(part)] & plan.members_CE[:, names.index(other)]
            for level in plan.levels:
                in_both = shared[level.labels_FHW].reshape(len(level.labels_FHW), -1)
                for frame, token in np.argwhere(in_both)[:1]:
                    message = f"the part shares a latent token with {other}, which is behind it"
                    raise at_token("parts", message, plan, level, frame, token, region=part)


@invariant("regions")
def regions(case: Case) -> None:
    """A latent token is in a region if the region has all its pixels, and not if it has none."""
    plan = case.plan
    for index, edit in enumerate(plan.edits):
        mask = case.layout.mask(edit.region)
        for level in plan.levels:
            _, rows, columns = level.labels_FHW.shape
            for number, group in enumerate(plan.groups):
                share = _shares(mask[list(group)], rows, columns)
                inside = plan.members_CE[level.labels_FHW[number], index]
                wrong = (inside & (share == 0)) | (~inside & (share == 1))
                for row, column in np.argwhere(wrong)[:1]:
                    if inside[row, column]:
                        message = "the token is in the region, which has none of its pixels"
                    else:
                        message = "the token is not in the region, which has all of its pixels"
                    token = int(row) * columns + int(column)
                    raise at_token(
                        "regions", message, plan, level, number, token, region=edit.region
                    )


def _shares(mask_FHW: Mask, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """The share of the pixels of every cell, over all frames, that are set."""
    _, height, width = mask_FHW.shape
    y = [row * height // rows for row in range(rows + 1)]
    x = [column * width // columns for column in range(columns + 1)]
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = mask_FHW.mean(axis=0).cumsum(axis=0).cumsum(axis=1)
    corners = sums[np.ix_(y, x)]
    inside = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    return np.asarray(np.round(inside / np.outer(np.diff(y), np.diff(x)), 9))


@invariant("kept")
def kept(case: Case) -> None:
    """No edit has a pixel of a kept region."""
    if case.kept is None:
        return
    for name in case.layout.names:
        for frame, row, column in np.argwhere(case.layout.mask(name) & case.kept)[:1]:
            message = f"the edit has the kept pixel {column},{row}"
            raise Broken("kept", message, region=name, frame=case.layout.frames[frame])
