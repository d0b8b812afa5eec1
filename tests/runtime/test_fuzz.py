"""A short run of each fuzzer; `python runtime/benchmarks/fuzz` runs them as long as wanted."""

from __future__ import annotations

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
    ("kind", "first", "count"), [("specs", 0, 40), ("files", 0, 30), ("oddities", 80, 17)]
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


UNSPOILT = """
import tempfile
from pathlib import Path
import examine, files, materials

for kind in dict.fromkeys(files._KINDS):
    folder = Path(tempfile.mkdtemp())
    files.written(folder, files._good(kind))
    print(kind, files.tried(kind, folder))
"""


def test_what_is_spoilt_was_right() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNSPOILT], cwd=FUZZ, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) > 30
    assert [line for line in lines if not line.endswith(" fine")] == []


BROKEN = """
import os, sys, time
sys.path.insert(0, FUZZ)
import pool
from case import Fuzzer, step
from worker import work

pool.WAITING_SECONDS, pool.BUSY_SECONDS = 2.0, 4.0

def run(seed, index, folder):
    if index == 1:
        (folder / "file").write_text("x")
        raise ValueError("wrong")
    if index == 2:
        os._exit(3)
    if index == 3:
        time.sleep(99)
    if index == 4:
        step(lambda: sum(range(10 ** 12)))()
    if index == 5:
        return "fine" if len(b"x" * (1200 << 20)) else ""
    if index == 6:
        step(lambda: busy(2.2))()
    return "fine"

def busy(seconds):
    started = time.process_time()
    while time.process_time() - started < seconds:
        pass

fuzzer = Fuzzer(run, lambda seed, index: f"case {index}")
if "--worker" in sys.argv:
    work(fuzzer, 0, KEPT)
else:
    for result in pool.results(fuzzer, range(8), [__file__, "--worker"], seed=0, workers=2):
        print(result.index, result.outcome)
"""


def test_what_goes_wrong_is_found(tmp_path: Path) -> None:
    """Each way of going wrong, by a fuzzer that does it."""
    program = tmp_path / "broken.py"
    head = (
        f"from pathlib import Path\nFUZZ, KEPT = {str(FUZZ)!r}, Path({str(tmp_path / 'kept')!r})\n"
    )
    program.write_text(head + BROKEN)
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False
    )
    assert sorted(done.stdout.splitlines()) == [
        "0 fine",
        "1 traceback",
        "2 died",
        "3 hung",
        "4 hung",
        "5 large",
        "6 slow",
        "7 fine",
    ], done.stderr
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["1", "5", "6"]
    assert (tmp_path / "kept" / "1" / "file").exists()
    assert "ValueError: wrong" in (tmp_path / "kept" / "1" / "FINDING.txt").read_text()
