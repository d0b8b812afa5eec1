"""The pytest plugin: spec files are tests if they are asked for, and nothing else changes."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest
from broken_compilers import MUTANTS
from clips import ROOT, ClipFolder

from grainspec.testing.run.cases import Checker

MODULE = "grainspec.testing.pytest_plugin"
INSTALLED = any(found.value == MODULE for found in entry_points(group="pytest11"))
LOADED = [] if INSTALLED else ["-p", MODULE]

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a test, and a spec with a variant."""
    clip = ClipFolder(tmp_path, frames=2)
    (tmp_path / "specs").mkdir()
    text = clip.spec_text(video='video "../clip" { size 64x48 }').replace('("', '("../')
    (tmp_path / "specs" / "edit.grain").write_text(text + "variant only_left { without right }\n")
    (tmp_path / "test_more.py").write_text("def test_more(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run pytest in the project: its exit code, and what it said."""
    monkeypatch.chdir(project)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        usual = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--import-mode=importlib"]
        code = pytest.main([*usual, *LOADED, *arguments])
        return int(code), capsys.readouterr().out

    return run


def collected(run: Run, *arguments: str) -> list[str]:
    return [line for line in run("--collect-only", *arguments)[1].splitlines() if "::" in line]


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all files be tested with a compiler that ignores areas."""
    old = Checker.__init__

    def faulty(self: Checker, *arguments: object, **more: object) -> None:
        old(self, *arguments, **more | {"compiler": MUTANTS["area ignored"]})  # type: ignore[arg-type]

    monkeypatch.setattr(Checker, "__init__", faulty)


SPECS = ["specs/edit.grain::spec", "specs/edit.grain::only_left"]


def test_specs_are_tests_if_asked_for(run: Run, project: Path) -> None:
    assert collected(run) == ["test_more.py::test_more"]
    assert collected(run, "--grain") == [*SPECS, "test_more.py::test_more"]
    assert collected(run, "specs/edit.grain") == SPECS
    assert collected(run, "specs/edit.grain::only_left") == SPECS[1:]
    assert collected(run, "--grain", "-k", "only_left") == SPECS[1:]
    (project / "pytest.ini").write_text("[pytest]\ngrain_files = specs/*.grain\n")
    assert collected(run) == [*SPECS, "test_more.py::test_more"]
    (project / "pytest.ini").write_text("[pytest]\ngrain_files = *.grain\n")
    assert collected(run) == ["test_more.py::test_more"]


def test_they_pass_in_several_processes_with_junit(project: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *LOADED]
    command += ["--grain", "--grain-examples=1", "-n", "2", "--junitxml=out.xml"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment["PYTHONPATH"] = path
    said = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout
    cases = ElementTree.parse(project / "out.xml").getroot().findall(".//testcase")
    assert {case.get("name") for case in cases} == {"spec", "only_left", "test_more"}


def test_failures_show_the_smallest_spec_and_no_traceback(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    code, text = run(
        "specs/edit.grain::spec", "--grain-examples=1", "--grain-seed=5", "--junitxml=o.xml"
    )
    assert code == 1
    assert "\nstrengths: cross_attract is " in text
    assert "smallest spec that fails:\n\n    grain 1\n" in text
    path = Path("specs") / "edit.grain"
    assert f"reproduce with: grain test {path} --seed 5 --case 0" in text
    assert "Traceback" not in text
    assert "try_file(" not in text
    assert "FAILED specs/edit.grain::spec - strengths: cross_attract is" in text
    failure = ElementTree.parse(project / "o.xml").getroot().find(".//failure")
    assert failure is not None
    assert "smallest spec" in str(failure.text)


def test_mistakes_in_a_spec_are_errors_with_their_findings(run: Run, project: Path) -> None:
    (project / "specs" / "bad.grain").write_text("grain 1\n")
    (project / "specs" / "empty.grain").write_text(
        (project / "specs" / "edit.grain").read_text().replace('masks("../left")', "all - all")
    )
    code, text = run("--grain", "--continue-on-collection-errors", "--grain-examples=0")
    assert code == 1
    assert "ERROR collecting specs/bad.grain" in text
    assert "G008: missing `video` statement." in text
    assert "G307: the region `left` is empty on every frame" in text
    assert "Traceback" not in text


def test_numbers_come_from_the_configuration_too(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)
    settings = "grain_files = specs/*\ngrain_seed = 8\ngrain_examples = 1\n"
    (project / "pytest.ini").write_text(f"[pytest]\n{settings}")
    assert "--seed 8 --case" in run()[1]
    assert "--seed 9 --case" in run("--grain-seed", "9")[1]


def test_the_plugin_imports_nothing_of_the_rest() -> None:
    code = (
        f"import sys, {MODULE}\n"
        "print(*sorted(m for m in sys.modules if m.startswith('grainspec') or m == 'numpy'))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert said.stdout.split() == ["grainspec", "grainspec.testing", MODULE]


def test_it_is_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"grainspec": MODULE}


def test_this_projects_own_tests_are_the_same_with_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the plugin is installed makes no difference to what is collected."""
    monkeypatch.chdir(ROOT)
    names = [line.split("::")[0] for line in collected(run, "examples", "-o", "addopts=")]
    assert set(names) == {"examples/test_shirt.py"}
