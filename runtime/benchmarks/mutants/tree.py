"""A copy of the tree, in which mutants run, and the commands that run there."""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

from mutant import Mutant

PUBLIC = Path("runtime", "benchmarks", "mutants", "public.py")
NO_ANSWER = "(none finished)"
"""Stands for the check that caught a mutant, if the process ended before any did."""
_LEFT_OUT = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "*.safetensors", "results"
)
_MOST_MEMORY = 12 << 30
"""Addresses that a run may use, so that a runaway mutant does not take the machine along."""


@dataclass(frozen=True)
class Ran:
    """A finished command: its exit code, None if it ran out of time, and what it printed."""

    code: int | None
    seconds: float
    output: str


@dataclass(frozen=True)
class Limits:
    """The most seconds for the public checks and for the tests of a mutant."""

    public: float
    tests: float


def copied(root: Path, place: Path, compiled: str = "grainspec") -> None:
    """Copy a tree to a new folder, without models' weights, and compile one of its packages."""
    shutil.copytree(root, place, symlinks=True, ignore=_LEFT_OUT)
    if (place / "grammar").is_dir():  # where an installed package has it
        with contextlib.suppress(FileExistsError):
            (place / "grainspec" / "grammar").symlink_to("../grammar")
    for part in (place / "runtime").glob("grainspec_runtime/demo/model/*/config.json"):
        (part.parent / "model.safetensors").touch()  # checks ask whether it is there; none reads it
    # By hash: a changed file of the same size and time must not run as it was.
    compileall.compile_dir(
        place / compiled, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH
    )


@dataclass
class Tree:
    """A copy of the tree, in which one command runs at a time."""

    place: Path
    tests: Sequence[str] = ()
    """Arguments for every run of pytest."""
    _running: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Put a mutant in place of its file for a while."""
        path = self.place / mutant.file
        if path.read_bytes() != mutant.source.data:
            raise RuntimeError(f"{path} is not as it was when the mutant was made")
        path.write_bytes(mutant.changed)
        try:
            yield
        finally:
            path.write_bytes(mutant.source.data)

    def try_public(self, group: str, limit: float | None) -> dict[str, Any]:
        """Run the public checks, those for a group of modules first.

        Returns the outcome, what caught the mutant, and seconds.
        """
        answer = self.place / ".answer.json"
        answer.unlink(missing_ok=True)
        ran = self.run([str(PUBLIC), str(answer), group], limit)
        if ran.code is None:
            result = {"outcome": "timeout"}
        elif ran.code == 0 and answer.exists():
            result = json.loads(answer.read_text(encoding="utf-8"))
        else:
            last = (ran.output.strip().splitlines() or ["no output"])[-1]
            result = {"outcome": "crash", "check": NO_ANSWER, "by": "exit", "message": last}
        return result | {"seconds": round(ran.seconds, 1)}

    def answers(self) -> bool:
        """Whether the public checks can be imported: with the packages that are installed now."""
        return self.run([str(PUBLIC), "--import"], None).code == 0

    def try_tests(self, files: Sequence[str], limit: float | None) -> dict[str, Any]:
        """Run test files until the first failure: the outcome, the failing test, and seconds."""
        ran = self.run_tests([*files, "-x"], limit)
        if ran.code is None:
            result = {"outcome": "timeout"}
        elif ran.code == 0:
            result = {"outcome": "survived"}
        else:
            result = {"outcome": "caught", "by": (failed_tests(ran.output) or ["pytest"])[0]}
        return result | {"seconds": round(ran.seconds, 1)}

    def run_tests(self, arguments: Sequence[str], limit: float | None) -> Ran:
        """Run pytest without the options of the project, which share tests out among processes."""
        shutil.rmtree(self.place / ".hypothesis", ignore_errors=True)  # another mutant's failures
        options = "-q -o addopts= --import-mode=importlib -p no:cacheprovider -rfE --tb=no"
        command = ["-m", "pytest", *options.split(), *self.tests, *arguments]
        return self.run(command, limit)

    def run(self, arguments: Sequence[str], limit: float | None) -> Ran:
        """Run Python in the copy, at most ``limit`` seconds; all that it started is killed then."""
        paths = [self.place, self.place / "runtime", os.environ.get("PYTHONPATH", "")]
        more = {
            "PYTHONPATH": os.pathsep.join(str(path) for path in paths if str(path)),
            "GRAINSPEC_CACHE": str(self.place / ".cache"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.place,
            env={**os.environ, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._running = process
        if sys.platform == "linux":
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        code: int | None
        try:
            output, _ = process.communicate(timeout=limit)
            code = process.returncode
        except subprocess.TimeoutExpired:
            code, output = None, b""
        finally:
            self.stop()
            process.wait()
            self._running = None
        return Ran(code, time.monotonic() - started, output.decode(errors="replace"))

    def stop(self) -> None:
        """Kill what runs in the copy, and all that it started."""
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._running.pid, signal.SIGKILL)


def failed_tests(output: str) -> list[str]:
    """The tests that failed, by pytest's short summary."""
    lines = [line.split() for line in output.splitlines()]
    return [words[1] for words in lines if words[:1] in (["FAILED"], ["ERROR"]) and len(words) > 1]
