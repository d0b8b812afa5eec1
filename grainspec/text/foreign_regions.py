"""Tracked regions as other tools write them: `click(…)`, `sam2(…)`, coordinates without `point`.

Each rule finds one kind of mistake in a statement's text, as those of
:mod:`grainspec.text.structure` do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lark import Token

from grainspec.text.draft import Change, Correction
from grainspec.text.foreign_engines import engines, unquoted_weights, weights_of_engines
from grainspec.text.token_changes import inserted, lexed, offsets, replaced

_LENGTHS = frozenset({"PERCENT", "PIXELS", "NUMBER"})
_POINTS = frozenset("click clicks points pt pts dot coords coordinates positive".split())
_CLICKS = frozenset("click clicks points pt pts dot".split())
"""Of these, those after which four numbers are two points, and not the sides of a box."""
_NEGATIVES = frozenset("negative neg negative_point exclude background".split())
_POSITIVES = frozenset("+ positive pos include foreground".split())
_TRACKERS = frozenset(
    "sam sam2 sam3 edgetam segment segment_anything tracker tracked follow xmem cutie cotracker "
    "mask_of object".split()
)
_FINDERS = frozenset(
    "detect detector segment search ground grounding dino grounding_dino groundingdino owl owlvit "
    "owlv2 clipseg lang_sam langsam text words named label yolo sam sam3".split()
)
_OF_PROMPTS = frozenset({"point", "box", "ellipse", "polygon", "masks"})
_PATH = re.compile(r'"[^"]*(?:[/\\*]|\.\w{2,5}")')


class Call(NamedTuple):
    """A call in a region expression, as indices of its tokens."""

    name: int
    opens: int
    closes: int
    inside: str
    """The name of the call around it; empty if there is none."""


def _calls(tokens: Sequence[Token]) -> list[Call]:
    """The closed calls of a region's statement, outermost first."""
    if tokens[0].type != "REGION":
        return []
    found, opened = [], []
    for index, token in enumerate(tokens):
        if token.type == "LPAR":
            opened.append(index)
        elif token.type == "RPAR" and opened:
            opens = opened.pop()
            around = next((at for at in reversed(opened) if _is_name(tokens[at - 1])), 0)
            if _is_name(tokens[opens - 1]):
                inside = str(tokens[around - 1]) if around else ""
                found.append(Call(opens - 1, opens, index, inside))
    return sorted(found)


def _is_name(token: Token) -> bool:
    """Whether a token is the name of a call: a keyword before a bracket is one elsewhere."""
    return token.type in {"NAME", "TRACKER", "NEGATIVE", "SOURCE", "TARGET"}


def called_otherwise(text: str) -> Iterator[Correction]:
    """Calls by other names: `click(30%, 55%)`, `sam2(point(30%, 55%))`, `detect("man")`."""
    tokens = lexed(text)
    for call in _calls(tokens):
        name, first = tokens[call.name], tokens[call.opens + 1]
        word = str(name).lower()
        if call.inside == "track":
            yield from _prompt_called_otherwise(tokens, call)
        elif call.inside or word in {"point", "find"}:
            continue
        elif _is_text(first):
            if word in _FINDERS | {"track"} and not _PATH.match(str(first)):
                message = f"unknown region source `{name}`"
                message = "`track` takes prompts, not words" if word == "track" else message
                yield Correction(message, (replaced(name, "find"),), code="G205")
        elif word in _POINTS | _TRACKERS:
            changes = [replaced(name, "track"), *_with_shape(tokens, call)]
            end = _frame_after(tokens, call.closes)
            if end > call.closes:
                place = offsets(tokens[call.closes])[0], offsets(tokens[end])[1]
                changes.append(Change(*place, f" @ {tokens[end]})"))
            yield Correction(f"unknown region source `{name}`", tuple(changes), code="G205")


