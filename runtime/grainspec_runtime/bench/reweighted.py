"""Prompt-to-Prompt re-weighting as a baseline: scales attention to the words of edits."""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.modulation.attention_maps import attention_maps, reweighted

SUBJECT_WEIGHT, PLACE_WEIGHT = 4.0, 2.0
"""As in VideoGrain's comparison with Video-P2P: 4 for each subject, 2 for the place."""
PLACES = ("background", "ground")
"""The regions whose words describe the place."""


def word_weights(plan: MaskPlan) -> Tensor:
    """Return the factor of each token of the prompt, float32 ``[T]``."""
    weights = torch.ones(plan.cross_relation_CT.shape[1])
    for edit in plan.edits:
        for tokens in edit.tokens:
            weights[list(tokens)] = PLACE_WEIGHT if edit.region in PLACES else SUBJECT_WEIGHT
    return weights


class Reweighting:
    """softmax(Q Kᵀ / √d) · diag(w) · V for the target prompt, as in Prompt-to-Prompt."""

    def __init__(self, plan: MaskPlan, device: torch.device | str = "cpu") -> None:
        self._weights_T = word_weights(plan).to(device)

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, *, frames: int) -> Tensor:
        """Compute cross-attention; query ``[P * F, H, N, d]``, key and value ``[…, T, d]``."""
        maps = attention_maps(query, key)
        first = len(query) - frames  # where the conditional pass begins
        maps[first:] = reweighted(maps[first:], self._weights_T)
        return maps @ value
