"""Partial results of some keys, and blocks of keys under one softmax, against one dense softmax."""

from __future__ import annotations

import doctest
import re
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from attention_cases import Case, balanced, case
from torch import Tensor

from grainspec_runtime.attention import (
    BACKENDS,
    KeyBlock,
    Partials,
    attention_partials,
    dispatch,
    joint_attention,
    modulated_attention,
    partial_result,
    partials,
)
from grainspec_runtime.attention.backends import fallback, rows
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.class_order import NEGATIVE, NEUTRAL, POSITIVE, PRESENT, SOFT

CPU = torch.device("cpu")
BOUNDS = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 8e-3}
HERE = [
    name
    for name, backend in BACKENDS.items()
    if backend.partials is not None and backend.why_not(CPU, torch.float32, 16) is None
]
SHARE = 0.3


@pytest.fixture(autouse=True)
def new_warnings() -> None:
    fallback.warn_fallback.cache_clear()


def scores_of(inputs: Case) -> Tensor:
    """The modulated scores s' by definition, float64 ``[B, H, N, M]``; −∞ for masked keys."""
    query, key = inputs["query"].double(), inputs["key"].double()
    s = query @ key.mT / query.shape[-1] ** 0.5
    of_keys = inputs["key_labels"].expand(len(query), -1)
    positive = inputs["relation"][inputs["query_labels"][..., None], of_keys[:, None]][:, None]
    none = torch.zeros(inputs["relation"].shape[1], dtype=torch.bool)
    soft, neutral, masked = (
        inputs.get(name, none)[of_keys][:, None, None] for name in ("soft", "neutral", "masked")
    )
    outside = neutral | masked
    mx = s.masked_fill(outside, -torch.inf).amax(-1, keepdim=True)
    mn = s.masked_fill(outside, torch.inf).amin(-1, keepdim=True)
    up, down = (inputs[name].double()[:, None, :, None] for name in ("attract", "repel"))
    down = torch.where(soft, down * SHARE, down)
    moved = torch.where(positive, s + up * (mx - s), s + down * (mn - s))
    return torch.where(neutral, s, moved).masked_fill(masked, -torch.inf)


def part_of(inputs: Case, keys: Tensor | slice, **options: Any) -> Partials:
    some = {name: inputs[name][:, :, keys] for name in ("key", "value")}
    some["key_labels"] = inputs["key_labels"][:, keys]
    options = {"soft_share": SHARE} | options
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="attention falls back")
        return attention_partials(**inputs | some, **options)


def check(parts: Partials, inputs: Case, bound: float = 1e-5) -> None:
    """Finished, they are one softmax of the modulated scores."""
    out, log_sum = parts.finished(inputs["attract"], inputs["repel"], SHARE)
    scores = scores_of(inputs)
    expected = scores.softmax(-1).nan_to_num(0) @ inputs["value"].double()
    assert out.dtype == log_sum.dtype == torch.float32
    assert float((out - expected).norm() / expected.norm()) < bound
    torch.testing.assert_close(
        log_sum.double(), scores.logsumexp(-1), atol=bound * 10, rtol=bound * 10
    )


def mixed(**shape: int) -> Case:
    inputs = case(**{"batch": 2, "keys": 77, "classes": 6, **shape})
    for index, name in enumerate(("soft", "neutral", "masked")):
        inputs[name] = torch.arange(6) == index
    return inputs


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", HERE)
def test_any_split_merges_to_the_whole(name: str, dtype: torch.dtype) -> None:
    inputs = mixed()
    for tensor in ("query", "key", "value"):
        inputs[tensor] = inputs[tensor].to(dtype)
    check(part_of(inputs, slice(None), backend=name), inputs, BOUNDS[dtype])
    generator = torch.Generator().manual_seed(0)
    for sizes in ([40, 37], [0, 1, 76], [30, 0, 20, 27]):
        chunks = torch.randperm(77, generator=generator).split(sizes)
        first, *others = [part_of(inputs, chunk, backend=name) for chunk in chunks]
        for other in others:
            first = other.merged(first)
        check(first, inputs, BOUNDS[dtype])


