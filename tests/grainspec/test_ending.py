"""How commands end: whatever is raised becomes a message and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import click
import pytest
from clips import ROOT, ClipFolder
from command import Grain

from grainspec.cli import main
from grainspec.cli.ending import finding_of, unfinished_files_removed

PATHS = os.pathsep.join([str(ROOT), str(ROOT / "runtime")])


def raising(error: BaseException) -> Any:
    def command(*_: object, **__: object) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ZeroDivisionError("division by zero"), 70, "G900"),
        (RecursionError("maximum recursion depth exceeded"), 70, "G900"),
        (AssertionError(), 70, "AssertionError: AssertionError"),
        (ValueError("\x1b]0;owned\x07\u202e"), 70, r"\x1b]0;owned\x07\u202e"),
        (MemoryError(), 1, "G506"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (BrokenPipeError(), 0, ""),
        (ModuleNotFoundError("x", name="grainspec.nowhere"), 70, "G900"),
        (ModuleNotFoundError("x", name="torch"), 1, "G501"),
        (click.UsageError("no such \x1b[2J option\x07"), 2, "no such "),
    ],
)
def test_whatever_is_raised_becomes_a_message(
    grain: Grain, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    monkeypatch.setattr("grainspec.cli.check.findings_in", raising(error))
    result = grain("check", "a.grain")
    assert result.code == code
    assert said in result.err
    assert "Traceback" not in result.err
    assert not set(result.err + result.out) & set("\x1b\x07\u202e")


def test_the_traceback_can_be_had(grain: Grain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grainspec.cli.check.findings_in", raising(KeyError("x")))
    assert "GRAINSPEC_DEBUG=1" in grain("check", "a.grain").err
    monkeypatch.setenv("GRAINSPEC_DEBUG", "1")
    said = grain("check", "a.grain")
    assert said.code == 70
    assert "Traceback" in said.err
    assert "in findings_in" in said.err or "in command" in said.err


def test_internal_errors_as_json(grain: Grain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grainspec.cli.check.findings_in", raising(KeyError("x")))
    said = grain("check", "a.grain", "--format", "json")
    assert (said.code, said.codes, said.err) == (70, ["G900"], "")


def test_json_has_no_control_character_either(grain: Grain, tmp_path: Path) -> None:
    name = "a\x9b31m\u202e\x7f.grain"
    said = grain("check", tmp_path / name, "--format", "json")
    assert said.json["files"][0]["path"].endswith(name)
    assert not set(said.out) & set("\x9b\u202e\x7f")


def test_hostile_names_on_the_command_line(grain: Grain, tmp_path: Path) -> None:
    for arguments in (
        ["\x1b[2J"],
        ["check", "--\x1b[2J"],
        ["check", "\x1b]0;x\x07.grain"],
        ["fmt", "\x1b[2J.grain"],
        ["explain", "\x1b[2J"],
        ["test", "[/red]\x1b.grain"],
    ):
        said = grain(*arguments)
        assert said.code in {1, 2}
        assert not set(said.err + said.out) & set("\x1b\x07")


def test_names_in_square_brackets_are_no_markup(grain: Grain, tmp_path: Path) -> None:
    spec = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"'
    (tmp_path / "[").mkdir()
    path = tmp_path / "[" / "bold].grain"
    path.write_text(spec)
    assert "G301" in grain("test", path, "--examples", 1).err


def test_the_handler_of_sigterm_is_restored(grain: Grain) -> None:
    before = signal.getsignal(signal.SIGTERM)
    grain("fmt", "nowhere.grain")
    assert signal.getsignal(signal.SIGTERM) is before
    try:
        unfinished_files_removed()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_main_runs_in_a_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["grain", "fmt", str(tmp_path / "nowhere.grain")])
    codes: list[object] = []

    def call() -> None:
        try:
            main()
        except SystemExit as ended:
            codes.append(ended.code)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert codes == [1]


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command in an environment without HOME, USER and locale; `grain` is ours."""
    script = (
        f'grain() {{ "{sys.executable}" -P -c "from grainspec.cli import main; main()" "$@"; }}\n'
    )
    return subprocess.run(
        ["bash", "-c", script + command],
        env={"PATH": os.defpath, "PYTHONPATH": PATHS, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.needs_runtime  # the list of commands
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"HOME": "/proc/nowhere", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"HOME": "relative", "LC_ALL": "POSIX", "PYTHONOPTIMIZE": "1"},
        {"PYTHONOPTIMIZE": "2", "TERM": "dumb", "COLUMNS": "0"},
        {"FORCE_COLOR": "1", "COLUMNS": "-3", "LINES": "x"},
    ],
)
def test_odd_environments(clip: ClipFolder, environment: dict[str, str]) -> None:
    (clip.root / "good.grain").write_text(clip.spec_text())
    (clip.root / "bad.grain").write_text("grain 1\nvideo «c»\n", encoding="utf-8")
    good = run(
        "grain check good.grain && grain explain G900 && grain --help", clip.root, **environment
    )
    assert (good.returncode, good.stderr) == (0, ""), good.stdout
    bad = run("grain check bad.grain", clip.root, **environment)
    assert bad.returncode == 1
    assert "Traceback" not in bad.stderr
    assert list(clip.root.glob("~*")) == []


