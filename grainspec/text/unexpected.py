"""Findings about tokens that do not fit: what is wrong, and what is expected or meant instead."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from lark import Token
from lark.parsers.lalr_interactive_parser import InteractiveParser

from grainspec.diagnostics import Diagnostic, Related, closest
from grainspec.diagnostics.span import Span
from grainspec.model.declaration import settings_of
from grainspec.model.names import RESERVED
from grainspec.model.rules import SHARED
from grainspec.model.spec import BLOCKS, Edit
from grainspec.model.statements import STATEMENTS
from grainspec.text.foreign import SETTINGS_OF_OTHERS, STATEMENTS_OF_OTHERS, WITHOUT_EQUAL
from grainspec.text.spans import after, span_of

_NUMBERS = frozenset({"NUMBER", "PERCENT"})
_SPOKEN = {
    "NAME": "a name",
    "STRING": "a text in quotes",
    "NUMBER": "a number",
    "PERCENT": "a percentage",
    "PIXELS": "a length in px",
    "SIZE": "a size",
    "RANGE": "a range",
    "EQUAL": "`=`",
    "COMMA": "`,`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "VBAR": "`|`",
    "AMPERSAND": "`&`",
    "MINUS": "`-`",
    "TILDE": "`~`",
    "AT": "`@`",
    "_ARROW": "`->`",
    "OF": "`of`",
    "REST": "`rest`",
    "ALL": "`all`",
    "GROW": "`grow`",
    "SHRINK": "`shrink`",
    "DURING": "`during`",
    "SMOOTH": "`smooth`",
    "CLASS": "`class`",
    "INSTANCE": "`instance`",
    "PART": "`part`",
}
_CLOSING = {"(": ")", "{": "}"}
_SOURCES = frozenset("masks box ellipse polygon track find".split())
_WORDS_OF_OTHERS = {"and": "&", "or": "|", "not": "~", "minus": "-", "without": "-", "union": "|"}
_ONE_REGION = (
    "An edit has one region: define `region both = {0} | right` with your names, and edit `both`."
)
_INSTEAD = {
    **dict.fromkeys("“”„«»‘’'`", 'Put texts in straight double quotes: `"…"`.'),
    **dict.fromkeys("→⇒➔", "Write the arrow as `->`."),
    **dict.fromkeys("×✕", "Write a size with the letter x, such as `512x512`."),
    **dict.fromkeys("−–—‐", "Write `-`."),
    "…": "Write a range with two dots, such as `0..30`.",
    "+": "Write `|` for either of two regions.",
    "!": "Write `~` for everything else.",
    ":": "Remove it: settings are written `weight 1.2`.",
    ";": "Remove it; between arguments write `,`.",
    ".": "Write a range without spaces, such as `0..30`.",
}
"""What to write instead of signs from other languages and word processors."""


def no_statement(token: Token) -> Diagnostic:
    """A finding about an unknown statement."""
    strange = _strange(token)
    if strange:
        return strange
    if token.type == "RBRACE":
        return Diagnostic("G001", "unmatched `}`", "Remove it.", span_of(token))
    word = str(token).lower()
    blocks = [] if word in WITHOUT_EQUAL else _blocks_of(word)
    if token.type == "NAME" and blocks:
        message = f"`{short(token)}` is a setting of {_listed(blocks, 'and')}, not a statement"
        return Diagnostic("G001", message, _in_braces(str(token), blocks), span_of(token))
    near = closest(str(token), STATEMENTS)
    words = _listed(STATEMENTS, "or")
    cure = f"Did you mean `{near}`?" if near else f"Statements begin with {words}."
    cure = WITHOUT_EQUAL.get(str(token).lower(), cure)
    return Diagnostic("G001", f"unknown statement `{short(token)}`", cure, span_of(token))


def _blocks_of(word: str) -> list[str]:
    """The statements that have a setting of this name, here or in other tools."""
    if word in STATEMENTS_OF_OTHERS:
        return []
    settings = {name: settings_of(block.model) for name, block in BLOCKS.items()}
    settings["edit"] = settings_of(Edit)
    ours = [name for name, known in settings.items() if word in known]
    others = [name for name in settings if word in SETTINGS_OF_OTHERS.get(name, {})]
    return ours or (others if len(others) == 1 else [])


def _in_braces(word: str, blocks: list[str]) -> str:
    name = blocks[0]
    ours = SETTINGS_OF_OTHERS.get(name, {}).get(word.lower())
    keyword = ours.keyword if ours else word
    start = {"video": 'video "…"', "edit": 'edit … -> "…"', "control": "control …"}.get(name, name)
    return f"Write it in braces there: `{start} {{ {keyword} … }}`."


def _strange(token: Token) -> Diagnostic | None:
    """A finding for a token that is not in the language."""
    if token.type == "UNCLOSED":
        message, cure = "unclosed text", 'Close it with `"` on the same line.'
        return Diagnostic("G002", message, cure, span_of(token))
    if token.type == "WRONG":
        sign = str(token)[0]
        shown = f"`{short(token)}`" if sign.isascii() else named_sign(sign)
        message = f"{shown} is not in the language"
        cure = _INSTEAD.get(sign, "" if sign.isascii() else "Remove it.")
        if _TIME.fullmatch(token):
            return in_seconds(str(token), span_of(token))
        if sign.isdigit():
            cure = "Numbers look like `2`, `0.5`, `30%`, `40px`, `0..30` or `512x512`."
        return Diagnostic("G003", message, cure, span_of(token))
    return None


_TIME = re.compile(r"(?:\d+\.\.)?(?P<seconds>\d+(?:\.\d+)?)(?:s|secs?|seconds?)")


def in_seconds(text: str, span: Span) -> Diagnostic | None:
    """A finding about a time where frames are counted; None for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    first, seconds = text.partition("..")[0] if ".." in text else "", match["seconds"]
    frame = round(24 * float(seconds))
    frames = f"{first}..{frame}" if first else f"{frame}"
    cure = f"Write frame numbers: `{frames}` if the clip has 24 frames per second."
    return Diagnostic("G202", f"`{text}` is a time, and frames are numbers", cure, span)


