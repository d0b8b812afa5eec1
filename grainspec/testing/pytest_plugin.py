"""A pytest plugin: spec files as tests, one for each spec and each of its variants.

It collects ``.grain`` and ``.grain.json`` files only if asked: with ``pytest --grain``, by name on
the command line, or by the setting ``grain_files``. It imports the rest of grainspec only then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_SUFFIXES = (".grain", ".grain.json")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options ``--grain``, ``--grain-examples``, ``--grain-seed``, and settings."""
    group = parser.getgroup("grain", "specs of grainspec")
    group.addoption(
        "--grain",
        action="store_true",
        help="Test the mask plans of all .grain and .grain.json files, as `grain test` does.",
    )
    group.addoption(
        "--grain-examples",
        type=int,
        metavar="N",
        help="Number of random changes of each spec and variant. Default: 15, or `grain_examples`.",
    )
    group.addoption(
        "--grain-seed",
        type=int,
        metavar="N",
        help="Seed of the random changes. Default: 0, or `grain_seed`.",
    )
    files = "Specs to test without --grain: glob patterns, from the folder of the configuration."
    parser.addini("grain_files", files, type="linelist", default=[])
    parser.addini("grain_examples", "Number of random changes of each spec.", default="")
    parser.addini("grain_seed", "Seed of the random changes of specs.", default="")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a spec file if it was asked for."""
    if file_path.name.endswith(_SUFFIXES) and _asked(file_path, parent):
        collector: pytest.Collector = GrainFile.from_parent(parent, path=file_path)
        return collector
    return None


def _asked(path: Path, parent: pytest.Collector) -> bool:
    if parent.config.getoption("grain") or parent.session.isinitpath(path):
        return True
    if _FILES not in parent.config.stash:
        root, patterns = parent.config.rootpath, parent.config.getini("grain_files")
        parent.config.stash[_FILES] = {file for pattern in patterns for file in root.glob(pattern)}
    return path in parent.config.stash[_FILES]


_FILES = pytest.StashKey[set[Path]]()
"""The files that the setting ``grain_files`` names."""


class GrainFile(pytest.File):
    """A spec file."""

    def collect(self) -> Iterator[GrainItem]:
        """A test for the spec, if it is an edit itself, and one for each variant."""
        from grainspec.diagnostics import GrainError
        from grainspec.loading import load
        from grainspec.testing.run.file import edits_of

        try:
            variants = list(edits_of(load(self.path)))
        except GrainError as error:
            raise self.CollectError(str(error)) from None
        for variant in variants:
            yield GrainItem.from_parent(self, name=variant or "spec", variant=variant)


class GrainItem(pytest.Item):
    """The test of a spec or of a variant."""

    def __init__(self, *, variant: str, **more: Any) -> None:
        super().__init__(**more)
        self.variant = variant
        self.funcargs: dict[str, object] = {}  # pytest-lsp 1.0 fails for items that have none

    def runtest(self) -> None:
        """Test the plans of the spec and of random changes of it."""
        from grainspec.testing.run import try_file

        path = Path(os.path.relpath(self.path, self.config.invocation_params.dir))
        result = try_file(
            path,
            examples=self._number("grain_examples"),
            seed=self._number("grain_seed") or 0,
            variant=self.variant,
        )
        if result.failures:
            raise _Failed("\n\n".join(failure.explained() for failure in result.failures))

    def _number(self, name: str) -> int | None:
        option, setting = self.config.getoption(name), self.config.getini(name)
        return option if option is not None else int(setting) if setting else None

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The violated invariants and the mistakes of the spec as text; other errors as usual."""
        from grainspec.diagnostics import GrainError

        if isinstance(excinfo.value, _Failed | GrainError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The file and the name of the test."""
        return self.path, None, f"{self.path.name}: {self.name}"


class _Failed(AssertionError):
    """A spec violates invariants; the message has all of them."""
