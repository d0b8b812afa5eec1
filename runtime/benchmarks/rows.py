"""The portable backend against the reference and against plain attention.

    python runtime/benchmarks/rows.py

Random queries, keys and values; tokens in runs of five classes, a sixth of them of no region.
Checks `rows` against `dense` (float64), then times it against torch's own attention, then measures
the memory each needs beyond its inputs as N grows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from grainspec_runtime import modulated_attention

HEADS, WIDTH = 8, 40


def problem(tokens: int) -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
    """Query, key and value ``[1, H, N, d]``, and the modulation."""
    generator = torch.Generator().manual_seed(0)
    tensors = tuple(torch.randn(1, HEADS, tokens, WIDTH, generator=generator) for _ in range(3))
    labels = (torch.arange(tokens) // 64 % 6).long()
    relation = torch.eye(6, dtype=torch.bool)
    relation[0] = relation[:, 0] = False
    strength = torch.where(labels == 0, 0.0, 0.3 * torch.rand(tokens, generator=generator))
    keywords = {
        "query_labels": labels,
        "key_labels": labels,
        "relation": relation,
        "attract": strength,
        "repel": strength,
    }
    return tensors, keywords


def best(call: object, repeats: int = 5) -> float:
    """The shortest time of a few, in seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()  # type: ignore[operator]
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def memory(backend: str, tokens: int) -> float:
    """Peak memory of one call in a process of its own, in MB above that of the inputs."""
    command = [sys.executable, __file__, "--memory-of", backend, "--tokens", str(tokens)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def resident(which: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (at most so far) of this process in bytes; Linux only."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(f"{which}:")[1].split()[0])


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--tokens", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        tensors, keywords = problem(arguments.tokens)
        F.scaled_dot_product_attention(*(t[:, :, :64] for t in tensors))
        before = resident("VmRSS")
        modulated_attention(*tensors, **keywords, backend=arguments.memory_of)
        print((resident("VmHWM") - before) / 1e6)
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {HEADS} heads of {WIDTH}")
    print(
        f"{'N':>6} {'error':>9} {'rows':>9} {'SDPA':>9} {'ratio':>6} {'memory':>9} {'per token':>9}"
    )
    for tokens in (1152, 2304, 4608, 9216):
        (q, k, v), keywords = problem(tokens)
        out = modulated_attention(q, k, v, **keywords)
        error = float("nan")
        if tokens <= 4608:
            wanted = modulated_attention(
                q.double(), k.double(), v.double(), **keywords, backend="dense"
            )
            error = float((out - wanted).norm() / wanted.norm())
        rows = best(lambda: modulated_attention(q, k, v, **keywords))  # noqa: B023
        plain = best(lambda: F.scaled_dot_product_attention(q, k, v))  # noqa: B023
        used = memory("rows", tokens)
        print(
            f"{tokens:>6} {error:>9.1e} {1000 * rows:>6.0f} ms {1000 * plain:>6.0f} ms "
            f"{rows / plain:>6.2f} {used:>6.0f} MB {1e6 * used / tokens / 1024:>6.1f} kB"
        )


if __name__ == "__main__":
    main()
