"""The backend `xformers`, with torch's own attention of known log-sum-exp in xFormers' place."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import pytest
import torch
from attention_cases import balanced, case, error
from torch import Tensor

from grainspec_runtime.attention import BACKENDS, dispatch, modulated_attention
from grainspec_runtime.attention.backends import fallback, xformers
from grainspec_runtime.testing import check_attention

CPU = torch.device("cpu")


def torch_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q[None], k[None], v[None], scale=scale
    )
    return out[0], lse[0]


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if xFormers were installed and could run."""
    monkeypatch.setattr(xformers, "plain_attention", torch_attention)
    available = replace(BACKENDS["xformers"], probe=lambda *_: None)
    monkeypatch.setitem(BACKENDS, "xformers", available)


@pytest.fixture(autouse=True)
def forget() -> None:
    for cached in (fallback.warn_fallback, xformers.probe):
        cached.cache_clear()


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("related", ["all", "none", "own", "some"])
@pytest.mark.parametrize("strength", [0.0, 0.5, 0.999, 1.0, None])
def test_signs_joined_against_the_reference(related: str, strength: float | None) -> None:
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


MASKS = {
    "neutral": {"neutral": [True, False, False, True]},
    "masked": {"masked": [False, True, False, False]},
    "all neutral": {"neutral": [True] * 4},
    "all masked but neutral ones": {"masked": [True, True, False, True], "neutral": [True] * 4},
    "soft, neutral and masked": {
        "soft": [True, True, False, False],
        "neutral": [False, True, True, False],
        "masked": [False, False, True, False],
    },
}


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
def test_neutral_and_masked_keys(masks: dict[str, list[bool]]) -> None:
    inputs = case(batch=2, queries=150, keys=130)
    inputs["attract"][:, ::3] = inputs["repel"][:, ::3] = 0
    inputs |= {name: torch.tensor(mask) for name, mask in masks.items()}
    assert error(inputs, backend="xformers", soft_share=0.3) < 1e-5


@pytest.mark.usefixtures("present")
def test_all_keys_masked() -> None:
    inputs = case()
    inputs["masked"] = torch.ones(4, dtype=torch.bool)
    assert not modulated_attention(**inputs, backend="xformers").any()
    inputs["attract"] = inputs["repel"] = torch.zeros(1, 60)
    assert not modulated_attention(**inputs, backend="xformers").any()


@pytest.mark.usefixtures("present")
def test_all_that_backends_promise() -> None:
    some = ("equal", "plain", "masked", "padding", "partials", "joint")
    check_attention(
        "xformers", widths=(16, 33), dtypes=(torch.float32,), examples=5, properties=some
    )


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
        return torch_attention(q, k, v, scale)

    monkeypatch.setattr(xformers, "plain_attention", counted)
    inputs = case(queries=60, keys=50)
    inputs["attract"] = inputs["repel"] = torch.zeros(1, 60)
    assert error(inputs, backend="xformers") < 1e-5
    assert calls == [(60, 50)]


def test_without_xformers_rows_are_used_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xformers", None)
    monkeypatch.setitem(sys.modules, "xformers.ops", None)
    with pytest.warns(RuntimeWarning, match="from `xformers` to `rows`: xFormers is not installed"):
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
    why = BACKENDS["xformers"].why_not(CPU, torch.float32, 64)
    assert why == (
        "xFormers does not support this device, dtype and head size "
        "(No operator found for `memory_efficient_attention`)"
    )


def test_what_xformers_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own layout is ``[B, M, H, d]``, and its log-sum-exps may be padded."""

    def fake(q: Tensor, k: Tensor, v: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        out, lse = torch_attention(*(t[0].transpose(0, 1) for t in (q, k, v)), scale)
        return out.transpose(0, 1)[None], torch.nn.functional.pad(lse, (0, 4))[None]

    ops = types.ModuleType("xformers.ops")
    ops.fmha = types.SimpleNamespace(memory_efficient_attention_partial=fake)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xformers", types.ModuleType("xformers"))
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    assert dispatch.choose("xformers", CPU, torch.float32, 16) == ("xformers", "requested")
    assert error(case(), backend="xformers") < 1e-5
