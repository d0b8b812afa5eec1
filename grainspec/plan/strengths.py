"""Compute how strongly the latent tokens of a level are modulated, as in the VideoGrain paper.

For a latent token x of a level; the runtime multiplies by the schedule ξ(t):

    λ_cross(x) = w_cross · (1 − a(x))     a(x): share of x's frame that shares an edit with x
    λ_self(x)  = w_self  · (1 − A(x))     A(x): share of all keys in scope that share an edit with x

each times the edit's weight (for positive pairs) or repel (for negative pairs). Latent tokens of no
edit have strength 0.

VideoGrain's code departs from these equations; settings choose between the two. With `self_area
squared`, A(x) is divided by the number of frames once more, where all frames are in scope. With
`overlap sum`, a token counts in a(x) and A(x) once for each edit that it shares with x; where such
an area exceeds 1, it is 1, since a negative strength would turn attraction into repulsion. With
`outside repelled`, λ⁻ of tokens of no edit is that of an edit of no area with the repel 1, and so
is λ⁻ of tokens of no words in cross-attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grainspec.model.spec import Modulation
from grainspec.plan.mask_plan import Labels, PlanLevel, PlannedEdit, Relation, class_counts


def level_of(
    index: int,
    labels_FHW: Labels,
    members_CE: Relation,
    edits: Sequence[PlannedEdit],
    modulation: Modulation,
    scope_FK: npt.NDArray[np.int32],
    modulated: bool,
) -> PlanLevel:
    """Make a level from its labels: compute the strengths of every class on every frame."""
    per_frame = class_counts(labels_FHW, len(members_CE))
    shared = members_CE.astype(np.int64) @ members_CE.T.astype(np.int64)
    counted = shared if modulation.overlap == "sum" else shared > 0
    tokens = labels_FHW.shape[1] * labels_FHW.shape[2]
    positive_FC = (per_frame @ counted).astype(np.float64)
    area_FC = np.minimum(positive_FC / tokens, 1)
    # Positive keys in scope, over the frames that each frame attends to (a frame may occur twice).
    times_FF = np.stack([np.bincount(keys, minlength=len(labels_FHW)) for keys in scope_FK])
    keys = tokens * scope_FK.shape[1]
    if modulation.self_area == "squared" and modulation.frames == "full":
        keys *= len(labels_FHW)
    in_scope_FC = np.minimum(times_FF.astype(np.float64) @ positive_FC / keys, 1)
    weight = _largest(members_CE, [edit.weight for edit in edits])
    repel = _largest(members_CE, [edit.repel for edit in edits])
    # Free regions have no words, so they are not attracted to words or repelled by them.
    cross_weight = _largest(members_CE, [edit.weight * bool(edit.tokens) for edit in edits])
    cross_repel = _largest(members_CE, [edit.repel * bool(edit.tokens) for edit in edits])
    if modulation.outside == "repelled":
        worded_E = np.array([bool(edit.tokens) for edit in edits], np.bool_)
        repel[~members_CE.any(axis=1)] = 1
        cross_repel[~members_CE[:, worded_E].any(axis=1)] = 1
    cross = modulation.cross * (1 - area_FC)
    self_ = modulation.self_ * (1 - in_scope_FC)
    return PlanLevel(
        index=index,
        labels_FHW=labels_FHW,
        cross_attract_FC=(cross * cross_weight).astype(np.float32),
        cross_repel_FC=(cross * cross_repel).astype(np.float32),
        self_attract_FC=(self_ * weight).astype(np.float32),
        self_repel_FC=(self_ * repel).astype(np.float32),
        modulated=modulated,
    )


def labels_dtype(classes: int) -> type[np.unsignedinteger]:
    """The smallest unsigned type for labels of ``classes`` classes."""
    return np.uint8 if classes <= 256 else np.uint16


def _largest(members_CE: Relation, values: Sequence[float]) -> npt.NDArray[np.float64]:
    """For each class, the largest value among its edits; 0 for the class of no edit."""
    return np.asarray(np.where(members_CE, np.asarray(values), 0.0).max(axis=1, initial=0.0))
