"""Statements in the form of other languages: words out of order, brackets, signs between words.

Each rule finds one kind of mistake in a statement's text; the reader of corrections
(:mod:`grainspec.text.corrections`) keeps only those after which the statement can be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from lark import Token

from grainspec.diagnostics import closest
from grainspec.model.algebra import Find
from grainspec.model.declaration import fields_of, head_of
from grainspec.model.names import RESERVED
from grainspec.model.nodes import Node
from grainspec.model.numbers import percent_text
from grainspec.model.spec import BLOCKS
from grainspec.model.statements import STATEMENTS
from grainspec.text.brackets import (
    SETTINGS,
    mismatched,
    outside,
    square,
    unclosed,
    unclosed_inside,
)
from grainspec.text.draft import Change, Correction, Rule
from grainspec.text.foreign import SETTINGS_OF_OTHERS, STATEMENTS_OF_OTHERS
from grainspec.text.foreign_regions import REGIONS_OF_OTHERS
from grainspec.text.other_tools import names_of_others, sides, step_counts, values_of_others
from grainspec.text.token_changes import inserted, is_sign, lexed, offsets, removed, replaced

_GRAINS = frozenset({"CLASS", "INSTANCE", "PART"})
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_SHAPES = frozenset({"box", "ellipse", "polygon"})
_CALLS = _SHAPES | {"masks", "track", "find", "point"}
_OPERATORS = {
    "and": "&",
    "or": "|",
    "not": "~",
    "minus": "-",
    "except": "-",
    "without": "-",
    "union": "|",
    "&&": "&",
    "||": "|",
    "+": "|",
    "!": "~",
    "and not": "-",
}
_SEPARATED = frozenset(STATEMENTS) - {"region", "edit", "add", "variant"}
_TEXTS = frozenset("video model motion_adapter source target negative".split())


# --- words ---------------------------------------------------------------------------------------


def _upper_case(text: str) -> Iterator[Correction]:
    tokens = lexed(text)
    for index, token in enumerate(tokens):
        lower = str(token).lower()
        called = index + 1 < len(tokens) and tokens[index + 1].type == "LPAR"
        word = lower in _WORDS or (called and lower in _CALLS)
        if token.type == "NAME" and lower != token and word:
            message = f"`{token}` is not in lower case, as all words of the language are"
            yield Correction(message, (replaced(token, lower),))


def _first_word(text: str) -> Iterator[Correction]:
    tokens = lexed(text)
    first = tokens[0]
    word = str(first).lower()
    message = f"unknown statement `{first}`"
    if first.type == "NAME" and word in STATEMENTS_OF_OTHERS:
        keyword = STATEMENTS_OF_OTHERS[word]
        yield Correction(message, (replaced(first, keyword),), f"Write `{keyword}`.")
    elif first.type == "NAME":
        near = closest(word, STATEMENTS)
        if near:
            yield Correction(message, (replaced(first, near),), f"Did you mean `{near}`?")


def _edit_missing(text: str) -> Iterator[Correction]:
    """A line that begins with the grain of an edit."""
    for match in re.finditer(r"(?m)^[ \t]*(class|instance|part)\b(?=[^\n]*->)", text):
        change = inserted(match.start(1), "edit ")
        yield Correction(f"unknown statement `{match[1]}`: `edit` is missing", (change,))


def _list_items(text: str) -> Iterator[Correction]:
    """Lines that begin with `-`, as the items of a list in YAML."""
    for match in re.finditer(rf"(?m)^[ \t]*(-[ \t]*)(?=(?:{'|'.join(STATEMENTS)})\b)", text):
        change = Change(*match.span(1), "")
        yield Correction("a statement begins with its keyword, without `-`", (change,))


def _setting_alone(text: str) -> Iterator[Correction]:
    """A setting that is written as a statement: `steps 50` for `sampler { steps 50 }`."""
    tokens = lexed(text)
    first, word = tokens[0], str(tokens[0]).lower()
    block = ALONE.get(word)
    if first.type != "NAME" or block is None:
        return
    keyword = word if word in SETTINGS[block] else SETTINGS_OF_OTHERS[block][word].keyword
    changes = [replaced(first, f"{block} {{ {keyword}"), inserted(offsets(tokens[-1])[1], " }")]
    changes += [removed(text, first, token) for token in tokens[1:2] if is_sign(token, "=", ":")]
    message = f"`{first}` is a setting of `{block}`, not a statement"
    if word not in SETTINGS[block]:
        message = f"unknown statement `{first}`"
    yield Correction(message, tuple(changes))


def _choices(model: type[Node]) -> tuple[str, ...]:
    """The words that can stand before a block's brace."""
    head = head_of(model)
    return head.choices if head else ()


