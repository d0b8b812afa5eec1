"""The backend `triton`, run by Triton's interpreter, against the float64 reference.

A GPU's own arithmetic is checked by `runtime/benchmarks/attention.py --check`.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace

import pytest
import torch
from attention_cases import Case, balanced, case, error
from programs import printed
from torch import Tensor

from grainspec_runtime.attention import (
    BACKENDS,
    ClassOrder,
    attention_partials,
    choose,
    dispatch,
    modulated_attention,
)
from grainspec_runtime.attention.backends import fallback, triton
from grainspec_runtime.attention.class_order import BLOCK, TILE

kernels = pytest.importorskip("grainspec_runtime.attention.backends.triton_kernel")
pytestmark = pytest.mark.skipif(not kernels.INTERPRETED, reason="TRITON_INTERPRET is off")


@pytest.fixture(params=["few keys", "portable"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kernel that the interpreter can run, whatever the number of keys."""
    monkeypatch.setattr(triton, "FEW_KEYS", 10**6 if request.param == "few keys" else 0)


BOUNDS = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("width", [8, 33, 40, 64, 80, 128, 160, 256])
def test_every_head_size_and_dtype(width: int, dtype: torch.dtype) -> None:
    inputs = case(queries=70, keys=150, width=width, classes=3)
    assert error(inputs, dtype, backend="triton") < BOUNDS[dtype]


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    "shape",
    [
        {"queries": 1, "keys": 1, "classes": 1},
        {"queries": 257, "keys": 77, "batch": 3, "classes": 2},
        {"queries": 60, "keys": 300, "classes": 200},
        {"queries": 129, "keys": 129, "classes": 1},
    ],
)
def test_every_shape(shape: dict[str, int]) -> None:
    assert error(case(**shape), backend="triton") < 1e-5


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("strength", [0.0, 0.999, 1.0])
@pytest.mark.parametrize("related", ["all", "none", "own"])
@pytest.mark.parametrize("size", [1.0, 2500.0])
def test_extremes(strength: float, related: str, size: float) -> None:
    inputs = case()
    inputs["query"] = inputs["query"] * size  # scores up to about 1e4
    inputs["attract"] = torch.full_like(inputs["attract"], strength)
    inputs["relation"] = {
        "all": torch.ones(4, 4, dtype=torch.bool),
        "none": torch.zeros(4, 4, dtype=torch.bool),
        "own": torch.eye(4, dtype=torch.bool),
    }[related]
    assert error(inputs, backend="triton") < 1e-5


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("shape", [{"keys": 77, "width": 40}, {"keys": 300, "width": 160}])
def test_soft_keys(shape: dict[str, int], dtype: torch.dtype) -> None:
    inputs = case(**shape)
    inputs["soft"] = torch.tensor([True, False, True, False])
    for soft_share in (0.0, 0.3):
        assert error(inputs, dtype, backend="triton", soft_share=soft_share) < BOUNDS[dtype]


@pytest.mark.parametrize("size", [1.0, 2500.0])
@pytest.mark.parametrize("soft_share", [0.0, 0.5])
def test_extremes_among_soft_keys(size: float, soft_share: float) -> None:
    inputs = case()
    inputs["query"] = inputs["query"] * size
    inputs["attract"] = inputs["repel"] = torch.ones_like(inputs["attract"])
    for soft in ([True] * 3 + [False], [True] * 4):
        inputs["soft"] = torch.tensor(soft)
        for related in (torch.zeros(4, 4), torch.ones(4, 4), torch.eye(4)):
            inputs["relation"] = related > 0
            assert error(inputs, backend="triton", soft_share=soft_share) < 1e-5


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("width", [33, 64, 128, 160])
def test_neutral_and_masked_keys(width: int, dtype: torch.dtype) -> None:
    inputs = case(heads=1, queries=40, keys=150, width=width)
    inputs["neutral"] = torch.tensor([True, False, False, False])
    assert error(inputs, dtype, backend="triton") < BOUNDS[dtype]
    inputs["masked"] = torch.tensor([False, False, True, False])
    assert error(inputs, dtype, backend="triton") < BOUNDS[dtype]


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("related", [torch.zeros(4, 4), torch.ones(4, 4), torch.eye(4)])
@pytest.mark.parametrize("size", [1.0, 2500.0])
def test_extremes_beside_neutral_keys(related: Tensor, size: float) -> None:
    """Neutral scores may be far beyond the modulated ones, or far below."""
    inputs = case(heads=1)
    inputs["query"] = inputs["query"] * size
    inputs["attract"] = inputs["repel"] = torch.ones_like(inputs["attract"])
    inputs["relation"] = related > 0
    for neutral in ([True, False, False, False], [True, True, True, False]):
        inputs["neutral"] = torch.tensor(neutral)
        assert error(inputs, backend="triton") < 1e-5


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("width", [33, 160])
def test_partial_results(width: int, dtype: torch.dtype) -> None:
    inputs = case(heads=1, queries=40, keys=150, width=width)
    inputs |= {
        name: inputs[name].to(dtype).transpose(1, 2).contiguous().transpose(1, 2)
        for name in ("query", "key", "value")
    }
    inputs["soft"] = torch.tensor([True, True, False, False])
    inputs["neutral"] = torch.tensor([False, False, True, False])
    for scale in (None, -0.1):
        options = {"soft_share": 0.3, "scale": scale}
        found, exact = (
            attention_partials(**inputs, **options, backend=backend)  # type: ignore[arg-type]
            for backend in ("triton", "dense")
        )
        assert found.signs == exact.signs
        torch.testing.assert_close(found.largest_BHN, exact.largest_BHN)
        torch.testing.assert_close(found.smallest_BHN, exact.smallest_BHN)
        torch.testing.assert_close(found.log_sums_SBHN, exact.log_sums_SBHN)
        bound = BOUNDS[dtype] * 4
        torch.testing.assert_close(found.outputs_SBHNd, exact.outputs_SBHNd, atol=bound, rtol=bound)


