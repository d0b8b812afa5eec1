"""The contract of attention backends: each gives the result of `dense`, or says why it cannot run.

Every registered backend is asked for every kind of call. A backend that is new in the table is
tested here without a change; what is special to a backend has a test file of its own.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import product

import pytest
import torch
from attention_cases import Case, case, error
from torch import Tensor

from grainspec_runtime.attention import (
    BACKENDS,
    NAMES,
    ClassOrder,
    call,
    choose,
    modulated_attention,
    operator,
)
from grainspec_runtime.attention.backends import dense, fallback, hopper, kernel_inputs
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import AttentionCall

CPU = torch.device("cpu")
BOUNDS = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}


@pytest.fixture(autouse=True)
def new_warnings() -> None:
    fallback.warn_fallback.cache_clear()


def runs(
    name: str,
    width: int = 16,
    dtype: torch.dtype = torch.float32,
    features: frozenset[str] = frozenset(),
) -> bool:
    """Whether the backend runs here; if not, it must say why, and another must take over."""
    why_not = BACKENDS[name].why_not(CPU, dtype, width, features)
    if why_not is None:
        assert choose(name, CPU, dtype, width, features) == (name, "requested")
        return True
    assert len(why_not.split()) >= 3, "a reason in words"
    with pytest.warns(RuntimeWarning) as warned:
        choice = choose(name, CPU, dtype, width, features)
    assert choice.backend != name
    assert f"`{name}` to `{BACKENDS[name].fallback}`: {why_not}" in str(warned[0].message)
    return False


def run(name: str, inputs: Case, **options: object) -> Tensor:
    """The result of this very backend: a fallback would warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return modulated_attention(**inputs, **options, backend=name)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", NAMES)
def test_dtypes(name: str, dtype: torch.dtype) -> None:
    if runs(name, dtype=dtype):
        assert error(case(), dtype, backend=name) < BOUNDS[dtype]


