"""No circle of imports among modules; the contracts in pyproject.toml say which rooms see which."""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest


def test_no_circles(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.setattr(sys, "path", [str(root), str(root / "runtime"), *sys.path])
    graph = grimp.build_graph("grainspec", "grainspec_runtime", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 200
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))