def _prompt_called_otherwise(tokens: Sequence[Token], call: Call) -> Iterator[Correction]:
    """A point of `track(…)` by another name, and one outside the object by a name of its own."""
    name, before = tokens[call.name], tokens[call.name - 1]
    word = str(name).lower()
    if word not in _POINTS | _NEGATIVES:
        return
    change = replaced(name, "not point" if word in _NEGATIVES else "point")
    if word in _NEGATIVES and _is_negation(before):
        change = Change(offsets(before)[0], offsets(name)[1], "not point")
    yield Correction(f"`{name}` is not a prompt", (change,), code="G205")


def _is_text(token: Token) -> bool:
    return token.type == "STRING"


def _is_negation(token: Token) -> bool:
    return token.type in {"TILDE", "MINUS"} or str(token) == "!"


def prompts_outside(text: str) -> Iterator[Correction]:
    """A point that is no argument of `track`: `region left = point(30%, 55%) @ 0`."""
    tokens = lexed(text)
    for call in _calls(tokens):
        if tokens[call.name] == "point" and not call.inside:
            end = _frame_after(tokens, call.closes)
            start = offsets(tokens[call.name])[0]
            changes = (inserted(start, "track("), inserted(offsets(tokens[end])[1], ")"))
            message = "a point is a prompt of `track(…)`, not a region"
            yield Correction(message, changes, code="G205")


def bare_coordinates(text: str) -> Iterator[Correction]:
    """Coordinates without the name of their shape: `track(30%, 55%)`, `track((30%, 55%))`."""
    tokens = lexed(text)
    for call in _calls(tokens):
        changes = _with_shape(tokens, call) if tokens[call.name] == "track" else ()
        for change in changes:
            what = "a box" if change.text.startswith("box") else "a point"
            yield Correction(f"{what} is written `{change.text}`", (change,), code="G205")


def _with_shape(tokens: Sequence[Token], call: Call) -> tuple[Change, ...]:
    """The change of coordinates in a call to points or a box; none if it has anything else."""
    end = next((i for i in range(call.opens, call.closes) if tokens[i].type == "AT"), call.closes)
    inner = tokens[call.opens + 1 : end]
    numbers = [token for token in inner if token.type in _LENGTHS]
    if not all(token in numbers or _is_around(token) for token in inner):
        return ()
    clicks = any(str(token).lower() in _CLICKS for token in [tokens[call.name], *inner])
    if len(numbers) == 2 or (clicks and numbers and len(numbers) % 2 == 0):
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        shapes = ", ".join(f"point({x}, {y})" for x, y in pairs)
    elif len(numbers) == 4:
        shapes = f"box({', '.join(map(str, numbers))})"
    else:
        return ()
    return (Change(offsets(inner[0])[0], offsets(inner[-1])[1], shapes),)


def _is_around(token: Token) -> bool:
    """Whether other tools write this token around coordinates, as in `points=[[30%, 55%]]`."""
    signs = {"COMMA", "LPAR", "RPAR", "EQUAL"}
    return token.type in signs or str(token) in {"[", "]", ":", "x", "y", "box", *_POINTS}


def named_coordinates(text: str) -> Iterator[Correction]:
    """Names before coordinates: `point(x=30%, y=55%)`."""
    value = r"\s*[=:]?\s*(?P<{}>[^\s,()]+)\s*"
    pattern = rf"\bpoint\(\s*x{value.format('x')},\s*y{value.format('y')}\)"
    for match in re.finditer(pattern, text):
        change = Change(*match.span(), f"point({match['x']}, {match['y']})")
        yield Correction(f"a point is written `{change.text}`", (change,), code="G205")


def modifiers_as_calls(text: str) -> Iterator[Correction]:
    """Modifiers of regions as functions: `smooth(left, 5)`, `grow(left, 2%)`."""
    words = "grow|shrink|smooth|during"
    pattern = rf"\b(?P<word>{words})\(\s*(?P<name>\w+)\s*,\s*(?P<value>[\w.%]+)\s*\)"
    for match in re.finditer(pattern, text):
        change = Change(*match.span(), f"{match['name']} {match['word']} {match['value']}")
        yield Correction(f"`{match['word']}` is written after the region", (change,))


