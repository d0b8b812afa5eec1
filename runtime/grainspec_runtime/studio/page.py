"""The built page, which is package data."""

from __future__ import annotations

import secrets
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.responses import HTMLResponse, Response

from grainspec.diagnostics import fail

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
INDEX = "index.html"


def page_response(host: str) -> Response:
    """The page, with a new nonce, under a Content-Security-Policy that allows nothing else.

    ``host`` is the address that the request names, which has been checked.
    """
    nonce = secrets.token_urlsafe(16)
    policy = "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' blob: data:",
            "font-src 'self'",
            f"connect-src 'self' ws://{host}",  # older browsers do not count sockets as 'self'
            "frame-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )
    text = _content(INDEX).decode("utf-8").replace("{{nonce}}", nonce)
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


def file_response(name: str) -> Response:
    """A file of the page, by its name in a list of them; raises GrainError (G727)."""
    if name not in _files():
        raise fail("G727", "the page has no such file", "Reload the page.")
    suffix = name[name.rfind(".") :]
    return Response(_content(name), media_type=_TYPES[suffix])


def _content(name: str) -> bytes:
    if name not in _files():
        message = "the studio's page is not built"
        raise fail("G727", message, "Build it: `npm ci && npm run build` in runtime/studio.")
    return _files()[name].read_bytes()


@cache
def _files() -> dict[str, Traversable]:
    """The files of the page, by their paths in it."""
    root = files("grainspec_runtime.studio").joinpath("page")
    found: dict[str, Traversable] = {}
    waiting = [("", root)] if root.is_dir() else []
    while waiting:
        start, folder = waiting.pop()
        for entry in folder.iterdir():
            name = start + entry.name
            if entry.is_dir():
                waiting.append((f"{name}/", entry))
            elif name[name.rfind(".") :] in _TYPES:
                found[name] = entry
    return found
