"""Compute how strongly the latent tokens of a level are modulated, as in the VideoGrain paper.

For a latent token x of a level; the runtime multiplies by the schedule ξ(t):

    λ_cross(x) = w_cross · (1 − a(x))     a(x): share of x's frame that shares an edit with x
    λ_self(x)  = w_self  · (1 − A(x))     A(x): share of all keys in scope that share an edit with x

each times the edit's weight (for positive pairs) or repel (for negative pairs). Latent tokens of no
edit have strength 0.
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
    share = (members_CE.astype(np.int64) @ members_CE.T.astype(np.int64)) > 0
    tokens = labels_FHW.shape[1] * labels_FHW.shape[2]
    positive_FC = (per_frame @ share).astype(np.float64)
    area_FC = positive_FC / tokens
    # Positive keys in scope, over the frames that each frame attends to (a frame may occur twice).
    times_FF = np.stack([np.bincount(keys, minlength=len(labels_FHW)) for keys in scope_FK])
    in_scope = times_FF.astype(np.float64) @ positive_FC / (tokens * scope_FK.shape[1])
    claimed = members_CE.any(axis=1)
    weight = _largest(members_CE, [edit.weight for edit in edits])
    repel = _largest(members_CE, [edit.repel for edit in edits])
    # Free regions have no words, so they are not attracted to words or repelled by them.
    cross_weight = _largest(members_CE, [edit.weight * bool(edit.tokens) for edit in edits])
    cross_repel = _largest(members_CE, [edit.repel * bool(edit.tokens) for edit in edits])
    cross = modulation.cross * (1 - area_FC) * claimed
    self_ = modulation.self_ * (1 - in_scope) * claimed
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
    """For each class, the largest value among its edits; 0 for class 0."""
    return np.asarray(np.where(members_CE, np.asarray(values), 0.0).max(axis=1, initial=0.0))
