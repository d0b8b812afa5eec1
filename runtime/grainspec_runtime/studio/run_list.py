"""The list of earlier runs, each beside the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grainspec_runtime.studio.changes import changes, is_same
from grainspec_runtime.studio.outputs import spec_of_run
from grainspec_runtime.studio.runs import EarlierRun


def runs_as_json(runs: Sequence[EarlierRun], own: str) -> list[dict[str, Any]]:
    """The runs, the newest first, as the page has them; ``own`` is the name of the open spec."""
    told = []
    specs = [spec_of_run(run.name, run.manifest) for run in runs]
    for number, run in enumerate(runs):
        before = [
            other
            for other, spec in zip(runs[number + 1 :], specs[number + 1 :], strict=True)
            if spec == specs[number] and other.variant == run.variant
        ]
        same = (other.name for other in before if is_same(other.manifest, run.manifest))
        differ = changes(before[0].manifest, run.manifest) if before else []
        more = {"own": specs[number] == own, "changes": differ, "same": next(same, None)}
        told.append({**run.as_json(), **more})
    return told