def named_sign(sign: str) -> str:
    """A sign in messages; one that a terminal may not show also by its name in Unicode.

    >>> named_sign("→"), named_sign(";")
    ('`→`, U+2192 (rightwards arrow),', '`;`')
    """
    if sign.isascii():
        return f"`{sign}`"
    name = unicodedata.name(sign, "")
    shown = f"U+{ord(sign):04X}{f' ({name.lower()})' if name else ''}"
    return f"`{sign}`, {shown}," if sign.isprintable() else f"the character {shown}"


NO_METHOD_IN_VARIANT = (
    "A variant cannot leave out the spec's `method`: write `method` in the variants that have it, "
    "and not before them."
)


def unexpected(machine: InteractiveParser, token: Token, before: Token) -> Diagnostic:
    """A finding about a token that does not fit after ``before``."""
    strange = _strange(token)
    if strange and token == "[" and before.type in {"EDIT", "CLASS", "INSTANCE"}:
        message = f"unexpected `[` after `{short(before)}`"
        return Diagnostic("G001", message, _ONE_REGION.format("left"), span_of(token))
    if strange:
        return strange
    expected = _expected(machine)
    message = f"unexpected `{short(token)}` after `{short(before)}`"
    if "a name" in expected and str(token) in RESERVED:
        message = f"`{token}` is a keyword and cannot be a name"
        cure = f"Choose another name, such as `my_{token}`."
        if before.type == "WITHOUT":
            cure = "Name regions after `without`: a variant can leave out nothing else."
            cure = NO_METHOD_IN_VARIANT if token == "method" else cure
        return Diagnostic("G001", message, cure, span_of(token))
    cure = _meant(token, before, expected)
    if not cure and expected:
        cure = f"Expected {_joined(expected, 'or')}."
    return Diagnostic("G001", message, cure, span_of(token))


