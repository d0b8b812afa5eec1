"""Prompt-to-Prompt's re-weighting, as a baseline: attention to an edit's words is scaled."""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan

SUBJECT_WEIGHT, PLACE_WEIGHT = 4.0, 2.0
"""As VideoGrain's comparison with Video-P2P has them: 4 and 4 for two subjects, 2 for the place."""
PLACES = ("background", "ground")
"""The regions whose words are of the place."""


def word_weights(plan: MaskPlan) -> Tensor:
    """The factor of each of the prompt's tokens, float32 ``[T]``."""
    weights = torch.ones(plan.cross_relation_CT.shape[1])
    for edit in plan.edits:
        for tokens in edit.tokens:
            weights[list(tokens)] = PLACE_WEIGHT if edit.region in PLACES else SUBJECT_WEIGHT
    return weights


class Reweighting:
    """softmax(Q Kᵀ / √d) · diag(w) · V for the wanted prompt, as in Prompt-to-Prompt (eq. 5)."""

    def __init__(self, plan: MaskPlan, device: torch.device | str = "cpu") -> None:
        self._weights_T = word_weights(plan).to(device)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, frames: int) -> Tensor:
        """Cross-attention; query ``[P * F, H, N, d]``, key and value ``[P * F, H, T, d]``."""
        shares = (query @ key.mT * query.shape[-1] ** -0.5).softmax(-1)
        first = len(query) - frames  # where the conditional pass begins
        shares[first:] *= self._weights_T.to(shares)
        weighted: Tensor = shares @ value
        return weighted
