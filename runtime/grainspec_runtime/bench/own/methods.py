"""The methods and the layouts for clips of the user."""

from __future__ import annotations

from collections.abc import Sequence

from grainspec.diagnostics import fail
from grainspec_runtime.bench.methods import Method
from grainspec_runtime.bench.own.davis_edit import DavisEdit
from grainspec_runtime.bench.own.five import Five
from grainspec_runtime.bench.own.layouts import Layout
from grainspec_runtime.bench.own.msvbench import MsvBench
from grainspec_runtime.bench.own.specs import Specs
from grainspec_runtime.bench.own.videograin import VideoGrain
from grainspec_runtime.bench.paper.methods import IMAGE, PUBLISHED, VIDEO

LAYOUTS: tuple[Layout, ...] = (Five(), DavisEdit(), Specs(), MsvBench(), VideoGrain())
"""In the order in which they are tried."""
AS_WRITTEN = Method("ours", "the spec as it is written", as_written=True)


def own_methods(names: Sequence[str]) -> tuple[Method, ...]:
    """The methods of the paper's comparison, or those that are named.

    Each clip's model runs those that it can; ``ours`` is the spec as it is written. Raises
    GrainError (G583) for an unknown name.
    """
    listed = {method.name: method for method in (*IMAGE, *VIDEO, *PUBLISHED)}
    listed[AS_WRITTEN.name] = AS_WRITTEN
    for name in names:
        if name not in listed:
            message = f"unknown method `{name}`"
            raise fail("G583", message, f"Choose from {', '.join(f'`{it}`' for it in listed)}.")
    return tuple(listed[name] for name in names) if names else tuple(listed.values())
