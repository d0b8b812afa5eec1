"""How fast the strategies of ``grainspec.testing`` give examples.

    python runtime/benchmarks/strategies.py --examples 1000

Time is that of Hypothesis's whole run with an empty test, its own bookkeeping in it.
"""

from __future__ import annotations

import argparse
import time

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from grainspec.testing import faulty_specs, faulty_texts, grain_texts, plans, specs


def rate(strategy: st.SearchStrategy[object], examples: int) -> float:
    """Examples a second; the strategy is made and its caches are filled before."""
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
    seen, start = 0, time.perf_counter()
    run()
    return seen / (time.perf_counter() - start)


def main() -> None:
    """Measure each strategy and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=1000)
    examples = parser.parse_args().examples
    for name, strategy in {
        "specs()": specs(),
        "specs(variants=0)": specs(variants=0),
        "grain_texts()": grain_texts(),
        "faulty_specs()": faulty_specs(),
        "faulty_texts()": faulty_texts(),
        "plans()": plans(),
    }.items():
        print(f"{name:20} {rate(strategy, examples):6.0f} a second", flush=True)


if __name__ == "__main__":
    main()
