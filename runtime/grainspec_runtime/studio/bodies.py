"""The bodies of requests: their fields, and how they are read within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from grainspec.diagnostics import fail, visible
from grainspec.limits import MAX_SPEC_CHARACTERS
from grainspec.model.shapes import MAX_FRAME
from grainspec.regular_file import json_value
from grainspec_runtime.studio.limits import MAX_BODY_BYTES, MAX_PICTURE_BYTES, SECONDS_TO_WAIT

_Text = Annotated[str, Field(max_length=MAX_SPEC_CHARACTERS)]
_Short = Annotated[str, Field(max_length=1000)]
_Frame = Annotated[int, Field(ge=0, le=MAX_FRAME)]


class Body(BaseModel):
    """The fields of a request: all of their types are exact, and others are refused."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SpecText(Body):
    """A spec's text as the page has it, which need not be saved."""

    text: _Text


class SavedText(SpecText):
    """A text to save: the spec that it is of, and the version of the file it was made from."""

    path: _Short
    version: _Short


class OfVariant(SpecText):
    """A text, and one of its variants."""

    variant: _Short | None = None


class AtFrame(OfVariant):
    """A text, and a source frame."""

    frame: _Frame


class NewJob(OfVariant):
    """A job to start."""

    kind: Literal["track", "run"]
    path: _Short | None = None
    sets: Annotated[list[_Short], Field(max_length=50)] = []


class PaintedMask(Body):
    """A mask that was painted on a source frame, a PNG in base64.

    ``text`` is the spec's as the page has it; with it, masks of all frames are kept together.
    """

    region: _Short
    frame: _Frame
    path: _Short | None = None
    text: _Text | None = None
    png: Annotated[str, Field(max_length=MAX_PICTURE_BYTES * 4 // 3 + 4)]


class NewSpec(Body):
    """A clip of the folder to make a spec for."""

    clip: _Short


class EarlierSpec(Body):
    """A spec that the studio had open, or one of its folder."""

    path: _Short


B = TypeVar("B", bound=Body)


async def read_body(request: Request, kind: type[B]) -> B:
    """Read a request's JSON; raises GrainError: G724 for wrong fields, G725 if it is too large."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise fail("G724", "the request's body is not JSON", "Send `application/json`.")
    picture = MAX_PICTURE_BYTES * 4 // 3 if kind is PaintedMask else 0
    most = picture + MAX_BODY_BYTES
    content = bytearray()
    async for piece in pieces(request, most):
        content += piece
    try:
        return kind.model_validate(json_value(bytes(content), bounded=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, first["loc"])) or "the body"
        message = f"`{visible(name)[:80]}` of the request: {first['msg']}"
        raise fail("G724", message, "Reload the page.") from error
    except ValueError as error:
        message = f"the request's body is not JSON: {visible(str(error))[:200]}"
        raise fail("G724", message, "Reload the page.") from error


async def pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """The pieces of a request's body.

    Raises GrainError: G725 once they are more than ``most`` bytes, G724 if the next one takes too
    long or the client has gone.
    """
    stated = request.headers.get("content-length", "0")
    if not stated.isascii() or not stated.isdigit() or int(stated[:20]) > most:
        raise _too_large(most)
    stream, total = request.stream().__aiter__(), 0
    while True:
        try:
            async with asyncio.timeout(SECONDS_TO_WAIT):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except (TimeoutError, ClientDisconnect) as error:
            message = "the request ended before its body was complete"
            raise fail("G724", message, "Send it again.") from error
        total += len(piece)
        if total > most:
            raise _too_large(most)
        yield piece


def _too_large(most: int) -> Exception:
    message = f"the request is larger than {most / 1e6:,.0f} MB"
    return fail("G725", message, "Copy the file into the folder of the spec, or make it smaller.")
