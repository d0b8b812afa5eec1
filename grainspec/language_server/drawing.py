"""The requests of front ends with a picture: shapes on a frame, and what gestures write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pygls.exceptions import JsonRpcContentModified, JsonRpcInvalidParams

from grainspec.analysis.document import Document
from grainspec.analysis.edits import applied
from grainspec.analysis.files import files_at
from grainspec.analysis.gestures import gesture_edits
from grainspec.analysis.new_spec import new_spec
from grainspec.analysis.positions import Utf16
from grainspec.analysis.shapes import shapes
from grainspec.language_server.convert import range_of, text_edits
from grainspec.language_server.session import Session


def gesture(session: Session, params: Any) -> dict[str, Any]:
    """The edits of a text that a gesture in the picture stands for.

    Raises GrainError if it has no place there; an error if it is of another version of the text.
    """
    given = plain(params)
    document = _document(session, given)
    made = gesture_edits(document, given.get("gesture") or {}, document.clip)
    after = Utf16(applied(document.text, made.edits))
    return {
        "edits": text_edits(document, made.edits),
        "region": made.region,
        "select": made.select and _range(after, *made.select),
    }


def shapes_at(session: Session, params: Any) -> list[dict[str, Any]]:
    """The shapes of every region at a frame."""
    given = plain(params)
    document = _document(session, given)
    frame = given.get("frame", 0)
    if not isinstance(frame, int):
        raise JsonRpcInvalidParams("`frame` is a whole number")
    return [
        {
            "region": shape.region,
            "index": shape.index,
            "kind": shape.kind,
            "points": [list(point) for point in shape.points],
            "range": range_of(document, shape.start, shape.end),
            "prompt": shape.prompt,
            "inside": shape.inside,
            "keyframes": list(shape.keyframes),
        }
        for shape in shapes(document, frame, document.clip)
    ]


def first_spec(session: Session, params: Any) -> dict[str, str]:
    """The text of a first spec for the file or URI `clip`, to be kept beside it.

    Raises GrainError for a clip that cannot be read.
    """
    given = plain(params)
    clip = given.get("clip") if isinstance(given, dict) else None
    if not isinstance(clip, str) or not clip:
        raise JsonRpcInvalidParams("`clip` is a path or URI")
    path = session.path_of(clip if "://" in clip else Path(clip).absolute().as_uri())
    if path is None:
        raise JsonRpcInvalidParams(f"`{clip}` is not a file")
    for file in files_at(path):
        session.require(file)
    return {"text": new_spec(path, path.with_suffix(".grain"))}


def plain(value: Any) -> Any:
    """The JSON value that a request of one's own had, before it was made into tuples with names."""
    if hasattr(value, "_asdict"):
        return {key: plain(inner) for key, inner in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def _document(session: Session, given: Any) -> Document:
    asked = given.get("textDocument") or {} if isinstance(given, dict) else {}
    uri = asked.get("uri", "")
    document, opened = session.get(uri), session.opened(uri)
    if document is None or opened is None:
        raise JsonRpcInvalidParams(f"the document `{uri}` is not open")
    version = given.get("version", asked.get("version"))
    if version is not None and opened.version is not None and version != opened.version:
        raise JsonRpcContentModified
    return document


def _range(places: Utf16, start: int, end: int) -> dict[str, Any]:
    (line, column), (last, end_column) = places.position(start), places.position(end)
    return {
        "start": {"line": line, "character": column},
        "end": {"line": last, "character": end_column},
    }
