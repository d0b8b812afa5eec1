"""The backend ``dense``: the operator as it is defined, in float64. Slow; the tests' reference.

Memory is O(N · M).
"""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall


def run(call: AttentionCall) -> Tensor:
    """Equation (1) of :mod:`grainspec_runtime.attention.operator`, term by term."""
    query_labels, key_labels = call.labels()
    scores_BHNM = call.scale * (call.query.double() @ call.key.double().mT)
    largest = scores_BHNM.amax(-1, keepdim=True)
    smallest = scores_BHNM.amin(-1, keepdim=True)
    positive_BNM = call.relation[query_labels[:, :, None], key_labels[:, None, :]]
    attract_BHN1 = call.attract.double()[:, None, :, None]
    repel_BHN1 = call.repel.double()[:, None, :, None]
    if call.soft is not None:
        shares_BM = torch.where(call.soft[key_labels], call.soft_share, 1.0)
        repel_BHN1 = repel_BHN1 * shares_BM[:, None, None]
    modulated_BHNM = torch.where(
        positive_BNM[:, None],
        scores_BHNM + attract_BHN1 * (largest - scores_BHNM),
        scores_BHNM + repel_BHN1 * (smallest - scores_BHNM),
    )
    return (modulated_BHNM.softmax(-1) @ call.value.double()).to(call.query.dtype)


BACKEND = Backend("dense", run, features=frozenset({"soft"}))
