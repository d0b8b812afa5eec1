"""Why processes of a batch ended: one line that keeps the signal, the memory or the exception."""

from __future__ import annotations

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError, RayTaskError
from ray.exceptions import WorkerCrashedError as Crashed

from grainspec_runtime.batch.endings import Overdue, failure_of_end, reason_of_end

FIELDS = """The actor died unexpectedly before finishing this task.
\tclass_name: _Actor
\tactor_id: a4a5067036d8895293daa2e501000000
\tpid: 22599
\tip: 192.0.2.2
"""
"""What Ray 2.60 says of an actor's end first."""
DEAD = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR "


def of_actor(said: str) -> Exception:
    error: Exception = ActorDiedError()
    RayActorError.__init__(error, "a4a5", said, False, False)
    return error


def test_the_reason_says_the_signal() -> None:
    detail = "Worker exits unexpectedly. Worker exits with an exit code 1. The process receives a SIGTERM."
    error = of_actor(f"{FIELDS}{DEAD}Worker exit detail: {detail}")
    assert reason_of_end("sample", error) == f"sample: ActorDiedError: {detail}"
    failure = failure_of_end(error, [reason_of_end("sample", error)] * 3)
    assert failure.message == f"its process died 3 times: sample: ActorDiedError: {detail}"


def test_the_reason_is_bounded() -> None:
    causes = (
        "Some common causes include: (1) the process was killed by the OOM killer, (3) SIGSEGV. "
    )
    error = of_actor(f"{FIELDS}{DEAD}Worker exit detail: End of file. {causes}{'and so on ' * 99}")
    reason = reason_of_end("invert", error)
    assert reason.startswith(f"invert: ActorDiedError: End of file. {causes}")
    assert len(reason) <= len("invert: ActorDiedError: ") + 300
    assert reason.endswith("…")


def test_the_reason_of_an_actor_that_was_killed() -> None:
    error = of_actor(
        f"{FIELDS}The actor is dead because it was killed by `ray.kill`.\nIt never ran."
    )
    said = "The actor is dead because it was killed by `ray.kill`. It never ran."
    assert reason_of_end("start a worker", error) == f"start a worker: ActorDiedError: {said}"


def test_the_reason_says_the_exception_that_an_actor_began_with() -> None:
    head = (
        "The actor died because of an error raised in its creation task, \x1b[36mray::B()\x1b[39m"
    )
    error = of_actor(f'{head}\n  File "a.py", line 14, in __init__\nValueError: bad model')
    assert reason_of_end("sample", error) == "sample: ActorDiedError: ValueError: bad model"
    traceback = 'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 7'
    task: Exception = RayTaskError("save", traceback, KeyError(7))
    assert reason_of_end("save", task) == "save: KeyError: 7"


def test_the_reason_says_how_much_memory_was_used() -> None:
    said = "Task was killed due to the node running low on memory.\nMemory on the node was 15.3GB / 16GB"
    reason = reason_of_end("save", OutOfMemoryError(f"{said}.\nPID\tMEM(GB)"))
    assert "low on memory. Memory on the node was 15.3GB / 16GB. PID MEM(GB)" in reason


def test_reasons_in_few_words() -> None:
    assert reason_of_end("sample", Overdue(90)) == "sample: it did not end within 90 s"
    assert "died unexpectedly while executing this task" in reason_of_end("save", Crashed())
    assert reason_of_end("save", OSError()) == "save: OSError"
