"""Addresses where no cluster answers are refused at once; nothing here starts Ray."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("ray")

from ray._private.services import resolve_ip_for_localhost

from grainspec import GrainError
from grainspec_runtime.batch import cluster_address
from grainspec_runtime.batch.cluster import cluster

HERE = resolve_ip_for_localhost("127.0.0.1")
"""What Ray takes for this machine."""


@contextmanager
def server(answer: bytes | None) -> Iterator[str]:
    """A server that sends an answer to whoever calls, or never says anything."""
    with socket.create_server((HERE, 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            if answer is not None:
                connection.recv(100)
                connection.sendall(answer)
            ended.wait(20)
            connection.close()

        ended = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{HERE}:{listening.getsockname()[1]}"
        ended.set()
        thread.join(20)


def reason(address: str) -> str:
    with pytest.raises(GrainError) as refused, cluster(address):
        pass
    [finding] = refused.value.diagnostics
    assert finding.code == "G744"
    return finding.message


def test_nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HERE, 0)) as free:
        address = f"{HERE}:{free.getsockname()[1]}"
    assert f"nothing answers at {address}" in reason(address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert f"nothing answers at {address}" in reason("auto")


def test_something_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        assert "is not the head of a cluster" in reason(address)
    monkeypatch.setattr(cluster_address, "SECONDS", 0.2)
    with server(None) as address:
        assert "nothing answers at" in reason(address)


def test_what_speaks_grpc_may_be_a_cluster() -> None:
    with server(bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)) + bytes(6)) as address:
        cluster_address.require_answer(address)
    cluster_address.require_answer("ray://127.0.0.1:1")  # which Ray's client tries itself
