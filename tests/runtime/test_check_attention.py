"""Backends that are wrong in one way each, and what `check_attention` says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from grainspec.testing import Broken
from grainspec_runtime.attention import BACKENDS, ClassOrder, Partials, modulated_attention
from grainspec_runtime.attention.backends import dense, rows
from grainspec_runtime.attention.backends.backend import Backend
from grainspec_runtime.attention.call import FEATURES, AttentionCall
from grainspec_runtime.testing import check_attention
from grainspec_runtime.testing.attention import calls
from grainspec_runtime.testing.attention.check import NAMES

CPU = torch.device("cpu")
QUICK = {"examples": 0, "widths": (16, 33), "dtypes": (torch.float32,)}


@pytest.mark.parametrize("name", ["rows", "dense"])
def test_backends_of_a_cpu_pass(name: str) -> None:
    check_attention(name, linear=name != "dense")


KERNELS = (
    "one key",
    "one strength for all rows",
    "a batch that shares its labels",
    "labels of uint8",
    "heads beside one another",
    "numbers apart in memory",
    "one tensor for all heads",
    "scores of ±10000, negative scale",
    "soft words of a prompt",
    "keys soft, neutral and masked",
    "all keys masked but those of one class",
    "scores of ±1000, neutral and masked keys",
)


@pytest.mark.parametrize("width", [16, 80])
def test_interpreted_kernels_pass(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if BACKENDS["triton"].why_not(CPU, torch.float32, 16) is not None:
        pytest.skip("without Triton's interpreter")
    monkeypatch.setattr(calls, "KINDS", {name: calls.KINDS[name] for name in KERNELS})
    some = ("inputs", "shape", "equal")
    check_attention("triton", **{**QUICK, "widths": (width,)}, linear=False, properties=some)


def test_partial_results_of_interpreted_kernels_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    if BACKENDS["triton"].why_not(CPU, torch.float32, 16) is not None:
        pytest.skip("without Triton's interpreter")
    some = ("keys soft, neutral and masked", "scores of ±10000, negative scale", "all keys neutral")
    monkeypatch.setattr(calls, "KINDS", {name: calls.KINDS[name] for name in some})
    check_attention("triton", **QUICK, linear=False, properties=("partials", "joint"))


class AsOnCuda(TorchDispatchMode):
    """Refuses what torch has for uint16 on CPUs only."""

    def __torch_dispatch__(
        self, function: Any, types: Any, given: tuple[Any, ...] = (), named: Any = None
    ) -> Any:
        if function is torch.ops.aten.index.Tensor and given[0].dtype == torch.uint16:
            raise NotImplementedError("\"index_cuda\" not implemented for 'UInt16'")
        return function(*given, **named or {})


def test_labels_of_uint16_are_not_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    some = "labels of uint16"
    monkeypatch.setattr(calls, "KINDS", {some: calls.KINDS[some]})
    with AsOnCuda():
        check_attention("rows", **QUICK, linear=False)


def test_a_backend_that_runs_nowhere_here_is_no_success() -> None:
    with pytest.raises(ValueError, match="`hopper` declines every call, such as on cpu: .* cuda"):
        check_attention("hopper")
    with pytest.raises(ValueError, match="unknown backend `hooper`: use one of triton, hopper"):
        check_attention("hooper")
    with pytest.raises(ValueError, match=r"unknown properties \['equals'\]; there are \['inputs'"):
        check_attention("rows", properties=["equals"])


# --- wrong backends -------------------------------------------------------------------------------


def attention(call: AttentionCall, fault: str = "") -> Tensor:
    """The operator in float32, or with a mistake."""
    q, k, v = (tensor.float() for tensor in (call.query, call.key, call.value))
    ql, kl = call.labels()
    relation, attract, repel, scale = call.relation, call.attract, call.repel, call.scale
    match fault:
        case "modulation ignored":
            attract, repel = torch.zeros_like(attract), torch.zeros_like(repel)
        case "swapped":
            attract, repel = repel, attract
        case "one lambda":
            repel = attract
        case "no repel":
            repel = torch.zeros_like(repel)
        case "key labels":
            ql = kl if kl.shape == ql.shape else ql
        case "transposed" if len(relation) == relation.shape[1]:
            relation = relation.T
        case "byte labels":
            ql, kl = ql.byte().long(), kl.byte().long()
        case "first entry's labels":
            ql, kl = ql[:1].expand_as(ql), kl[:1].expand_as(kl)
        case "first entry's strengths":
            attract, repel = attract[:1].expand_as(attract), repel[:1].expand_as(repel)
        case "first row's strengths":
            attract, repel = attract[:, :1].expand_as(attract), repel[:, :1].expand_as(repel)
        case "no scale":
            scale = 1.0
        case "own scale":
            scale = q.shape[-1] ** -0.5
        case "unsigned scale":
            scale = abs(scale)
        case "cut":
            whole = k.shape[2] // 16 * 16 or k.shape[2]
            k, v, kl = k[:, :, :whole], v[:, :, :whole], kl[:, :whole]
    scores = scale * (q @ k.mT)
    if fault == "half scores":
        scores = scores.bfloat16().float()
    pairs = relation[ql[:, :, None], kl[:, None]][:, None]
    none = torch.zeros(relation.shape[1], dtype=torch.bool)
    neutral = none if call.neutral is None else call.neutral
    masked = none if call.masked is None else call.masked
    match fault:
        case "neutral modulated":
            neutral = none
        case "neutral left out":
            masked, neutral = masked | neutral, none
        case "masked present":
            masked = none
        case "neutral before masked":
            masked = masked & ~neutral
    neutral, masked = ((mask[kl][:, None, None]) for mask in (neutral & ~masked, masked))
    counted = ~(neutral | masked)
    match fault:
        case "neutral extremes":
            counted = ~masked
        case "masked extremes":
            counted = ~neutral
    mx = scores.masked_fill(~counted, -torch.inf).amax(-1, keepdim=True)
    mn = scores.masked_fill(~counted, torch.inf).amin(-1, keepdim=True)
    match fault:
        case "positive extremes":
            some = (pairs & counted).any(-1, keepdim=True)
            out = ~pairs | ~counted
            mx = torch.where(some, scores.masked_fill(out, -1e9).amax(-1, keepdim=True), mx)
            mn = torch.where(some, scores.masked_fill(out, 1e9).amin(-1, keepdim=True), mn)
        case "extremes swapped":
            mx, mn = mn, mx
        case "extremes of a block":
            mx, mn = (
                scores[..., :16].amax(-1, keepdim=True),
                scores[..., :16].amin(-1, keepdim=True),
            )
        case "padded extremes":
            mx, mn = mx.clamp(min=0), mn.clamp(max=0)
        case "extremes of heads":
            mx, mn = mx.amax(1, keepdim=True), mn.amin(1, keepdim=True)
    share = torch.ones_like(kl, dtype=torch.float32)
    if call.soft is not None and fault != "no soft":
        share = torch.where(call.soft[kl], 0.0 if fault == "soft off" else call.soft_share, 1.0)
    up, down = attract[:, None, :, None], repel[:, None, :, None] * share[:, None, None]
    if fault == "soft attract":
        up = up * share[:, None, None]
    moved = torch.where(pairs, scores + up * (mx - scores), scores + down * (mn - scores))
    moved = torch.where(neutral | masked, scores, moved)
    if call.columns is not None and fault != "no columns":
        moved = columns(call, fault, moved, scores, pairs, neutral, masked)
    moved = moved.masked_fill(masked, -torch.inf)
    if fault == "separate":
        weights = torch.zeros_like(moved)
        for mask in (pairs, ~pairs):
            part = moved.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num(0)
            weights = weights + part
    elif fault == "overflow":
        powers = moved.exp()
        weights = powers / powers.sum(-1, keepdim=True)
    elif fault == "no sum":
        weights = (moved - moved.amax(-1, keepdim=True)).exp()
    elif fault == "mask":
        hidden = ~pairs & pairs.any(-1, keepdim=True)
        weights = moved.masked_fill(hidden, -torch.inf).softmax(-1)
    else:
        weights = moved.softmax(-1)
    weights = weights.masked_fill(masked.all(-1, keepdim=True), 0.0)
    out = weights @ v
    if fault == "sorted":
        out = out.gather(2, ql.argsort(dim=1, stable=True)[:, None, :, None].expand_as(out))
    if fault == "last row":
        out[:, :, call.queries // 16 * 16 or call.queries :] = 0
    if fault == "first head":
        out = out[:, :1].expand_as(out)
    return out.to(call.query.dtype)


def columns(
    call: AttentionCall,
    fault: str,
    moved: Tensor,
    scores: Tensor,
    pairs: Tensor,
    neutral: Tensor,
    masked: Tensor,
) -> Tensor:
    """Scores pulled along their columns, or with a mistake."""
    assert call.columns is not None
    rows = (call.attract + call.repel > 0)[:, None, :, None]
    of = scores if fault == "columns of scores" else moved
    high, low = of, of
    if fault == "columns of modulated rows":
        high, low = of.masked_fill(~rows, -torch.inf), of.masked_fill(~rows, torch.inf)
    dims = (1, 2) if fault == "columns of heads" else (2,)
    high, low = high.amax(dims, keepdim=True), low.amin(dims, keepdim=True)
    if fault == "columns swapped":
        high, low = low, high
    pulled = ~masked if fault == "columns of neutral" else ~(neutral | masked)
    if fault == "columns in modulated rows":
        pulled = pulled & rows
    strength = call.columns[call.labels()[1]][:, None, None] * pulled
    return torch.where(
        strength > 0, moved + strength * (torch.where(pairs, high, low) - moved), moved
    )


def faulty(fault: str) -> Backend:
    return Backend("mine", lambda call: attention(call, fault), features=frozenset(FEATURES))


def broken(backend: Backend, **options: object) -> Broken:
    with pytest.raises(Broken) as raised:
        check_attention(backend, **{**QUICK, "linear": False, **options})  # type: ignore[arg-type]
    assert str(raised.value).startswith(f"{raised.value.invariant}: `mine`")
    return raised.value


FAULTS = {
    "modulation ignored": "the cause: the modulation is ignored",
    "swapped": "the cause: `attract` and `repel` are swapped",
    "one lambda": "the cause: `attract` is used for negative pairs, too",
    "no repel": "`repel` is ignored",
    "key labels": "the cause: the labels of keys are used for queries",
    "transposed": "the cause: the relation is transposed",
    "byte labels": "the cause: labels of 256 and more wrap around",
    "first entry's labels": "the labels of the first batch entry are used for all",
    "first entry's strengths": "the strengths of the first batch entry are used for all",
    "first row's strengths": "the cause: the strengths of the first row are used for all",
    "own scale": "the cause: the scale is 1/√d, whatever the call says",
    "unsigned scale": "the cause: the scale's sign is ignored",
    "positive extremes": "the cause: extremes are taken over positive keys only",
    "extremes swapped": "the cause: the largest and the smallest score are swapped",
    "extremes of a block": "the cause: extremes are those of the first 16 keys",
    "padded extremes": "the cause: extremes include 0, the score of padding",
    "extremes of heads": "the cause: extremes are taken over all heads",
    "separate": "the cause: the softmax is taken for positive and negative keys separately, and added",
    "no sum": "the cause: the weights are not divided by their sum",
    "mask": "the cause: negative keys are masked out",
    "no soft": "the cause: soft keys are repelled like all others",
    "soft off": "the cause: soft keys are not repelled at all",
    "soft attract": "the cause: soft keys are attracted by a share, too",
    "neutral modulated": "the cause: neutral keys are modulated like all others",
    "neutral left out": "the cause: neutral keys are left out",
    "neutral extremes": "the cause: neutral keys count for the extremes",
    "masked present": "the cause: masked keys are attended to like all others",
    "masked extremes": "the cause: masked keys count for the extremes",
    "neutral before masked": "the cause: classes that are both neutral and masked are attended to",
    "no columns": "the cause: `columns` is ignored",
    "columns swapped": "the cause: the largest and the smallest score of a column are swapped",
    "columns of scores": "the cause: the extremes of columns are taken before the pull along rows",
    "columns of heads": "the cause: the extremes of columns are taken over all heads",
    "columns of modulated rows": "the extremes of columns are taken over modulated rows only",
    "columns in modulated rows": "rows of λ⁺ = λ⁻ = 0 are not pulled along columns",
    "columns of neutral": "the cause: neutral keys are pulled along columns",
    "half scores": "the cause: scores are rounded to bfloat16",
    "cut": "keys beyond a multiple of 16 are dropped",
    "sorted": "the cause: rows are left in the order of their classes",
    "last row": "only rows beyond a multiple of 16 are wrong",
    "first head": "the cause: the first head's result is given for all",
}


def test_the_backend_without_a_mistake_passes() -> None:
    check_attention(faulty(""), linear=False)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mistake_is_found_and_named(fault: str) -> None:
    error = broken(faulty(fault), properties=["equal"])
    assert error.invariant == "equal"
    assert FAULTS[fault] in str(error)
    assert {"batch", "head", "row", "column", "call"} == set(error.where)


@pytest.mark.parametrize("fault", [*FAULTS, "no scale", "overflow"])
def test_a_mistake_is_found_by_all_properties(fault: str) -> None:
    assert broken(faulty(fault)).invariant in {"equal", "plain", "permutation", "batch", "finite"}


def changing(call: AttentionCall) -> Tensor:
    call.query.mul_(call.scale)
    return attention(replace(call, scale=1.0))


def of_dtype(call: AttentionCall) -> Tensor:
    return attention(call).double()


def flat(call: AttentionCall) -> Tensor:
    return attention(call).flatten(0, 1)


def nothing(call: AttentionCall) -> Tensor:
    return None  # type: ignore[return-value]


def infinite(call: AttentionCall) -> Tensor:
    out = attention(call)
    if not bool((call.attract == 1).all()):
        out[:, :, call.attract[0] == 1] = torch.inf
    return out


def never_plain(call: AttentionCall) -> Tensor:
    small = call.attract.clamp(min=0.01), call.repel.clamp(min=0.01)
    return attention(replace(call, attract=small[0], repel=small[1]))


def by_place(call: AttentionCall) -> Tensor:
    k = call.key.clone()
    k[:, :, 0] *= 1.01
    return attention(replace(call, key=k))


def by_batch(call: AttentionCall) -> Tensor:
    return attention(call) + 0.01 * (call.batch - 1)


def by_head(call: AttentionCall) -> Tensor:
    return attention(call) + 0.01 * (call.heads > 1)


def by_order(call: AttentionCall) -> Tensor:
    out = attention(call)
    if call.order is not None:
        queries = call.order.queries_BS[0]
        out = out[:, :, queries[queries >= 0].long()]
    return out


COUNT = iter(range(10**6))


def by_time(call: AttentionCall) -> Tensor:
    return attention(call) + 1e-6 * next(COUNT)


def raising(call: AttentionCall) -> Tensor:
    if call.keys < 16:
        raise IndexError("no block")
    return attention(call)


@pytest.mark.parametrize(
    ("name", "run", "words"),
    [
        ("inputs", changing, "`query` is changed by the call"),
        ("shape", of_dtype, "the result's dtype is torch.float64, the query's torch.float32"),
        ("shape", flat, "the result's shape is [2, 2, 16], the query's [1, 2, 2, 16]"),
        ("shape", nothing, "the result is a NoneType, not a tensor"),
        ("finite", infinite, "only rows with λ⁺ = 1 are wrong"),
        ("plain", never_plain, "with λ⁺ = λ⁻ = 0 plain attention gives"),
        ("permutation", by_place, "with keys in their order it is"),
        ("batch", by_batch, "batch entry 0 by itself gives"),
        ("batch", by_head, "head 1 by itself gives"),
        ("order", by_order, "without the caller's class order it is"),
        ("repeat", by_time, "the same call gives another result"),
        ("declines", raising, "raises for a call that `why_not` accepts: IndexError: no block"),
        ("linear", dense.run, "memory grows as queries times keys: `aten.bmm.default` makes"),
    ],
)
def test_each_property_finds_what_it_is_for(
    name: str, run: Callable[[AttentionCall], Tensor], words: str
) -> None:
    assert name in NAMES
    several = ["shape", "inputs", "finite"] if name in {"shape", "inputs", "finite"} else []
    error = broken(Backend("mine", run), linear=True, properties=[name, *several])
    assert error.invariant == name
    assert words in str(error)


def partials(call: AttentionCall, fault: str) -> Partials:
    """Partial results, or with a mistake."""
    if fault == "neutral extremes" and call.neutral is not None:
        right = dense.partials(call)
        every = dense.partials(replace(call, neutral=torch.zeros_like(call.neutral)))
        return replace(right, largest_BHN=every.largest_BHN, smallest_BHN=every.smallest_BHN)
    if fault == "soft share":
        return dense.partials(replace(call, soft_share=1 - call.soft_share))
    right = dense.partials(call)
    outputs, log_sums = right.outputs_SBHNd, right.log_sums_SBHN
    match fault:
        case "binary log-sum":
            return replace(right, log_sums_SBHN=log_sums / torch.tensor(2.0).log())
        case "extremes swapped":
            ends = right.smallest_BHN, right.largest_BHN
            return replace(right, largest_BHN=ends[0], smallest_BHN=ends[1])
        case "signs swapped":
            order = [1, 0, *range(2, len(outputs))]
            return replace(right, outputs_SBHNd=outputs[order], log_sums_SBHN=log_sums[order])
        case "not divided":
            return replace(right, outputs_SBHNd=outputs * log_sums.exp()[..., None])
        case "extremes without scale":
            return replace(right, largest_BHN=right.largest_BHN / call.scale)
        case "shifted already":
            log_sums = log_sums.clone()
            log_sums[0] += call.attract[:, None] * right.largest_BHN.nan_to_num(0, 0, 0)
            return replace(right, log_sums_SBHN=log_sums)
        case "zero for no key":
            return replace(right, log_sums_SBHN=log_sums.clamp(min=-20.0))
    return right


@pytest.mark.parametrize(
    "fault",
    [
        *("neutral extremes", "soft share", "binary log-sum", "extremes swapped", "signs swapped"),
        *("not divided", "extremes without scale", "shifted already", "zero for no key"),
    ],
)
@pytest.mark.parametrize("name", ["partials", "joint"])
def test_partial_results_that_are_wrong_are_found(name: str, fault: str) -> None:
    mine = replace(faulty(""), partials=lambda call: partials(call, fault))
    check_attention(
        replace(mine, partials=dense.partials), **QUICK, linear=False, properties=[name]
    )
    error = broken(mine, properties=[name])
    assert error.invariant == name
    assert any(
        words in str(error)
        for words in (
            "merged from parts of the keys it is by definition",
            "the log-sum-exp is by definition",
            "of both blocks under one softmax it is",
        )
    )


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("masked", "masked present", "without the masked keys that are added it is"),
        ("masked", "masked extremes", "without the masked keys that are added it is"),
        ("padding", "neutral modulated", "by the share of the neutral keys that are added it is"),
        ("padding", "neutral extremes", "by the share of the neutral keys that are added it is"),
    ],
)
def test_keys_that_are_added_find_mistakes(name: str, fault: str, words: str) -> None:
    error = broken(faulty(fault), properties=[name])
    assert error.invariant == name
    assert words in str(error)


def test_a_backend_says_why_it_declines() -> None:
    class Curt(Backend):
        def why_not(self, *requirements: object) -> str | None:
            return "no" if requirements[1] == torch.float16 else None

    error = broken(Curt("mine", rows.run), dtypes=(torch.float32, torch.float16))
    assert error.invariant == "declines"
    assert "it declines a call with 'no': no reason in words" in str(error)


def test_what_a_backend_declines_is_not_asked_of_it() -> None:
    asked: set[object] = set()

    def noted(call: AttentionCall) -> Tensor:
        asked.add((call.query.dtype, call.width, call.soft is None))
        return rows.run(call)

    narrow = Backend("mine", noted, dtypes=(torch.float32,), widest=16)
    check_attention(narrow, widths=(16, 33), linear=False, properties=["shape"])
    assert asked == {(torch.float32, 16, True)}


def test_a_fallback_is_a_backend() -> None:
    error = broken(Backend("mine", rows.run, fallback="row"))
    assert "`mine`: its fallback is `row`, not one of triton" in str(error)


# --- what the check found -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16])
def test_an_order_of_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    labels, relation = torch.tensor([[0, 2, 1, 2, 0]]), torch.eye(3, dtype=torch.bool)
    expected = ClassOrder.of(labels, labels, relation)
    order = ClassOrder.of(labels.to(dtype), labels.to(dtype), relation)
    for found, wanted in zip(order.tensors(), expected.tensors(), strict=True):
        assert torch.equal(found, wanted)
        assert found.dtype == wanted.dtype


def test_an_order_is_contiguous_whatever_its_labels_are() -> None:
    labels = torch.arange(10, dtype=torch.int32).view(5, 2).T % 3
    order = ClassOrder.of(labels, labels, torch.eye(3, dtype=torch.bool))
    assert all(tensor.is_contiguous() for tensor in order.tensors())


def test_kernels_read_one_strength_for_all_rows() -> None:
    if BACKENDS["triton"].why_not(CPU, torch.float32, 16) is not None:
        pytest.skip("without Triton's interpreter")
    q = torch.randn(1, 1, 20, 16, generator=torch.Generator().manual_seed(0))
    labels, strength = torch.arange(20) % 3, torch.tensor(0.4).expand(20)
    results = [
        modulated_attention(
            q, q, q, query_labels=labels, key_labels=labels,
            relation=torch.eye(3, dtype=torch.bool), attract=strength, repel=strength,
            backend=backend,
        )
        for backend in ("triton", "dense")
    ]  # fmt: skip
    torch.testing.assert_close(*results)
