"""Attention of a part of a clip's tokens: keys in slices, and every way to divide the processes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from programs import printed
from torch.nn.attention import SDPBackend, sdpa_kernel
from wan_runs import by_definition

import grainspec
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.save import save_plan
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone
from grainspec_runtime.attention.partial_result import joined
from grainspec_runtime.attention.plain import plain_part
from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.modulation.part import Division, copy

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
OWN = AttentionLayer("a", 0, "self", 0)
SPEC = (
    'grain 1 video "c" target "a green robot, a yellow bear and a red fox" '
    "region one = all region two = all region none = all "
    'edit one -> "green robot" edit two -> "yellow bear" { weight 0.7 } edit none -> "red fox" '
    "attention videograin { until 50%  decay 0.5  self 0.9  columns 0.6  phrases in_context }"
)


def drawn_plan(seed: int, frames: int, size: tuple[int, int]) -> MaskPlan:
    """Two regions of random latents, which overlap and leave some empty, and one without any."""
    random = np.random.default_rng(seed)
    width, height = size
    masks = {"none": np.zeros((frames, height, width), bool)}
    for name in ("one", "two"):
        cells = random.random((frames, height // 8, width // 8)) < random.uniform(0.2, 0.8)
        masks[name] = np.kron(cells, np.ones((1, 8, 8), bool))
    masks["one"][-1] = False  # gone in the last frame
    return grainspec.compile(
        grainspec.parse(SPEC), Layout.of(masks), word_backbone(layer_count=1, levels=1)
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
def test_keys_in_slices_are_the_whole_softmax(device: str, seed: int) -> None:
    plan = drawn_plan(seed, frames=3, size=(40, 24))
    tokens = len(plan.groups) * plan.levels[0].tokens
    random = torch.Generator().manual_seed(seed)
    q, *_ = qkv = torch.randn(3, 1, 2, tokens, 8, generator=random)
    kv = qkv[1:]
    cuts = sorted(torch.randint(tokens + 1, (1 + seed % 5,), generator=random).tolist())
    cuts = [0, *cuts, tokens]
    places = [slice(*ends) for ends in pairwise(cuts)]
    shuffled = [places[i] for i in torch.randperm(len(places), generator=random)]
    own = slice(tokens // 3, tokens - seed)
    attention = ClipAttention(len(plan.groups), plan=plan, device=device)
    for step, timestep in ((0, 900.0), (9, 100.0)):
        attention.begin_step(step, 10, timestep)
        slices = ((*kv[:, :, :, its].to(device), its) for its in shuffled)
        query = q[:, :, own].to(device)
        out = attention.self_attention_of(OWN, query, slices, own, tokens=tokens).cpu()
        plain = F.scaled_dot_product_attention(*qkv.double())
        expected = by_definition(plan, "self", *qkv, timestep) if step == 0 else plain
        torch.testing.assert_close(out.double(), expected[:, :, own], atol=1e-5, rtol=1e-5)
        assert step or (expected - plain).abs().max() > 1e-2


@GPU
@pytest.mark.parametrize("backend", [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION])
def test_plain_attention_by_torchs_kernels(backend: SDPBackend) -> None:
    random = torch.Generator().manual_seed(0)
    qkv = torch.randn(3, 1, 2, 300, 64, generator=random).cuda().bfloat16()
    q, k, v = qkv
    halves = slice(0, 77), slice(77, 300)
    with sdpa_kernel(backend):
        out, log_sum = joined([plain_part(q, k[:, :, its], v[:, :, its]) for its in halves])
    scores = q.double() @ k.double().mT / 8
    assert (out - scores.softmax(-1) @ v.double()).abs().max() < 8e-3
    assert (log_sum - scores.logsumexp(-1)).abs().max() < 1e-3


def test_every_division_is_the_whole(tmp_path: Path) -> None:
    # odd numbers of tokens, and fewer than processes: the last ones have none
    sizes = [(3, (40, 24)), (1, (24, 8)), (1, (8, 8))]
    paths = []
    for seed, (frames, size) in enumerate(sizes):
        paths.append(tmp_path / f"{seed}.plan")
        save_plan(drawn_plan(seed, frames, size), paths[-1])
    lines = printed("divided_attention.py", *paths)
    ways = [[3, 1], [3, 3]] * 3 * 3 + [[4, 1], [4, 2], [4, 4]] * 3 * 4
    assert [line[:2] for line in lines] == ways
    assert max(max(line[2:]) for line in lines) < 1e-5, lines


@pytest.mark.parametrize("width", [8, 4, 3])
@pytest.mark.parametrize("first", [0, 4, 1])
def test_copies_have_the_same_bits(width: int, first: int) -> None:
    # aligned rows, and rows that cannot be copied by eight bytes
    bits = torch.arange(first + 2 * 5 * width, dtype=torch.int16) - 9  # NaNs among them
    source = bits.view(torch.bfloat16)[first:].view(2, 5, width).transpose(0, 1)
    to = torch.zeros(5, 2, 2 * width, dtype=torch.bfloat16)[:, :, width:]
    copy(source, to)
    assert torch.equal(to.contiguous().view(torch.int16), source.contiguous().view(torch.int16))


def test_as_much_ulysses_as_the_heads_allow() -> None:
    assert Division.of(4, [12]) == (4, 1, 1)
    assert Division.of(8, [12]) == (4, 2, 1)
    assert Division.of(5, [12]) == (1, 5, 1)
    assert Division.of(4, [12, 40], "ring") == (1, 4, 1)
    assert Division.of(8, [12, 40]) == (4, 2, 1)
    assert Division.of(2, [12], "guidance") == (1, 1, 2)
    assert str(Division(1, 1, 2)) == "passes of guidance"
    assert str(Division(2, 1, 2)) == "passes of guidance, each divided by Ulysses"
    assert str(Division(4, 1)) == "Ulysses"
    assert str(Division(1, 5)) == "ring attention"
    assert str(Division(4, 2)) == "Ulysses in groups of 4, ring attention between 2 groups"
