"""The prompts and the phrases of edits in a text, and which words of a prompt an edit binds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lark import Token

from grainspec.analysis.document import Document
from grainspec.analysis.quoted import Quoted, quoted
from grainspec.analysis.statements import Written
from grainspec.words import occurrences

MAX_PHRASES = 200
"""Edits whose words are looked for in a prompt."""


class Phrase(NamedTuple):
    """The words of an edit: the region that they are bound to, and where they stand."""

    statement: Written
    region: str
    words: Quoted


def prompt_of(document: Document, variant: int, which: str = "target") -> Quoted | None:
    """The prompt of a variant, which is the spec's if it has none of its own."""
    found: dict[int, Quoted] = {}
    for statement in document.statements:
        if statement.keyword == which and len(statement.tokens) > 1:
            token = statement.tokens[1]
            if token.type in {"STRING", "UNCLOSED"}:
                found.setdefault(statement.variant, quoted(token))
    return found.get(variant) or found.get(0)


def phrase_token(statement: Written) -> Token | None:
    """The words of an edit, as written; None for other statements."""
    if statement.keyword not in {"edit", "add"}:
        return None
    return next((token for token in statement.tokens if token.type in {"STRING", "UNCLOSED"}), None)


def phrases_of(document: Document, variant: int) -> Iterator[Phrase]:
    """The phrases of a variant's edits, and those of the spec's outside it."""
    for statement in document.statements:
        if statement.variant not in {variant, 0}:
            continue
        token = phrase_token(statement)
        names = [str(name) for name in statement.tokens if name.type == "NAME"]
        if token is not None and names:
            yield Phrase(statement, names[0], quoted(token))


def places_in(prompt: Quoted, words: str) -> list[tuple[int, int]]:
    """Where words stand in a prompt, as offsets in the document.

    >>> document = Document('target "a bear" edit all -> "bear"', None)
    >>> places_in(prompt_of(document, 0), "bear")
    [(10, 14)]
    """
    if not words.strip():
        return []
    found = occurrences(words, prompt.text)
    return [(prompt.places[start], prompt.places[end]) for start, end in found]


def bound_at(document: Document, offset: int) -> tuple[tuple[int, int], list[Phrase]] | None:
    """The words of a target prompt at an offset that edits bind: their place, and the edits."""
    for statement in document.statements:
        if statement.keyword != "target" or not statement.start <= offset <= statement.end:
            continue
        prompt = prompt_of(document, statement.variant)
        if prompt is None or not prompt.start <= offset <= prompt.end:
            return None
        found: dict[tuple[int, int], list[Phrase]] = {}
        for phrase in list(phrases_of(document, statement.variant))[:MAX_PHRASES]:
            for place in places_in(prompt, phrase.words.text):
                if place[0] <= offset <= place[1]:
                    found.setdefault(place, []).append(phrase)
        if found:
            return max(found.items(), key=lambda item: item[0][1] - item[0][0])
    return None
