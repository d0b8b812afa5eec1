"""The same compiled, saved or loaded once more."""

from __future__ import annotations

import tempfile
from pathlib import Path

from grainspec.plan.save import load_plan, save_plan
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.registry import invariant


@invariant("determinism")
def determinism(case: Case) -> None:
    """Compiling twice gives the same plan."""
    if case.again() != case.plan:
        raise Broken("determinism", "compiling a second time gave another plan")


@invariant("saving")
def saving(case: Case) -> None:
    """A saved and loaded plan is the same plan."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.safetensors"
        save_plan(case.plan, path)
        if load_plan(path) != case.plan:
            raise Broken("saving", "the loaded plan differs from the saved one")
