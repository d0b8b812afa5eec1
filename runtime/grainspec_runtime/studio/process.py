"""One command of `grain` in a process of its own: its progress, its result, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grainspec.diagnostics import Diagnostic, visible
from grainspec.limits import MAX_RECORD_BYTES

_START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from grainspec.cli import main; main()"
)
"""The program: a server in the background ignores SIGINT, and its children would too."""
_LONGEST_LINE, _LONGEST_TAIL = 100_000, 4000
_PATIENCE = ((signal.SIGINT, 20.0), (signal.SIGTERM, 10.0))
"""Signals that end a command, and the seconds that it has to tidy up."""

Progress = Callable[[str, int, int], None]
Warned = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, its output as JSON, and the end of what it said."""

    code: int
    output: dict[str, Any] | None
    said: str

    @property
    def findings(self) -> list[dict[str, Any]]:
        """The findings of a command that failed; if it told none, what it said (G729)."""
        files = (self.output or {}).get("files", [])
        told: list[dict[str, Any]] = [found for file in files for found in file["diagnostics"]]
        if told:
            return told
        lines = self.said.strip().splitlines()
        reason = visible(lines[-1])[:500] if lines else f"exit code {self.code}"
        cure = "Run the same command in a terminal to see all that it says."
        return [Diagnostic("G729", f"the job ended without a result: {reason}", cure).as_json()]


class Command:
    """A command of `grain` that reads a spec's text from standard input.

    It runs in ``folder``. Python does not look for modules there (``-P``): files beside a spec may
    be anyone's.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], text: str) -> None:
        self._folder, self._arguments, self._text = folder, arguments, text
        self._process: asyncio.subprocess.Process | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._stopped = False

    async def run(
        self,
        progress: Progress = lambda stage, done, total: None,
        warned: Warned = lambda finding: None,
    ) -> Ended:
        """Run it to its end; ``progress`` gets the name of a stage, its done and total steps.

        ``warned`` gets each warning, as the command finds it.
        """
        group: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined,unused-ignore]
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", _START, *self._arguments),
            cwd=self._folder,
            env={**os.environ, "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **group,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        if self._stopped:
            self.stop()
        try:
            said, output, _ = await asyncio.gather(
                _followed(process.stderr, progress, warned),
                _read(process.stdout),
                _written(process.stdin, self._text),
            )
            code = await process.wait()
        except asyncio.CancelledError:
            self.stop()
            await asyncio.shield(self._stopping or process.wait())
            raise
        return Ended(code, output, said)

    def stop(self) -> None:
        """Ask it to end: it leaves nothing half-written, and what it finished can be resumed."""
        self._stopped = True
        if self._process is not None and self._stopping is None:
            self._stopping = asyncio.create_task(_end(self._process))


async def _end(process: asyncio.subprocess.Process) -> None:
    for number, seconds in _PATIENCE:
        _signal(process, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)
            return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal to a command and to the processes that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.returncode is not None:
            return
        if os.name == "nt":
            process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined,unused-ignore]
        else:
            os.killpg(process.pid, number)


async def _written(stream: asyncio.StreamWriter, text: str) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(text.encode("utf-8", errors="replace"))
        await stream.drain()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.close()
        await stream.wait_closed()


async def _read(stream: asyncio.StreamReader) -> dict[str, Any] | None:
    """What a command printed, as JSON; None if it is none, or too long."""
    content = bytearray()
    while piece := await stream.read(1 << 16):
        if len(content) <= MAX_RECORD_BYTES:
            content += piece
    with contextlib.suppress(ValueError):
        value = json.loads(content)
        return value if isinstance(value, dict) else None
    return None


async def _followed(stream: asyncio.StreamReader, progress: Progress, warned: Warned) -> str:
    """Follow a command's progress and warnings; returns the end of what else it said."""
    tail = ""
    async for line in _lines(stream):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            fields = json.loads(line)
            if "warning" in fields:
                warned({**fields["warning"], "severity": "warning"})
                continue
            progress(str(fields["stage"]), int(fields["done"]), int(fields["total"]))
            continue
        tail = f"{tail}{line}\n"[-_LONGEST_TAIL:]
    return tail


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    rest = b""
    while piece := await stream.read(1 << 16):
        *lines, rest = (rest + piece).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            yield line.decode("utf-8", errors="replace")
        rest = rest[-_LONGEST_LINE:]
    if rest:
        yield rest.decode("utf-8", errors="replace")
