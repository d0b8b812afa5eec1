"""Whether a cluster of Ray answers at an address, before Ray connects to it.

Ray itself tries again for ever where nothing answers, and then heeds no Ctrl-C.
"""

from __future__ import annotations

import os
import socket

from ray._private import services

SECONDS = 10.0
"""In which a cluster's head must answer."""
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""With what HTTP/2 begins, and gRPC with it: a fixed text and empty SETTINGS (RFC 9113, 3.4)."""
_SETTINGS = 4


def require_answer(address: str) -> None:
    """Raise OSError if nothing, or no cluster, answers at an address of Ray, such as ``auto``.

    Clients of Ray (``ray://``) are left to Ray, which gives up by itself; so is ``auto`` on a
    machine where nobody has started a cluster. Raises ValueError for what is no address.
    """
    if "://" in address:
        return
    head = services.canonicalize_bootstrap_address(address)
    if head is None:
        return
    host, _, port = head.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return
            connection.sendall(_PREFACE)
            begin = connection.recv(9)
    except OSError as error:
        raise OSError(f"nothing answers at {head}: {error.strerror or error}") from error
    if begin[3:4] != bytes((_SETTINGS,)):
        raise OSError(f"what answers at {head} is not the head of a cluster")
