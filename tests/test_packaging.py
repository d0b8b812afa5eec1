"""What a wheel would hold."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent


def test_every_package_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {"grainspec.grammar"}
    for base in (ROOT / "grainspec", ROOT / "runtime" / "grainspec_runtime"):
        for file in base.rglob("__init__.py"):
            found.add(".".join([base.name, *file.parent.relative_to(base).parts]))
    assert sorted(settings["packages"]) == sorted(found)


def test_lowest_versions_are_those_that_the_gate_tests_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line[0] != "#")
    for text in [*project["dependencies"], *extras["runtime"], *extras["testing"]]:
        wanted = Requirement(text)
        pin = Version(pins[canonicalize_name(wanted.name)])
        assert pin in wanted.specifier, text
        if wanted.name != "torch":  # of which the gate can have one version only
            (lowest,) = wanted.specifier
            assert (lowest.operator, Version(lowest.version)) == (">=", pin)
