"""What a wheel would hold."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_package_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {"grainspec.grammar"}
    for base in (ROOT / "grainspec", ROOT / "runtime" / "grainspec_runtime"):
        for file in base.rglob("__init__.py"):
            found.add(".".join([base.name, *file.parent.relative_to(base).parts]))
    assert sorted(settings["packages"]) == sorted(found)
