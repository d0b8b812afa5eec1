"""Names: where they are defined and used, and what they are renamed to."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from grainspec.analysis.context import statement_at, token_at
from grainspec.analysis.document import Document
from grainspec.analysis.edits import TextEdit
from grainspec.analysis.links import file_of, link_at
from grainspec.analysis.names import Named
from grainspec.analysis.phrases import bound_at, phrase_token, places_in, prompt_of
from grainspec.analysis.quoted import quoted
from grainspec.diagnostics import GrainError, fail
from grainspec.model.names import Name
from grainspec.model.validation import Written as WrittenValue
from grainspec.model.validation import findings_of


class Place(NamedTuple):
    """A place in the text, or the start of a file."""

    start: int
    end: int
    file: Path | None = None


def name_at(document: Document, offset: int) -> Named | None:
    """The name of a region or variant at an offset."""
    return next((one for one in document.symbols if one.start <= offset <= one.end), None)


def same_names(document: Document, name: Named) -> list[Named]:
    """All places of a name."""
    return [one for one in document.symbols if (one.kind, one.name) == (name.kind, name.name)]


def definitions(document: Document, offset: int) -> list[Place]:
    """Where what stands at an offset is defined.

    Of a region its statement; of an edit's words their place in the target prompt, and of words
    there the edits that bind them; of a path the file, for a folder its first one.

    >>> document = Document('region sky = all  keep sky', None)
    >>> definitions(document, 24)
    [Place(start=7, end=10, file=None)]
    """
    name = name_at(document, offset)
    if name is not None:
        return [Place(one.start, one.end) for one in same_names(document, name) if one.defines]
    words = _words_at(document, offset)
    if words:
        return words
    link = link_at(document, offset)
    file = file_of(document, link) if link else None
    return [Place(0, 0, file)] if file else []


def references(document: Document, offset: int, *, definition: bool = True) -> list[Place]:
    """Where what stands at an offset is used; its definition too if ``definition``."""
    name = name_at(document, offset)
    if name is not None:
        return [
            Place(one.start, one.end)
            for one in same_names(document, name)
            if definition or not one.defines
        ]
    bound = bound_at(document, offset)
    if bound is not None:
        own = [Place(*bound[0])] if definition else []
        return own + [Place(phrase.words.start, phrase.words.end) for phrase in bound[1]]
    return _words_at(document, offset)


def _words_at(document: Document, offset: int) -> list[Place]:
    """The other places of an edit's words, or of a prompt's."""
    bound = bound_at(document, offset)
    if bound is not None:
        return [Place(phrase.words.start, phrase.words.end) for phrase in bound[1]]
    statement = statement_at(document, offset)
    token = phrase_token(statement) if statement else None
    if statement is None or token is None or token_at(document, offset) is not token:
        return []
    prompt = prompt_of(document, statement.variant)
    found = places_in(prompt, quoted(token).text) if prompt else []
    return [Place(*place) for place in found]


def renamed(document: Document, offset: int, new: str) -> list[TextEdit]:
    """The edits that give another name to the region or variant at an offset; empty if none is.

    Raises GrainError: G202 if the name is not valid, G102 if another has it.

    >>> document = Document('region sky = all  keep sky', None)
    >>> [edit.start for edit in renamed(document, 8, "air")]
    [7, 23]
    """
    name = name_at(document, offset)
    if name is None:
        return []
    new = _valid(new.strip())
    if new == name.name:
        return []
    if any((one.kind, one.name) == (name.kind, new) and one.defines for one in document.symbols):
        message = f"another {name.kind} is named `{new}`"
        raise fail("G102", message, "Choose another name.")
    return [TextEdit(one.start, one.end, new) for one in same_names(document, name)]


def _valid(name: str) -> str:
    try:
        return unicodedata.normalize("NFC", TypeAdapter(Name).validate_python(name))
    except ValidationError as error:
        from grainspec.diagnostics.span import Span

        found = findings_of(error, None, lambda _: WrittenValue(Span(1, 1, 1, 1)), what="name")
        nowhere = [replace(one, span=None, fixes=()) for one in found]  # the name is in no text yet
        raise GrainError(nowhere) from error
