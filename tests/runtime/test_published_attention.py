"""Attention under the profile `videograin` against the published code's formulas, by backend."""

from __future__ import annotations

import numpy as np
import published
import pytest
import torch
from published import BACKBONE, layout_of, spec_of
from torch import Tensor

from grainspec.plan.compile import compile_plan
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import AttentionLayer

HEADS, WIDTH, TIME = 2, 8, 941.0


def random(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(rng.normal(size=shape) * 1.5).float()


def expected(
    query: Tensor, key: Tensor, value: Tensor, positive: np.ndarray, strength: np.ndarray
) -> np.ndarray:
    """One head in double: the code's scores, softmax, values."""
    q, k, v = (tensor.double().numpy() for tensor in (query, key, value))
    scores = published.modulated(q @ k.T / np.sqrt(WIDTH), positive, strength)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True) @ v)


@pytest.mark.parametrize("backend", ["dense", "rows", "triton"])
@pytest.mark.parametrize("seed", range(6))
def test_layers_attend_as_in_the_published_code(backend: str, seed: int) -> None:
    """Self-attention over the clip, and cross-attention of each frame, at every level."""
    rng = np.random.default_rng(seed)
    layout = layout_of(rng, 3)
    plan = compile_plan(spec_of(3, free=seed % 2 == 0), layout, BACKBONE).plan
    frames, tokens = len(plan.frames), plan.words_ET.shape[1]
    masks = np.stack([layout.mask(f"r{number}") for number in range(3)]).astype(float)
    attention = FoldedAttention(frames, plan=plan, backend=backend)
    attention.begin_step(2, published.STEPS, TIME)
    share = published.schedule(2, TIME)
    for number in published.LEVELS:
        level = published.level(masks, plan.words_ET, number)
        each = plan.levels[number].tokens
        query, key, value = (random(rng, 2 * frames, HEADS, each, WIDTH) for _ in range(3))
        found = attention.self_attention(AttentionLayer("l", number, "self"), query, key, value)
        q, k, v = (one[frames:].transpose(0, 1).flatten(1, 2) for one in (query, key, value))
        for head in range(HEADS):
            wanted = expected(q[head], k[head], v[head], level.self_NN, level.self_N * share)
            out = found[frames:, head].flatten(0, 1).double().numpy()
            np.testing.assert_allclose(out, wanted, rtol=0, atol=2e-5)

        key, value = (random(rng, 2 * frames, HEADS, tokens, WIDTH) for _ in range(2))
        found = attention.cross_attention(AttentionLayer("l", number, "cross"), query, key, value)
        for frame, head in np.ndindex(frames, HEADS):
            rows, at = slice(frame * each, (frame + 1) * each), (frames + frame, head)
            wanted = expected(
                query[at], key[at], value[at], level.cross_NT[rows], level.cross_N[rows] * share
            )
            np.testing.assert_allclose(found[at].double().numpy(), wanted, rtol=0, atol=2e-5)


def test_the_finest_level_is_plain() -> None:
    rng = np.random.default_rng(0)
    layout = layout_of(rng, 2)
    plan = compile_plan(spec_of(2, free=False), layout, BACKBONE).plan
    frames = len(plan.frames)
    attention = FoldedAttention(frames, plan=plan)
    attention.begin_step(0, published.STEPS, TIME)
    query = random(rng, frames, HEADS, plan.levels[0].tokens, WIDTH)
    key = random(rng, frames, HEADS, plan.words_ET.shape[1], WIDTH)
    found = attention.cross_attention(AttentionLayer("l", 0, "cross"), query, key, key)
    plain = torch.nn.functional.scaled_dot_product_attention(query, key, key)
    assert torch.equal(found, plain)
