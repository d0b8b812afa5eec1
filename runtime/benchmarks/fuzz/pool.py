"""Several workers at once; one that hangs or dies is replaced, and its case is a finding."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import Queue
from threading import Lock

from case import HUNG_SECONDS, Fuzzer, Result


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
                    done.put(Result(index, name, answer, HUNG_SECONDS, 0, worker.ending))
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

    def ask(self, index: int) -> Result | str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{index}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._died()
        if not select.select([self.process.stdout], [], [], HUNG_SECONDS)[0]:
            self.stop()
            return "hung"
        line = self.process.stdout.readline()
        return Result(**json.loads(line)) if line else self._died()

    def _died(self) -> str:
        self.ending = f"exit code {self.process.wait()}"
        return "died"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