def test_closed_streams(clip: ClipFolder) -> None:
    (clip.root / "good.grain").write_text(clip.spec_text())
    for redirection in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full", "| true"):
        for command in (
            "check good.grain",
            "check nowhere.grain",
            "fmt -",
            "fmt --diff good.grain",
        ):
            done = run(f"echo 'grain 1' | grain {command} {redirection}", clip.root)
            assert done.returncode in {0, 1}, (command, redirection, done)
            assert "Traceback" not in done.stderr
            assert "Exception ignored" not in done.stderr
            assert "G900" not in done.stderr + done.stdout


def test_no_room_for_the_output(clip: ClipFolder) -> None:
    (clip.root / "good.grain").write_text(clip.spec_text())
    done = run("grain check good.grain > /dev/full", clip.root)
    assert done.returncode == 1
    assert "G310" in done.stderr


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    gone = 'mkdir gone && cd gone && rmdir "$PWD" && grain'
    done = run(f"{gone} check edit.grain", tmp_path)
    assert (done.returncode, "G311" in done.stderr) == (1, True)
    (tmp_path / "edit.grain").write_text(
        'grain 1 video "c.mp4" target "a" region r = all edit r -> "a"'
    )
    done = run(f"{gone} fmt {tmp_path}/edit.grain", tmp_path)
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr


def test_an_error_in_a_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert finding_of(FileNotFoundError(2, "No such file")).code == "G349"
    monkeypatch.chdir(tmp_path)
    assert finding_of(FileNotFoundError(2, "No such file")).code == "G900"


def test_checking_dies_of_sigterm_even_in_a_library(tmp_path: Path) -> None:
    """Python's own handler would wait for the library to return."""
    source = (
        "import ctypes, sys\n"
        "import grainspec.cli.check as check\n"
        "from grainspec.cli import main\n"
        "def busy(*_, **__):\n"
        "    print('busy', flush=True)\n"
        "    ctypes.PyDLL(None).sleep(50)\n"  # holds the interpreter, as a loop in C would
        "check.findings_in = busy\n"
        "sys.argv = ['grain', 'check', 'a.grain']\n"
        "main()\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "busy\n"
    started.terminate()
    assert started.wait(timeout=20) == -signal.SIGTERM


@pytest.mark.needs_runtime  # the list of commands
def test_exit_codes_are_in_the_help(grain: Grain) -> None:
    said = grain("--help").out
    assert all(f"  {code} " in said for code in (0, 1, 2, 70, 130))
    assert json.dumps(said)
