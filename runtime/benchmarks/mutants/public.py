"""The public checks that every mutant has to pass to survive; add a line to ``CHECKS`` for more.

Only what users have: :mod:`grainspec.testing`, and the examples' files. All seeds are fixed. The
whole list may take twenty seconds: what catches most comes first, what is slow last.

    python runtime/benchmarks/mutants/public.py --times      # on the tree as it is
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from catching import Check, main, names_property
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from grainspec.testing import check_case, check_file, check_words, plans

MOST_CRASHES = 20
EXAMPLES = Path(__file__).parents[3] / "examples"


def draws(
    strategy: st.SearchStrategy[Any], count: int
) -> Callable[[Callable[[Any], object]], Callable[[], None]]:
    """A decorator that runs a check on values of a strategy, always the same ones.

    As with Hypothesis's own reports, a crash on one value does not hide a broken property of a
    later one.
    """
    fixed = settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),  # shrinking takes time, and catches no more
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],
    )

    def decorated(check: Callable[[Any], object]) -> Callable[[], None]:
        def run() -> None:
            crashes: list[Exception] = []

            def tried(value: Any) -> None:
                try:
                    check(value)
                except Exception as error:
                    if names_property(error) or len(crashes) >= MOST_CRASHES:
                        raise
                    crashes.append(error)

            fixed(given(strategy)(tried))()
            if crashes:
                raise crashes[0]

        return run

    return decorated


@draws(plans(), 200)
def drawn_plans(case: Any) -> None:
    """Every invariant of drawn plans."""
    check_case(case)


CHECKS: list[Check] = [
    ("words", check_words),
    ("plans", drawn_plans),
    *(
        (path.name, partial(check_file, path, examples=10))
        for path in sorted(EXAMPLES.glob("*.grain"))
    ),
]

if __name__ == "__main__":
    main(CHECKS, "grainspec")
