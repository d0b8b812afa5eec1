"""Servers on the loopback address behind a proxy that makes faults: S3 (moto), GCS, HTTP."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["503", "cut", "slow"]
Moves = Callable[[str, str], bool]
"""Whether a request moves data, by its method and its path."""


@dataclass
class Store:
    """Where the store is, and the faults of its next requests that move data."""

    endpoint: str
    faults: deque[Fault] = field(default_factory=deque)
    made: list[Fault] = field(default_factory=list)
    pause: float = 0.5
    """Seconds of the fault `slow`."""

    @property
    def options(self) -> dict[str, Any]:
        """fsspec's options for `s3`."""
        return {
            "key": "test",
            "secret": "test",
            "endpoint_url": self.endpoint,
            "config_kwargs": {"retries": {"max_attempts": 1}, "read_timeout": 10},
        }


@contextmanager
def faulty_store(bucket: str) -> Iterator[Store]:
    """Start moto's S3 and the proxy inside the block, with an empty bucket."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    behind = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    behind.start()
    host, port = behind.get_host_and_port()
    made = http.client.HTTPConnection(host, port)
    made.request("PUT", f"/{bucket}", headers={"Authorization": "AWS test:test"})
    assert made.getresponse().status == 200
    try:
        with faulty_proxy(
            host, port, lambda method, path: method in ("GET", "PUT") and "?" not in path
        ) as store:
            yield store
    finally:
        behind.stop()


@contextmanager
def faulty_proxy(host: str, port: int, moves: Moves) -> Iterator[Store]:
    """Start a proxy of a server inside the block."""
    store = Store("")
    with serving(_handler(store, host, port, moves)) as proxy:
        store.endpoint = f"http://127.0.0.1:{proxy.server_port}"
        yield store


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[ThreadingHTTPServer]:
    """Start an HTTP server on the loopback address inside the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _handler(store: Store, host: str, port: int, moves: Moves) -> type[BaseHTTPRequestHandler]:
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            moved = moves(self.command, self.path)
            fault = store.faults.popleft() if moved and store.faults else None
            if fault:
                store.made.append(fault)
            if fault == "cut" and self.command in ("PUT", "POST"):
                self.rfile.read(length // 2)  # the object never gets there
                self.close_connection = True
                return
            body = self.rfile.read(length)
            if fault == "503":
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fault == "slow":
                time.sleep(store.pause)
            beyond = http.client.HTTPConnection(host, port)
            headers = {key: value for key, value in self.headers.items() if key != "Host"}
            beyond.request(self.command, self.path, body, {**headers, "Host": f"{host}:{port}"})
            answer = beyond.getresponse()
            data = answer.read()
            try:
                self.answer(answer, data, cut=fault == "cut")
            except OSError:  # the client waited long enough
                self.close_connection = True

        def answer(self, answer: http.client.HTTPResponse, data: bytes, *, cut: bool) -> None:
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(key, value)
            told = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", str(told or 0))
            self.end_headers()
            if cut:
                data = data[: len(data) // 2]
                self.close_connection = True
            self.wfile.write(data)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do

        def log_message(self, *args: Any) -> None:
            pass

    return Proxy