@pytest.mark.parametrize("name", HERE)
def test_each_term_is_that_of_its_sign(name: str) -> None:
    inputs = mixed(batch=1)
    parts = part_of(inputs, slice(None), backend=name)
    assert parts.signs == PRESENT == (POSITIVE, NEGATIVE, SOFT, NEUTRAL)
    s = inputs["query"] @ inputs["key"].mT / 4
    of_keys = inputs["key_labels"][0]
    outside = inputs["neutral"][of_keys] | inputs["masked"][of_keys]
    torch.testing.assert_close(parts.largest_BHN, s[..., ~outside].amax(-1))
    torch.testing.assert_close(parts.smallest_BHN, s[..., ~outside].amin(-1))
    neutral = inputs["neutral"][of_keys]
    out, log_sum = parts.outputs_SBHNd[3], parts.log_sums_SBHN[3]
    torch.testing.assert_close(log_sum, s[..., neutral].logsumexp(-1))
    torch.testing.assert_close(out, s[..., neutral].softmax(-1) @ inputs["value"][:, :, neutral])
    soft = inputs["soft"][of_keys] & ~inputs["relation"][:, of_keys]
    scaled = s * (1 - SHARE * inputs["repel"])[:, None, :, None]
    scaled = scaled.masked_fill(~soft[inputs["query_labels"]][:, None], -torch.inf)
    torch.testing.assert_close(parts.log_sums_SBHN[2], scaled.logsumexp(-1))


@pytest.mark.parametrize("shape", [{"width": 33, "queries": 60}, {"keys": 1}, {"keys": 530}])
@pytest.mark.parametrize("name", HERE)
def test_shapes(name: str, shape: dict[str, int]) -> None:
    inputs = case(**{"batch": 2, "heads": 1, "queries": 20, **shape})
    check(part_of(inputs, slice(None), backend=name), inputs)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("related", ["all", "none", "own"])
@pytest.mark.parametrize("name", HERE)
def test_signs_without_keys(name: str, related: str, strength: float) -> None:
    inputs = case()
    tables = {"all": torch.ones(4, 4), "none": torch.zeros(4, 4), "own": torch.eye(4)}
    inputs["relation"] = tables[related].bool()
    inputs["attract"] = inputs["repel"] = torch.full((1, 60), strength)
    halves = [part_of(inputs, half, backend=name) for half in (slice(0, 20), slice(20, None))]
    check(halves[0].merged(halves[1]), inputs)


@pytest.mark.parametrize("name", HERE)
def test_balanced_rows(name: str) -> None:
    inputs = balanced()
    chunks = torch.arange(200).split(64)
    first, *others = [part_of(inputs, chunk, backend=name) for chunk in chunks]
    for other in others:
        first = first.merged(other)
    check(first, inputs)


@pytest.mark.parametrize("name", HERE)
def test_all_keys_neutral_or_masked(name: str) -> None:
    inputs = case(keys=30)
    inputs["neutral"] = torch.ones(4, dtype=torch.bool)
    parts = part_of(inputs, slice(None), backend=name)
    assert (parts.largest_BHN == -torch.inf).all()
    assert (parts.smallest_BHN == torch.inf).all()
    out, _ = parts.finished(inputs["attract"], inputs["repel"])
    plain = F.scaled_dot_product_attention(inputs["query"], inputs["key"], inputs["value"])
    torch.testing.assert_close(out, plain)
    inputs["masked"] = torch.ones(4, dtype=torch.bool)
    out, log_sum = part_of(inputs, slice(None), backend=name).finished(
        inputs["attract"], inputs["repel"]
    )
    assert not out.any()
    assert (log_sum == -torch.inf).all()


def test_parts_of_other_signs_merge() -> None:
    inputs = mixed(keys=60)
    plain = {name: inputs[name] for name in inputs if name not in {"soft", "neutral", "masked"}}
    inputs["key_labels"] = inputs["key_labels"][:1].expand(2, -1)
    named = inputs["key_labels"][0] > 2
    plain["key_labels"] = inputs["key_labels"]
    few = part_of(plain, named.nonzero()[:, 0], backend="rows")
    assert few.signs == (POSITIVE, NEGATIVE)
    rest = part_of(inputs, (~named).nonzero()[:, 0], backend="rows")
    for parts in (few.merged(rest), rest.merged(few)):
        assert parts.signs == PRESENT
        check(parts, inputs)
    assert few.part(SOFT) is None


