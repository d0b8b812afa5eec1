"""Several workers at once; one that hangs or dies is replaced, and its case is a finding."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import Queue
from threading import Lock

from case import BUSY_SECONDS, WAITING_SECONDS, Fuzzer, Result


def results(
    fuzzer: Fuzzer, indices: Iterable[int], command: list[str], *, seed: int, workers: int
) -> Iterator[Result]:
    """Try the cases with these indices in processes that ``command`` starts, in any order."""
    waiting = iter(indices)
    turn = Lock()
    done: Queue[Result | None] = Queue()

    def following() -> int | None:
        with turn:
            return next(waiting, None)

    def drive() -> None:
        worker = _Worker(command)
        try:
            while (index := following()) is not None:
                answer = worker.ask(index)
                if isinstance(answer, str):
                    name = fuzzer.name(seed, index)
                    done.put(Result(index, name, answer, BUSY_SECONDS, 0, worker.ending))
                    worker = _Worker(command)
                else:
                    done.put(answer)
        finally:
            worker.stop()

    with ThreadPoolExecutor(workers) as threads:
        running = [threads.submit(drive) for _ in range(workers)]
        threads.submit(lambda: ([f.exception() for f in as_completed(running)], done.put(None)))
        while (result := done.get()) is not None:
            yield result
        for future in running:
            future.result()


class _Worker:
    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ending = ""
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def ask(self, index: int) -> Result | str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{index}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._died()
        started, before = time.monotonic(), self._computed()
        while not select.select([self.process.stdout], [], [], 1.0)[0]:
            waited, computed = time.monotonic() - started, self._computed() - before
            idle = waited > WAITING_SECONDS and computed < waited / 100
            if computed > BUSY_SECONDS or idle or waited > 20 * WAITING_SECONDS:
                self.stop()
                return "hung"
        line = self.process.stdout.readline()
        return Result(**json.loads(line)) if line else self._died()

    def _computed(self) -> float:
        """The processor's time of the worker, in seconds; 0 where that cannot be known."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _died(self) -> str:
        self.ending = f"exit code {self.process.wait()}"
        return "died"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
