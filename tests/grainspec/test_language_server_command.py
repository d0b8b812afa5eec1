"""`grain language-server`, and the server over other connections than a process's."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from clips import EXAMPLES
from command import Grain

HEAVY = ("torch", "cv2", "diffusers", "transformers", "tokenizers", "accelerate", "scipy")


def test_help(grain: Grain) -> None:
    said = grain("language-server", "--help")
    assert said.code == 0
    assert "--tcp PORT" in said.out


def test_without_its_extra(grain: Grain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "grainspec.language_server.server", raising=False)
    monkeypatch.setitem(sys.modules, "lsprotocol", None)
    said = grain("language-server")
    assert said.code == 1
    assert "G501" in said.err
    assert "pip install 'grainspec[editor]'" in said.err


def test_one_way_to_connect(grain: Grain) -> None:
    said = grain("language-server", "--stdio", "--tcp", "7000")
    assert said.code == 2


def test_nothing_heavy_is_imported() -> None:
    pytest.importorskip("pygls")
    tests = EXAMPLES.parent / "tests"
    program = f"""
import asyncio, sys
sys.path[:0] = [{str(tests / "grainspec")!r}, {str(tests / "support")!r}]
from test_language_server_command import session
print(repr(asyncio.run(session())))
print(sorted(set(sys.modules) & set({HEAVY!r})))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    answers, heavy = ran.stdout.splitlines()
    assert heavy == "[]"
    assert "14% of frame 0" in answers


def test_over_messages() -> None:
    pytest.importorskip("pygls")
    answers = asyncio.run(session())
    hover = next(one for one in answers if one.get("id") == 2)
    assert "14% of frame 0" in hover["result"]["contents"]["value"]
    published = [one["params"] for one in answers if one.get("method", "").endswith("iagnostics")]
    assert published[-1]["diagnostics"] == []


async def session() -> list[dict]:
    """What the server sends in a short session that ends with `exit`, as one over a WebSocket."""
    from grainspec.language_server.websocket import serve

    path = EXAMPLES / "instance.grain"
    uri = path.as_uri()
    text = path.read_text(encoding="utf-8")
    start = text[: text.index("left")].count("\n")
    item = {"uri": uri, "languageId": "grain", "version": 1, "text": text}
    messages = [
        {"id": 1, "method": "initialize", "params": {"capabilities": {}}},
        {"method": "initialized", "params": {}},
        {"method": "textDocument/didOpen", "params": {"textDocument": item}},
        "no JSON",
        {
            "id": 2,
            "method": "textDocument/hover",
            "params": {
                "textDocument": {"uri": uri},
                "position": {"line": start, "character": 8},
            },
        },
        2,  # seconds at most until files are checked
        {"id": 3, "method": "shutdown"},
        {"method": "exit"},
    ]
    sent: list[dict] = []

    async def receive() -> str:
        message = messages.pop(0)
        for _ in range(50 * message if isinstance(message, int) else 0):
            if sum(one.get("method", "").endswith("iagnostics") for one in sent) == 2:
                break
            await asyncio.sleep(0.02)
        if isinstance(message, int):
            message = messages.pop(0)
        await asyncio.sleep(0.01)
        return message if isinstance(message, str) else json.dumps({"jsonrpc": "2.0", **message})

    async def send(message: str) -> None:
        sent.append(json.loads(message))

    await serve(receive, send)
    return sent


def test_over_a_port() -> None:
    pytest.importorskip("pygls")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "grainspec", "language-server", "--tcp", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        with connected(port) as place, place.makefile("rwb") as stream:
            for message in (
                {"id": 1, "method": "initialize", "params": {"capabilities": {}}},
                {"id": 2, "method": "shutdown"},
                {"method": "exit"},
            ):
                body = json.dumps({"jsonrpc": "2.0", **message}).encode()
                stream.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                stream.flush()
            answered = stream.read()
        assert b'"utf-16"' in answered
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


def connected(port: int) -> socket.socket:
    """A connection to a server that is starting."""
    for _ in range(600):
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), timeout=30)
        time.sleep(0.05)
    raise TimeoutError(port)


def test_what_is_loaded_is_told_once_after_the_first_findings() -> None:
    pytest.importorskip("pygls")
    from grainspec.analysis.document import Document
    from grainspec.language_server.server import server
    from grainspec.language_server.session import Opened

    made, told = server(), []
    made.when_loaded = lambda: told.append(1)
    for version in (1, 2):
        made._publish("untitled:a", Opened(Document("grain 1", None), version), [])
    assert told == [1]
    made.session.end()
