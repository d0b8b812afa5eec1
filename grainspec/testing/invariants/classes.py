"""Whether a plan is as small as it can be: no class too many, and no array of token pairs."""

from __future__ import annotations

import math

import numpy as np

from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import (
    frames_in_scope,
    groups_of,
    latent_grid,
    level_grids,
)
from grainspec.testing.invariants.registry import invariant


@invariant("classes")
def classes(case: Case) -> None:
    """Every class but 0 has a latent token, no two have the same edits, and labels are small.

    Labels are uint8 for up to 256 classes, and uint16 for more.
    """
    plan = case.plan
    count = len(plan.members_CE)
    occurring = {0}.union(*(np.unique(level.labels_FHW).tolist() for level in plan.levels))
    for number in sorted(set(range(count)) - occurring)[:1]:
        raise Broken("classes", f"no latent token has the class {number} of {count}")
    same = count - len(np.unique(plan.members_CE, axis=0))
    if same:
        raise Broken("classes", f"{same} of {count} classes have the same edits as another")
    smallest = np.dtype("uint8") if count <= 256 else np.dtype("uint16")
    for level in plan.levels:
        if level.labels_FHW.dtype != smallest:
            message = f"the labels of {count} classes are {level.labels_FHW.dtype}, not {smallest}"
            raise Broken("classes", message, level=level.index)


@invariant("size")
def size(case: Case) -> None:
    """A plan has a byte or two for each latent token, and small tables: no array of token pairs."""
    plan = case.plan
    frames, count, edits = len(groups_of(case)), len(plan.members_CE), len(plan.edits)
    tokens = [frames * rows * columns for rows, columns in level_grids(case)]
    keys = len(frames_in_scope(case.spec.modulation.frames, 0, frames))
    expected = (
        sum(tokens) * (1 if count <= 256 else 2)
        + frames * math.prod(latent_grid(case))  # the pixels that may change
        + len(tokens) * 4 * frames * count * 4  # tables of strengths, float32
        + count * edits
        + (edits + 2) * case.backbone.max_tokens  # words, and two kinds of padding
        + frames * keys * 4
    )
    arrays = plan.arrays()
    actual = sum(array.nbytes for array in arrays.values())
    if actual != expected:
        largest = max(arrays, key=lambda name: int(arrays[name].nbytes))
        message = f"the arrays have {actual} bytes, not {expected}; the largest is {largest}"
        raise Broken("size", message)
    if plan.nbytes() != expected:
        raise Broken("size", f"nbytes() is {plan.nbytes()}, not {expected}")
