"""Addresses where no cluster answers are refused at once; nothing here starts Ray."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

pytest.importorskip("ray")

import grpc
import ray
from clips import EXAMPLES
from command import Grain
from ray._private import services
from ray._private.services import resolve_ip_for_localhost
from ray.core.generated import ray_client_pb2

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


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_address, "_token", tuple)  # whatever this machine has


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


@pytest.mark.parametrize("address", ["auto", "ray://me:hunter2@127.0.0.1:1"])
def test_passwords_of_addresses_are_neither_said_nor_written(
    address: str, tmp_path: Path, grain: Grain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(address: str, **options: object) -> None:
        where = os.environ.get("RAY_ADDRESS", address)
        raise ConnectionError(f"nobody is at {where}")

    monkeypatch.setattr(ray, "init", init)
    if address == "auto":
        monkeypatch.setenv("RAY_ADDRESS", "ray://me:hunter2@127.0.0.1:1")
    out = tmp_path / "out"
    said = grain("batch", EXAMPLES / "variants.grain", "--address", address, "-o", out)
    assert said.code == 1
    assert "error[G744]" in said.err
    assert "ray://127.0.0.1:1" in " ".join(said.err.split())
    written = (out / "batch.json").read_text()
    assert "hunter2" not in said.out + said.err + written
    assert json.loads(written)["address"] in ("auto", "ray://127.0.0.1:1")


def test_something_else_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        assert "is not the head of a cluster" in reason(address)
    monkeypatch.setattr(cluster_address, "SECONDS", 0.2)
    with server(None) as address:
        assert "nothing answers at" in reason(address)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_heeded_while_nothing_answers() -> None:
    with server(None) as address, pytest.raises(KeyboardInterrupt):
        Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        with cluster(address):
            raise AssertionError


class Head(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no annotations
    """Answers as the head of a cluster that requires a token, or none."""

    def __init__(self, token: str) -> None:
        self.token = token

    def service(self, call: Any) -> Any:
        if call.method not in (
            "/ray.rpc.NodeInfoGcsService/CheckAlive",
            "/ray.rpc.RayletDriver/ClusterInfo",
        ):
            return None
        sent = dict(call.invocation_metadata).get("authorization", "")

        def answer(request: bytes, context: Any) -> bytes:
            if sent != self.token:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


def test_the_ping_is_what_clients_of_ray_send() -> None:
    ping = ray_client_pb2.ClusterInfoRequest(type=ray_client_pb2.ClusterInfoType.PING)
    assert cluster_address._PING[1] == ping.SerializeToString()


@contextmanager
def head(token: str = "") -> Iterator[str]:
    with ThreadPoolExecutor(1) as pool:
        serving = grpc.server(pool, [Head(token)])
        port = serving.add_insecure_port(f"{HERE}:0")
        serving.start()
        yield f"{HERE}:{port}"
        serving.stop(None).wait()


def test_a_cluster_answers() -> None:
    with head() as address:
        cluster_address.require_answer(address)
        cluster_address.require_answer(f"ray://{address}")
    cluster_address.require_answer("ray://127.0.0.1:1")  # which Ray's client tries itself


@pytest.mark.parametrize("scheme", ["", "ray://", "auto"])
def test_a_cluster_requires_a_token(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with head("Bearer right") as server:
        address = f"{scheme}{server}"
        if scheme == "auto":
            monkeypatch.setenv("RAY_ADDRESS", f"ray://{server}")
            address = scheme
        assert "it requires a token, and none was sent" in reason(address)
        with pytest.raises(GrainError, match="RAY_AUTH_MODE=token"), cluster(address):
            pass
        for sent in ("wrong", "right"):
            header = (("authorization", f"Bearer {sent}"),)
            monkeypatch.setattr(cluster_address, "_token", lambda header=header: header)
            if sent == "wrong":
                assert "it requires another token than this one" in reason(address)
        cluster_address.require_answer(address)


def test_ray_finds_a_token_by_itself_where_it_finds_the_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with head("Bearer right") as address:
        monkeypatch.setattr(services, "canonicalize_bootstrap_address", lambda auto: address)
        cluster_address.require_answer("auto")
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(OSError, match="requires a token"):
            cluster_address.require_answer("auto")
