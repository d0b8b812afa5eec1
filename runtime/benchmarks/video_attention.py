"""Attention of today's video models: long clips, and prompts of many tokens, beside torch's own.

    python runtime/benchmarks/video_attention.py --json video-attention.json    # needs a GPU

Times are those of replayed CUDA graphs, so launch overhead is not in them; `SDPA` is what torch
selects, timed before and after. The class order is kept, as the editor keeps it. Errors are against
the float64 reference, in a sample of rows. `naive` is the published evaluation with masks and
scores of all pairs; where it does not fit, its memory is given.

A prompt's relation is drawn by word. In the rows `padding`, words from the 25th on are neutral, as
in Wan's prompts; in the rows `words` all are modulated.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
import triton
from attention import BOUNDS, HEADS, naive, problem
from torch import Tensor

from grainspec_runtime.attention import ClassOrder, modulated_attention

SELF = [  # tokens, head size, regions
    *((tokens, width, 5) for tokens in (8192, 32760, 75600) for width in (64, 128)),
    (16384, 64, 20),
    (16384, 128, 20),
]
TEXT = [  # tokens, words, head size
    (tokens, words, width)
    for tokens in (8192, 32760, 75600)
    for words in (77, 226, 512, 1024)
    for width in (64, 128)
]
WORDS = 24
"""Words of a padded prompt that are none of its padding."""

Problem = tuple[tuple[Tensor, Tensor, Tensor], dict[str, Tensor]]


def text_problem(tokens: int, words: int, width: int, padded: bool, dtype: torch.dtype) -> Problem:
    """Query ``[1, H, N, d]``, key and value ``[1, H, words, d]``, and the modulation."""
    (q, _, _), m = problem(tokens, width, 5, dtype, "cuda")
    k, v = (torch.randn(1, HEADS, words, width, device="cuda").to(dtype) for _ in "kv")
    m["key_labels"] = torch.arange(words, device="cuda")
    m["relation"] = torch.rand(len(m["relation"]), words, device="cuda") < 0.1
    if padded:
        m["neutral"] = m["key_labels"] >= WORDS
    return (q, k, v), m


def measured(given: Problem, dtype: torch.dtype) -> dict[str, float]:
    """Milliseconds of SDPA and the operator, their ratio, and the operator's error."""
    (q, k, v), m = given
    order = ClassOrder.of(
        m["query_labels"][None], m["key_labels"][None], m["relation"], neutral=m.get("neutral")
    )

    def ours() -> Tensor:
        return modulated_attention(q, k, v, **m, backend="triton", order=order)

    def plain() -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)

    rows = torch.randint(q.shape[2], (128,), device="cuda")
    sample = m | {name: m[name][rows] for name in ("query_labels", "attract", "repel")}
    wanted = modulated_attention(
        q[:, :, rows].double(), k.double(), v.double(), **sample, backend="dense"
    )
    error = float((ours()[:, :, rows].double() - wanted).norm() / wanted.norm())
    if not error < BOUNDS[dtype]:
        raise SystemExit(f"the error is {error}")
    before, took, after = (milliseconds(call) for call in (plain, ours, plain))
    return {
        "SDPA ms": (before + after) / 2,
        "ms": took,
        "ratio": 2 * took / (before + after),
        "error": error,
    }


def milliseconds(call: Callable[[], object]) -> float:
    """The median of replays of a graph of calls."""
    return float(triton.testing.do_bench_cudagraph(call, rep=20, return_mode="median"))


def naive_row(tokens: int, width: int, dtype: torch.dtype) -> dict[str, object]:
    """Time and memory of the published evaluation, or the memory alone where it does not fit."""
    (q, k, v), m = problem(tokens, width, 5, dtype, "cuda")
    row: dict[str, object] = {"tokens": tokens, "width": width}
    row["scores MB"] = HEADS * tokens**2 * q.element_size() / 1e6
    try:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        naive(q, k, v, **m)
        row["MB"] = (torch.cuda.max_memory_allocated() - before) / 1e6
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        naive(q, k, v, **m)
        end.record()
        torch.cuda.synchronize()
        row["ms"] = start.elapsed_time(end)
    except torch.OutOfMemoryError:
        row["ms"] = None
    return row


def main() -> None:
    """Measure everything; prints each row, and writes JSON with ``--json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dtypes", nargs="+", choices=["bfloat16", "float16"], default=["bfloat16"]
    )
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    rows: list[dict[str, object]] = []
    for name in arguments.dtypes:
        dtype: torch.dtype = getattr(torch, name)
        for tokens, width, regions in SELF:
            row: dict[str, object] = {
                "dtype": name, "tokens": tokens, "width": width, "regions": regions
            }  # fmt: skip
            rows.append(row | measured(problem(tokens, width, regions, dtype, "cuda"), dtype))
            print(rows[-1], flush=True)
        for tokens, words, width in TEXT:
            for kind in ("padding", "words"):
                row = {
                    "dtype": name, "tokens": tokens, "words": words, "kind": kind, "width": width
                }  # fmt: skip
                given = text_problem(tokens, words, width, kind == "padding", dtype)
                rows.append(row | measured(given, dtype))
                print(rows[-1], flush=True)
    published = [naive_row(32760, width, torch.bfloat16) for width in (64, 128)]
    print(*published, sep="\n")
    if arguments.json:
        facts = {
            "device": torch.cuda.get_device_name(),
            "torch": torch.__version__,
            "triton": triton.__version__,
            "heads": HEADS,
            "rows": rows,
            "naive": published,
        }
        arguments.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
