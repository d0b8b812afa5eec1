"""The backend ``dense``: the operator as it is defined, in float64. Slow; the tests' reference.

Memory is O(N · M).
"""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import FEATURES, AttentionCall
from grainspec_runtime.attention.class_order import MASKED, NEUTRAL, POSITIVE, SOFT
from grainspec_runtime.attention.partial_result import Partials


def run(call: AttentionCall) -> Tensor:
    """Equations (1) and (4) of :mod:`grainspec_runtime.attention.operator`, term by term."""
    sign_B1NM = _signs(call)
    modulated_B1NM = (sign_B1NM != NEUTRAL) & (sign_B1NM != MASKED)
    positive_B1NM = sign_B1NM == POSITIVE
    scores_BHNM = _scores(call)
    moved_BHNM = torch.where(
        modulated_B1NM,
        scores_BHNM
        + _strengths(call, sign_B1NM)
        * (_ends(scores_BHNM, modulated_B1NM, positive_B1NM, -1) - scores_BHNM),
        scores_BHNM,
    )
    if call.columns is not None:
        pull_B11M = call.columns.double()[call.labels()[1]][:, None, None]
        moved_BHNM = torch.where(
            modulated_B1NM & (pull_B11M > 0),
            moved_BHNM
            + pull_B11M * (_ends(moved_BHNM, modulated_B1NM, positive_B1NM, -2) - moved_BHNM),
            moved_BHNM,
        )
    weights_BHNM = _softmax(moved_BHNM, sign_B1NM != MASKED)
    return (weights_BHNM @ call.value.double()).to(call.query.dtype)


def partials(call: AttentionCall) -> Partials:
    """The terms of equation (3), in float64."""
    sign_B1NM, scores_BHNM = _signs(call), _scores(call)
    modulated_B1NM = (sign_B1NM != NEUTRAL) & (sign_B1NM != MASKED)
    scaled_BHNM = scores_BHNM * (1 - _strengths(call, sign_B1NM))
    outputs, log_sums = [], []
    for sign in call.present:
        of_sign_B1NM = sign_B1NM == sign
        outputs.append(_softmax(scaled_BHNM, of_sign_B1NM) @ call.value.double())
        log_sums.append(scaled_BHNM.masked_fill(~of_sign_B1NM, -torch.inf).logsumexp(-1))
    return Partials(
        call.present,
        torch.stack(outputs).float(),
        torch.stack(log_sums).float(),
        scores_BHNM.masked_fill(~modulated_B1NM, -torch.inf).amax(-1).float(),
        scores_BHNM.masked_fill(~modulated_B1NM, torch.inf).amin(-1).float(),
    )


def _scores(call: AttentionCall) -> Tensor:
    return call.scale * (call.query.double() @ call.key.double().mT)


def _softmax(scores_BHNM: Tensor, mask_B1NM: Tensor) -> Tensor:
    """The weights of the keys of a mask; 0 in rows that it leaves no key."""
    weights_BHNM = scores_BHNM.masked_fill(~mask_B1NM, -torch.inf).softmax(-1)
    return weights_BHNM.masked_fill(~mask_B1NM.any(-1, keepdim=True), 0.0)


def _signs(call: AttentionCall) -> Tensor:
    """The sign of every pair, ``[B, 1, N, M]``."""
    query_labels, key_labels = call.labels()
    return call.signs()[query_labels[:, :, None], key_labels[:, None, :]][:, None]


def _strengths(call: AttentionCall, sign_B1NM: Tensor) -> Tensor:
    """λ⁺, λ⁻ or g λ⁻ of every pair, 0 of those that are not modulated, ``[B, 1, N, M]``."""
    attract_B1N1 = call.attract.double()[:, None, :, None]
    repel_B1N1 = call.repel.double()[:, None, :, None]
    repel_B1NM = torch.where(sign_B1NM == SOFT, call.soft_share * repel_B1N1, repel_B1N1)
    strength_B1NM = torch.where(sign_B1NM == POSITIVE, attract_B1N1, repel_B1NM)
    return strength_B1NM.masked_fill((sign_B1NM == NEUTRAL) | (sign_B1NM == MASKED), 0.0)


def _ends(scores: Tensor, modulated: Tensor, positive: Tensor, dim: int) -> Tensor:
    """Where each pair is pulled to: the largest or the smallest modulated score along ``dim``."""
    largest = scores.masked_fill(~modulated, -torch.inf).amax(dim, keepdim=True)
    smallest = scores.masked_fill(~modulated, torch.inf).amin(dim, keepdim=True)
    return torch.where(positive, largest, smallest)


BACKEND = Backend("dense", run, features=frozenset(FEATURES), partials=partials)
