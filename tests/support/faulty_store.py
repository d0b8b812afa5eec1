"""An object store on the loopback address (moto's S3) behind a proxy that makes faults."""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["503", "cut", "slow"]


@dataclass
class Store:
    """Where the store is, and the faults of its next requests that move data."""

    endpoint: str
    faults: deque[Fault] = field(default_factory=deque)
    made: list[Fault] = field(default_factory=list)

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
    """Start both servers inside the block, with an empty bucket."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    behind = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    behind.start()
    host, port = behind.get_host_and_port()
    store = Store("")
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store, host, port))
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    store.endpoint = f"http://127.0.0.1:{proxy.server_port}"
    made = http.client.HTTPConnection(host, port)
    made.request("PUT", f"/{bucket}", headers={"Authorization": "AWS test:test"})
    assert made.getresponse().status == 200
    try:
        yield store
    finally:
        proxy.shutdown()
        proxy.server_close()
        behind.stop()


def _handler(store: Store, host: str, port: int) -> type[BaseHTTPRequestHandler]:
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            moves = self.command in ("GET", "PUT") and "?" not in self.path
            fault = store.faults.popleft() if moves and store.faults else None
            if fault:
                store.made.append(fault)
            if fault == "503":
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if fault == "cut" and self.command == "PUT":
                self.close_connection = True  # the object never gets there
                return
            if fault == "slow":
                time.sleep(0.5)
            beyond = http.client.HTTPConnection(host, port)
            headers = {key: value for key, value in self.headers.items() if key != "Host"}
            beyond.request(self.command, self.path, body, {**headers, "Host": f"{host}:{port}"})
            answer = beyond.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(key, value)
            told = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", str(told or 0))
            self.end_headers()
            if fault == "cut":
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                return
            self.wfile.write(data)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do

        def log_message(self, *args: Any) -> None:
            pass

    return Proxy
