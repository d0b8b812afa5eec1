"""Compare the attention backends with torch's own attention and with the full score matrix.

    python runtime/benchmarks/attention.py --json attention.json
    TRITON_INTERPRET=1 python runtime/benchmarks/attention.py --check --backends triton --widths 40

Random queries, keys and values; regions are discs that wander over 16 frames, and the tokens of no
disc are a class of their own. First `rows`, `triton` and `hopper` are checked against `dense`
(float64) wherever they can run, then each backend is timed, and its peak memory beyond its inputs
measured. `naive` builds the whole score matrix, one head at a time, as published code does. On a
GPU the class order is kept between calls, as the editor keeps it; `sort` is the time it takes to
make, and `one class` the same kernel with a single class. Cross-attention has a batch of frames,
and keys that are words, each a class of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from grainspec_runtime.attention import BACKENDS, ClassOrder, modulated_attention
from grainspec_runtime.attention.call import AttentionCall

HEADS = 8
CUDA_SIZES = [  # tokens, head size; the first four are the levels of Stable Diffusion 1.5
    (16 * 64**2, 40), (16 * 32**2, 80), (16 * 16**2, 160), (16 * 8**2, 160),
    (16384, 40), (16384, 64), (32768, 64), (75600, 64), (16384, 128), (32768, 128), (75600, 128),
]  # fmt: skip
CROSS_SIZES = [  # tokens of a frame, head size, words
    (64**2, 40, 77), (32**2, 80, 77), (16**2, 160, 77), (64**2, 64, 512), (32**2, 128, 512),
]  # fmt: skip
CPU_SIZES = [(1024, 40), (2048, 40), (4096, 40), (8192, 40)]
NAIVE_MOST = 16384
BOUNDS = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 5e-3}
Problem = tuple[tuple[Tensor, Tensor, Tensor], dict[str, Tensor]]


def problem(tokens: int, width: int, regions: int, dtype: torch.dtype, device: str) -> Problem:
    """Make query, key and value ``[1, H, N, d]``, and the arguments of the modulation."""
    tensors = tuple(torch.randn(1, HEADS, tokens, width, device=device).to(dtype) for _ in "qkv")
    frames = 16
    side = int((tokens / frames) ** 0.5)
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    bits = torch.zeros(frames, side, side, dtype=torch.long)
    for frame in range(frames):
        for index in range(regions):
            angle = torch.tensor(6.283 * (index / regions + frame / 60))
            away = (x - 0.5 - 0.3 * angle.cos()) ** 2 + (y - 0.5 - 0.3 * angle.sin()) ** 2
            bits[frame] |= (away < 0.2**2).long() << index
    bits = F.pad(bits.flatten(), (0, tokens - bits.numel()))
    classes, labels = bits.unique(return_inverse=True)
    strength = 0.3 * torch.rand(tokens)
    keywords = {
        "query_labels": labels,
        "key_labels": labels,
        "relation": (classes[:, None] & classes) != 0,
        "attract": strength,
        "repel": strength,
    }
    return tensors, {k: v.to(device) for k, v in keywords.items()}  # type: ignore[return-value]


def cross_problem(tokens: int, width: int, words: int, dtype: torch.dtype, device: str) -> Problem:
    """Make query ``[16, H, N, d]``, key and value ``[16, H, words, d]``, and the modulation."""
    (q, _, _), m = problem(16 * tokens, width, 5, dtype, device)
    q = q[0].unflatten(1, (16, tokens)).transpose(0, 1).contiguous()
    k, v = (torch.randn(16, HEADS, words, width, device=device).to(dtype) for _ in "kv")
    classes = len(m["relation"])
    keywords = {
        "query_labels": m["query_labels"].view(16, tokens),
        "key_labels": torch.arange(words, device=device).expand(16, words),
        "relation": torch.rand(classes, words, device=device) < 0.1,
        "attract": m["attract"].view(16, tokens),
        "repel": m["repel"].view(16, tokens),
    }
    return (q, k, v), keywords


def naive(q: Tensor, k: Tensor, v: Tensor, **m: Tensor) -> Tensor:
    """Compute modulated attention from the full score matrix, one head at a time."""
    related = m["relation"][m["query_labels"][:, None], m["key_labels"][None]]
    attract, repel = (m[name][:, None].to(q.dtype) for name in ("attract", "repel"))
    heads = []
    for head in range(q.shape[1]):
        scores = q[0, head] @ k[0, head].T * q.shape[-1] ** -0.5
        largest, smallest = scores.amax(-1, keepdim=True), scores.amin(-1, keepdim=True)
        pull = torch.where(related, attract * (largest - scores), repel * (smallest - scores))
        heads.append((scores + pull).softmax(-1) @ v[0, head])
    return torch.stack(heads)[None]


def check(device: str, backends: list[str], widths: list[int]) -> dict[str, float]:
    """The largest error against the reference, by backend and dtype; stops at one out of bounds.

    What a backend cannot run is left out, and named once with the reason.
    """
    worst: dict[str, float] = {}
    reasons: set[str] = set()
    for backend, dtype, width, case in itertools.product(backends, BOUNDS, widths, CASES):
        features = frozenset({"soft"} if CASES[case][2] == "soft" else ())
        why_not = BACKENDS[backend].why_not(torch.device(device), dtype, width, features)
        if why_not is not None:
            reasons.add(why_not)
            continue
        error = one_error(backend, dtype, width, case, device)
        large = CASES[case][1] > 1
        name = f"{backend} {str(dtype).removeprefix('torch.')}" + " large scores" * large
        worst[name] = max(worst.get(name, 0.0), error)
        # Scores of 1e4 are themselves only known to 1e-3 in float32.
        bound = 1e-4 if large and dtype == torch.float32 else BOUNDS[dtype]
        if not error < bound:
            raise SystemExit(f"{name}, d = {width}, {case}: error {error}")
    for reason in sorted(reasons):
        print("not checked:", reason)
    return worst


CHECKED = ["rows", "triton", "hopper"]
WIDTHS = [8, 33, 40, 64, 80, 128, 160, 256]
CASES = {  # keys, factor of the scores, pairs that are positive
    "few keys": (77, 1.0, "some"),
    "two tiles": (200, 1.0, "some"),
    "many keys": (700, 1.0, "some"),
    "large scores": (700, 3000.0, "some"),
    "large scores of few": (77, 3000.0, "some"),
    "all positive": (700, 1.0, "all"),
    "all negative": (700, 1.0, "none"),
    "balanced": (700, 1.0, "balanced"),
    "balanced few": (77, 1.0, "balanced"),
    "soft few": (77, 1.0, "soft"),
    "soft": (300, 1.0, "soft"),
    "soft, large scores": (77, 3000.0, "soft"),
}


def one_error(backend: str, dtype: torch.dtype, width: int, case: str, device: str) -> float:
    """The error of one case: two batch entries, 333 queries, 40 classes, extreme strengths."""
    keys, size, relate = CASES[case]

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device)

    q, k, v = normal(2, 3, 333, width) * size, normal(2, 3, keys, width), normal(2, 3, keys, width)
    q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
    strength = torch.rand(2, 2, 333, device=device)
    strength[:, :, ::5], strength[:, :, 1::5], strength[:, :, 2::5] = 0, 1, 0.999
    relation = {"all": torch.ones(40, 40) > 0, "none": torch.zeros(40, 40) > 0}
    keywords = {
        "query_labels": torch.randint(40, (2, 333), device=device),
        "key_labels": torch.randint(40, (2, keys), device=device),
        "relation": relation.get(relate, torch.rand(40, 40) < 0.3).to(device),
        "attract": strength[0],
        "repel": strength[1],
    }
    if relate == "soft":
        keywords["soft"] = torch.rand(40, device=device) < 0.5
        keywords["soft_share"] = 0.3
    if relate == "balanced":
        keywords["attract"] = keywords["repel"] = balancing(q, k, keywords)
    wanted = modulated_attention(q.double(), k.double(), v.double(), **keywords, backend="dense")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "attention falls back")  # it would be checked instead
        out = modulated_attention(q, k, v, **keywords, backend=backend)
    if BACKENDS[backend].compiles:  # bit-identical, whatever else runs
        again = [modulated_attention(q, k, v, **keywords, backend=backend) for _ in range(3)]
        assert all(torch.equal(out, other) for other in again)
    return float((out.double() - wanted).norm() / wanted.norm())


def balancing(q: Tensor, k: Tensor, m: dict[str, Tensor]) -> Tensor:
    """Find strengths that balance the mass of positive and negative keys, to expose rounding."""
    scores = q.double() @ k.double().mT * q.shape[-1] ** -0.5
    positive = m["relation"][m["query_labels"][:, :, None], m["key_labels"][:, None]][:, None]
    largest, smallest = scores.amax(-1, keepdim=True), scores.amin(-1, keepdim=True)
    low, high = torch.zeros_like(m["attract"]), torch.ones_like(m["attract"])
    for _ in range(20):
        middle = (low + high) / 2
        pull = middle[:, None, :, None] * torch.where(positive, largest - scores, smallest - scores)
        mass = ((scores + pull).softmax(-1) * positive).sum(-1).mean(1)
        low, high = torch.where(mass < 0.5, middle, low), torch.where(mass < 0.5, high, middle)
    return (low + high) / 2


def seconds(call: Callable[[], object], device: str) -> float:
    """Time a call: the median of several on a GPU, the minimum on a CPU, which may be shared."""
    call()
    if device == "cpu":
        return min(_wall(call) for _ in range(5))
    torch.cuda.synchronize()
    first = _wall(lambda: (call(), torch.cuda.synchronize()))
    events = []
    for _ in range(max(5, min(50, int(0.1 / first)))):  # queued, to exclude launch overhead
        events.append([torch.cuda.Event(enable_timing=True) for _ in range(2)])
        events[-1][0].record()
        call()
        events[-1][1].record()
    torch.cuda.synchronize()
    times = [start.elapsed_time(end) / 1000 for start, end in events]
    return statistics.median(times)


def _wall(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def calls(given: Problem, device: str, with_naive: bool = True) -> dict[str, Callable[[], object]]:
    """The functions to compare, by name."""
    (q, k, v), m = given
    found: dict[str, Callable[[], object]] = {
        "SDPA": lambda: F.scaled_dot_product_attention(q, k, v)
    }
    if device == "cuda":
        labels = [m[name].view(-1, m[name].shape[-1]) for name in ("query_labels", "key_labels")]
        order = ClassOrder.of(*labels, m["relation"])

        def forced(backend: SDPBackend) -> Callable[[], object]:
            def run() -> Tensor:
                with sdpa_kernel(backend):
                    return F.scaled_dot_product_attention(q, k, v)

            return run

        found["flash"] = forced(SDPBackend.FLASH_ATTENTION)
        found["cuDNN"] = forced(SDPBackend.CUDNN_ATTENTION)
        found["triton"] = lambda: modulated_attention(q, k, v, **m, backend="triton", order=order)
        found["sort"] = lambda: ClassOrder.of(*labels, m["relation"])
        single = m | {"relation": torch.ones_like(m["relation"])}
        single["query_labels"] = torch.zeros_like(m["query_labels"])
        alone = ClassOrder.of(0 * labels[0], labels[1], single["relation"])
        found["one class"] = lambda: modulated_attention(
            q, k, v, **single, backend="triton", order=alone
        )
    if with_naive and len(q) == 1 and q.shape[2] <= NAIVE_MOST:
        found["naive"] = lambda: naive(q, k, v, **m)
    if device == "cpu":
        found["rows"] = lambda: modulated_attention(q, k, v, **m, backend="rows")
    return found


def memory(name: str, given: Problem, device: str) -> float:
    """Peak memory of one call beyond its inputs, in bytes; on a CPU, measured in a subprocess."""
    (q, _, _), _ = given
    if device == "cpu":
        tokens, width = q.shape[2:]
        command = [sys.executable, __file__, "--memory-of", name, str(tokens), str(width)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    call = calls(given, device)[name]
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return float(torch.cuda.max_memory_allocated() - before)


def resident(which: str) -> int:
    """``VmRSS`` (current) or ``VmHWM`` (peak) of this process in bytes; Linux only."""
    return 1024 * int(Path("/proc/self/status").read_text().split(f"{which}:")[1].split()[0])


def main() -> None:
    """Check the errors, then time; prints each result, and writes JSON with ``--json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="check, and time nothing")
    parser.add_argument("--backends", nargs="+", choices=CHECKED, help="check these only")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS, help="head sizes to check")
    parser.add_argument("--tune", action="store_true", help="find and keep tile shapes; GPU only")
    parser.add_argument("--regions", type=int, nargs="+", default=[2, 5, 20])
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float16 if device == "cuda" else torch.float32
    torch.manual_seed(0)
    if arguments.memory_of:
        name, tokens, width = arguments.memory_of
        calls(problem(256, int(width), 5, dtype, "cpu"), "cpu")[name]()  # one-time initialization
        call = calls(problem(int(tokens), int(width), 5, dtype, "cpu"), "cpu")[name]
        before = resident("VmRSS")
        call()
        print(max(0, resident("VmHWM") - before))
        return
    if arguments.tune:
        tune()
        return
    machine = torch.cuda.get_device_name() if device == "cuda" else platform.processor()
    print(f"{machine}, torch {torch.__version__}, {torch.get_num_threads()} threads, {dtype}")
    checked = arguments.backends or (CHECKED if device == "cuda" else ["rows"])
    worst = check(device, checked, arguments.widths)
    print("largest errors:", ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    if arguments.check:
        return
    rows: list[object] = []
    for tokens, width in CUDA_SIZES if device == "cuda" else CPU_SIZES:
        for regions in arguments.regions if device == "cuda" else [5]:
            size = {"tokens": tokens, "width": width, "regions": regions}
            rows.append(measured(size, problem(tokens, width, regions, dtype, device), device))
        if arguments.json:  # after every size, so that an interrupted run leaves its results
            write(arguments.json, machine, dtype, worst, rows)
    for tokens, width, words in CROSS_SIZES if device == "cuda" else []:
        size = {"frames": 16, "tokens": tokens, "width": width, "words": words}
        rows.append(measured(size, cross_problem(tokens, width, words, dtype, device), device))
    if arguments.json:
        write(arguments.json, machine, dtype, worst, rows)


def measured(size: dict[str, int], given: Problem, device: str) -> dict[str, object]:
    """Measure and print time, rate and memory of every function on one problem."""
    (q, k, _), _ = given
    operations = 4 * len(q) * HEADS * q.shape[2] * k.shape[2] * q.shape[3]
    row: dict[str, object] = dict(size)
    text = " ".join(f"{name} {value}" for name, value in size.items())
    for name, call in calls(given, device, size.get("regions", 0) in (0, 5)).items():
        with contextlib.suppress(torch.OutOfMemoryError):
            took, held = seconds(call, device), memory(name, given, device)
            row[name] = {"ms": 1000 * took, "TFLOP/s": operations / took / 1e12, "MB": held / 1e6}
            text += f"  {name} {1000 * took:.3g} ms {operations / took / 1e12:.3g} TF"
            text += f" {held / 1e6:.3g} MB"
    print(text, flush=True)
    return row


def tune() -> None:
    """Try tile shapes of the portable kernel on this GPU, and keep the fastest of each size."""
    from grainspec_runtime.attention.backends import triton_kernel
    from grainspec_runtime.attention.tuning import Tile, keep, key_of

    gpu = torch.cuda.get_device_name()
    for dtype in (torch.float16, torch.bfloat16):
        for width in (40, 64, 80, 128, 160):
            for tokens in (4096, 16384):
                (q, k, v), m = problem(tokens, width, 5, dtype, "cuda")
                labels = m["query_labels"][None]
                order = ClassOrder.of(labels, labels, m["relation"])
                strength = m["attract"].expand(1, tokens)
                call = AttentionCall(
                    q, k, v, query_labels=labels, key_labels=labels, relation=m["relation"],
                    attract=strength, repel=strength, scale=width**-0.5, order=order,
                )  # fmt: skip
                times: dict[Tile, float] = {}
                for tile in map(
                    Tile._make, itertools.product((64, 128), (32, 64, 128), (4, 8), (2, 3))
                ):
                    launch = functools.partial(triton_kernel.launch, call, tile)
                    with contextlib.suppress(Exception):  # too large for this GPU, for example
                        times[tile] = seconds(launch, "cuda")
                best = min(times, key=times.__getitem__)
                where = keep({key_of(gpu, dtype, width, tokens): best})
                print(f"{dtype} d {width} {tokens} tokens: {best}, {1000 * times[best]:.3g} ms")
    print(f"saved to {where}")


def write(
    path: Path, machine: str, dtype: torch.dtype, worst: dict[str, float], rows: list[object]
) -> None:
    """Write all results, with the machine and the versions."""
    facts = {
        "device": machine,
        "dtype": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "heads": HEADS,
        "threads": torch.get_num_threads(),
        "largest errors": worst,
        "rows": rows,
    }
    path.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
