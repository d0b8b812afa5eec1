"""A server of SFTP on the loopback address that makes faults (paramiko's, with files in a folder)."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from faulty_store import Fault

USER, PASSWORD = "me", "geheim"
_HALF = 100_000
"""A transfer is cut when it has got so far."""


@dataclass
class SftpStore:
    """Where the server is, its folder, and the faults of its next transfers."""

    folder: Path
    port: int = 0
    faults: deque[Fault] = field(default_factory=deque)
    made: list[Fault] = field(default_factory=list)
    pause: float = 0.5
    connections: list[paramiko.Transport] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL of the folder, with the password."""
        return f"sftp://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def fault(self) -> int | None:
        """Make the next fault in the middle of a transfer; return SFTP's code of it, if any."""
        fault = self.faults.popleft()
        self.made.append(fault)
        if fault == "cut":
            for connection in self.connections:
                connection.close()
        if fault == "slow":
            time.sleep(self.pause)
            return None
        return int(paramiko.SFTP_FAILURE)


@contextmanager
def faulty_sftp(folder: Path) -> Iterator[SftpStore]:
    """Start the server inside the block."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    store = SftpStore(folder)
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    store.port = listener.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(client)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, store)
            store.connections.append(transport)
            try:
                transport.start_server(server=_Login())
            except (paramiko.SSHException, EOFError):
                transport.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield store
    finally:
        listener.close()
        for connection in store.connections:
            connection.close()


class _Login(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        known = (username, password) == (USER, PASSWORD)
        return int(paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)


class _Handle(paramiko.SFTPHandle):
    store: SftpStore

    def read(self, offset: int, length: int) -> Any:
        if self.store.faults and offset > _HALF and (code := self.store.fault()):
            return code
        return super().read(offset, length)

    def write(self, offset: int, data: bytes) -> Any:
        if self.store.faults and offset > _HALF and (code := self.store.fault()):
            return code
        return super().write(offset, data)


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: Any, store: SftpStore) -> None:
        super().__init__(server)
        self.store = store

    def _place(self, path: str) -> str:
        return str(self.store.folder) + self.canonicalize(path)

    def _done(self, act: Any, *arguments: Any) -> Any:
        try:
            return act(*arguments)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def list_folder(self, path: str) -> Any:
        def listed() -> list[paramiko.SFTPAttributes]:
            place = self._place(path)
            return [
                paramiko.SFTPAttributes.from_stat(os.stat(os.path.join(place, name)), name)
                for name in os.listdir(place)
            ]

        return self._done(listed)

    def stat(self, path: str) -> Any:
        return self._done(lambda: paramiko.SFTPAttributes.from_stat(os.stat(self._place(path))))

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        def opened() -> _Handle:
            mode = "wb" if flags & os.O_WRONLY else "r+b" if flags & os.O_RDWR else "rb"
            handle = _Handle(flags)
            handle.store = self.store
            file = open(self._place(path), mode)  # noqa: SIM115  the handle closes it
            handle.filename, handle.readfile, handle.writefile = self._place(path), file, file
            return handle

        return self._done(opened)

    def _ok(self, act: Any, *arguments: Any) -> Any:
        failed = self._done(act, *arguments)
        return paramiko.SFTP_OK if failed is None else failed

    def remove(self, path: str) -> Any:
        return self._ok(os.remove, self._place(path))

    def rename(self, oldpath: str, newpath: str) -> Any:
        return self._ok(os.rename, self._place(oldpath), self._place(newpath))

    posix_rename = rename

    def mkdir(self, path: str, attr: Any) -> Any:
        return self._ok(os.mkdir, self._place(path))
