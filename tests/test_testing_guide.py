"""The guide to tests: its code runs, its commands succeed, and it shows what is said."""

from __future__ import annotations

import re
import shlex
import shutil
import unittest
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import EXAMPLES, ROOT, ClipFolder
from command import Grain
from hypothesis import settings

from grainspec.testing import INVARIANTS, Broken, check_file

PAGE = (ROOT / "grammar" / "testing.md").read_text(encoding="utf-8")
SECTIONS = {
    title: re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
}
WITH_CODE = [title for title, blocks in SECTIONS.items() if blocks]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with `edit.grain` and its files; what is declared as an invariant is forgotten."""
    for name in ("clips", "masks"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    shutil.copy(EXAMPLES / "instance.grain", tmp_path / "edit.grain")
    monkeypatch.chdir(tmp_path)
    known = set(INVARIANTS)
    settings.register_profile("guide", settings(max_examples=8, stateful_step_count=15))
    settings.load_profile("guide")
    yield tmp_path
    settings.load_profile("grainspec")
    for name in set(INVARIANTS) - known:
        del INVARIANTS[name]


def test_every_section_has_code() -> None:
    assert len(WITH_CODE) == len(SECTIONS) - 1 == 7
    for title in SECTIONS:
        assert f"(#{title.lower().replace(',', '').replace(' ', '-')})" in PAGE


@pytest.mark.parametrize("title", WITH_CODE)
def test_code_runs(title: str, place: Path) -> None:
    for block in SECTIONS[title]:
        names: dict[str, object] = {"__name__": "guide"}
        exec(block, names)
        tests = [name for name in names if name.lower().startswith("test")]
        assert tests
        for name in tests:
            test = names[name]
            if isinstance(test, type) and issubclass(test, unittest.TestCase):
                result = unittest.TestResult()
                unittest.defaultTestLoader.loadTestsFromTestCase(test).run(result)
                assert result.testsRun == 1
                assert [trace for _, trace in [*result.errors, *result.failures]] == []
            else:
                assert callable(test)
                test()


def test_commands_succeed(grain: Grain, place: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("grain ")]
    assert len(lines) == 5
    for line in lines:
        said = grain(*shlex.split(line)[1:], *(["--examples", "1"] * ("--case" not in line)))
        assert said.code == 0, line


def test_a_failure_looks_as_shown(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = ClipFolder(tmp_path_factory.mktemp("small"), frames=2, size=(64, 64))
    monkeypatch.chdir(clip.root)
    Path("small.grain").write_text(
        clip.spec_text(
            video='video "clip"',
            target='target "a man with a hat"',
            regions="region man = all region hat = box(1%, 1%, 4%, 4%)",
            edits='edit man -> "man" add part hat of man -> "hat"',
        )
    )
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    exec(SECTIONS["An invariant of your own"][0], {"__name__": "guide"})
    with pytest.raises(Broken) as raised:
        check_file("small.grain", invariants=["covered words"], case=0)
    assert f"{raised.value}\n" == shown
