"""Measure how many examples per second the strategies of ``grainspec.testing`` generate.

    python runtime/benchmarks/strategies.py --examples 1000

The time is the processor's, of a complete Hypothesis run with an empty test, including its own
bookkeeping.
"""

from __future__ import annotations

import argparse
import time

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from grainspec.testing import (
    expressions,
    faulty_specs,
    faulty_texts,
    grain_texts,
    layouts,
    plans,
    specs,
    word_backbone,
)


def rate(strategy: st.SearchStrategy[object], examples: int) -> float:
    """Examples per second, after a warm-up run that fills the strategy's caches."""
    seen = 0

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(_: object) -> None:
        nonlocal seen
        seen += 1

    run()
    seen, start = 0, time.process_time()
    run()
    return seen / (time.process_time() - start)


def main() -> None:
    """Measure every strategy, and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=1000)
    examples = parser.parse_args().examples
    for name, strategy in {
        "specs()": specs(),
        "specs(variants=0)": specs(variants=0),
        "grain_texts()": grain_texts(),
        "faulty_specs()": faulty_specs(),
        "faulty_texts()": faulty_texts(),
        "expressions()": expressions(["left"]),
        "layouts()": layouts(["left", "right"]),
        "plans()": plans(),
        "plans(backbone, size)": plans(backbone=word_backbone(levels=2), size=(64, 48)),
        "plans(specs)": plans(specs=specs(variants=0)),
    }.items():
        print(f"{name:22} {rate(strategy, examples):6.0f} per second", flush=True)


if __name__ == "__main__":
    main()