@pytest.mark.parametrize(
    "shape",
    [
        {"queries": 1, "keys": 1, "classes": 1, "width": 8},
        {"queries": 130, "keys": 77, "batch": 2, "width": 33},  # no multiple of any block
        {"queries": 20, "keys": 530, "heads": 1, "width": 40},  # more keys than a prompt's
        {"queries": 30, "keys": 90, "classes": 60},  # classes without tokens
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_shapes(name: str, shape: dict[str, int]) -> None:
    if runs(name, shape.get("width", 16)):
        assert error(case(**shape), backend=name) < 1e-5


@pytest.mark.parametrize(("attract", "repel"), [*product([0.0, 1.0], repeat=2)])
@pytest.mark.parametrize("name", NAMES)
def test_strengths_of_zero_and_one(name: str, attract: float, repel: float) -> None:
    inputs = case()
    inputs["attract"] = torch.full_like(inputs["attract"], attract)
    inputs["repel"] = torch.full_like(inputs["repel"], repel)
    if runs(name):
        assert error(inputs, backend=name) < 1e-5


@pytest.mark.parametrize("soft_share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_soft_keys(name: str, soft_share: float) -> None:
    inputs = case(keys=77)
    inputs["soft"] = torch.tensor([True, False, True, False])
    if runs(name, features=frozenset({"soft"})):
        assert error(inputs, backend=name, soft_share=soft_share) < 1e-5


NO, YES = False, True
UNMODULATED: dict[str, dict[str, list[bool]]] = {
    "neutral": {"neutral": [YES, NO, NO, YES]},
    "masked": {"masked": [NO, YES, NO, NO]},
    "both, and one class of both": {"neutral": [YES, NO, NO, YES], "masked": [NO, NO, YES, YES]},
    "all neutral": {"neutral": [YES] * 4},
    "all masked": {"masked": [YES] * 4},
    "all masked but one class": {"masked": [YES, YES, NO, YES]},
    "all masked but neutral ones": {"masked": [YES, YES, YES, NO], "neutral": [NO, NO, NO, YES]},
    "none": {"neutral": [NO] * 4, "masked": [NO] * 4},
    "soft, neutral and masked": {
        "soft": [YES, YES, NO, NO],
        "neutral": [NO, YES, NO, NO],
        "masked": [NO, NO, YES, NO],
    },
}


def with_masks(inputs: Case, masks: dict[str, list[bool]]) -> Case:
    return inputs | {name: torch.tensor(mask) for name, mask in masks.items()}


@pytest.mark.parametrize("masks", UNMODULATED.values(), ids=UNMODULATED)
@pytest.mark.parametrize("name", NAMES)
def test_neutral_and_masked_keys(name: str, masks: dict[str, list[bool]]) -> None:
    inputs = with_masks(case(batch=2, keys=77), masks)
    if not runs(name, features=frozenset(masks)):
        return
    if all(masks.get("masked", [False])):
        assert not run(name, inputs).any()
        return
    assert error(inputs, backend=name, soft_share=0.3) < 1e-5
    for dtype in (torch.float16, torch.bfloat16):
        if runs(name, dtype=dtype, features=frozenset(masks)):
            assert error(inputs, dtype, backend=name, soft_share=0.3) < BOUNDS[dtype]


@pytest.mark.parametrize(("attract", "repel"), [*product([0.0, 1.0], repeat=2)])
@pytest.mark.parametrize("name", NAMES)
def test_strengths_of_zero_and_one_beside_neutral_and_masked_keys(
    name: str, attract: float, repel: float
) -> None:
    masks = UNMODULATED["both, and one class of both"]
    inputs = with_masks(case(keys=77), masks)
    inputs["attract"] = torch.full_like(inputs["attract"], attract)
    inputs["repel"] = torch.full_like(inputs["repel"], repel)
    if runs(name, features=frozenset(masks)):
        assert error(inputs, backend=name) < 1e-5
        inputs["query"] = inputs["query"] * 1000  # one score decides, of whichever sign
        assert error(inputs, backend=name) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_all_masked_but_one_key(name: str) -> None:
    inputs = case(batch=2, keys=50)
    inputs["key_labels"], inputs["masked"] = torch.arange(50), torch.arange(50) != 7
    inputs["relation"] = inputs["relation"][:, :1].expand(-1, 50)
    if runs(name, features=frozenset({"masked"})):
        only = inputs["value"][:, :, 7:8].expand(-1, -1, 60, -1)
        torch.testing.assert_close(run(name, inputs), only)
        inputs["neutral"] = torch.ones(50, dtype=torch.bool)
        if runs(name, features=frozenset({"neutral", "masked"})):
            torch.testing.assert_close(run(name, inputs), only)


@pytest.mark.parametrize("name", NAMES)
def test_masked_keys_are_as_if_removed(name: str) -> None:
    inputs = case(batch=2, keys=60)
    kept = inputs["key_labels"][:1] != 1
    inputs["key_labels"] = inputs["key_labels"][:1].expand(2, -1)
    removed = dict(inputs, key_labels=inputs["key_labels"][:, kept[0]])
    for tensor in ("key", "value"):
        removed[tensor] = inputs[tensor][:, :, kept[0]]
    if runs(name, features=frozenset({"masked"})):
        out = run(name, with_masks(inputs, UNMODULATED["masked"]))
        torch.testing.assert_close(out, run(name, removed))


@pytest.mark.parametrize("words", [77, 226, 512, 1024])
@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("name", NAMES)
def test_text(name: str, width: int, words: int) -> None:
    """Every token is a class of its own, and the last ones are padding."""
    inputs = case(batch=2, heads=1, queries=20, keys=words, width=width, classes=words)
    inputs["query_labels"] = inputs["query_labels"] % 3
    inputs["key_labels"] = torch.arange(words)
    inputs["relation"] = torch.zeros(3, words, dtype=torch.bool)
    inputs["relation"][1, 5:9] = inputs["relation"][2, 11:14] = True
    inputs["neutral"] = torch.arange(words) > 20
    inputs["masked"] = torch.arange(words) > words - 9
    if runs(name, width, features=frozenset({"neutral", "masked"})):
        assert error(inputs, backend=name) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_columns(name: str) -> None:
    inputs = case(batch=2, queries=90, keys=77)
    inputs["attract"][:, ::4] = inputs["repel"][:, ::4] = 0  # these rows are pulled, too
    inputs |= with_masks({}, UNMODULATED["soft, neutral and masked"])
    inputs["columns"] = torch.tensor([0.4, 0.9, 0.7, 1.0])
    if not runs(name, features=frozenset({"soft", "neutral", "masked", "columns"})):
        return
    assert error(inputs, backend=name, soft_share=0.3) < 1e-5
    for dtype in (torch.float16, torch.bfloat16):
        if runs(name, dtype=dtype, features=frozenset({"columns"})):
            assert error(inputs, dtype, backend=name, soft_share=0.3) < BOUNDS[dtype]


@pytest.mark.parametrize("name", NAMES)
def test_an_order_of_all_signs_changes_no_result(name: str) -> None:
    masks = UNMODULATED["soft, neutral and masked"]
    inputs = with_masks(case(batch=2), masks)
    order = ClassOrder.of(
        inputs["query_labels"],
        inputs["key_labels"],
        inputs["relation"],
        inputs["soft"],
        inputs["neutral"],
        inputs["masked"],
    )
    if runs(name, features=frozenset(masks)):
        assert torch.equal(run(name, inputs, order=order), run(name, inputs))


@pytest.mark.parametrize("scale", [None, -0.1])
@pytest.mark.parametrize("name", NAMES)
def test_layouts(name: str, scale: float | None) -> None:
    """Heads beside one another in memory, as a linear layer leaves them."""
    inputs = case(batch=2, width=40)
    expected = modulated_attention(**inputs, scale=scale, backend="dense")
    for tensor in ("query", "key", "value"):
        inputs[tensor] = inputs[tensor].transpose(1, 2).contiguous().transpose(1, 2)
    if runs(name, 40):
        out = run(name, inputs, scale=scale)
        assert out.stride() == torch.empty_like(inputs["query"]).stride()
        torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("name", NAMES)
def test_labels_shared_by_the_batch(name: str) -> None:
    inputs = case(batch=2)
    for tensor in ("query_labels", "key_labels", "attract", "repel"):
        inputs[tensor] = inputs[tensor][0]
    if runs(name):
        assert error(inputs, backend=name) < 1e-5
        inputs["query_labels"] = inputs["query_labels"].int()
        assert error(inputs, backend=name) < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_an_order_changes_no_result(name: str) -> None:
    inputs = case(batch=2)
    order = ClassOrder.of(inputs["query_labels"], inputs["key_labels"], inputs["relation"])
    if runs(name):
        assert torch.equal(run(name, inputs, order=order), run(name, inputs))


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_changed(name: str) -> None:
    inputs = case()
    before = {key: tensor.clone() for key, tensor in inputs.items()}
    if runs(name):
        run(name, inputs, scale=-0.1)
        assert all(torch.equal(inputs[key], before[key]) for key in inputs)


@pytest.mark.parametrize("name", NAMES)
def test_fallbacks_end_at_a_backend_that_always_runs(name: str) -> None:
    seen = [name]
    while BACKENDS[seen[-1]].fallback not in seen:
        seen.append(BACKENDS[seen[-1]].fallback)
    everything = frozenset(call.FEATURES)
    assert BACKENDS[seen[-1]].why_not(torch.device("mps"), torch.float64, 999, everything) is None


def test_a_new_backend_is_one_module_and_one_line_of_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[AttentionCall] = []

    # The module: a function and a table entry.
    def stub_run(call: AttentionCall) -> Tensor:
        calls.append(call)
        return dense.run(call)

    stub = Backend("stub", stub_run, devices=("cpu",), dtypes=(torch.float32,), widest=64)
    # The line of the table.
    monkeypatch.setitem(BACKENDS, stub.name, stub)

    assert runs("stub")
    assert error(case(), backend="stub") < 1e-5
    assert [call.width for call in calls] == [16]
    assert not runs("stub", width=80)
    assert not runs("stub", dtype=torch.float16)
    assert not runs("stub", features=frozenset({"soft"}))
    cuda = torch.device("cuda")
    assert stub.why_not(cuda, torch.float32, 64) == "`stub` requires cpu, not cuda"
    assert stub.why_not(CPU, torch.float64, 64) == "`stub` does not support torch.float64"
    assert (
        stub.why_not(CPU, torch.float32, 80) == "`stub` supports a head size of at most 64, not 80"
    )
    soft = stub.why_not(CPU, torch.float32, 64, frozenset({"soft"}))
    assert soft == "`stub` does not support soft keys"
    several = stub.why_not(CPU, torch.float32, 64, frozenset({"masked", "neutral"}))
    assert several == "`stub` does not support neutral keys or masked keys"
    probing = replace(stub, probe=lambda *_: "the package is missing")
    assert probing.why_not(CPU, torch.float64, 64) == "the package is missing"


def test_a_call_that_a_backend_does_not_support_goes_to_its_fallback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(call: AttentionCall) -> Tensor:
        raise AssertionError("has no soft keys")

    monkeypatch.setitem(BACKENDS, "stub", Backend("stub", never, fallback="dense"))
    inputs = case()
    inputs["soft"] = torch.tensor([True, False, True, False])
    with pytest.warns(RuntimeWarning, match="from `stub` to `dense`: `stub` does not support soft"):
        out = modulated_attention(**inputs, soft_share=0.3, backend="stub")
    assert torch.equal(out, modulated_attention(**inputs, soft_share=0.3, backend="dense"))


@pytest.mark.parametrize("kind", [RuntimeError, torch.OutOfMemoryError])
@pytest.mark.parametrize("compiles", [True, False])
def test_only_a_kernel_that_fails_to_compile_gives_way(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception], compiles: bool
) -> None:
    def broken(call: AttentionCall) -> Tensor:
        raise kind("no C compiler")

    monkeypatch.setitem(BACKENDS, "stub", Backend("stub", broken, compiles=compiles))
    inputs = case()
    if compiles and kind is RuntimeError:
        with pytest.warns(RuntimeWarning, match="from `stub` to `rows`: its kernel failed .no C"):
            out = modulated_attention(**inputs, backend="stub")
        assert torch.equal(out, modulated_attention(**inputs, backend="rows"))
    else:
        with pytest.raises(kind, match="no C compiler"):
            modulated_attention(**inputs, backend="stub")


def test_hopper_says_why_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    why_not = BACKENDS["hopper"].why_not
    assert why_not(CPU, torch.float16, 64) == "`hopper` requires cuda, not cpu"
    cuda = torch.device("cuda", 0)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(hopper, "_capability", lambda _: (8, 0))
    assert "requires a Hopper GPU" in str(why_not(cuda, torch.float16, 64))
    monkeypatch.setattr(hopper, "_capability", lambda _: (9, 0))
    monkeypatch.setattr(hopper, "why_no_gluon", lambda: None)
    monkeypatch.setitem(hopper.FAILED, (40, torch.float16), "its kernel failed (of old)")
    assert why_not(cuda, torch.float16, 64) is None
    assert why_not(cuda, torch.float16, 33) == "its kernel failed (of old)"
    assert "torch.float32" in str(why_not(cuda, torch.float32, 64))
    assert "at most 160, not 168" in str(why_not(cuda, torch.float16, 168))
    for name, words in call.FEATURES.items():
        assert words in str(why_not(cuda, torch.float16, 64, frozenset({name})))


def test_a_prepared_call_stays_as_it_is() -> None:
    inputs = case(width=33)
    attention_call = AttentionCall(**inputs, scale=-1.0)  # type: ignore[arg-type]
    once = kernel_inputs.prepared(attention_call)
    assert once.width == kernel_inputs.padded_width(33) == 40
    assert once.scale == 1
    assert torch.equal(once.query[..., :33], -inputs["query"])
    twice = kernel_inputs.prepared(once)
    assert twice.query is once.query
    assert twice.order is once.order


def test_the_mathematics_is_written_once() -> None:
    assert operator.__doc__ is not None
    assert all(f"({number})" in operator.__doc__ for number in (1, 2, 3, 4))
