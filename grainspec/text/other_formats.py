"""Recognize files of other formats: JSON and YAML in place of a spec."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span

_YAML_HEAD = re.compile(r"^(?P<margin> *)(?P<key>[\w-]+):[ \t]*(?:[|>][-+]?)?(?:#.*)?$")
_BEFORE = re.compile(r"\s*(?:(?:#|//).*|---\s*)?")
"""Lines that can stand before the first one: empty ones, comments, and YAML's `---`."""
_SYNTAX = frozenset({"G001", "G002", "G003", "G005", "G008", "G011"})


def other_format(text: str, findings: Sequence[Diagnostic]) -> Diagnostic | None:
    """The finding that a text is JSON or YAML; None if it is not, or has other mistakes only."""
    if not any(finding.code in _SYNTAX for finding in findings):
        return None
    lines = text.split("\n")
    written = ((n, x) for n, x in enumerate(lines, 1) if not _BEFORE.fullmatch(x))
    number, line = next(written, (1, ""))
    start = len(line) - len(line.lstrip())
    if line.lstrip().startswith(("{", "[")):
        cure = "Give the file a name that ends in `.json`, such as `edit.json`."
        return Diagnostic("G013", "the file contains JSON", cure, _first(number, start, 1))
    for number, (line, following) in enumerate(pairwise(lines), 1):
        head = _YAML_HEAD.match(line)
        if head and re.match(rf"{head['margin']} +(- )?[\w\"']|{head['margin']}- ", following):
            cure = 'Write statements such as `video "clip.mp4"` and `edit left -> "green robot"`; '
            cure += "`grain explain G013` shows a whole spec."
            place = _first(number, head.start("key"), len(head["key"]) + 1)
            return Diagnostic("G013", "the file contains YAML", cure, place)
    return None


def _first(line: int, start: int, length: int) -> Span:
    return Span(line, start + 1, line, start + 1 + length)
