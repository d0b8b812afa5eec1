"""Send a file by SFTP so that every failure is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHUNK = 32_768
"""Bytes of a request to write, as paramiko sends them."""


def send(connection: Any, file: Path, path: str, sent: Callable[[int], None]) -> None:
    """Write a file through paramiko's ``SFTPClient``; raises OSError if any part of it fails.

    Requests are sent without waiting for answers, which paramiko's own ``put`` never looks at: a
    failure in the middle left a hole. Without pipelining, a write waits for all answers that are
    still due, so the last one is written like that.
    """
    total, done = file.stat().st_size, 0
    with file.open("rb") as source, connection.open(path, "wb") as target:
        target.set_pipelined(True)
        while chunk := source.read(_CHUNK):
            done += len(chunk)
            if done >= total:
                target.set_pipelined(False)
            target.write(chunk)
            sent(done)
