"""Whether a cluster of Ray answers at an address, before Ray connects to it.

Ray itself tries again for ever where nothing answers, and then heeds no Ctrl-C. Where a
cluster refuses this process's token, it logs a line each second, and its error does not say why:
that of its client (``ray://``) is a timeout.
"""

from __future__ import annotations

import os
import socket

import grpc
from ray import _raylet
from ray._private import services
from ray.exceptions import RayError

SECONDS = 10.0
"""In which a cluster's head must answer."""
_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""A call of the head's that tells its version."""
_CLIENT = "ray://"
_PING = ("/ray.rpc.RayletDriver/ClusterInfo", b"\x08\x06")
"""A call of the server of Ray's clients, and its request: a `ClusterInfoRequest` of type `PING`."""
_OPTIONS = (("grpc.enable_http_proxy", 0),)
"""Ray uses no proxy either."""
TOKEN_CURE = (
    "Set `RAY_AUTH_MODE=token`, and copy `~/.ray/auth_token` of the cluster's head to this machine "
    "or put the token into `RAY_AUTH_TOKEN`."
)


class TokenRefusedError(OSError):
    """A cluster requires a token that this process does not have."""


def require_answer(address: str) -> None:
    """Raise OSError if nothing, or no cluster, answers at an address of Ray, such as ``auto``.

    Servers of Ray's clients (``ray://``) that do not answer are left to Ray, which gives up by
    itself; so is ``auto`` on a machine where nobody has started a cluster. Raises TokenRefusedError
    if the cluster refuses this process's token, or requires one; ValueError for what is no address.
    """
    said = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if "://" in said:
        if said.startswith(_CLIENT) and not _uses_tls():
            _require_token(said.removeprefix(_CLIENT))
        return
    head = services.canonicalize_bootstrap_address(address)
    if head is None:
        return
    if _uses_tls():  # its certificates are Ray's business
        _connect(head)
        return
    try:
        _call(head, _ALIVE, b"")
    except grpc.RpcError as error:
        if not (error.code() == grpc.StatusCode.UNAUTHENTICATED and _is_found(address)):
            raise _refusal(head, error) from error


def _require_token(server: str) -> None:
    """Raise TokenRefusedError if a server of Ray's clients requires another token, or one at all.

    Ray's client does not say so: it tries again until its time has passed.
    """
    try:
        _call(server, *_PING)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.UNAUTHENTICATED:
            raise _refusal(server, error) from error


def _call(server: str, method: str, request: bytes) -> None:
    with grpc.insecure_channel(server, options=_OPTIONS) as channel:
        channel.unary_unary(method)(request, timeout=SECONDS, metadata=_token())


def _uses_tls() -> bool:
    return os.environ.get("RAY_USE_TLS", "0") not in ("", "0")


def _connect(head: str) -> None:
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()
    except OSError as error:
        raise OSError(f"nothing answers at {head}: {error.strerror or error}") from error


def _refusal(head: str, error: grpc.RpcError) -> OSError:
    code, details = error.code(), str(error.details() or "").strip()
    if code == grpc.StatusCode.UNAUTHENTICATED:
        sent = "another token than this one" if _token() else "a token, and none was sent"
        return TokenRefusedError(f"it requires {sent}")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return OSError(f"nothing answers at {head} within {SECONDS:g} s")
    if code == grpc.StatusCode.UNAVAILABLE and "HTTP/2" not in details:
        return OSError(f"nothing answers at {head}: {details.rpartition(':')[2].strip(' ]')}")
    return OSError(f"what answers at {head} is not the head of a cluster")


def _is_found(address: str) -> bool:
    """Return whether Ray found the cluster on this machine: then it looks for a token by itself."""
    return address == "auto" and not {"RAY_ADDRESS", "RAY_AUTH_MODE"} & os.environ.keys()


def _token() -> tuple[tuple[str, str], ...]:
    """Return the header with the token that Ray would send; empty if it sends none.

    Raises TokenRefusedError if it should send one, and has none.
    """
    loader = getattr(_raylet, "AuthenticationTokenLoader", None)
    if loader is None:  # an older Ray, which knows no tokens
        return ()
    tokens = loader.instance()
    try:
        return tuple(tokens.get_token_for_http_header().items()) if tokens.has_token() else ()
    except RayError as error:
        raise TokenRefusedError("`RAY_AUTH_MODE` is `token`, and there is no token") from error
