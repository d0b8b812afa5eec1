"""The routes of the API: each reads a request, asks the studio, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from grainspec.diagnostics import fail
from grainspec.language_server.websocket import serve
from grainspec_runtime.studio.bodies import (
    AtFrame,
    EarlierSpec,
    NewJob,
    NewSpec,
    OfVariant,
    PaintedMask,
    SavedText,
    SpecText,
    pieces,
    read_body,
)
from grainspec_runtime.studio.limits import (
    MAX_SOCKETS,
    MAX_UPLOAD_BYTES,
    MAX_WIDTH,
    SECONDS_TO_WAIT,
)
from grainspec_runtime.studio.open_spec import OpenSpec
from grainspec_runtime.studio.page import file_response, page_response
from grainspec_runtime.studio.run_list import runs_as_json
from grainspec_runtime.studio.runs import Of
from grainspec_runtime.studio.starting import clips_in, spec_for, specs_in
from grainspec_runtime.studio.studio import Studio

_REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; media-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
"""The report's own policy allows its own script only. Sandboxed, it has no access to the API."""
_GONE, _BUSY, _NOT_TEXT = 1001, 1013, 1003
_KINDS = frozenset({"edited", "source", "difference"})


class _Frame(Convertor[int]):
    """A frame's number in an address; longer ones are of no clip, and slow to read."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("frame", _Frame())


def routes(studio: Studio) -> list[BaseRoute]:
    """All routes of a studio, as ``app.py`` describes them."""
    api = _Api(studio)
    sockets = _Sockets(studio)
    return [
        Route("/", api.page),
        Route("/api/spec", api.spec, methods=["GET"]),
        Route("/api/spec", api.save, methods=["PUT"]),
        Route("/api/open", api.open, methods=["POST"]),
        Route("/api/new", api.new, methods=["POST"]),
        Route("/api/clips", api.clips),
        Route("/api/specs", api.specs),
        Route("/api/clip", api.clip, methods=["GET"]),
        Route("/api/clip", api.clip_of_text, methods=["POST"]),
        Route("/api/clip/frames/{n:frame}", api.frame),
        Route("/api/regions", api.regions, methods=["POST"]),
        Route("/api/masks/{key}/{name}/{n:frame}", api.mask),
        Route("/api/masks", api.paint, methods=["POST"]),
        Route("/api/plan", api.plan, methods=["POST"]),
        Route("/api/jobs", api.jobs, methods=["GET"]),
        Route("/api/jobs", api.begin, methods=["POST"]),
        Route("/api/jobs/{job}", api.job, methods=["GET"]),
        Route("/api/jobs/{job}", api.cancel, methods=["DELETE"]),
        Route("/api/runs", api.runs),
        Route("/api/runs/{name:path}/frames/{n:frame}", api.run_frame),
        Route("/api/runs/{name:path}/report", api.report),
        WebSocketRoute("/api/events", sockets.events),
        WebSocketRoute("/api/language", sockets.language),
        Route("/{file:path}", api.file),
    ]


class _Api:
    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._call = studio.in_thread

    async def page(self, request: Request) -> Response:
        return page_response(request.headers["host"])

    async def file(self, request: Request) -> Response:
        return file_response(request.path_params["file"])

    async def spec(self, request: Request) -> Response:
        return JSONResponse(await self._call(self.studio.spec_facts))

    async def save(self, request: Request) -> Response:
        body = await read_body(request, SavedText)
        spec = self.studio.opened_as(body.path)
        version, gone = await self._call(spec.write, body.text, body.version)
        self.studio.tell_version(spec, version)
        return JSONResponse({"version": version, "gone": gone})

    async def open(self, request: Request) -> Response:
        body = await read_body(request, EarlierSpec)
        spec = await self._call(self.studio.earlier, body.path)
        return JSONResponse(await self._show(spec))

    async def _show(self, spec: OpenSpec) -> dict[str, Any]:
        """Open a spec, and tell all pages."""
        facts = await self._call(self.studio.facts_of, spec)
        self.studio.show(spec)
        self.studio.tell_version(spec, facts["version"])
        return facts

    async def new(self, request: Request) -> Response:
        studio = self.studio
        if (name := request.query_params.get("name")) is not None:
            stated = request.headers.get("content-length", "0")
            size = int(stated) if stated.isascii() and stated.isdigit() else 0
            clip = await studio.uploads.store(name, size, pieces(request, MAX_UPLOAD_BYTES))
        else:
            body = await read_body(request, NewSpec)
            clip = await self._call(studio.readable.clip, body.clip)
        spec = OpenSpec(await self._call(spec_for, clip, studio.readable.folder))
        facts = await self._show(spec)
        return JSONResponse({**facts, "clip": studio.readable.relative(clip)}, 201)

    async def clips(self, request: Request) -> Response:
        return JSONResponse({"clips": await self._call(clips_in, self.studio.readable)})

    async def specs(self, request: Request) -> Response:
        return JSONResponse({"specs": await self._call(specs_in, self.studio.readable)})

    async def clip(self, request: Request) -> Response:
        return JSONResponse(await self._call(self.studio.clip_facts))

    async def clip_of_text(self, request: Request) -> Response:
        body = await read_body(request, SpecText)
        return JSONResponse(await self._call(self.studio.clip_facts, body.text))

    async def frame(self, request: Request) -> Response:
        width = _whole_number(request, "width", MAX_WIDTH)
        path = request.query_params.get("path")
        content = await self._call(self.studio.frame, request.path_params["n"], width, path)
        return Response(content, media_type="image/jpeg")

    async def regions(self, request: Request) -> Response:
        body = await read_body(request, AtFrame)
        call = self.studio.regions_of, body.text, body.variant, body.frame
        return JSONResponse(await self._call(*call))

    async def mask(self, request: Request) -> Response:
        given = request.path_params
        call = partial(self.studio.regions.mask, whole=request.query_params.get("of") == "region")
        content = await self._call(call, given["key"], given["name"], given["n"])
        return Response(content, media_type="image/png")

    async def paint(self, request: Request) -> Response:
        body = await read_body(request, PaintedMask)
        if body.path is not None:
            self.studio.opened_as(body.path)
        return JSONResponse(await self._call(self.studio.paint, body), 201)

    async def plan(self, request: Request) -> Response:
        body = await read_body(request, OfVariant)
        return JSONResponse(await self.studio.plan(body.text, body.variant))

    async def jobs(self, request: Request) -> Response:
        return JSONResponse({"jobs": [job.as_json() for job in self.studio.jobs.all()]})

    async def begin(self, request: Request) -> Response:
        body = await read_body(request, NewJob)
        if body.path is not None:
            self.studio.opened_as(body.path)
        job = self.studio.jobs.add(await self._call(self.studio.job, body))
        return JSONResponse(job.as_json(), 201)

    async def job(self, request: Request) -> Response:
        return JSONResponse(self.studio.jobs.named(request.path_params["job"]).as_json())

    async def cancel(self, request: Request) -> Response:
        return JSONResponse(self.studio.jobs.cancel(request.path_params["job"]).as_json())

    async def runs(self, request: Request) -> Response:
        own = self.studio.spec.path.stem if self.studio.spec else ""
        found = await self._call(self.studio.runs.all)
        return JSONResponse({"runs": runs_as_json(found, own)})

    async def run_frame(self, request: Request) -> Response:
        given, of = request.path_params, request.query_params.get("of", "edited")
        if of not in _KINDS:
            raise fail(
                "G724", "unknown value of `of`", f"It is one of {', '.join(sorted(_KINDS))}."
            )
        call = self.studio.runs.png, given["name"], given["n"], cast(Of, of)
        return Response(await self._call(*call), media_type="image/png")

    async def report(self, request: Request) -> Response:
        path = await self._call(self.studio.runs.report, request.path_params["name"])
        headers = {"Content-Security-Policy": _REPORT_POLICY}
        return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)


class _Sockets:
    """The WebSockets of all pages."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._open = 0

    async def events(self, socket: WebSocket) -> None:
        await self._served(socket, self._tell)

    async def language(self, socket: WebSocket) -> None:
        async def send(text: str) -> None:
            async with asyncio.timeout(SECONDS_TO_WAIT):
                await socket.send_text(text)

        files = self.studio.readable
        await self._served(
            socket,
            lambda socket: serve(socket.receive_text, send, files.path_of, files.require_one),
        )

    async def _served(self, socket: WebSocket, serve: Callable[[Any], Awaitable[None]]) -> None:
        """Serve a socket until one side closes it, or it takes nothing for too long."""
        if self._open >= MAX_SOCKETS:
            await socket.close(_BUSY)
            return
        self._open += 1
        code = _GONE
        try:
            await socket.accept()
            await serve(socket)
        except KeyError:  # Starlette's for a binary message
            code = _NOT_TEXT
        except (WebSocketDisconnect, TimeoutError):
            pass
        finally:
            self._open -= 1
            with suppress(RuntimeError, WebSocketDisconnect):  # it is closed, or the page has gone
                await socket.close(code)

    async def _tell(self, socket: WebSocket) -> None:
        with self.studio.events.listening() as listener:
            for job in self.studio.jobs.all():
                listener.tell(job.number, job.as_json())
            leaving = asyncio.create_task(_left(socket))
            try:
                while not leaving.done():
                    telling = asyncio.create_task(listener.next())
                    await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
                    if not telling.done():
                        telling.cancel()
                        return
                    async with asyncio.timeout(SECONDS_TO_WAIT):
                        await socket.send_json(telling.result())
            finally:
                leaving.cancel()


async def _left(socket: WebSocket) -> None:
    """Return once the page has gone; what it says is not listened to."""
    with suppress(WebSocketDisconnect):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass


def _whole_number(request: Request, name: str, most: int) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= most):
        raise fail("G724", f"invalid value of `{name}`", f"It is a whole number up to {most}.")
    return int(text)
