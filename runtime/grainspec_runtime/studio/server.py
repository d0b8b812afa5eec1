"""Serve a studio on the loopback address until it is stopped."""

from __future__ import annotations

import os
import socket
import webbrowser
from collections.abc import Callable

import uvicorn

from grainspec.diagnostics import fail
from grainspec_runtime.studio.app import studio_app
from grainspec_runtime.studio.limits import MAX_BODY_BYTES
from grainspec_runtime.studio.studio import Studio

LOOPBACK = "127.0.0.1"
PORT = 7860
"""The port if none is named; the next free one if it is taken."""
_TRIES = 20
_AT_ONCE = 100
"""Connections; a browser opens about six."""


def bound_socket(port: int | None) -> socket.socket:
    """A socket at the loopback address; raises GrainError (G720) if the port cannot be used."""
    ports = range(PORT, PORT + _TRIES) if port is None else [port]
    reason = ""
    for number in ports:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # start again where a page waits; elsewhere it shares the port
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((LOOPBACK, number))
            made.listen(_AT_ONCE)
            return made
        except OSError as error:
            made.close()
            reason = error.strerror or str(error)
    shown = str(ports[0]) if port is not None else f"{ports[0]} to {ports[-1]}"
    message = f"the studio cannot use port {shown}: {reason}"
    raise fail("G720", message, "Name another: `grain studio SPEC --port 0` takes a free one.")


def serve(studio: Studio, port: int | None, *, browser: bool, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; the job that runs is ended then. Raises GrainError (G720).

    ``say`` gets the address, with its token. It is said once and written nowhere else: requests are
    not logged.
    """
    with bound_socket(port) as listening:
        number = listening.getsockname()[1]
        config = uvicorn.Config(
            studio_app(studio, cookie=f"grain_studio_{number}"),
            access_log=False,
            log_level="error",
            server_header=False,
            ws="websockets-sansio",
            proxy_headers=False,
            lifespan="on",
            limit_concurrency=_AT_ONCE,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=3,
            ws_max_size=2 * MAX_BODY_BYTES,
            ws_per_message_deflate=False,
        )
        address = f"http://{LOOPBACK}:{number}/"
        say(f"grain studio: {address}?token={studio.tokens.token}")
        say("Press Ctrl-C to stop it.")
        if browser:
            webbrowser.open(f"{address}?token={studio.tokens.once}")
        uvicorn.Server(config).run(sockets=[listening])
