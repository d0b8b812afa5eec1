"""Checks of prompts: syntax of other tools (G115), and characters that nobody sees (G116)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from grainspec.checks.foreign_syntax import Replacement, foreign_parts
from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.diagnostic import Fix
from grainspec.diagnostics.span import Span
from grainspec.model.spec import Edit, EditSpec, Variant
from grainspec.scripts import INVISIBLE, ZERO_WIDTH_SPACE, is_space_free
from grainspec.words import occurrences

PROMPTS = ("source", "target", "negative")


class _Text(NamedTuple):
    """A text for the text encoder: what messages call it, and where it was written."""

    name: str
    text: str
    span: Span | None


def check_prompts(spec: EditSpec) -> Iterator[Diagnostic]:
    """Check the prompts and phrases of a spec and of its variants."""
    for text in _texts(spec, spec.edits, spec.target):
        yield from _findings(text)
    for variant in spec.variants:
        target = spec.target if variant.target is None else variant.target
        for text in _texts(variant, variant.edits, target):
            name = f"{text.name} of variant `{variant.name}`"
            yield from _findings(text._replace(name=name))


def _texts(node: EditSpec | Variant, edits: Iterable[object], target: str) -> Iterator[_Text]:
    for name in PROMPTS:
        if getattr(node, name, None):
            yield _Text(f"`{name}`", getattr(node, name), node.span_of(name))
    for edit in edits:
        # Words that are not in the target have a finding of their own (G104).
        if isinstance(edit, Edit) and occurrences(edit.phrase, target):
            yield _Text(f"the edit of `{edit.region}`", edit.phrase, edit.span_of("phrase"))


def _findings(text: _Text) -> Iterator[Diagnostic]:
    for part in foreign_parts(text.text):
        shown = " ".join(text.text[part.start : part.end].split())
        shown = shown if len(shown) <= 60 else shown[:59] + "…"
        message = f"“{shown}” in {text.name} is syntax of other tools, and plain text here"
        span = inside(text.span, text.text, part.start, part.end) or text.span
        fixes = fixes_inside(text.span, text.text, part.replacements)
        yield Diagnostic("G115", message, part.cure, span, fixes)
    yield from _invisible(text)


def inside(span: Span | None, text: str, start: int, end: int) -> Span | None:
    """The place of ``text[start:end]``, for a text that was written in quotes at ``span``.

    None if the place is unknown: the text was not read from a spec's text, or has raw tabs.
    """
    if span is None or span.path is not None or span.line != span.end_line:
        return None
    if span.end_column - span.column != len(text) + text_escapes(text) + 2:
        return None
    first = span.column + 1 + start + text_escapes(text[:start])
    last = first + end - start + text_escapes(text[start:end])
    return Span(span.line, first, span.line, last)


def text_escapes(text: str) -> int:
    """The number of characters that quotes write as an escape of two characters."""
    return sum(text.count(sign) for sign in '"\\\n\t')


def fixes_inside(
    span: Span | None, text: str, replacements: Iterable[Replacement]
) -> tuple[Fix, ...]:
    """Corrections of a text in quotes; none if a place in it is unknown."""
    places = [(inside(span, text, start, end), instead) for start, end, instead in replacements]
    return tuple(Fix(place, instead) for place, instead in places if place)


_CANDIDATES = re.compile(f"[{INVISIBLE}]")
_SELECTORS = re.compile("[\u115f\u1160\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Invisible characters that choose the form of the one before, or fill a Korean syllable."""
_JOINERS = "\u200c\u200d"
_DIRECTIONS = "\u061c\u200e\u200f"
_BLACK_FLAG = "\U0001f3f4"
"""Flags of regions are this emoji with invisible letters."""


def _invisible(text: _Text) -> Iterator[Diagnostic]:
    """Warn about invisible characters that have no use where they are, all in one finding."""
    found = [at for at, sign in enumerate(text.text) if _is_stray(text.text, at, sign)]
    if not found:
        return
    signs = list(dict.fromkeys(text.text[at] for at in found))
    named = ", ".join(f"U+{ord(sign):04X} {_name(sign)}".rstrip() for sign in signs[:3])
    message = f"{text.name} has invisible characters, which the text encoder reads: {named}"
    apart = [at for at in found if _separates(text.text, at)]
    before = re.sub(rf"[^{INVISIBLE}]*[{INVISIBLE}]", "", text.text[: found[0]]).split()[-1:]
    where = f" after “{before[0]}”" if before else ""
    cure = f"Write a space instead{where}." if apart else f"Remove them{where}."
    span = inside(text.span, text.text, found[0], found[0] + 1) or text.span
    changes = [Replacement(at, at + 1, " " if at in apart else "") for at in found]
    yield Diagnostic("G116", message, cure, span, fixes_inside(text.span, text.text, changes))


def _is_stray(text: str, at: int, sign: str) -> bool:
    if not _CANDIDATES.match(sign) or _SELECTORS.match(sign):
        return False
    beside = [text[i] for i in (at - 1, at + 1) if 0 <= i < len(text)]
    if sign == ZERO_WIDTH_SPACE:
        return not any(map(is_space_free, beside))
    if sign in _JOINERS:  # they shape letters of other scripts, and join emoji
        return all(neighbour.isspace() or _is_european(neighbour) for neighbour in beside)
    if sign in _DIRECTIONS:
        return not any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
    return not (sign >= "\U000e0000" and _BLACK_FLAG in text)


def _is_european(sign: str) -> bool:
    return sign.isascii() or sign <= "\u058f" or "\u1e00" <= sign <= "\u206f"


def _separates(text: str, at: int) -> bool:
    """Whether a zero-width space stands where a space may have been: between two letters."""
    beside = text[at - 1 : at] + text[at + 1 : at + 2]
    return text[at] == ZERO_WIDTH_SPACE and len(beside) == 2 and beside.isalnum()


def _name(sign: str) -> str:
    return unicodedata.name(sign, "").lower()