def test_no_keys_and_no_queries() -> None:
    inputs = case()
    nothing = part_of(inputs, slice(0, 0))
    whole = part_of(inputs, slice(None))
    check(nothing.merged(whole), inputs)
    out, log_sum = nothing.finished(inputs["attract"], inputs["repel"])
    assert not out.any()
    assert (log_sum == -torch.inf).all()
    for name in ("query_labels", "attract", "repel"):
        inputs[name] = inputs[name][:, :0]
    inputs["query"] = inputs["query"][:, :, :0]
    assert part_of(inputs, slice(None)).outputs_SBHNd.shape == (2, 1, 2, 0, 16)
    with pytest.raises(ValueError, match="unknown backend `magic`"):
        part_of(inputs, slice(0, 0), backend="magic")


def test_a_backend_without_partial_results_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Backend("stub", rows.run, fallback="dense")
    monkeypatch.setitem(BACKENDS, "stub", stub)
    inputs = case()
    with pytest.warns(
        RuntimeWarning, match="from `stub` to `dense`: `stub` has no partial results"
    ):
        parts = attention_partials(**inputs, backend="stub")
    check(parts, inputs)

    def broken(call: AttentionCall) -> Partials:
        raise RuntimeError("no C compiler")

    monkeypatch.setitem(BACKENDS, "stub", replace(stub, partials=broken, compiles=True))
    fallback.warn_fallback.cache_clear()
    with pytest.warns(RuntimeWarning, match="its kernel failed .no C compiler"):
        check(attention_partials(**inputs, backend="stub"), inputs)