def _meant(token: Token, before: Token, expected: list[str]) -> str:
    """What to write instead of a sign or word of another language, if known."""
    text = str(token)
    if str(before) == "not" and token.type == "NAME":
        return f"Write `~{text}`."
    if text in _WORDS_OF_OTHERS and ("`|`" in expected or "`~`" in expected):
        return f"Write `{_WORDS_OF_OTHERS[text]}`."
    if token.type == "STRING" and "`~`" in expected:
        return f"Write `masks({short(token)})` for masks in files."
    if token.type == "STRING" and expected == ["a name"]:
        return "Write the name without quotes."
    if token.type == "EQUAL" and "`}`" in expected:
        return "Remove it: settings are written `weight 1.2`."
    if token.type == "MINUS" and before.type == "NAME" and "`|`" not in expected:
        return f"Write names with `_`, such as `{before}_…`."
    if token.type == "NAME" and expected == ["`{`"]:
        return f"Put settings in braces: `{{ {text} … }}`."
    apart = before.end_pos != token.start_pos  # `sam2.1` is one name, not a setting and its value
    if token.type in _NUMBERS and before.type == "NAME" and expected == ["`{`"] and apart:
        return f"Put settings in braces: `{{ {before} {text} … }}`."
    if token.type in {"COMMA", "VBAR", "AMPERSAND"} and "`->`" in expected:
        return _ONE_REGION.format(before)
    if token.type == "LPAR" and "`->`" in expected and str(before) in _SOURCES:
        call = f"{before}(…)"
        return f"Name the region first: `region left = {call}`, and edit `left`."
    if token.type == "COMMA" and expected == ["`{`"]:
        return "Begin a new statement for each edit."
    return ""


def ends_early(
    machine: InteractiveParser, last: Token, brackets: Sequence[Token] = ()
) -> Diagnostic:
    """A finding about a statement that ends after ``last``, with these brackets still open."""
    if brackets:
        opener = brackets[-1]
        message = f"`{opener}` is not closed"
        cure = f"Write `{_CLOSING[opener]}` after `{short(last)}`."
        opened = (Related(span_of(opener), "opened here"),)
        return Diagnostic("G011", message, cure, after(last), related=opened)
    expected = _expected(machine)
    message = f"incomplete statement after `{short(last)}`"
    cure = f"Expected {_joined(expected, 'or')}." if expected else ""
    return Diagnostic("G001", message, cure, span_of(last))


def not_in_variant(word: Token, variant: Token) -> Diagnostic:
    """A finding about a statement that a variant cannot contain."""
    message = f"`{word}` is not allowed in a variant"
    cure = f"Variants share {_listed(sorted(SHARED - {'grain', 'variant'}), 'and')}."
    if word.type == "VARIANT":
        cure = "Close the variant before it with `}`."
    opened = (Related(span_of(variant), "the variant begins here"),)
    return Diagnostic("G010", message, cure, span_of(word), related=opened)


def _expected(machine: InteractiveParser) -> list[str]:
    accepted = machine.accepts()  # type: ignore[no-untyped-call]
    return [spoken for terminal, spoken in _SPOKEN.items() if terminal in accepted]


def _listed(words: Iterable[str], last: str) -> str:
    """Keywords as a list, with ``last`` before the last one: `a`, `b` or `c`."""
    return _joined([f"`{word}`" for word in words], last)


def _joined(parts: list[str], last: str) -> str:
    *others, final = parts
    return f"{', '.join(others)} {last} {final}" if others else final


def short(token: Token) -> str:
    """A token's text, cut to 40 characters."""
    text = str(token)
    return text if len(text) <= 40 else text[:37] + "…"
