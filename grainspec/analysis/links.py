"""Paths in a text: of clips, masks and models; and the files below the spec's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lark import Token

from grainspec.analysis.context import statement_at
from grainspec.analysis.document import Document
from grainspec.analysis.quoted import Quoted, quoted
from grainspec.analysis.statements import Written
from grainspec.diagnostics import GrainError
from grainspec.model.algebra import Find, MaskFiles
from grainspec.model.declaration import Declaration, head_of, owned, settings_of
from grainspec.model.spec import BLOCKS, Edit

MAX_LOOKED_AT = 5_000
"""Names of a folder that are looked at."""


class Link(NamedTuple):
    """A path in quotes; ``what`` is the statement, call or setting that takes it."""

    path: Quoted
    what: str


def known_settings(keyword: str) -> dict[str, Declaration]:
    """The settings that a statement's braces or a call's brackets take, by their keywords."""
    if keyword in BLOCKS:
        return settings_of(BLOCKS[keyword].model)
    return {
        "edit": settings_of(Edit),
        "add": settings_of(Edit),
        "masks": settings_of(MaskFiles),
        "find": settings_of(Find),
    }.get(keyword, {})


def settings_after(
    known: dict[str, Declaration], before: tuple[Token, ...]
) -> dict[str, Declaration]:
    """Those of a statement's settings that the word before its brace has.

    All of them if that word is not written, or has none of its own. ``before`` are the tokens of
    the statement.
    """
    head = str(before[1]) if len(before) > 1 else ""
    has_own = any(head in declared.owners for declared in known.values())
    return owned(known, head) if has_own else known


def links(document: Document) -> Iterator[Link]:
    """The paths in a text, in order."""
    for statement in document.statements:
        yield from links_in(statement)


def links_in(statement: Written) -> Iterator[Link]:
    """The paths in a statement."""
    calls: list[str] = []
    before: Token | None = None
    for index, token in enumerate(statement.tokens):
        if token.type == "LPAR":
            calls.append(str(before))
        elif token.type == "RPAR" and calls:
            calls.pop()
        elif token.type in {"STRING", "UNCLOSED"} and before is not None:
            what = _taker(statement, index, before, calls[-1] if calls else "")
            if what:
                yield Link(quoted(token), what)
        before = token


def path_in(statement: Written, token: Token) -> str:
    """What takes the path that is a token of a statement; empty if it is no path."""
    start = (token.start_pos or 0) + 1
    return next((link.what for link in links_in(statement) if link.path.start == start), "")


def _taker(statement: Written, index: int, before: Token, call: str) -> str:
    """The statement, call or setting that takes a text in quotes as its path."""
    if index == 1 and takes_path(statement.keyword):
        return statement.keyword
    if before.type == "LPAR":
        return call if call == "masks" else ""
    declared = known_settings(call or statement.keyword).get(str(before))
    return str(before) if declared is not None and declared.kind == "path" else ""


def takes_path(keyword: str) -> bool:
    """Whether a statement's first word is a path."""
    head = head_of(BLOCKS[keyword].model) if keyword in BLOCKS else None
    return keyword in {"model", "motion_adapter"} or (head is not None and head.kind == "path")


def link_at(document: Document, offset: int) -> Link | None:
    """The path at an offset."""
    statement = statement_at(document, offset)
    found = links_in(statement) if statement is not None else ()
    return next((one for one in found if one.path.start <= offset <= one.path.end), None)


def file_of(document: Document, link: Link) -> Path | None:
    """The file of a path that exists: for a folder or glob, its first one."""
    path = inside_folder(document, link.path.text)
    if path is None:
        return None
    try:
        if path.is_file():
            return path
        if path.is_dir():
            return next((one for one in names_in(path) if one.is_file()), None)
        if "*" in path.name and path.parent.is_dir():
            pattern = path.name
            return next((one for one in names_in(path.parent) if one.match(pattern)), None)
    except (OSError, ValueError):
        pass
    return None


def inside_folder(document: Document, path: str) -> Path | None:
    """A path below the spec's folder; None for one elsewhere, and for a text of no file."""
    if document.folder is None or "\0" in path or len(path) > 4_000:
        return None
    try:
        root = document.folder.resolve()
        found = (root / path).resolve()
        document.require(found)
        return found if found.is_relative_to(root) else None
    except (GrainError, OSError, RuntimeError, ValueError):
        return None


def names_in(folder: Path) -> list[Path]:
    """The first names in a folder, sorted; those that begin with a dot are left out."""
    with os.scandir(folder) as entries:
        found = [entry.name for entry in islice(entries, MAX_LOOKED_AT) if entry.name[0] != "."]
    return [folder / name for name in sorted(found)]
