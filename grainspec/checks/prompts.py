"""Checks of prompts: syntax of other tools (G115), and characters that nobody sees (G116)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from grainspec.checks.foreign_syntax import (
    ForeignPart,
    Replacement,
    corrected,
    foreign_parts,
    without_foreign_syntax,
)
from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.diagnostic import Fix
from grainspec.diagnostics.span import Span
from grainspec.model.spec import Edit, EditSpec, Variant
from grainspec.scripts import INVISIBLE, ZERO_WIDTH_SPACE, folded, is_space_free
from grainspec.words import occurrences

PROMPTS = ("source", "target", "negative")


class _Text(NamedTuple):
    """A text for the text encoder: what messages call it, and where it was written.

    ``phrases`` are the words of the edits that it may hold; it has none if edits do not concern it.
    """

    name: str
    text: str
    span: Span | None
    phrases: tuple[str, ...] = ()


def check_prompts(spec: EditSpec) -> Iterator[Diagnostic]:
    """Check the prompts and phrases of a spec and of its variants."""
    phrases = tuple(edit.phrase for edit in spec.changes)
    parts = foreign_parts(spec.target)
    # What breaks the words of an edit is in the finding about that edit (G104).
    broken = [part for words in phrases[:100] for part in breaking(words, spec.target, parts)]
    for text in _texts(spec, spec.edits, spec.target, phrases):
        yield from _findings(text, broken if text.name == "`target`" else ())
    for variant in spec.variants:
        target = spec.target if variant.target is None else variant.target
        own = tuple(edit.phrase for edit in variant.edits if isinstance(edit, Edit))
        for text in _texts(variant, variant.edits, target, (*own, *phrases)):
            name = f"{text.name} of variant `{variant.name}`"
            yield from _findings(text._replace(name=name))


def _texts(
    node: EditSpec | Variant, edits: Iterable[object], target: str, phrases: tuple[str, ...]
) -> Iterator[_Text]:
    for name in PROMPTS:
        if getattr(node, name, None):
            concerned = phrases if name == "target" else ()
            yield _Text(f"`{name}`", getattr(node, name), node.span_of(name), concerned)
    for edit in edits:
        # Words that are not in the target have a finding of their own (G104).
        if isinstance(edit, Edit) and occurrences(edit.phrase, target):
            name, span = f"the edit of `{edit.region}`", edit.span_of("phrase")
            yield _Text(name, edit.phrase, span, (edit.phrase,))


def _findings(text: _Text, broken: Collection[ForeignPart] = ()) -> Iterator[Diagnostic]:
    """The findings about a text, except parts that have a finding already."""
    for part in foreign_parts(text.text):
        if part in broken:
            continue
        message = f"“{shown(text.text, part)}” in {text.name} is syntax of other tools"
        message += ", and plain text here"
        span = inside(text.span, text.text, part.start, part.end) or text.span
        fixes = fixes_inside(text.span, text.text, part.replacements if part.certain else ())
        cure = _cure(part, text)
        yield Diagnostic("G115", message, cure, span, fixes)
    yield from _invisible(text)


def _cure(part: ForeignPart, text: _Text) -> str:
    """What to write; with the advice about edits only where an edit has the words."""
    if not part.words:
        return f"{part.cure} {part.advice}" if part.advice and text.phrases else part.cure
    if any(_letters(part.words) == _letters(phrase) for phrase in text.phrases):
        return f"{part.cure} {part.advice}"
    if text.phrases:
        return f"{part.cure} Only the words of an edit have a weight."
    return f"{part.cure} Words of {text.name} have no weights."


@lru_cache(maxsize=4096)
def _letters(phrase: str) -> str:
    return " ".join(folded(without_foreign_syntax(phrase)).text.split())


def shown(text: str, part: ForeignPart) -> str:
    """The part as messages quote it: in one line, and not long."""
    quoted = " ".join(text[part.start : part.end].split())
    return quoted if len(quoted) <= 60 else quoted[:59] + "…"


def breaking(phrase: str, text: str, parts: Sequence[ForeignPart]) -> list[ForeignPart]:
    """The parts of a prompt without which it would have the words of an edit."""
    mended = corrected(text, parts)
    if mended == text or occurrences(phrase, text) or not occurrences(phrase, mended):
        return []
    return [
        part
        for part in parts
        if not occurrences(phrase, corrected(text, [other for other in parts if other != part]))
    ] or list(parts)


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
