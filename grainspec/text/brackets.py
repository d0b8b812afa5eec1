"""Brackets of other languages, brackets that are not closed, and braces that are missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lark import Token

from grainspec.model.algebra import Find, MaskFiles
from grainspec.model.declaration import Declaration, settings_of
from grainspec.model.spec import BLOCKS, Edit
from grainspec.text.draft import Change, Correction
from grainspec.text.token_changes import inserted, is_sign, lexed, offsets, replaced

_CLOSING = {"(": ")", "{": "}", "[": "]"}
_SHAPES = frozenset({"box", "ellipse", "polygon", "point"})
SETTINGS: dict[str, dict[str, Declaration]] = {
    **{word: settings_of(block.model) for word, block in BLOCKS.items()},
    "edit": settings_of(Edit),
    "masks": settings_of(MaskFiles),
    "find": settings_of(Find),
}
"""The settings of each block, of edits, of `masks(…)` and of `find(…)`."""


def square(text: str) -> Iterator[Correction]:
    """Lists in `[…]`."""
    tokens = lexed(text)
    for index, token in enumerate(tokens):
        if token != "[":
            continue
        close = next((i for i in range(index, len(tokens)) if tokens[i] == "]"), None)
        if close is None:
            return
        inside = tokens[index + 1 : close]
        items = [text[slice(*offsets(item))] for item in inside if item.type != "COMMA"]
        before = str(tokens[index - 1]) if index else ""
        written = text[offsets(token)[0] : offsets(tokens[close])[1]]
        change = Change(
            offsets(token)[0], offsets(tokens[close])[1], _list(before, items, inside, tokens)
        )
        yield Correction(f"lists have no brackets: `{written}`", (change,))


def _list(before: str, items: list[str], inside: Sequence[Token], tokens: Sequence[Token]) -> str:
    """A list in the form that the word before it takes."""
    if before in _SHAPES or before == "masks":
        return f"({', '.join(items)})"
    if before in {"frames", "during"} and len(items) == 2:
        return "..".join(items)
    if before == "size" and len(items) == 2:
        return "x".join(items)
    if before in {"keep", "free", "without"}:
        return ", ".join(items)
    if tokens[0].type == "REGION":
        return f"({' | '.join(items)})"
    return " ".join(items)


def mismatched(text: str) -> Iterator[Correction]:
    """A bracket that is closed by one of another kind."""
    opened: list[Token] = []
    for token in lexed(text):
        if token.type in {"LPAR", "LBRACE"}:
            opened.append(token)
        elif token.type in {"RPAR", "RBRACE"}:
            wanted = _CLOSING[opened.pop()] if opened else ""
            if wanted and token != wanted:
                yield Correction(f"`{wanted}` expected, not `{token}`", (replaced(token, wanted),))


def outside(text: str) -> Iterator[Correction]:
    """Settings without braces: `edit left -> "bear" weight 1.2`, `sampler ddim steps 20`."""
    tokens = lexed(text)
    known = SETTINGS.get("edit" if tokens[0].type in {"EDIT", "ADD"} else str(tokens[0]))
    if known is None or any(token.type == "LBRACE" for token in tokens):
        return
    start = 1
    if tokens[0].type in {"EDIT", "ADD"}:
        start = next((i + 1 for i, token in enumerate(tokens) if token.type == "STRING"), 0)
    elif len(tokens) > 1 and not (tokens[1].type == "NAME" and str(tokens[1]) in known):
        start = 2
    if start and start < len(tokens) and tokens[start].type == "NAME":
        changes = (
            inserted(offsets(tokens[start])[0], "{ "),
            inserted(offsets(tokens[-1])[1], " }"),
        )
        yield Correction(f"settings are written in braces: `{tokens[start]}`", changes)


def unclosed(text: str) -> Iterator[Correction]:
    """Brackets that are never closed."""
    opened: list[Token] = []
    last: Token | None = None
    for token in lexed(text):
        if token.type in {"LPAR", "LBRACE"}:
            opened.append(token)
        elif token.type in {"RPAR", "RBRACE"} and opened and _CLOSING[opened[-1]] == token:
            opened.pop()
        last = token
    if opened and last is not None:
        closing = "".join(
            (" " if opener == "{" else "") + _CLOSING[opener] for opener in reversed(opened)
        )
        where = offsets(last)[1]
        yield Correction(f"`{opened[-1]}` is not closed", (inserted(where, closing),))


def unclosed_inside(text: str) -> Iterator[Correction]:
    """A bracket that is not closed before the word or sign that follows it."""
    tokens = lexed(text)
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.type in {"LPAR", "LBRACE"}:
            opened.append(index)
        elif token.type in {"RPAR", "RBRACE"} and opened:
            opened.pop()
        elif opened and (token.type in _FOLLOWS or is_sign(token, "->")):
            change = inserted(offsets(tokens[index - 1])[1], _CLOSING[tokens[opened[-1]]])
            yield Correction(f"`{tokens[opened[-1]]}` is not closed", (change,))
            opened.pop()


_FOLLOWS = frozenset({"AT", "VBAR", "AMPERSAND", "GROW", "SHRINK", "DURING", "SMOOTH", "LBRACE"})
"""What can follow a closed bracket, and does not stand in a call."""
