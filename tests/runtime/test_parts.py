"""The operator by parts, with torch's own attention of known log-sum-exp in xFormers' place."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from attention_cases import balanced, case, error
from torch import Tensor

from grainspec_runtime.attention import dispatch, modulated_attention, operator, parts

CPU = torch.device("cpu")


def torch_part(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q[None], k[None], v[None], scale=scale
    )
    return out[0], lse[0]


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if xFormers were installed and could run."""
    monkeypatch.setattr(operator, "xformers_part", torch_part)
    monkeypatch.setattr(dispatch, "why_no_xformers", lambda *_: None)
    dispatch._choose.cache_clear()


@pytest.fixture(autouse=True)
def forget() -> None:
    for cached in (dispatch._choose, dispatch.warn_once, parts.why_no_xformers):
        cached.cache_clear()


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("related", ["all", "none", "own", "some"])
@pytest.mark.parametrize("strength", [0.0, 0.5, 0.999, 1.0, None])
def test_parts_against_the_reference(related: str, strength: float | None) -> None:
    inputs = case(batch=2, queries=150, keys=130)
    if strength is not None:
        inputs["attract"] = torch.full_like(inputs["attract"], strength)
        inputs["repel"] = torch.full_like(inputs["repel"], strength)
    if related != "some":
        tables = {"all": torch.ones(4, 4), "none": torch.zeros(4, 4), "own": torch.eye(4)}
        inputs["relation"] = tables[related].bool()
    assert error(inputs, backend="xformers") < 1e-5


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("soft", [[True, False, True, False], [True] * 4])
def test_soft_keys(soft: list[bool]) -> None:
    inputs = case(batch=2, queries=150, keys=130)
    inputs["soft"] = torch.tensor(soft)
    assert error(inputs, backend="xformers", soft_share=0.3) < 1e-5


@pytest.mark.usefixtures("present")
def test_balanced_rows_and_a_negative_scale() -> None:
    assert error(balanced(), backend="xformers") < 1e-5
    inputs = case()
    torch.testing.assert_close(
        modulated_attention(**inputs, backend="xformers", scale=-0.1),
        modulated_attention(**inputs, backend="dense", scale=-0.1),
    )


@pytest.mark.usefixtures("present")
def test_plain_rows_are_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        calls.append((q.shape[1], k.shape[1]))
        return torch_part(q, k, v, scale)

    monkeypatch.setattr(operator, "xformers_part", counted)
    inputs = case(queries=60, keys=50)
    inputs["attract"] = inputs["repel"] = torch.zeros(1, 60)
    assert error(inputs, backend="xformers") < 1e-5
    assert calls == [(60, 50)]


def test_without_xformers_rows_are_used_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xformers", None)
    monkeypatch.setitem(sys.modules, "xformers.ops", None)
    with pytest.warns(RuntimeWarning, match="row by row: xFormers is not installed"):
        choice = dispatch.choose("xformers", CPU, torch.float32, 64)
    assert choice.backend == "rows"
    assert error(case(), backend="xformers") < 1e-5


def test_xformers_that_cannot_run_is_found_out_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError("No operator found for `memory_efficient_attention`\nmore")

    ops = types.ModuleType("xformers.ops")
    ops.fmha = types.SimpleNamespace(memory_efficient_attention_partial=refuse)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xformers", types.ModuleType("xformers"))
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    why = parts.why_no_xformers(CPU, torch.float32, 64)
    assert why == (
        "xFormers has no operator for this (No operator found for `memory_efficient_attention`)"
    )


def test_what_xformers_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own layout is ``[B, M, H, d]``, and its log-sum-exps may be padded."""

    def fake(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        out, lse = torch_part(*(t[0].transpose(0, 1) for t in (q, k, v)), scale)
        return out.transpose(0, 1)[None], torch.nn.functional.pad(lse, (0, 4))[None]

    ops = types.ModuleType("xformers.ops")
    ops.fmha = types.SimpleNamespace(memory_efficient_attention_partial=fake)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xformers", types.ModuleType("xformers"))
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    assert dispatch.choose("xformers", CPU, torch.float32, 16) == ("xformers", "asked for")
    assert error(case(), backend="xformers") < 1e-5