def test_soft_keys_where_little_memory_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "INTERPRETER_SHARED_MEMORY", 100 * 1024)
    inputs = case(width=256, keys=77)
    inputs["soft"] = torch.tensor([True, False, True, False])
    assert error(inputs, backend="triton", soft_share=0.3) < 1e-5


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("dtype", BOUNDS)
def test_balanced_rows(dtype: torch.dtype) -> None:
    assert error(balanced(), dtype, backend="triton") < BOUNDS[dtype]


@pytest.mark.usefixtures("kernel")
def test_empty_regions_and_tokens_of_none() -> None:
    """Class 0 relates to nothing, not even itself; classes 2 and 3 have no tokens."""
    inputs = case()
    for name in ("query_labels", "key_labels"):
        inputs[name] = inputs[name] % 2
    inputs["relation"] = torch.eye(4, dtype=torch.bool)
    inputs["relation"][0, 0] = False
    assert error(inputs, backend="triton") < 1e-5


@pytest.mark.usefixtures("kernel")
def test_strided_inputs_and_negative_scale() -> None:
    inputs = case(width=40)
    reference = modulated_attention(**inputs, backend="dense", scale=-0.1)
    for name in ("query", "key", "value"):
        inputs[name] = inputs[name].transpose(1, 2).contiguous().transpose(1, 2)
    out = modulated_attention(**inputs, backend="triton", scale=-0.1)
    assert out.stride() == inputs["query"].stride()
    torch.testing.assert_close(out, reference)


@pytest.mark.usefixtures("kernel")
def test_the_same_bits_every_time_in_whatever_company() -> None:
    inputs = case(batch=2, queries=150, keys=150)
    first = modulated_attention(**inputs, backend="triton")
    assert torch.equal(modulated_attention(**inputs, backend="triton"), first)
    alone: Case = {k: v if k == "relation" else v[1:] for k, v in inputs.items()}
    assert torch.equal(modulated_attention(**alone, backend="triton")[0], first[1])


def test_an_order_may_be_kept() -> None:
    inputs = case(batch=2)
    order = ClassOrder.of(inputs["query_labels"], inputs["key_labels"], inputs["relation"])
    kept = modulated_attention(**inputs, backend="triton", order=order)
    assert torch.equal(kept, modulated_attention(**inputs, backend="triton"))


def test_blocks_hold_one_class_and_signs_are_apart() -> None:
    inputs = case(batch=2, queries=900, keys=70, classes=5)
    labels: Tensor = inputs["query_labels"]
    order = ClassOrder.of(labels, inputs["key_labels"], inputs["relation"])
    for b in range(2):
        slots = order.queries_BS[b]
        assert slots[slots >= 0].sort().values.tolist() == list(range(900))
        for block in slots.view(-1, BLOCK):
            held = block[block >= 0]
            assert len(held) == 0 or block[0] >= 0
            assert len(labels[b][held.long()].unique()) <= 1
        for label in range(5):
            keys, count = order.keys_BCM[b, label].long(), int(order.positives_BC[b, label])
            signs = inputs["relation"][label][inputs["key_labels"][b][keys]]
            assert signs[:count].all()
            assert not signs[count:].any()
            assert keys.sort().values.tolist() == list(range(70))


