"""The contents of a text, as an editor lists them: statements, and those of each variant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from grainspec.analysis.document import Document
from grainspec.analysis.phrases import phrase_token
from grainspec.analysis.statements import Written


@dataclass(frozen=True)
class Entry:
    """A statement: what it is called, what it says, its place, and that of its name."""

    keyword: str
    name: str
    detail: str
    start: int
    end: int
    name_start: int
    name_end: int
    children: list[Entry] = field(default_factory=list)


def contents(document: Document) -> list[Entry]:
    """The statements of a text, with those of a variant inside it.

    >>> found = contents(Document('region sky = all variant v { keep sky }', None))
    >>> [(one.name, [child.name for child in one.children]) for one in found]
    [('sky', []), ('v', ['keep sky'])]
    """
    found: list[Entry] = []
    inside: dict[int, Entry] = {}
    ends = {variant.number: variant.end for variant in document.variants}
    for entry, statement in _entries(document):
        if statement.keyword == "variant" and statement.variant in ends:
            end = max(entry.end, ends.get(statement.variant, 0))
            entry = Entry(**{**entry.__dict__, "end": end, "detail": ""})
            inside[statement.variant] = entry
            found.append(entry)
        elif statement.variant in inside:
            inside[statement.variant].children.append(entry)
        else:
            found.append(entry)
    return found


def _entries(document: Document) -> Iterator[tuple[Entry, Written]]:
    for statement in document.statements:
        if not statement.keyword or statement.keyword == "grain":
            continue
        first = statement.tokens[0]
        named = statement.tokens[1] if len(statement.tokens) > 1 else first
        text = " ".join(
            document.plain[statement.start : min(statement.end, statement.start + 200)].split()
        )
        if statement.keyword in {"region", "variant"} and named.type == "NAME":
            name, detail = str(named), text.partition("=")[2].strip()
        else:
            named = first
            name, _, detail = _name_and_detail(statement, text)
        yield (
            Entry(
                statement.keyword,
                name,
                detail,
                statement.start,
                statement.end,
                named.start_pos or 0,
                named.end_pos or 0,
            ),
            statement,
        )


def _name_and_detail(statement: Written, text: str) -> tuple[str, str, str]:
    words = phrase_token(statement)
    if words is not None or statement.keyword in {"keep", "free", "without"}:
        return text.partition("->" if words is not None else "{")
    return text.partition(" ")
