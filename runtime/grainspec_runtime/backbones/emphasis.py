"""Emphasis on the words of edits: their embeddings in an encoded prompt, multiplied by a factor.

Dimensions: T text tokens, C width of the text.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan


def emphasised(words_1TC: Tensor, plan: MaskPlan, factor: float) -> Tensor:
    """Return the embeddings of a plan's target ``[1, T, C]`` with those of edits' words multiplied.

    With the factor 1 they are returned as they are.
    """
    if factor == 1:
        return words_1TC
    is_word_T1 = torch.from_numpy(plan.words_ET.any(axis=0)).to(words_1TC.device)[:, None]
    return torch.where(is_word_T1, words_1TC * factor, words_1TC)