def test_tiles_hold_all_keys_and_one_sign_each() -> None:
    generator = torch.Generator().manual_seed(0)
    for keys in (1, 127, 128, 129, 1000):
        for classes in (1, 3, 40):
            labels = torch.randint(classes, (2, keys), generator=generator)
            labels[1] //= 2  # classes without keys
            relation = torch.rand(5, classes, generator=generator) < 0.5
            order = ClassOrder.of(torch.zeros(2, 7, dtype=torch.int64), labels, relation)
            for b in range(2):
                for label in range(5):
                    counts = order.counts_BC4[b, label].tolist()
                    seen: list[int] = []
                    for index, entry in enumerate(order.tiles_BCT[b, label, : sum(counts)]):
                        group = sum(index >= sum(counts[: g + 1]) for g in range(4))
                        first, length = int(entry) // TILE, int(entry) % TILE + 1
                        assert (length == TILE) == (group % 2 == 1)
                        held = order.sorted_BM[b, first : first + length].long()
                        assert (relation[label, labels[b, held]] == (group < 2)).all()
                        seen += held.tolist()
                    assert sorted(seen) == list(range(keys))


def test_blocks_of_half_a_load_come_last() -> None:
    labels = torch.tensor([0] * 10 + [1] * 200 + [2] * 90)[None]
    order = ClassOrder.of(labels, labels, torch.eye(3, dtype=torch.bool))
    filled = (order.queries_BS[0].view(-1, BLOCK) >= 0).sum(1)
    assert filled.tolist()[:4] == [128, 72, 90, 10]


@pytest.mark.parametrize("width", [8, 40, 64, 80, 96, 128, 144, 160])
def test_head_sizes_in_pieces(width: int) -> None:
    hopper_kernel = pytest.importorskip("grainspec_runtime.attention.backends.hopper_kernel")
    large, small = hopper_kernel.pieces(width)
    assert width <= large + small < max(2 * width, 17)
    assert large.bit_count() == 1
    assert small == 0 or (small.bit_count() == 1 and 16 <= small < large)


def test_the_kernel_for_hopper_compiles_without_such_a_gpu() -> None:
    pytest.importorskip("grainspec_runtime.attention.backends.hopper_kernel")
    [shared] = printed("compiled_hopper.py", 40)  # in two pieces, with a column of ones
    assert len(shared) == 2
    assert all(0 < size <= 227 * 1024 for size in shared)


def test_what_cannot_run_gives_way_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    dispatch._log_once.cache_clear()
    fallback.warn_fallback.cache_clear()
    inputs = case(width=264, queries=5, keys=5)
    caplog.set_level(logging.DEBUG, "grainspec.attention")
    with pytest.warns(RuntimeWarning, match="from `triton` to `rows`: .*at most 256, not 264"):
        error(inputs, backend="triton")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert error(inputs, backend="triton") < 1e-5
    assert "at most 256" in caplog.text


def test_a_kernel_that_fails_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no C compiler")

    monkeypatch.setitem(BACKENDS, "triton", replace(BACKENDS["triton"], run=broken))
    fallback.warn_fallback.cache_clear()
    with pytest.warns(RuntimeWarning, match="its kernel failed .no C compiler."):
        assert error(case(), backend="triton") < 1e-5


def test_the_choice_has_a_reason() -> None:
    cpu = torch.device("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose("auto", cpu, torch.float32, 64).backend == "rows"
    assert choose("rows", cpu, torch.float32, 64) == ("rows", "requested")
    assert choose("triton", cpu, torch.float32, 64) == ("triton", "requested")
    assert "torch.float64" in str(BACKENDS["triton"].why_not(cpu, torch.float64, 64))
    with pytest.raises(ValueError, match="unknown backend `magic`: use one of auto"):
        choose("magic", cpu, torch.float32, 64)


@pytest.mark.parametrize("backend", ["rows", "triton"])
@pytest.mark.parametrize("soft", [None, torch.tensor([True, False, False, False])])
def test_the_operator_is_one_that_torch_can_compile(backend: str, soft: Tensor | None) -> None:
    inputs = case(queries=20, keys=30)
    arguments = (*inputs.values(), soft, 0.5, [], 0.25, backend)
    torch.library.opcheck(torch.ops.grainspec.modulated_attention.default, arguments)
    compiled = torch.compile(modulated_attention, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(
        compiled(**inputs, soft=soft, soft_share=0.5, backend=backend),
        modulated_attention(**inputs, soft=soft, soft_share=0.5, backend=backend),
    )
