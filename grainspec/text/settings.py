"""The settings of a block `{ … }`: from words to values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from lark import Token, Tree
from pydantic import ValidationError

from grainspec.diagnostics import Diagnostic, Fix, Related, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.declaration import Declaration
from grainspec.model.validation import Written, findings_of, invalid_value
from grainspec.text.cures import cure_of_value
from grainspec.text.foreign import WITHOUT_EQUAL
from grainspec.text.kinds import KINDS, Mismatch, Word, expected_value, read_value
from grainspec.text.spans import span_between, span_of
from grainspec.text.unexpected import in_seconds

NAMES = frozenset({"NAME", "METHOD"})
"""The tokens of a setting's name: `method` is a statement and a setting of `flow`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's value, and how it is written."""

    value: Any
    span: Span
    name: str = ""
    """Its keyword, for messages."""
    text: str = ""
    """The words of the value."""
    expected: str = ""
    """What it takes, in words."""
    kind: str = ""
    """The kind of its value, as declared."""

    @property
    def written(self) -> Written:
        """How it is written, for findings about its value."""
        return Written(self.span, self.name, self.text, self.expected)


def word_span(word: Word) -> Span:
    """The place of a word of a block."""
    if isinstance(word, Token):
        return span_of(word)
    meta = word.meta
    return Span(meta.line, meta.column, meta.end_line, meta.end_column)


def words_text(words: Iterable[Word]) -> str:
    """Words as text, for messages.

    >>> words_text([Token("NUMBER", "1"), Tree("all", [])])
    '1 all'
    """
    return " ".join(_word_text(word) for word in words)


def _word_text(word: Word) -> str:
    if isinstance(word, Token):
        return str(word)
    if word.data == "at":
        return f"@ {words_text(word.children)}"
    if word.data == "call":
        name, *arguments = word.children
        inside = ", ".join(_word_text(argument) for argument in arguments)
        return f"{name}({inside})"
    return words_text(word.children) or str(word.data)


def value_of(words: list[Word], name: str, declaration: Declaration) -> Setting | Diagnostic:
    """Read the words of a setting's value; a mistake is returned as a finding."""
    expected, text = expected_value(declaration), words_text(words)
    where = word_span(words[0]).to(word_span(words[-1]))
    try:
        value = _joined(declaration, words)
        return Setting(value, where, name, text, expected, declaration.kind)
    except Mismatch as mismatch:
        cure, certain = cure_of_value(words, declaration)
        fixes = (Fix(where, certain),) if certain else ()
        message = invalid_value(text, name, expected)
        return Diagnostic("G202", message, str(mismatch) or cure, where, fixes)
    except ValidationError as error:
        return finding_of_record(error, Written(where, name, text, expected))


def finding_of_record(error: ValidationError, written: Written) -> Diagnostic:
    """One finding about a word that stands for a record, such as `0..30` or `512x512`."""
    first = findings_of(error, None, lambda _: written)[0]
    if first.code == "G203":
        return first
    message = invalid_value(written.text, written.name, first.message)
    start, dots, end = written.text.partition("..")
    if dots and start.isdecimal() and end.isdecimal() and int(end) < int(start):
        return replace(first, message=message, cure=f"Write `{end}..{start}`.")
    return replace(first, message=message)


def duplicate(code: str, name: str, first: Span, span: Span) -> Diagnostic:
    """A finding about the second occurrence of a setting or statement that may occur once."""
    message = f"duplicate `{name}`; first given in line {first.line}"
    return Diagnostic(
        code, message, "Remove one of them.", span, related=(Related(first, "first given here"),)
    )


def read_settings(
    block: Tree[Token] | None,
    known: dict[str, Declaration],
    findings: list[Diagnostic],
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Setting]:
    """Read a block's words as ``known`` settings, by the keys of the model.

    ``elsewhere`` are names that are no settings here, each with its cure. Invalid settings become
    findings and are omitted.
    """
    words: list[Word] = list(block.children) if block else []
    found: dict[str, Setting] = {}
    keys: dict[str, Span] = {}
    position = 0
    while position < len(words):
        key = words[position]
        position += 1
        if not _is_setting(key, known):
            shown = str(key) if isinstance(key, Token) else words_text([key])
            time = _time(words[position - 2], key) if position > 1 else None
            if time:
                findings.append(time)
                continue
            word = shown.lower()
            cure = elsewhere.get(word) or WITHOUT_EQUAL.get(word) or suggestion(shown, known)
            findings.append(Diagnostic("G201", f"unknown setting `{shown}`", cure, word_span(key)))
            while position < len(words) and not _is_setting(words[position], known):
                position += 1
            continue
        declaration = known[str(key)]
        end = _end_of_value(words, position, declaration, known)
        values, position = words[position:end], end
        setting = _read(str(key), word_span(key), values, declaration, keys.get(str(key)), findings)
        if setting:
            keys[str(key)] = word_span(key)
            found[declaration.key] = setting
    return found


def _time(before: Word, unit: Word) -> Diagnostic | None:
    """A finding about a number with a unit of time, which is read as two words."""
    if not isinstance(before, Token) or not isinstance(unit, Token):
        return None
    if before.end_pos is None or before.end_pos != unit.start_pos:
        return None
    return in_seconds(f"{before}{unit}", span_between(before, unit))


def _is_setting(word: Word, known: dict[str, Declaration]) -> bool:
    return isinstance(word, Token) and word.type in NAMES and str(word) in known


def _end_of_value(
    words: list[Word], start: int, declaration: Declaration, known: dict[str, Declaration]
) -> int:
    """The end of the value that begins at ``start``: before the next setting."""
    end = start
    while end < len(words) and (KINDS[declaration.kind].many or end == start):
        if _is_setting(words[end], known) and not _fits(words[end], declaration):
            break
        end += 1
    return end


def _read(
    name: str,
    span: Span,
    values: list[Word],
    declaration: Declaration,
    first: Span | None,
    findings: list[Diagnostic],
) -> Setting | None:
    """Read a setting's value; an invalid one becomes a finding, and the result is None."""
    if not values:
        cure = f"Expected {expected_value(declaration)}."
        finding = Diagnostic("G204", f"`{name}` has no value", cure, span)
        findings.append(finding)
        return None
    if first is not None:
        findings.append(duplicate("G204", name, first, span))
        return None
    read = value_of(values, name, declaration)
    if isinstance(read, Setting):
        return read
    findings.append(read)
    return None


def _fits(word: Word, declaration: Declaration) -> bool:
    try:
        read_value(word, declaration)
    except Mismatch:
        return False
    except ValidationError:
        return True
    return True


def _joined(declaration: Declaration, words: list[Word]) -> Any:
    values = [read_value(word, declaration) for word in words]
    if not KINDS[declaration.kind].many:
        return values[0]
    if "all" in values:
        if len(values) > 1:
            raise Mismatch
        return "all"
    return tuple(level for part in values for level in part)
