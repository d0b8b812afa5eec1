"""One clip in two processes on the CPU, by Ulysses or by windows: the same as in one process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest
from clips import EXAMPLES
from command import Grain
from wan import tiny_wan

from grainspec import GrainError, parse
from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.families.wan.parallel import check_divisible
from grainspec_runtime.commands.parts import _LOST, _ended
from grainspec_runtime.demo import __file__ as demo
from grainspec_runtime.editing.divided import check_divided
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import prepare
from grainspec_runtime.runs.read import read_run

SUPPORT = Path(__file__).parents[1] / "support"


def in_two_processes(program: str, *arguments: object) -> list[str]:
    """Run a program of `tests/support` in two processes; return what each printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [
        subprocess.Popen(
            [sys.executable, SUPPORT / program, str(number), str(port), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    return [out for out, _ in said]


def test_predictions_are_those_of_one_process(tmp_path: Path) -> None:
    models = [Path(demo).parent / "video", tiny_wan(tmp_path / "ti2v", "ti2v")]
    for printed in in_two_processes("divided.py", *models):
        lines = [list(map(float, line.split())) for line in printed.splitlines()]
        assert len(lines) == len(models)
        for plain, modulated, changed in lines:
            assert plain < 1e-5
            assert modulated < 1e-5
            assert changed > 1e-3  # the plan does something


def test_what_cannot_be_divided_is_refused() -> None:
    check_divisible(12, 4, "wan", is_vace=False)
    with pytest.raises(GrainError, match="12 attention heads") as refused:
        check_divisible(12, 8, "wan", is_vace=False)
    assert refused.value.diagnostics[0].cure == "Write `--gpus 6`."
    with pytest.raises(GrainError, match="VACE"):
        check_divisible(12, 4, "wan", is_vace=True)
    with pytest.raises(ValueError, match="divided"):
        LoadOptions(divided=True, offload="model")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--study",), "`--gpus` does not work with `--study`"),
        (("--compile",), "`--gpus` does not work with `--compile`"),
    ],
)
def test_options_that_do_not_go_with_it(grain: Grain, options: tuple[str, ...], said: str) -> None:
    spec = EXAMPLES / "instance.grain"
    result = grain("run", spec, "--gpus", "2", "--device", "cpu", *options)
    assert result.code in (1, 2)
    assert said in result.err


def test_edits_in_windows_are_those_of_one_process(tmp_path: Path) -> None:
    """Bit-identical, with random draws, injection, motion modules, and attention maps."""
    first, second = in_two_processes("divided_edits.py", tmp_path)
    *printed, nan, refused = first.splitlines()
    assert [nan, refused] == second.splitlines() == ["G505", "G753"]
    lines = {line.split()[0]: line.split()[1:] for line in printed}
    assert list(lines) == ["demo-image", "resumed", "unshared", "demo-motion", "fatezero"]
    for case, (alone, here, apart, resumed_at, same) in lines.items():
        assert float(apart) == 0, case
        assert same == "True", case
        assert int(resumed_at) == (case == "resumed")
        if case != "resumed":
            assert int(here) == int(alone) * 2 // 3, case  # two of three windows


WINDOWS = ("--set", "context.overlap=1", "--set", "context.keys=0")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((), ["G753", "the clip has one window, which 3 GPUs cannot share", "`context { frames "]),
        (
            (*WINDOWS, "--set", "context.frames=5"),
            ["G753", "the clip has 2 windows", "Write `context { frames 4  overlap 1  keys 0 }`"],
        ),
        (("--set", "method.name=tokenflow"), ["G753", "`method tokenflow` runs on one GPU"]),
    ],
)
def test_windows_that_are_not_enough_are_refused(
    grain: Grain, settings: tuple[str, ...], said: list[str]
) -> None:
    how = ("--gpus", "3", "--device", "cpu")
    result = grain("run", EXAMPLES / "instance.grain", *how, *settings)
    assert result.code == 1
    for words in said:
        assert words in result.err


def test_what_a_message_says_to_write_is_enough() -> None:
    text = (EXAMPLES / "instance.grain").read_text()

    def checked(settings: str, gpus: int) -> list[Diagnostic]:
        return check_divided([prepare(parse(text + settings), EXAMPLES)], gpus)

    one = "context { frames 8  overlap 1  keys 1 }"
    for gpus, frames in ((2, 7), (3, 5), (4, 4)):
        with pytest.raises(GrainError) as refused:
            checked(one, gpus)
        cure = f"context {{ frames {frames}  overlap 1  keys 1 }}"
        assert refused.value.diagnostics[0].cure == f"Write `{cure}`, or remove `--gpus`."
        assert checked(cure, gpus) == []
    [warning] = checked("context { frames 3  overlap 1  keys 0 }", 3)
    assert warning.code == "G754"
    assert warning.cure == "Write `--gpus 2`."


def ended(*programs: str) -> int:
    """Wait for a process for each program; return the exit code of the run."""
    with ExitStack() as opened:
        files = [opened.enter_context(TemporaryFile("w+")) for _ in programs]
        processes = [
            subprocess.Popen([sys.executable, "-c", program], stdout=file)
            for program, file in zip(programs, files, strict=True)
        ]
        return _ended(processes, files)


def test_the_process_that_failed_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    lost, fails = f"raise SystemExit({_LOST})", "print('it is full'); raise SystemExit(1)"
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert ended("", "") == 0
    assert ended(fails, lost) == 1
    assert capsys.readouterr().err == ""  # the first process speaks for itself
    assert ended(lost, fails) == 1
    assert ended(killed, fails) == 1
    assert capsys.readouterr().err.count("process 1 of the run failed:\nit is full") == 2
    with pytest.raises(GrainError, match="process 1 of the run was ended by signal 9") as refused:
        ended(lost, killed)
    assert refused.value.diagnostics[0].code == "G755"


@pytest.mark.slow  # seven processes load torch, and three runs make an edit
def test_a_run_of_windows_is_ended_and_resumed(tmp_path: Path, grain: Grain) -> None:
    spec = EXAMPLES / "instance.grain"
    how = ["--set", "sampler.steps=4", "--set", "context.frames=7", "--device", "cpu"]
    one, out = tmp_path / "one", tmp_path / "runs" / "two"
    assert grain("run", spec, *how, "-o", one, "--no-cache").code == 0
    command = [sys.executable, "-m", "grainspec", "run", spec, *how, "-o", out, "--gpus", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["GRAINSPEC_CACHE"] = str(tmp_path / "cache")
    with subprocess.Popen(
        [*command, "--progress", "json"], env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            event = json.loads(line)
            if event.get("stage") == "sample" and event["done"] > event["total"] // 2:
                break
        running.terminate()
        running.stderr.read()  # ends when all processes have
    assert running.returncode != 0
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "one"] == ["cache"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert "inversion from the cache" in ended.stdout
    assert np.array_equal(read_run(one).edited, read_run(out).edited)


@pytest.mark.slow  # three processes load torch, and two runs make an edit
def test_a_run_in_two_processes(tmp_path: Path, grain: Grain) -> None:
    spec = EXAMPLES / "crossing.grain"
    how = ["--set", "sampler.steps=4", "--set", "video.frames=0..4", "--device", "cpu"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert grain("run", spec, *how, "-o", one).code == 0
    command = [sys.executable, "-m", "grainspec", "run", spec, *how, "-o", two, "--gpus", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("edited") == 2  # the first process prints, as one alone would
    first, second = read_run(one), read_run(two)
    assert np.abs(first.edited.astype(int) - second.edited).max() <= 1
    assert json.loads((two / "run.json").read_text())["plan"] == first.manifest["plan"]