def signs(text: str) -> Iterator[Correction]:
    """Points with a sign or a word: `track(+point(30%, 55%), negative point(80%, 80%))`."""
    tokens = lexed(text)
    for call in _calls(tokens):
        sign = tokens[call.name - 1]
        if call.inside != "track" or tokens[call.name] != "point":
            continue
        place = offsets(sign)[0], offsets(tokens[call.name])[0]
        word = str(sign).lower()
        if _is_negation(sign) or word in _NEGATIVES:
            message = f"a point outside the object is written `not point(…)`, without `{sign}`"
            yield Correction(message, (Change(*place, "not "),), code="G205")
        elif word in _POSITIVES:
            message = f"a point on the object is written `point(…)`, without `{sign}`"
            yield Correction(message, (Change(*place, ""),), code="G205")


def semicolons(text: str) -> Iterator[Correction]:
    """`;` between arguments: `track(point(30%, 55%); point(40%, 60%))`."""
    opened = 0
    for token in lexed(text):
        opened += (token.type == "LPAR") - (token.type == "RPAR")
        if opened > 0 and token == ";":
            message = "arguments are separated by `,`, not `;`"
            yield Correction(message, (replaced(token, ","),))


def masks_of_a_frame(text: str) -> Iterator[Correction]:
    """A path as a prompt: `track("hero_0.png" @ 0)`."""
    tokens = lexed(text)
    for call in _calls(tokens):
        first = tokens[call.opens + 1]
        if tokens[call.name] == "track" and _PATH.match(str(first)):
            change = replaced(first, f"masks({first})")
            yield Correction(f"`{first}` is not a prompt", (change,), code="G205")


def frames(text: str) -> Iterator[Correction]:
    """A frame at another place or without `@`: `track(point(30%, 55%)) @ 0`."""
    tokens = lexed(text)
    for call in _calls(tokens):
        name, end = tokens[call.name], _frame_after(tokens, call.closes)
        close, last = tokens[call.closes], tokens[end]
        if name in {"track", "find"} and end > call.closes:
            change = Change(offsets(close)[0], offsets(last)[1], f" @ {last})")
            message = f"`@ {last}` goes inside the brackets of `{name}(…)`"
            yield Correction(message, (change,), code="G205")
        inside = tokens[call.closes - 2 : call.closes]
        if name in _OF_PROMPTS and inside[0].type == "AT":
            start = offsets(tokens[call.closes - 3])[1]
            change = Change(start, offsets(close)[1], f") @ {inside[1]}")
            message = f"`@ {inside[1]}` goes after the brackets of `{name}(…)`"
            yield Correction(message, (change,), code="G205")
    yield from _without_at(text, tokens)


def _frame_after(tokens: Sequence[Token], closes: int) -> int:
    """The index of the frame's number after a call; that of its bracket if it has none."""
    following = [token.type for token in tokens[closes + 1 : closes + 3]]
    return closes + 2 if following == ["AT", "NUMBER"] else closes


def _without_at(text: str, tokens: Sequence[Token]) -> Iterator[Correction]:
    """`track(point(30%, 55%), frame 3)`, `find("man", at=3)`, `track(… @ frame 3)`."""
    if tokens[0].type != "REGION":
        return
    outside = r'"(?:\\.|[^"\\\n])*"|#[^\n]*'
    written = r"\s*(?:,\s*|@\s*)?\b(?P<word>at|frame|on|t|frame_idx|frame_index)\b\s*[=:]?\s*"
    for match in re.finditer(rf"{outside}|{written}(?P<number>\d+)(?=\s*[,)])", text):
        if match["word"] and re.search(r"\b(?:track|find)\b", text[: match.start()]):
            change = Change(*match.span(), f" @ {match['number']}")
            message = f"a frame is written `@ {match['number']}`"
            yield Correction(message, (change,), code="G205")


REGIONS_OF_OTHERS = (
    bare_coordinates,
    named_coordinates,
    modifiers_as_calls,
    called_otherwise,
    prompts_outside,
    signs,
    semicolons,
    masks_of_a_frame,
    frames,
    engines,
    weights_of_engines,
    unquoted_weights,
)
"""The rules, in the order in which they are applied."""
