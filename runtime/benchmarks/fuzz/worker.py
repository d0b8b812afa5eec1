"""A process that tries cases one after the other, and says what came of each."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from case import Fuzzer, Result, longest_step

from grainspec.limits import MAX_GROWTH

_MOST_ADDRESSES = 24 << 30
"""So that a runaway case fails here, and does not take the machine along."""


def work(fuzzer: Fuzzer, seed: int, keep: Path | None) -> None:
    """Answer each index on standard input with a result on standard output, as lines of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if keep is None:
        os.dup2(1, 2)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, resource.RLIM_INFINITY))
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers.write("\n")  # ready: all is imported
    answers.flush()
    for line in sys.stdin:
        result = tried(fuzzer, seed, int(line), keep)
        answers.write(json.dumps(result.as_json()) + "\n")
        answers.flush()


def tried(fuzzer: Fuzzer, seed: int, index: int, keep: Path | None = None) -> Result:
    """Try a case in a folder of its own; findings are kept as ``keep/INDEX``."""
    folder = Path(tempfile.mkdtemp(prefix="grain-fuzz-"))
    detail = ""
    gc.collect()
    before = _reset_peak()
    longest_step()
    waited = time.perf_counter()
    try:
        outcome = fuzzer.run(seed, index, folder)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome = "traceback"
        detail = "".join(traceback.format_exception(error))[-6000:]
    seconds = longest_step()
    growth = max(0, _peak() - before)
    if outcome != "traceback" and growth > MAX_GROWTH:
        outcome = "large"
    elif outcome != "traceback" and seconds > fuzzer.most_seconds(index):
        outcome = "slow"
    with contextlib.suppress(OSError):
        os.chdir("/")
    result = Result(index, fuzzer.name(seed, index), outcome, seconds, growth, detail)
    if keep and result.is_bad:
        _keep(result, folder, keep / str(index), time.perf_counter() - waited)
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _keep(result: Result, folder: Path, place: Path, waited: float) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError, shutil.Error):
        shutil.move(folder, place)
    place.mkdir(exist_ok=True)
    said = (
        f"{result.name}: {result.outcome}, {result.seconds:.2f} s ({waited:.2f} s by the clock), "
    )
    said += f"memory +{result.growth >> 20} MB\n\n{result.detail}"
    (place / "FINDING.txt").write_text(said, errors="replace")


def _reset_peak() -> int:
    """Make the peak of memory begin anew, and return the memory in use, in bytes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return _field("VmRSS")
    return _peak()


def _peak() -> int:
    with contextlib.suppress(OSError):
        return _field("VmHWM")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _field(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(name)
