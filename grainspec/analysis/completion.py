"""What may be written at an offset: statements, settings, values, regions, phrases, files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from lark import Token

from grainspec.analysis.candidates import files_in, phrases_in
from grainspec.analysis.context import Context, context_at
from grainspec.analysis.document import Document
from grainspec.analysis.links import path_in
from grainspec.analysis.meanings import statement_text
from grainspec.analysis.phrases import phrases_of, places_in, prompt_of
from grainspec.analysis.proposals import Kind, Proposal, in_statement
from grainspec.analysis.quoted import quoted
from grainspec.model.rules import ONCE, SHARED
from grainspec.model.statements import STATEMENT_WORDS
from grainspec.text.kinds import quoted as in_quotes


class Item(NamedTuple):
    """Something that may be written in place of the characters from ``start`` to ``end``.

    ``insert`` is a snippet, with `${1:…}` for what is to be filled in, if ``snippet``.
    """

    label: str
    kind: Kind
    insert: str
    start: int
    end: int
    detail: str = ""
    documentation: str = ""
    snippet: bool = False


def completions(document: Document, offset: int) -> list[Item]:
    """What may be written at an offset, most likely first.

    >>> document = Document('target "a bear" region sky = all\\nedit s', None)
    >>> [item.label for item in completions(document, 39)][:4]
    ['class', 'instance', 'part', 'sky']
    """
    context = context_at(document, offset)
    if context.comment:
        return []
    if context.text is not None:
        return list(_in_text(document, context, context.text, offset))
    return [
        Item(
            label=word.label,
            kind=word.kind,
            insert=word.insert or word.label,
            start=context.start,
            end=context.end,
            detail=word.detail,
            documentation=word.documentation,
            snippet="$" in word.insert,
        )
        for word in dict.fromkeys(_words(document, context))
    ]


def _words(document: Document, context: Context) -> Iterator[Proposal]:
    after = context.statement is not None and context.before
    if after and not context.below:
        yield from in_statement(document, context)
    if context.fresh:
        yield from _statements(document, context)
    if after and context.below:  # a statement may go on in the next line, but seldom does
        yield from in_statement(document, context)


# --- statements ----------------------------------------------------------------------------------


def _statements(document: Document, context: Context) -> Iterator[Proposal]:
    """The statements that may begin here."""
    present = {
        one.keyword
        for one in document.statements
        if one.variant == context.variant and one.start != context.start
    }
    for rule in STATEMENT_WORDS:
        if rule.word in ONCE and rule.word in present:
            continue
        if rule.word in SHARED if context.variant else rule.word == "without":
            continue
        detail = rule.form
        yield Proposal(
            rule.word, "statement", _snippet(rule.form), detail, statement_text(rule.word)
        )


def _snippet(form: str) -> str:
    """A statement's form with places to fill in.

    >>> _snippet('edit REGION -> "…" { … }')
    'edit ${1:REGION} -> "${2}"$0'
    """
    form = form.replace(", …", "").removesuffix("{ … }").rstrip()
    if form.endswith("="):
        form += " …"
    count = 0

    def place(match: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"${{{count}}}" if match[0] == "…" else f"${{{count}:{match[0]}}}"

    filled = re.sub(r"[A-Z]{3,}|…", place, form)
    if filled.startswith("variant"):
        return filled + " {\n\t$0\n}"
    return filled + "$0" if count else filled


# --- inside a text in quotes ---------------------------------------------------------------------


def _in_text(document: Document, context: Context, token: Token, offset: int) -> Iterator[Item]:
    statement = context.statement
    if statement is None:
        return
    content = quoted(token)
    what = path_in(statement, token)
    if what:
        yield from _files(document, what, token, offset)
    elif statement.keyword in {"edit", "add"} and context.call != "{":
        prompt = prompt_of(document, statement.variant)
        taken = {
            phrase.words.text: phrase.region
            for phrase in phrases_of(document, statement.variant)
            if phrase.statement is not statement
        }
        found = phrases_in(prompt.text) if prompt else []
        for phrase in sorted(found, key=lambda phrase: phrase in taken):
            detail = "words of the target prompt"
            if phrase in taken:
                detail = f"already bound to `{taken[phrase]}`"
            yield _replacing(content.start, content.end, offset, token, phrase, "phrase", detail)
    elif statement.keyword == "target":
        prompt = prompt_of(document, statement.variant)
        for one in phrases_of(document, statement.variant):
            text = one.words.text
            if text.strip() and prompt is not None and not places_in(prompt, text):
                detail = f"words of the edit of `{one.region}`"
                yield Item(
                    text,
                    "phrase",
                    in_quotes(text)[1:-1],
                    _word_start(document, offset),
                    offset,
                    detail,
                )


def _word_start(document: Document, offset: int) -> int:
    """The offset at which the word before an offset begins."""
    match = re.search(r"\w*\Z", document.plain[max(0, offset - 100) : offset])
    return offset - len(match[0]) if match else offset


def _replacing(
    start: int, end: int, offset: int, token: Token, text: str, kind: Kind, detail: str
) -> Item:
    """An item that replaces a whole text in quotes, and closes it if it is open."""
    closed = token.type == "STRING"
    insert = in_quotes(text)[1:-1] + ("" if closed else '"')
    return Item(text, kind, insert, start, end if closed else offset, detail)


def _files(document: Document, what: str, token: Token, offset: int) -> Iterator[Item]:
    content = quoted(token)
    typed = content.text[: content.before(offset)]
    start = offset - len(typed.rpartition("/")[2])
    rest = document.plain[offset : content.end] if content.closed else ""
    end = offset + len(rest.partition("/")[0])
    for name, _ in files_in(document, typed, what):
        kind: Kind = "folder" if name.endswith("/") else "file"
        yield Item(name, kind, in_quotes(name)[1:-1], start, end)
