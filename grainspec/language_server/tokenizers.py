"""Text tokens of prompts, asked of the runtime in a process of its own.

The server loads no tokenizer. Where the runtime is installed and has the model's, a program of it
answers; it is started when first asked, and ends when nobody asks for a while.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Condition, Thread
from typing import NamedTuple

from grainspec.analysis.pieces import Pieces

PROGRAM = (sys.executable, "-P", "-m", "grainspec_runtime.tokenizing")
"""Python does not look for modules in the current folder: files there may be anyone's."""
SECONDS_WAITED = 0.3
"""For an answer of a program that has started; until then, none is waited for."""
SECONDS_IDLE = 120.0
MAX_KNOWN = 64
NO_RUNTIME = "the runtime is not installed (`pip install 'grainspec[runtime]'`)"


class Prompt(NamedTuple):
    """A prompt, and whose tokenizer reads it: the model of a spec in the folder ``base``."""

    model: str
    motion_adapter: str
    base: str
    text: str


class Tokenizers:
    """Asks the program, one prompt at a time; the latest one first. All may be called anywhere."""

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._program = program
        self._known: dict[Prompt, Pieces] = {}
        self._wanted: Prompt | None = None
        self._missing = False
        self._change = Condition()
        self._thread: Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def pieces(self, prompt: Prompt, seconds: float | None = None) -> Pieces | None:
        """The text tokens of a prompt; None if they are not known yet.

        It waits for ``seconds``: if not given, as long as a program takes that has started.
        """
        with self._change:
            if prompt not in self._known and not self._missing:
                self._wanted = prompt
                self._start()
                self._change.notify_all()
                started = SECONDS_WAITED if self._known else 0
                wait = started if seconds is None else seconds
                self._change.wait_for(lambda: prompt in self._known or self._missing, wait)
            if self._missing:
                return Pieces("", why=NO_RUNTIME)
            found = self._known.get(prompt)
            if found is not None and found.why:
                del self._known[prompt]  # it may be otherwise when it is asked again
            return found

    def end(self) -> None:
        """End the program."""
        with self._change:
            self._ended = True
            self._change.notify_all()
            if self._process is not None:
                self._process.kill()

    def _start(self) -> None:
        if self._thread is None and not self._ended:
            self._thread = Thread(target=self._run, name="grain-tokenizers", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while prompt := self._next():
            answer = self._asked(prompt)
            with self._change:
                if answer is None and self._known:
                    answer = Pieces(prompt.model, why="the process that reads them has ended")
                if answer is None:
                    self._missing = True
                else:
                    self._known[prompt] = answer
                    while len(self._known) > MAX_KNOWN:
                        del self._known[next(iter(self._known))]
                self._change.notify_all()

    def _next(self) -> Prompt | None:
        """The next prompt; None, and no program any more, if none is asked for a while."""
        with self._change:
            self._change.wait_for(lambda: self._wanted or self._ended, SECONDS_IDLE)
            prompt, self._wanted = self._wanted, None
            if prompt is None or self._ended or self._missing:
                self._close()
                self._thread = None
                return None
            return prompt

    def _asked(self, prompt: Prompt) -> Pieces | None:
        """The program's answer; None if there is no such program."""
        try:
            process = self._process = self._process or self._opened()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(prompt._asdict()) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            answer = json.loads(line) if line else None
        except (OSError, ValueError):
            answer = None
        if not isinstance(answer, dict):
            self._close()
            return None
        if "why" in answer:
            return Pieces(prompt.model, why=str(answer["why"]))
        places = tuple((int(start), int(end)) for start, end in answer["places"])
        return Pieces(str(answer["name"]), places)

    def _opened(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1"},
        )

    def _close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.kill()
        process.wait()
