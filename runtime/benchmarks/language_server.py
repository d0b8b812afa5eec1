"""How long the language server takes from a change of a text to its findings, and for answers.

    python runtime/benchmarks/language_server.py

The text has 300 lines, as dense as they get: 97 tracked regions, an edit of each, and settings. The
server is the real process; each time is from sending a message to receiving its answer, in
milliseconds: the median and the slowest of thirty, and the server's processor time for one, which
does not depend on what else the machine does (Linux only).
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

LINES = 300
TIMES = 30
URI = "untitled:benchmark"


def text() -> str:
    """A spec of 300 lines without a mistake."""
    count = (LINES - 12) // 3
    words = ", ".join(f"a robot{number}" for number in range(count))
    lines = ["grain 1", 'video "clip.mp4" { frames 0..30  size 512x512 }']
    lines += [f'source "{count} men"', f'target "{words}"', "# Objects, by clicks."]
    lines += [
        f"region r{number} = track(point({number % 100}%, 50%) @ 0) grow 2%"
        for number in range(count)
    ]
    for number in range(count):
        lines += [
            f"# Number {number}.",
            f'edit instance r{number} -> "robot{number}" {{ weight 1.2 }}',
        ]
    lines += ["attention { cross 1.0  self 0.3  until 30%  decay 5 }", "sampler ddim { steps 30 }"]
    return "\n".join([*lines, *["# A comment."] * (LINES - len(lines))]) + "\n"


class Client:
    """Sends messages to a server, and reads its answers."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout
        self.count = 0
        self.checked = 0
        """The version of the text about which findings came last."""

    def send(self, method: str, params: Any, **more: Any) -> None:
        """Send a message."""
        message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        body = json.dumps(message).encode()
        self.stdin.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def receive(self) -> dict[str, Any]:
        """The next message."""
        length = 0
        while line := (await self.stdout.readline()).strip():
            name, _, value = line.decode().partition(":")
            length = int(value) if name == "Content-Length" else length
        found: dict[str, Any] = json.loads(await self.stdout.readexactly(length))
        version = (found.get("params") or {}).get("version")
        self.checked = self.checked if version is None else version
        return found

    async def ask(self, method: str, params: Any) -> Any:
        """Send a request, and wait for its answer."""
        self.count += 1
        self.send(method, params, id=self.count)
        while (message := await self.receive()).get("id") != self.count:
            pass
        if "error" in message:
            raise RuntimeError(message["error"])
        return message["result"]


async def main() -> None:
    """Measure, and print a table."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "grainspec", "language-server", stdin=PIPE, stdout=PIPE, limit=1 << 26
    )
    client = Client(process)
    start = time.perf_counter()
    await client.ask("initialize", {"capabilities": {}, "processId": None, "rootUri": None})
    print(f"{'start of the server':34}{1000 * (time.perf_counter() - start):8.1f}")
    spec = text()
    item = {"uri": URI, "languageId": "grain", "version": 1, "text": spec}
    client.send("textDocument/didOpen", {"textDocument": item})
    await findings(client, 1)
    for name, do in measured(client, spec):
        times, used = [], processor_seconds(process.pid)
        for _ in range(TIMES):
            start = time.perf_counter()
            await do()
            times.append(1000 * (time.perf_counter() - start))
            await asyncio.sleep(0.02)
        used = 1000 * (processor_seconds(process.pid) - used) / TIMES
        print(f"{name:34}{statistics.median(times):8.1f}{max(times):8.1f}{used:8.1f}")
    await client.ask("shutdown", None)
    client.send("exit", None)
    await process.wait()


def processor_seconds(pid: int) -> float:
    """The processor time of a process so far; 0 where it cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def findings(client: Client, version: int) -> None:
    """Wait for the findings about a version."""
    while client.checked != version:
        await client.receive()


def measured(client: Client, spec: str) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
    """What is measured, by name."""
    document = {"uri": URI}
    line = next(i for i, one in enumerate(spec.split("\n")) if one.startswith("edit"))
    column = spec.split("\n")[line].index("robot") + 1
    versions = iter(range(2, 10_000))

    def typed(line: int, text: str) -> int:
        """Type at the start of a line, or delete what was typed; the text's new version."""
        version = next(versions)
        where = end = {"line": line, "character": 0}
        if version % 2:
            end = {"line": line + text.count("\n"), "character": len(text.rpartition("\n")[2])}
            text = ""
        event = {"range": {"start": where, "end": end}, "text": text}
        changed = {"textDocument": {"uri": URI, "version": version}, "contentChanges": [event]}
        client.send("textDocument/didChange", changed)
        return version

    def change(line: int, text: str) -> Callable[[], Awaitable[None]]:
        return lambda: findings(client, typed(line, text))

    async def completion_after_a_change() -> None:
        version = typed(line, "x")
        await client.ask("textDocument/completion", {"textDocument": document, **at})
        await findings(client, version)

    def ask(method: str, **params: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: client.ask(f"textDocument/{method}", {"textDocument": document, **params})

    at = {"position": {"line": line, "character": column}}
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": LINES, "character": 0}}
    return [
        ("a letter, until its findings", change(line, "x")),
        ("a new first line", change(0, "\n")),
        ("a new line in the middle", change(line, "# A comment.\n")),
        ("a new last line", change(LINES, "\n")),
        ("a letter, completion, findings", completion_after_a_change),
        ("completion of a phrase", ask("completion", **at)),
        ("hover over a phrase", ask("hover", **at)),
        ("definition of a phrase", ask("definition", **at)),
        ("colours of the whole text", ask("semanticTokens/full")),
        ("contents", ask("documentSymbol")),
        ("hints of the whole text", ask("inlayHint", range=whole)),
        ("formatting", ask("formatting", options={"tabSize": 4, "insertSpaces": True})),
    ]


if __name__ == "__main__":
    asyncio.run(main())
