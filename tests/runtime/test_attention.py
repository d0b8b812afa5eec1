from __future__ import annotations

import doctest

import pytest
import torch
import torch.nn.functional as F
from attention_cases import balanced, case, error

from grainspec_runtime.attention import blocks, modulated_attention, operator


@pytest.mark.parametrize(
    "shape",
    [
        {"queries": 1, "keys": 1, "classes": 1},
        {"queries": 257, "keys": 77, "batch": 3},
        {"queries": 300, "keys": 300, "heads": 4, "width": 40},
        {"queries": 100, "keys": 400, "classes": 200},
        {"queries": 64, "keys": 64, "width": 128, "classes": 1},
    ],
)
def test_rows_against_dense(shape: dict[str, int]) -> None:
    assert error(case(**shape)) < 1e-5


def test_rows_in_half_precision() -> None:
    assert error(case(), torch.float16) < 1e-3
    assert error(case(), torch.bfloat16) < 5e-3


@pytest.mark.parametrize("attract", [0.0, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("related", ["all", "none", "own"])
@pytest.mark.parametrize("size", [1.0, 100.0])
def test_extremes(attract: float, related: str, size: float) -> None:
    inputs = case()
    inputs["query"] = inputs["query"] * size
    inputs["attract"] = torch.full_like(inputs["attract"], attract)
    inputs["relation"] = {
        "all": torch.ones(4, 4, dtype=torch.bool),
        "none": torch.zeros(4, 4, dtype=torch.bool),
        "own": torch.eye(4, dtype=torch.bool),
    }[related]
    assert error(inputs) < 1e-5


@pytest.mark.parametrize("soft", [[False] * 4, [True, False, True, False], [True] * 4])
@pytest.mark.parametrize("soft_share", [0.0, 0.3, 1.0])
def test_soft_keys(soft: list[bool], soft_share: float) -> None:
    inputs = case()
    inputs["soft"] = torch.tensor(soft)
    assert error(inputs, soft_share=soft_share) < 1e-5
    if soft_share == 1:  # like all others
        plain = {k: v for k, v in inputs.items() if k != "soft"}
        assert torch.equal(
            modulated_attention(**inputs, soft_share=1), modulated_attention(**plain)
        )


def test_nothing_pulls_soft_keys_of_no_soft_share() -> None:
    inputs = case()
    inputs["relation"] = torch.zeros(4, 4, dtype=torch.bool)
    plain = F.scaled_dot_product_attention(inputs["query"], inputs["key"], inputs["value"])
    assert not torch.allclose(modulated_attention(**inputs), plain, atol=1e-2)
    inputs["soft"] = torch.ones(4, dtype=torch.bool)
    torch.testing.assert_close(modulated_attention(**inputs), plain)


def test_positive_keys_are_never_soft() -> None:
    inputs = case()
    inputs["relation"] = torch.ones(4, 4, dtype=torch.bool)
    soft = torch.ones(4, dtype=torch.bool)
    for backend in ("rows", "dense"):
        plain = modulated_attention(**inputs, backend=backend)
        assert torch.equal(modulated_attention(**inputs, soft=soft, backend=backend), plain)


def test_pads_take_their_share_and_move_nothing() -> None:
    """Neutral keys beside the others: out = ((1 − w) out + w pads), where w is the pads' mass."""
    inputs = case(keys=40)
    padded = dict(inputs)
    generator = torch.Generator().manual_seed(5)
    pad = torch.randn(1, 2, 1, 16, generator=generator).expand(-1, -1, 9, -1)
    padded["key"] = torch.cat([inputs["key"], pad], 2)
    padded["value"] = torch.cat([inputs["value"], pad * 0], 2)
    padded["key_labels"] = torch.cat([inputs["key_labels"], torch.full((1, 9), 4)], 1)
    padded["relation"] = F.pad(inputs["relation"], (0, 1), value=True)
    padded["neutral"] = torch.arange(5) == 4
    bare, out = modulated_attention(**inputs), modulated_attention(**padded)
    shares = (out * bare).sum(-1, keepdim=True) / bare.square().sum(-1, keepdim=True)
    torch.testing.assert_close(out, shares * bare)
    assert (shares > 0).all()
    assert (shares < 1).all()


def test_a_batch_entry_may_have_no_modulated_key() -> None:
    inputs = case(batch=2)
    inputs["key_labels"][1] = 3
    inputs["neutral"] = torch.arange(4) == 3
    assert error(inputs) < 1e-5
    plain = F.scaled_dot_product_attention(inputs["query"], inputs["key"], inputs["value"])
    torch.testing.assert_close(modulated_attention(**inputs)[1], plain[1])


def test_balanced_rows() -> None:
    assert error(balanced()) < 1e-5


def test_balanced_rows_beside_neutral_keys() -> None:
    inputs = balanced()
    inputs["neutral"] = torch.arange(4) == 2
    assert error(inputs) < 1e-5


def test_rows_with_zero_strength_are_plain_attention() -> None:
    inputs = case(batch=2)
    inputs["attract"][1] = inputs["repel"][1] = 0
    out = modulated_attention(**inputs)
    plain = F.scaled_dot_product_attention(inputs["query"], inputs["key"], inputs["value"])
    torch.testing.assert_close(out[1], plain[1])
    assert not torch.allclose(out[0], plain[0], atol=1e-3)


def test_each_row_has_its_own_strength() -> None:
    inputs = case()
    inputs["attract"][0, ::2] = inputs["repel"][0, ::2] = 0
    assert error(inputs) < 1e-5


def test_labels_may_be_shared_by_the_batch() -> None:
    inputs = case(batch=2)
    shared = {k: v[0] if k in {"query_labels", "attract"} else v for k, v in inputs.items()}
    spread = dict(inputs)
    for name in ("query_labels", "attract"):
        spread[name] = inputs[name][:1].expand(2, -1)
    assert torch.equal(modulated_attention(**shared), modulated_attention(**spread))


def test_order_of_tokens_does_not_matter() -> None:
    inputs = case()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    moved = dict(inputs)
    moved["query"] = inputs["query"][:, :, order]
    for name in ("query_labels", "attract", "repel"):
        moved[name] = inputs[name][:, order]
    torch.testing.assert_close(
        modulated_attention(**moved), modulated_attention(**inputs)[:, :, order]
    )


def test_extra_memory_is_linear_in_the_number_of_tokens() -> None:
    """Peak of what torch allocates beyond inputs and output, by counting every new storage."""

    def peak(tokens: int) -> int:
        inputs = case(queries=tokens, keys=tokens, heads=1)
        plain = inputs["query_labels"] == 0  # a class of no region: attention as usual
        for name in ("attract", "repel"):
            inputs[name] = inputs[name].masked_fill(plain, 0.0)
        with torch.profiler.profile(profile_memory=True) as profile:
            modulated_attention(**inputs, backend="rows")
        held = most = 0
        for event in profile.profiler.kineto_results.events():
            if event.name() == "[memory]":
                held += event.nbytes()
                most = max(most, held)
        return most

    small, large = peak(2048), peak(8192)
    block = blocks.BLOCK_ELEMENTS * 4
    assert large < 5 * small
    assert large < 8192 * 16 * 4 * 12 + 4 * block
    assert large < 8192 * 8192 * 4 / 8


def test_wrong_arguments_name_what_is_wrong() -> None:
    good = case()
    for name, value, words in [
        ("key", good["key"][..., :8], "query must be|key is"),
        ("value", good["value"].half(), "one floating dtype"),
        ("query_labels", good["query_labels"][:, :5], r"query_labels must be \[60\]"),
        ("attract", torch.ones(3), r"attract must be \[60\] or \[1, 60\]"),
        ("relation", torch.ones(4, 4), "relation must be bool"),
        ("soft", torch.ones(3, dtype=torch.bool), r"soft must be bool \[4\]"),
        ("soft", torch.ones(4), r"soft must be bool \[4\]; got float32"),
        ("neutral", torch.ones(3, dtype=torch.bool), r"neutral must be bool \[4\]; got bool \[3\]"),
        ("masked", torch.ones(4, dtype=torch.int64), r"masked must be bool \[4\]; got int64"),
        ("columns", torch.ones(3), r"columns must be float32 \[4\]; got float32 \[3\]"),
        ("columns", torch.ones(4, dtype=torch.int64), r"columns must be float32 \[4\]; got int64"),
        ("columns", torch.tensor([0, 0.5, 1.5, 0]), "columns must lie in 0 to 1; got 0 to 1.5"),
        ("attract", torch.full((60,), -0.5), "attract must lie in 0 to 1; got -0.5 to -0.5"),
        ("repel", torch.linspace(0, 2, 60), "repel must lie in 0 to 1; got 0 to 2"),
        ("repel", torch.full((60,), torch.nan), "repel must lie in 0 to 1; got nan to nan"),
        ("soft_share", 1.1, "soft_share must lie in 0 to 1"),
        ("backend", "magic", "unknown backend `magic`: use one of auto"),
        ("relation", torch.ones(1, 1, dtype=torch.bool), "query_labels must lie in 0 to 0"),
        ("key_labels", good["key_labels"] - 9, "key_labels must lie in"),
    ]:
        with pytest.raises(ValueError, match=words):
            modulated_attention(**{**good, name: value})  # type: ignore[arg-type]
    empty = good["key"][:, :, :0]
    with pytest.raises(ValueError, match="no keys"):
        modulated_attention(
            **{**good, "key": empty, "value": empty, "key_labels": good["key_labels"][:, :0]}
        )


def test_no_queries_is_no_error() -> None:
    inputs = case()
    for name in ("query_labels", "attract", "repel"):
        inputs[name] = inputs[name][:, :0]
    inputs["query"] = inputs["query"][:, :, :0]
    assert modulated_attention(**inputs).shape == (1, 2, 0, 16)


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(operator).failed == 0