_WORDS = RESERVED | {
    word
    for settings in SETTINGS.values()
    for keyword, declared in settings.items()
    for word in (keyword, *declared.choices)
}
_WORDS |= {*fields_of(Find)["choice"].choices}
_WORDS |= {word for block in BLOCKS.values() for word in _choices(block.model)}
"""All words of the language."""
ALONE = {
    word: block for block in ("sampler",) for word in [*SETTINGS[block], *SETTINGS_OF_OTHERS[block]]
}
"""Settings that are written as statements elsewhere, each with its block."""


def _order(text: str) -> Iterator[Correction]:
    """The grain after the region: `edit left instance`."""
    tokens = lexed(text)
    if len(tokens) > 3 and tokens[0].type in {"EDIT", "ADD"} and tokens[1].type == "NAME":
        grain = tokens[2]
        if grain.type in _GRAINS:
            changes = (
                replaced(tokens[1], str(grain)),
                replaced(grain, str(tokens[1])),
            )
            yield Correction(f"`{grain}` goes before the region", changes)


def _hyphens(text: str) -> Iterator[Correction]:
    """Names with a hyphen: `left-man`."""
    head = re.split(r"->|=|\{", text, maxsplit=1)[0]
    for match in re.finditer(r"\b[^\W\d]\w*(?:-\w+)+", head):
        name = match[0].replace("-", "_")
        message = f"`{match[0]}` is not a name: a name has letters, digits and `_`"
        yield Correction(message, (Change(*match.span(), name),))
    for match in _HYPHENATED.finditer(text, len(head)):
        word = (match["word"] or "").replace("-", "_")
        if word in _WORDS:
            message = f"`{match['word']}` is written `{word}`"
            yield Correction(message, (Change(*match.span(), word),), f"Write `{word}`.")


_HYPHENATED = re.compile(
    r'"(?:\\.|[^"\\\n])*"|#[^\n]*|(?<=\s)(?P<word>[a-z]+(?:-[a-z]+)+)(?=[\s}])'
)
"""A word with hyphens outside of texts and comments, which are matched without one."""


# --- signs between words -------------------------------------------------------------------------


def _separators(text: str) -> Iterator[Correction]:
    """`:` and `=` after keywords, and in place of `->` and `=`; those that are missing."""
    tokens = lexed(text)
    first = tokens[0]
    if str(first) in _SEPARATED and len(tokens) > 2 and is_sign(tokens[1], ":", "="):
        message = f"`{first}` is followed by its value, without `{tokens[1]}`"
        yield Correction(message, (removed(text, tokens[0], tokens[1]),))
    elif first.type in {"EDIT", "ADD"}:
        yield from _arrow(tokens)
    elif first.type == "REGION" and len(tokens) > 2:
        sign = tokens[2]
        if is_sign(sign, ":", "->", ":="):
            change = Change(offsets(tokens[1])[1], offsets(sign)[1], " =")
            yield Correction(f"a region is defined with `=`, not `{sign}`", (change,))
        elif sign.type != "EQUAL":
            change = inserted(offsets(tokens[1])[1], " =")
            yield Correction(f"`=` is missing after `{tokens[1]}`", (change,))


def _arrow(tokens: Sequence[Token]) -> Iterator[Correction]:
    """A sign or word in place of the arrow, and an arrow that is missing."""
    verb = tokens[0]
    if any(token.type == "_ARROW" for token in tokens):
        return
    for index in range(2, len(tokens) - 1):
        sign, following = tokens[index], tokens[index + 1]
        if is_sign(sign, ":", "=", ",", "to", "into", "as"):
            change = Change(offsets(tokens[index - 1])[1], offsets(following)[0], " -> ")
            yield Correction(f"`{verb}` needs `->` before the words, not `{sign}`", (change,))
            return
        if sign.type == "STRING":
            break
    phrase = next((i for i, token in enumerate(tokens) if token.type == "STRING"), 0)
    if phrase >= 2 and tokens[phrase - 1].type == "NAME":
        change = inserted(offsets(tokens[phrase - 1])[1], " ->")
        yield Correction(f"`->` is missing after `{tokens[phrase - 1]}`", (change,))


