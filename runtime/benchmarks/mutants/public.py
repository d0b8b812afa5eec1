"""The public checks that every mutant has to pass to survive; add a line to ``CHECKS`` for more.

Only what users have: :mod:`grainspec.testing`, and the examples' files. All seeds are fixed. The
whole list may take twenty seconds.

    python runtime/benchmarks/mutants/public.py --times      # on the tree as it is
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from catching import Check, main, names_property
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from grainspec.testing import (
    Scene,
    check_case,
    check_file,
    check_mask_findings,
    check_masks,
    check_regions,
    check_words,
    plans,
    scenes,
)
from grainspec.testing.masks import CASES, FORMATS

MOST_CRASHES = 20
EXAMPLES = Path(__file__).parents[3] / "examples"


class Crashes:
    """Errors that are no broken property; while there are few, they hide no later property."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def go_on(self, check: Callable[[], object]) -> None:
        """Run a part of a check; keep its error unless it names a property."""
        try:
            check()
        except Exception as error:
            if names_property(error) or len(self.errors) >= MOST_CRASHES:
                raise
            self.errors.append(error)

    def end(self) -> None:
        """Raise the first error that was kept."""
        if self.errors:
            raise self.errors[0]


def draws(
    strategy: st.SearchStrategy[Any], count: int
) -> Callable[[Callable[[Any], object]], Callable[[], None]]:
    """A decorator that runs a check on values of a strategy, always the same ones.

    As in Hypothesis's own reports, a crash on one value does not hide what a later one shows.
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
            crashes = Crashes()

            def tried(value: Any) -> None:
                crashes.go_on(lambda: check(value))

            fixed(given(strategy)(tried))()
            crashes.end()

        return run

    return decorated


@draws(plans(), 200)
def drawn_plans(case: Any) -> None:
    """Every invariant of drawn plans."""
    check_case(case)


@draws(scenes(), 60)
def drawn_scenes(scene: Scene) -> None:
    """How the regions of drawn specs are bound; some are in error, and must be refused rightly."""
    check_regions(scene.spec, scene.base, errors_allowed=True)


def masks_in_every_format() -> None:
    """Masks of a disc that grows and leaves the frame, with a hole and one pixel beside it."""
    rows, columns = np.ogrid[:31, :44]
    masks = np.zeros((4, 31, 44), np.bool_)
    for frame in range(3):
        square = (rows - 12 - frame) ** 2 + (columns - 17 - 5 * frame) ** 2
        masks[frame] = (square < (7 + frame) ** 2) & (square > 6)
    masks[0, 2, 40] = True
    crashes = Crashes()
    with TemporaryDirectory() as folder:
        for name in FORMATS:
            crashes.go_on(partial(check_masks, masks, folder, [name]))
    crashes.end()


def findings_about_masks() -> None:
    """What is reported about doubtful masks, and about good ones."""
    crashes = Crashes()
    for name in CASES:
        crashes.go_on(partial(check_mask_findings, cases=[name]))
    crashes.end()


CHECKS: list[Check] = [
    ("words", partial(check_words, drawn_prompts=300)),
    ("masks", masks_in_every_format),
    ("mask findings", findings_about_masks),
    ("plans", drawn_plans),
    ("regions", drawn_scenes),
    *(
        (path.name, partial(check_file, path, examples=5))
        for path in sorted(EXAMPLES.glob("*.grain"))
    ),
]
FIRST = {"plan": ("plans",), "regions": ("masks", "mask findings", "regions"), "words": ("words",)}
"""For each group of modules, the checks that are likeliest to catch a mutant, and run first."""

if __name__ == "__main__":
    main(CHECKS, "grainspec", FIRST)
