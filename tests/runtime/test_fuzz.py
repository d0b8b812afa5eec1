"""A short run of each fuzzer; `python runtime/benchmarks/fuzz` runs them as long as wanted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from clips import ROOT

FUZZ = ROOT / "runtime" / "benchmarks" / "fuzz"


def fuzz(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FUZZ), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "first", "count"), [("specs", 0, 40), ("files", 0, 40), ("oddities", 30, 40)]
)
def test_no_case_goes_wrong(kind: str, first: int, count: int, tmp_path: Path) -> None:
    done = fuzz(kind, "--seed", 5, "--from", first, "--count", count, "--keep", tmp_path / "kept")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} cases of seed 5" in done.stdout
    assert not (tmp_path / "kept").exists()


def test_there_are_at_least_sixty_oddities() -> None:
    source = "".join(path.read_text() for path in FUZZ.glob("odd_*.py"))
    done = subprocess.run(
        [sys.executable, "-c", "import oddities; print(oddities.FUZZER.count)"],
        cwd=FUZZ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) >= 60
    assert "def odd" not in source


BROKEN = """
import sys, time
import specs

def run(seed, index, folder):
    if index == 1:
        raise ValueError("wrong")
    if index == 2:
        import os
        os._exit(3)
    if index == 3:
        time.sleep(99)
    if index == 4:
        step(lambda: sum(range(10 ** 9)))()
    if index == 5:
        bytearray(1200 << 20)
    return "fine"

from case import step
import pool
pool.WAITING_SECONDS = 1.0
pool.BUSY_SECONDS = 3.0
specs.FUZZER = specs.Fuzzer(run, lambda seed, index: f"case: {index}")
import runpy
sys.argv[0] = "fuzz"
runpy.run_path(PLACE, run_name="__main__")
"""


def test_what_goes_wrong_is_found(tmp_path: Path) -> None:
    """Each way of going wrong, by a fuzzer that does it."""
    program = tmp_path / "broken.py"
    program.write_text(BROKEN.replace("PLACE", repr(str(FUZZ / "__main__.py"))))
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(FUZZ)!r})\n"
            f"import pathlib; exec(pathlib.Path({str(program)!r}).read_text())",
            *["specs", "--count", "6", "--keep", str(tmp_path / "kept")],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert re.findall(r"^ +(\d)  (\w+)", done.stdout, re.MULTILINE)
