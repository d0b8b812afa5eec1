"""The pull along columns: its extremes, and what it does to a row."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from attention_cases import Case, case, error

from grainspec_runtime.attention import blocks, modulated_attention
from grainspec_runtime.attention.backends import rows
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.attention.columns import column_extremes
from grainspec_runtime.testing.attention.memory import _LargestOutput

MASKS = {
    "soft": torch.tensor([True, True, False, False, False, False]),
    "neutral": torch.tensor([False, True, True, False, False, False]),
    "masked": torch.tensor([False, False, True, True, False, False]),
}
STRENGTHS = torch.tensor([0.4, 0.9, 0.7, 1.0, 0.0, 0.2])
PULLED = torch.tensor([True, False, False, False, False, True])


def mixed() -> Case:
    return case(batch=2, queries=90, keys=77, classes=6) | MASKS | {"columns": STRENGTHS}


def call_of(inputs: Case) -> AttentionCall:
    return AttentionCall(**inputs, scale=-0.3, soft_share=0.3)  # type: ignore[arg-type]


def by_definition(call: AttentionCall) -> tuple[torch.Tensor, torch.Tensor]:
    s = call.scale * call.query.double() @ call.key.double().mT
    of_queries, of_keys = call.labels()
    soft, neutral, masked = (mask[of_keys][:, None, None] for mask in MASKS.values())
    outside = neutral | masked
    mx = s.masked_fill(outside, -torch.inf).amax(-1, keepdim=True)
    mn = s.masked_fill(outside, torch.inf).amin(-1, keepdim=True)
    up, down = (strength.double()[:, None, :, None] for strength in (call.attract, call.repel))
    down = torch.where(soft, 0.3 * down, down)
    positive = call.relation[of_queries[..., None], of_keys[:, None]][:, None]
    moved = torch.where(positive, s + up * (mx - s), s + down * (mn - s))
    return moved.amax(2), moved.amin(2)


@pytest.mark.parametrize("block", [1, 1 << 19])
def test_extremes_of_columns(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ELEMENTS", block)  # blocks of 16 rows, or one
    call = call_of(mixed())
    pulled = PULLED[call.key_labels][:, None].expand(-1, 2, -1)
    for found, expected in zip(column_extremes(call), by_definition(call), strict=True):
        assert found.dtype == torch.float32
        assert not found[~pulled].any()
        torch.testing.assert_close(found[pulled].double(), expected[pulled], atol=1e-5, rtol=1e-5)


def test_nothing_to_pull() -> None:
    inputs = mixed()
    inputs["columns"] = STRENGTHS * ~PULLED
    assert not any(extreme.any() for extreme in column_extremes(call_of(inputs)))
    without = {name: value for name, value in inputs.items() if name != "columns"}
    assert torch.equal(modulated_attention(**inputs), modulated_attention(**without))


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_rows_without_modulation_are_pulled_too(strength: float) -> None:
    inputs = case() | {"columns": torch.full((4,), 0.5)}
    inputs["attract"] = inputs["repel"] = torch.full_like(inputs["attract"], strength)
    assert error(inputs) < 1e-5
    without = {name: value for name, value in inputs.items() if name != "columns"}
    assert not torch.allclose(
        modulated_attention(**inputs), modulated_attention(**without), atol=0.01
    )


def test_a_full_pull_gives_every_positive_row_the_same_score() -> None:
    """With κ = 1 and only positive pairs, a row's scores are the maxima of the columns."""
    inputs = case() | {"columns": torch.ones(4)}
    inputs["relation"] = torch.ones(4, 4, dtype=torch.bool)
    out = modulated_attention(**inputs)
    torch.testing.assert_close(out, out[:, :, :1].expand_as(out))


def test_heads_and_batch_entries_have_columns_of_their_own() -> None:
    inputs = mixed()
    whole = modulated_attention(**inputs)
    alone = {name: value[1:] if len(value) == 2 else value for name, value in inputs.items()}
    for name in ("query", "key", "value"):
        alone[name] = alone[name][:, :1]
    torch.testing.assert_close(modulated_attention(**alone)[0, 0], whole[1, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_rows_against_the_definition(dtype: torch.dtype, size: float) -> None:
    inputs = mixed()
    inputs["query"] = inputs["query"] * size
    bound = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}[dtype]
    assert error(inputs, dtype, soft_share=0.3) < max(bound, 2e-5 if size > 1 else 0)


def test_memory_is_linear() -> None:
    inputs = case(queries=4096, keys=1024, heads=1) | {"columns": torch.full((4,), 0.5)}
    with _LargestOutput(4096 * 1024 // 4):
        modulated_attention(**inputs, backend="rows")


def test_the_operator_with_columns_is_one_that_torch_can_compile() -> None:
    inputs = mixed()
    arguments = (
        *(inputs[name] for name in case()),
        *(inputs["soft"], 0.5, [], 0.25, "rows"),
        *(inputs["neutral"], inputs["masked"], inputs["columns"]),
    )
    torch.library.opcheck(torch.ops.grainspec.modulated_attention.default, arguments)
    compiled = torch.compile(modulated_attention, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(**inputs), modulated_attention(**inputs))


def test_plain_attention_where_nothing_is_modulated() -> None:
    inputs = case() | {"columns": torch.ones(4), "neutral": torch.ones(4, dtype=torch.bool)}
    plain = F.scaled_dot_product_attention(inputs["query"], inputs["key"], inputs["value"])
    torch.testing.assert_close(modulated_attention(**inputs), plain)


@pytest.mark.parametrize("words", [77, 226, 512, 1024])
def test_phrases_in_a_text(words: int) -> None:
    """Words of a phrase are pulled as one; between them and after them are others."""
    inputs = case(batch=2, heads=1, queries=50, keys=words, classes=words)
    inputs["query_labels"] = inputs["query_labels"] % 3
    inputs["key_labels"] = torch.arange(words)
    inputs["relation"] = torch.zeros(3, words, dtype=torch.bool)
    inputs["relation"][1, 5:9] = inputs["relation"][2, 9:14] = True
    inputs["columns"] = torch.zeros(words)
    inputs["columns"][5:14] = 0.3
    inputs["columns"][30:33] = 0.6  # padding is not pulled
    inputs["neutral"] = torch.arange(words) > 20
    assert error(inputs) < 1e-5
    entry = next(iter(rows._entries(call_of(inputs))))
    spans = {
        label: [pull[:2] for pull in pulls]
        for label, pulls in rows._pulls(call_of(inputs), entry).items()
    }
    assert spans == {0: [(5, 14)], 1: [(5, 9), (9, 14)], 2: [(5, 9), (9, 14)]}
