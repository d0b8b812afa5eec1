"""A headless Chromium, spoken to over a pipe in its own protocol: no driver, no websockets."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The path of a Chromium, if one is installed."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab: calls of the protocol, and the events that came meanwhile."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = session
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and wait for its answer; raises RuntimeError for an error."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(60)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, path: Path) -> None:
        """Load a file and wait until all of it is there."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next(60))

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise's once it is kept."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def of(self, method: str) -> list[dict[str, Any]]:
        """What came with all events of a kind."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def picture(self, width: int, height: int, *, dark: bool = False) -> bytes:
        """The page as PNG, as wide as this."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _next(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], deadline - time.monotonic())
            piece = os.read(self._read, 1 << 16) if ready else b""
            if not piece:
                raise RuntimeError("Chromium says nothing" if not ready else "Chromium has ended")
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\0", 1)
        return dict(json.loads(line))


_ATTEMPTS = 3
"""How often to start a browser, which on a busy machine may end before it listens."""


@contextmanager
def opened(place: Path) -> Iterator[Page]:
    """A tab of a new browser, whose profile lies in ``place``."""
    with ExitStack() as stack:
        for attempt in range(1, _ATTEMPTS + 1):
            profile = place.with_name(f"{place.name}-{attempt}")
            try:
                page = stack.enter_context(_started(profile))
                break
            except (OSError, RuntimeError) as error:
                if attempt == _ATTEMPTS:
                    why = profile.with_suffix(".log").read_text(errors="replace")
                    raise RuntimeError(f"Chromium does not start: {why}") from error
        yield page


@contextmanager
def _started(profile: Path) -> Iterator[Page]:
    program = chromium()
    assert program
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()

    def as_3_and_4() -> None:  # which the browser reads from and writes to
        ours = os.dup(to_read), os.dup(from_write)
        os.dup2(ours[0], 3)
        os.dup2(ours[1], 4)

    with profile.with_suffix(".log").open("wb") as said:
        started = subprocess.Popen(
            [program, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
             "--no-first-run", "--disable-dev-shm-usage", "--mute-audio",
             f"--user-data-dir={profile}"],
            preexec_fn=as_3_and_4,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stderr=said,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
    os.close(to_read)
    os.close(from_write)
    try:
        yield Page(to_write, from_read)
    finally:
        started.kill()
        started.wait(60)
        os.close(to_write)
        os.close(from_read)
