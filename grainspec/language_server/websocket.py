"""The language server for one connection that carries whole messages, such as a WebSocket."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from grainspec.analysis.files import Require, any_file
from grainspec.language_server.convert import path_of
from grainspec.language_server.server import server

MAX_MESSAGE = 16_000_000
"""Characters of a message; a longer one ends the connection."""

_log = logging.getLogger(__name__)


class _Writer:
    """Sends messages one after the other, in the order in which they were written."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()

    def write(self, data: bytes) -> None:
        """Send a message soon; may be called in any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._waiting.put_nowait, data.decode())

    def close(self) -> None:
        self._waiting.put_nowait(None)

    async def run(self) -> None:
        while (message := await self._waiting.get()) is not None:
            await self._send(message)


async def serve(
    receive: Callable[[], Awaitable[str]],
    send: Callable[[str], Awaitable[None]],
    path_of: Callable[[str], Path | None] = path_of,
    require: Require = any_file,
) -> None:
    """Serve one connection until the client exits, or ``receive`` raises.

    ``receive`` gives one JSON-RPC message, ``send`` takes one; neither has headers. What
    ``receive`` raises at the end of a connection is raised again. ``path_of`` gives the file of a
    document's URI, at whose folder its paths start; where the client is not trusted with the whole
    disk, it knows but a few, and ``require`` raises GrainError for other files that texts name.
    """
    made = server(path_of, require)
    writer = _Writer(send)
    made.protocol.set_writer(writer, include_headers=False)
    made.protocol.ends_process = False
    sending = asyncio.ensure_future(writer.run())
    try:
        while not made.protocol.exited:
            text = await receive()
            if len(text) > MAX_MESSAGE:
                break
            try:
                message = json.loads(text, object_hook=made.protocol.structure_message)
                made.protocol.handle_message(message)
            except Exception:  # a message that is none: the next one may be
                _log.warning("a message cannot be read", exc_info=True)
    finally:
        made.shutdown()
        sending.cancel()
