"""Settings that are written as statements: each goes into the block that its scope has already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from grainspec.diagnostics import Diagnostic, Fix
from grainspec.diagnostics.fixing import apply_fixes
from grainspec.text.spans import Lines
from grainspec.text.structure import ALONE
from grainspec.text.token_changes import lexed, offsets
from grainspec.text.tokens import Statement

BLOCKS_OF_LOOSE = frozenset(ALONE.values())
_ALONE = re.compile(r"(?P<block>\w+) \{ (?P<setting>(?P<keyword>\w+) [^\s{}#]+) \}")
_SHOWN = 100


class Loose(NamedTuple):
    """A setting alone: its statement, the finding about it, and the statement's corrected text."""

    statement: Statement
    finding: Diagnostic
    corrected: str


def loose_settings(
    text: str, statement: Statement, findings: Iterable[Diagnostic]
) -> Iterator[Loose]:
    """The findings about a statement that make it a block."""
    findings = list(findings)
    starts = tuple(f"{block} {{" for block in BLOCKS_OF_LOOSE)
    for finding in findings:
        if any(fix.text.startswith(starts) for fix in finding.fixes):
            after, _ = apply_fixes(text, findings)
            corrected = after[statement.start : len(after) - (len(text) - statement.end)]
            yield Loose(statement, finding, corrected)


def settled(
    text: str,
    loose: Iterable[Loose],
    blocks: Mapping[tuple[int, str], Statement],
    absent: Iterable[str],
) -> dict[Diagnostic, Diagnostic]:
    """The findings whose setting becomes no block of its own, with those to replace them.

    ``blocks`` has the blocks that were read, by variant and keyword; ``absent`` those that could
    not be read. Of several settings the first becomes the block; the others follow when it is
    there.
    """
    lines, absent = Lines(text), set(absent)
    made: set[tuple[int, str]] = set()
    changed: dict[Diagnostic, Diagnostic] = {}
    for setting in loose:
        match = _ALONE.fullmatch(setting.corrected)
        variant = setting.statement.variant
        for block in BLOCKS_OF_LOOSE:
            key = variant, block
            if not any(fix.text.startswith(f"{block} {{") for fix in setting.finding.fixes):
                continue
            unread = (f"{variant}.{block}" if variant else block) in absent
            if key in blocks:
                changed[setting.finding] = _inside(text, lines, setting, blocks[key], match)
            elif key in made or unread:
                words = f"`{match['setting']}`" if match else "it"
                cure = f"Write {words} in the braces of one `{block} {{ … }}` with the others."
                changed[setting.finding] = replace(setting.finding, cure=cure, fixes=())
            made.add(key)
    return changed


def _inside(
    text: str, lines: Lines, loose: Loose, block: Statement, match: re.Match[str] | None
) -> Diagnostic:
    """The finding with the setting moved into a block; without a fix if that is not certain."""
    written = text[block.start : block.end]
    tokens = lexed(written)
    if match is None:
        cure = f"Write it in the braces of the statement in line {block.span.line}."
        return replace(loose.finding, cure=cure, fixes=())
    name, line = match["block"], block.span.line
    if any(token == match["keyword"] for token in tokens):
        cure = f"`{name}` in line {line} has `{match['keyword']}` already: remove one of them."
        return replace(loose.finding, cure=cure, fixes=())
    if tokens[-1].type == "RBRACE":
        at = offsets(tokens[-2])[1]
        new = f" {match['setting']}{' ' * (tokens[-2].type == 'LBRACE')}"
        if tokens[-2].type == "LBRACE" and written[at : at + 1].isspace():
            new = new.rstrip()
    else:
        at, new = len(written), f" {{ {match['setting']} }}"
    whole = written[:at] + new + written[at:]
    cure = f"Write `{match['setting']}` in the braces of `{name}` in line {line}."
    if len(whole) <= _SHOWN and "\n" not in whole:
        cure = f"Write `{whole}` in line {line}."
    place = block.start + at
    fixes = (
        Fix(lines.span(place, place), new),
        Fix(lines.span(*_whole_line(text, loose.statement)), ""),
    )
    return replace(loose.finding, cure=cure, fixes=fixes)


def _whole_line(text: str, statement: Statement) -> tuple[int, int]:
    """A statement's place, with its line if nothing else is there."""
    start = text.rfind("\n", 0, statement.start) + 1
    end = text.find("\n", statement.end)
    end = len(text) if end < 0 else end + 1
    around = text[start : statement.start] + text[statement.end : end]
    return (statement.start, statement.end) if around.strip() else (start, end)