def _in_blocks(text: str) -> Iterator[Correction]:
    """Signs between settings: `{ weight: 1.2, repel = 0.5 }`, `masks("m", invert=true)`."""
    brackets: list[str] = []
    tokens = lexed(text)
    for before, token in pairwise(tokens):
        if before.type in {"LPAR", "LBRACE"}:
            brackets.append(str(before))
        elif before.type in {"RPAR", "RBRACE"} and brackets:
            brackets.pop()
        if not brackets:
            continue
        if is_sign(token, ":", "=") and before.type in {"NAME", "STRING"}:
            message = f"`{before}` is followed by its value, without `{token}`"
            yield Correction(message, (removed(text, before, token),))
        elif token.type == "COMMA" and brackets[-1] == "{":
            change = removed(text, before, token)
            yield Correction("settings are separated by spaces, not commas", (change,))


def _quoted_keys(text: str) -> Iterator[Correction]:
    """Settings as the keys of JSON: `{ "cross": 1 }`."""
    tokens = lexed(text)
    known = SETTINGS.get("edit" if tokens[0].type in {"EDIT", "ADD"} else str(tokens[0]), {})
    for key, sign in pairwise(tokens):
        word = str(key).strip('"')
        if key.type == "STRING" and is_sign(sign, ":") and word in known:
            change = Change(offsets(key)[0], offsets(sign)[1], word)
            yield Correction(f"settings have no quotes and no colon: `{key}:`", (change,))


def _growth(text: str) -> Iterator[Correction]:
    """How far a region grows as a share of the frame: `grow 0.02`."""
    for word, number in pairwise(lexed(text)):
        if word.type not in {"GROW", "SHRINK"} or number.type != "NUMBER":
            continue
        if 0 < float(number) < 1:
            change = replaced(number, percent_text(float(number)))
            yield Correction(f"`{number}` is written as a share of the frame", (change,))


def _switches(text: str) -> Iterator[Correction]:
    """Options that take no value: `invert true`, `scaled=false`."""
    pattern = r"(?P<comma>,\s*)(?P<word>invert|scaled|in_order)\s*[=:]?\s*(?P<value>\w+)\b"
    for match in re.finditer(pattern, text):
        value = match["value"].lower()
        message = f"`{match['word']}` takes no value"
        if value in {"true", "yes", "on", "1"}:
            change = Change(match.end("word"), match.end(), "")
            yield Correction(message, (change,), f"Write `{match['word']}` alone.")
        elif value in {"false", "no", "off", "0"}:
            cure = f"Remove it: without `{match['word']}` it is off."
            yield Correction(message, (Change(*match.span(), ""),), cure)


def _commas(text: str) -> Iterator[Correction]:
    """Arguments without commas between them: `box(10% 20% 30% 60%)`, `masks("m" invert)`."""
    tokens = lexed(text)
    call = ""
    for index, token in enumerate(tokens[:-1]):
        following = tokens[index + 1]
        if following.type == "LPAR":
            call = str(token)
        lengths = {"PERCENT", "PIXELS", "NUMBER"}
        sides = call in {"box", "ellipse", "point"} and {token.type, following.type} <= lengths
        option = call in {"masks", "find"} and token.type == "STRING" and following.type == "NAME"
        if sides or option:
            message = f"commas are missing between the sides of the {call}"
            if call == "point":
                message = "a comma is missing between x and y of the point"
            if option:
                message = f"a comma is missing before `{following}`"
            yield Correction(message, (inserted(offsets(token)[1], ","),))
        if token.type == "RPAR":
            call = ""


# --- quotes and operators ------------------------------------------------------------------------


