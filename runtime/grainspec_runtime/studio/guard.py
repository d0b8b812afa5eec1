"""Who may speak to the studio: its own page, on this machine, with the token.

The server listens on the loopback address only. That alone does not keep other web sites out: a
browser on this machine opens any site, and such a site can send requests to this address.

- A site can point its own name at 127.0.0.1 (DNS rebinding). Its requests have that name as
  ``Host``, and are refused.
- A site can post forms and open WebSockets across origins. Requests that change something, and all
  WebSockets, need the ``Origin`` of the page.
- Other programs and users of this machine do not know the token. It is compared in constant time.
- Other sites on this machine, at other ports, share its cookies: ``Origin``, ``Sec-Fetch-Site`` and
  Cross-Origin-Resource-Policy keep them out.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from grainspec.diagnostics import GrainError, fail
from grainspec_runtime.studio.errors import error_response

_HOSTS = frozenset({"127.0.0.1", "localhost"})
_READING = frozenset({"GET", "HEAD"})
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ENTERED = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>grain studio</title>'
    '<meta http-equiv="refresh" content="0; url=/"><p><a href="/">Open the studio</a></p>'
)
"""A page of our own, not a redirect: browsers send a strict cookie only from the site itself, and
the link to the studio may have stood elsewhere."""


@dataclass
class Tokens:
    """The secrets of a studio: the token of its address and its cookie, and one that works once.

    The address that opens the browser is seen by other users of the machine, among the arguments of
    processes; the token in it is worth nothing after that.
    """

    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    once: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def accepts(self, given: str | None) -> bool:
        """Whether this is the token; takes the same time for every wrong one."""
        return hmac.compare_digest(self.token.encode(), (given or "").encode(errors="replace"))

    def enters(self, given: str) -> bool:
        """Whether an address with this token lets in; uses up the token that works once."""
        if self.once and hmac.compare_digest(self.once.encode(), given.encode(errors="replace")):
            self.once = ""
            return True
        return self.accepts(given)


class Guard:
    """ASGI middleware that refuses all requests but those of the studio's page."""

    def __init__(self, app: ASGIApp, tokens: Tokens, cookie: str) -> None:
        self._app, self._tokens, self._cookie = app, tokens, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            entering = self._checked(scope)
        except GrainError as error:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
                return
            await error_response(error)(scope, receive, send_safely)
            return
        app = self._app if entering is None else entering
        await app(scope, receive, send_safely)

    def _checked(self, scope: Scope) -> Response | None:
        """The response to an address with a token; None for a request to be answered.

        Raises GrainError: G722 for a request from elsewhere, G721 for one without the token.
        """
        headers = Headers(scope=scope)
        _require_host(headers)
        _require_origin(scope, headers)
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET":
            given = Request(scope).query_params.get("token")
            if given is not None and self._tokens.enters(given):
                return self._entered()
        if not self._tokens.accepts(_cookie(headers, self._cookie)):
            cure = "Open the address that `grain studio` printed in the terminal."
            raise fail("G721", "this request has no valid token", cure)
        return None

    def _entered(self) -> Response:
        response = HTMLResponse(_ENTERED)
        response.set_cookie(
            self._cookie, self._tokens.token, httponly=True, samesite="strict", path="/"
        )
        return response


def _require_host(headers: Headers) -> None:
    hosts = headers.getlist("host")
    if len(hosts) != 1 or _host_name(hosts[0]) not in _HOSTS:
        cure = "Open it as http://127.0.0.1 or http://localhost, with its port."
        raise fail("G722", "this request names another host than this machine", cure)


def _host_name(host: str) -> str:
    name, colon, port = host.partition(":")
    return name.lower() if not colon or (port.isascii() and port.isdigit()) else ""


def _require_origin(scope: Scope, headers: Headers) -> None:
    """Raise GrainError (G722) for a request that another site made.

    A browser states the origin of what changes something and of WebSockets; a program that states
    none is no browser, and needs the token like one.
    """
    origin = headers.get("origin")
    own = f"http://{headers['host']}".lower()
    reads = scope["type"] == "http" and scope["method"] in _READING
    foreign = origin is not None and origin.lower() != own
    if scope["type"] == "websocket" or not reads:
        foreign = foreign or origin is None
    site = headers.get("sec-fetch-site", "none")
    inside = scope["path"] != "/" or not reads  # a link to the page may stand anywhere
    if foreign or (inside and site not in ("same-origin", "none")):
        cure = "Only the studio's own page may do this."
        raise fail("G722", "this request comes from another site", cure)


def _cookie(headers: Headers, name: str) -> str | None:
    """A cookie of a request; None if there is none, or several of this name."""
    lines = headers.getlist("cookie")
    if len(lines) != 1 or len(lines[0]) > 10_000:
        return None
    pairs = [pair.strip().partition("=") for pair in lines[0].split(";")]
    values = [value for key, _, value in pairs if key == name]
    return values[0] if len(values) == 1 else None
