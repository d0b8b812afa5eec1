"""What may change: the latent pixels of the edits, and none of those that are kept."""

from __future__ import annotations

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import (
    groups_of,
    level_grids,
    members_by_pixels,
    pixel_counts,
    pixel_totals,
)
from grainspec.testing.invariants.places import at_token
from grainspec.testing.invariants.registry import invariant


@invariant("blend")
def blend(case: Case) -> None:
    """A latent pixel may change exactly if edits have at least half of its pixels, or its token.

    Pixels of several edits count once. The token is that of level 0; by `nearest`, edits have it if
    they have the pixel at its centre.
    """
    plan, groups, grid = case.plan, groups_of(case), level_grids(case)[0]
    edited: Mask = np.not_equal(case.layout.bits_FHW, 0)
    counts = pixel_counts(edited, groups, grid)
    totals = pixel_totals(edited.shape[1:], groups, grid)
    tokens: Mask = np.asarray(members_by_pixels(case)[0].any(axis=3))
    expected = (2 * counts >= totals) | tokens
    for frame, row, column in np.argwhere(plan.edited_FHW != expected)[:1]:
        place = frame, row, column
        may = "may" if plan.edited_FHW[place] else "may not"
        message = f"the latent pixel {may} change"
        message += f": edits have {counts[place]} of its {totals[place]} pixels, and its token is "
        message += f"in {'an' if tokens[place] else 'no'} edit"
        token = int(row) * grid[1] + int(column)
        raise at_token("blend", message, plan, plan.levels[0], frame, token)


@invariant("kept")
def kept(case: Case) -> None:
    """No edit has a pixel of a kept region, nor a latent token of which all pixels are kept.

    Such a latent pixel may not change. A token of which only some pixels are kept belongs to the
    edits that have the others, by the spec's `resize`, and may change with them.
    """
    if case.kept is None:
        return
    for name in case.layout.names:
        for frame, row, column in np.argwhere(case.layout.mask(name) & case.kept)[:1]:
            message = f"the edit has the kept pixel {column},{row}"
            raise Broken("kept", message, region=name, frame=case.layout.frames[frame])
    plan, groups = case.plan, groups_of(case)
    for level, grid in zip(plan.levels, level_grids(case), strict=True):
        counts = pixel_counts(case.kept, groups, grid)
        whole = np.asarray(counts == pixel_totals(case.kept.shape[1:], groups, grid))
        changed = whole & plan.edited_FHW if level.index == 0 else np.zeros_like(whole)
        in_edit = whole & plan.members_CE[level.labels_FHW].any(axis=3)
        for wrong, message in (
            (in_edit, "the token is in an edit, although all its pixels are kept"),
            (changed, "the latent pixel may change, although all its pixels are kept"),
        ):
            for frame, row, column in np.argwhere(wrong)[:1]:
                token = int(row) * grid[1] + int(column)
                raise at_token("kept", message, plan, level, frame, token)