def _unquoted(text: str) -> Iterator[Correction]:
    """Texts and paths without quotes."""
    tokens = lexed(text)
    first = tokens[0]
    spot: tuple[int, int] | None = None
    if str(first) in _TEXTS and len(tokens) > 1:
        spot = offsets(tokens[1])[0], offsets(tokens[-1])[1]
        brace = next((token for token in tokens if token.type == "LBRACE"), None)
        spot = (spot[0], offsets(brace)[0]) if brace else spot
    elif first.type in {"EDIT", "ADD"}:
        arrow = next((token for token in tokens if token.type == "_ARROW"), None)
        brace = next((token for token in tokens if token.type == "LBRACE"), None)
        if arrow:
            spot = offsets(arrow)[1], offsets(brace)[0] if brace else offsets(tokens[-1])[1]
    elif match := re.search(r"\b(?:masks|find)\(\s*([^\"',()\n]+?)\s*(?=[,)])", text):
        spot = match.span(1)
    if spot is None:
        return
    inside = text[slice(*spot)]
    bare = inside.strip()
    if not bare or '"' in bare or "\n" in bare or bare[0] in "“”«'‘`{:=>":
        return
    start = spot[0] + inside.index(bare)
    message = f"texts and paths are written in quotes: `{bare}`"
    yield Correction(message, (Change(start, start + len(bare), f'"{bare}"'),))


def _folder_end(text: str) -> Iterator[Correction]:
    r"""A path that ends in `\`, which escapes the quote: `masks("masks\left\")`."""
    tokens = lexed(text)
    for index, token in enumerate(tokens):
        in_masks = index > 1 and tokens[index - 1].type == "LPAR" and tokens[index - 2] == "masks"
        if token.type != "UNCLOSED" or not (in_masks or (index == 1 and tokens[0] == "video")):
            continue
        match = re.match(r'"([^"\n]*\\)"(?=\s*(?:[,){]|$))', str(token))
        if match is None or match[1].startswith("\\\\"):
            continue
        slashes = re.sub(r"\\+", "/", match[1]).removesuffix("/")
        start = offsets(token)[0]
        change = Change(start, start + match.end(), f'"{slashes}"')
        message, cure = "a path has `/` between folders, not `\\`", f'Write `"{slashes}"`.'
        yield Correction(message, (change,), cure, "G012")


def _operators(text: str) -> Iterator[Correction]:
    """Operators of other languages between regions."""
    tokens = lexed(text)
    if tokens[0].type != "REGION":
        return
    pattern = r'"(?:\\.|[^"\\\n])*"|#[^\n]*|&&|\|\||\+|!|\band\s+not\b|\b[A-Za-z]+\b'
    start = offsets(tokens[min(2, len(tokens) - 1)])[1]
    for match in re.compile(pattern).finditer(text, start):
        word = " ".join(match[0].split())
        sign = _OPERATORS.get(word.lower())
        if sign:
            end = match.end()
            while sign == "~" and text[end : end + 1].isspace():
                end += 1
            yield Correction(f"`{word}` is not an operator", (Change(match.start(), end, sign),))


def _masks_missing(text: str) -> Iterator[Correction]:
    """A path where a region is expected: `region left = "masks/left"`."""
    tokens = lexed(text)
    for index, token in enumerate(tokens):
        inside = index > 1 and (
            tokens[index - 1].type == "LPAR" and str(tokens[index - 2]) in {"masks", "find"}
        )
        if tokens[0].type == "REGION" and token.type == "STRING" and not inside:
            change = replaced(token, f"masks({token})")
            yield Correction(f"`{token}` is not a region", (change,))


STRUCTURE: tuple[Rule, ...] = tuple(
    (lambda text, rule=rule: list(rule(text)) if lexed(text) else [])  # type: ignore[misc]
    for rule in (
        _upper_case,
        _first_word,
        _edit_missing,
        _list_items,
        sides,
        square,
        _quoted_keys,
        _growth,
        _switches,
        _separators,
        _order,
        *REGIONS_OF_OTHERS,
        _in_blocks,
        _setting_alone,
        names_of_others,
        step_counts,
        values_of_others,
        _hyphens,
        _operators,
        _masks_missing,
        _folder_end,
        _unquoted,
        mismatched,
        _commas,
        outside,
        unclosed,
        unclosed_inside,
    )
)
"""The rules, in the order in which they are applied."""