def test_there_are_no_columns() -> None:
    inputs = case()
    call = AttentionCall(**inputs, scale=1.0, columns=torch.ones(4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="partial results have no columns"):
        dispatch.run_partials(call, "rows")


# --- joint attention ------------------------------------------------------------------------------

VIDEO, TEXT = 40, 13


def joint_case(batch: int = 2, dtype: torch.dtype = torch.float32) -> tuple[Tensor, list[Case]]:
    """Video and text queries (classes 0 to 3, and 4 to 6) to video keys and to text keys."""
    inputs = case(batch=batch, heads=1, queries=VIDEO + TEXT, keys=VIDEO + TEXT, classes=7)
    generator = torch.Generator().manual_seed(3)
    labels = torch.cat(
        [
            torch.randint(4, (batch, VIDEO), generator=generator),
            torch.randint(4, 7, (batch, TEXT), generator=generator),
        ],
        1,
    )
    blocks: list[Case] = []
    for keys in (slice(0, VIDEO), slice(VIDEO, None)):
        block = {name: inputs[name][:, :, keys].to(dtype) for name in ("key", "value")}
        block["query_labels"], block["key_labels"] = labels, labels[:, keys]
        block["relation"] = torch.rand(7, 7, generator=generator) < 0.5
        block["attract"] = torch.rand(batch, VIDEO + TEXT, generator=generator)
        block["repel"] = torch.rand(batch, VIDEO + TEXT, generator=generator)
        blocks.append(block)
    blocks[1]["neutral"] = torch.arange(7) == 6
    blocks[1]["soft"] = torch.arange(7) == 5
    return inputs["query"].to(dtype), blocks


def block_of(block: Case) -> KeyBlock:
    return KeyBlock(**block, soft_share=SHARE if "soft" in block else 0.0)  # type: ignore[arg-type]


def one_softmax(query: Tensor, blocks: list[Case]) -> Tensor:
    scores = torch.cat([scores_of({"query": query, **block}) for block in blocks], -1)
    value = torch.cat([block["value"] for block in blocks], 2).double()
    return scores.softmax(-1).nan_to_num(0) @ value


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", HERE)
def test_joint_attention_is_one_softmax(name: str, dtype: torch.dtype) -> None:
    query, blocks = joint_case(dtype=dtype)
    out = joint_attention(query, [block_of(block) for block in blocks], backend=name)
    expected = one_softmax(query, blocks)
    assert out.dtype == dtype
    assert float((out - expected).norm() / expected.norm()) < BOUNDS[dtype]
    turned = joint_attention(query, [block_of(block) for block in blocks[::-1]], backend=name)
    torch.testing.assert_close(out, turned)


def test_strengths_and_extremes_are_those_of_the_block() -> None:
    query, blocks = joint_case()
    both = joint_attention(query, [block_of(block) for block in blocks])
    for name in ("attract", "repel"):
        blocks[0][name] = torch.zeros_like(blocks[0][name])
    blocks[0]["key"] = blocks[0]["key"] * 3  # its extremes are no longer the text's
    out = joint_attention(query, [block_of(block) for block in blocks])
    torch.testing.assert_close(out.double(), one_softmax(query, blocks), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(out, both, atol=1e-2)


def test_joint_attention_of_strengths_of_zero_is_plain() -> None:
    query, blocks = joint_case()
    for block in blocks:
        block["attract"] = block["repel"] = torch.zeros(VIDEO + TEXT)
    out = joint_attention(query, [block_of(block) for block in blocks])
    key, value = (torch.cat([block[name] for block in blocks], 2) for name in ("key", "value"))
    torch.testing.assert_close(out, F.scaled_dot_product_attention(query, key, value))


def test_joint_attention_with_empty_and_masked_blocks() -> None:
    query, blocks = joint_case()
    alone = joint_attention(query, [block_of(blocks[0])])
    direct = {name: value for name, value in blocks[0].items() if name != "query"}
    torch.testing.assert_close(alone, modulated_attention(query, **direct))  # type: ignore[arg-type]
    masked = blocks[1] | {"masked": torch.ones(7, dtype=torch.bool)}
    empty = blocks[1] | {
        "key": blocks[1]["key"][:, :, :0],
        "value": blocks[1]["value"][:, :, :0],
        "key_labels": blocks[1]["key_labels"][:, :0],
    }
    for other in (masked, empty):
        out = joint_attention(query, [block_of(other), block_of(blocks[0])])
        torch.testing.assert_close(out, alone)
    assert not joint_attention(query, [block_of(masked)]).any()
    with pytest.raises(ValueError, match="at least one block"):
        joint_attention(query, [])


# --- as operators of torch ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rows", "triton"])
def test_one_operator_that_torch_can_compile(name: str) -> None:
    if name not in HERE:
        pytest.skip("without Triton's interpreter")
    inputs = mixed(queries=20, keys=30)
    arguments = (
        *(inputs[key] for key in case()),
        *(inputs["soft"], 0.5, [], 0.25, name, inputs["neutral"], inputs["masked"], None),
    )
    torch.library.opcheck(torch.ops.grainspec.attention_partials.default, arguments)

    def finished(**inputs: Tensor) -> Tensor:
        parts = attention_partials(**inputs, backend=name)  # type: ignore[arg-type]
        return parts.merged(parts).finished(inputs["attract"], inputs["repel"])[0]

    compiled = torch.compile(finished, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(**inputs), finished(**inputs))


def test_parts_of_other_queries_or_strengths_are_refused() -> None:
    inputs, fewer = case(), case(queries=20)
    parts, others = (part_of(each, slice(None)) for each in (inputs, fewer))
    ours, theirs = (re.escape(str(list(each["query"].shape))) for each in (inputs, fewer))
    with pytest.raises(ValueError, match=f"queries {ours} cannot merge with those of {theirs}"):
        parts.merged(others)
    with pytest.raises(ValueError, match=r"repel must be \[60\] or \[1, 60\]; got \[1, 20\]"):
        parts.finished(inputs["attract"], fewer["repel"])
    for name, value in (("attract", 1.5), ("repel", torch.nan)):
        with pytest.raises(ValueError, match=f"{name} must lie in 0 to 1"):
            part_of(inputs | {name: torch.full((60,), value)}, slice(None))


def test_a_joint_block_compiles() -> None:
    query, blocks = joint_case()
    compiled = torch.compile(joint_attention, backend="aot_eager", fullgraph=True)
    given = [block_of(block) for block in blocks]
    torch.testing.assert_close(compiled(query, given), joint_attention(query, given))


def test_examples_in_docstrings() -> None:
    for module in (partial_result, partials):
        assert doctest.testmod(module).failed == 0
