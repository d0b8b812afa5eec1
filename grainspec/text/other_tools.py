"""Settings and values as other tools name and count them, corrected to those of the language.

Each rule finds one kind of mistake in a statement's text, as those of
:mod:`grainspec.text.structure` do; the names are in :mod:`grainspec.text.foreign`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from lark import Token

from grainspec.model.declaration import Declaration, fields_of
from grainspec.model.names import RESERVED
from grainspec.model.numbers import first_steps, percent_text
from grainspec.model.settings.sampler import Sampler
from grainspec.model.validation import invalid_value
from grainspec.text.brackets import SETTINGS
from grainspec.text.draft import Change, Correction
from grainspec.text.foreign import (
    COUNTS_OF_EDITED,
    COUNTS_OF_SKIPPED,
    SETTINGS_OF_OTHERS,
    VALUES_OF_OTHERS,
    Ours,
)
from grainspec.text.kinds import expected_value
from grainspec.text.token_changes import is_sign, lexed, replaced


def names_of_others(text: str) -> Iterator[Correction]:
    """Names of settings: `num_inference_steps 30` for `steps 30`."""
    tokens = lexed(text)
    in_region = tokens[0] == "region"
    statement = "edit" if tokens[0] == "add" else str(tokens[0])
    opened: list[str] = []
    for index, token in enumerate(tokens):
        if token.type in {"LBRACE", "LPAR"}:
            opened.append(str(tokens[index - 1]) if in_region else statement)
        elif token.type in {"RBRACE", "RPAR"} and opened:
            opened.pop()
        block, word = opened[-1] if opened else "", str(token).lower()
        known, others = SETTINGS.get(block, {}), SETTINGS_OF_OTHERS.get(block, {})
        is_word = token.type == "NAME" or (str(token) in RESERVED and bool(opened))
        if not is_word or str(token) in known or word not in others:
            continue
        ours = others[word]
        value = tokens[index + 1] if index + 1 < len(tokens) else None
        value = tokens[index + 2] if value is not None and is_sign(value, ":", "=") else value
        changes = [replaced(token, ours.keyword)]
        cure = f"Write `{ours.keyword}`."
        if ours.convert and value is not None:
            converted = ours.convert(str(value))
            if converted is None:
                continue
            changes.append(replaced(value, converted))
            cure = f"Write `{ours.keyword} {converted}`."
        what, code = ("option", "G205") if in_region else ("setting", "G201")
        yield Correction(f"unknown {what} `{token}`", tuple(changes), cure, code)


def sides(text: str) -> Iterator[Correction]:
    """Width and height, first and last frame, as settings of their own."""
    for one, other, keyword, sign in (
        ("width", "height", "size", "x"),
        ("height", "width", "size", "x"),
        ("start_frame", "end_frame", "frames", ".."),
        ("first", "last", "frames", ".."),
        ("start", "end", "frames", ".."),
    ):
        pattern = rf"\b{one}\s*[=:]?\s*(\d+)\s*,?\s*{other}\s*[=:]?\s*(\d+)"
        match = re.search(pattern, text)
        if match and text.startswith("video"):
            values = [match[1], match[2]] if one != "height" else [match[2], match[1]]
            change = Change(*match.span(), f"{keyword} {sign.join(values)}")
            yield Correction(f"unknown settings `{one}` and `{other}`", (change,))
            return


def step_counts(text: str) -> Iterator[Correction]:
    """The steps that FlowEdit skips, or does not skip, as a number: a share needs their number."""
    tokens = lexed(text)
    if tokens[0] != "sampler":
        return
    steps = _number_after(tokens, _STEPS)
    for token, number in pairwise(tokens):
        word = str(token).lower()
        if word not in COUNTS_OF_SKIPPED | COUNTS_OF_EDITED or not str(number).isdecimal():
            continue
        count = int(number)
        skipped = steps - count if steps and word in COUNTS_OF_EDITED else count
        share = _share(skipped, steps) if steps else ""
        if share:
            cure = f"Write `skip {share}`, which is {skipped} of {steps} steps."
            changes = (replaced(token, "skip"), replaced(number, share))
            yield Correction(f"unknown setting `{token}`", changes, cure, "G201")


_STEPS = frozenset(
    {"steps"}
    | {name for name, ours in SETTINGS_OF_OTHERS["sampler"].items() if ours.keyword == "steps"}
)


def _number_after(tokens: Sequence[Token], names: frozenset[str]) -> int | None:
    """The whole number after one of these names."""
    for token, number in pairwise(tokens):
        if token in names and str(number).isdecimal():
            return int(number)
    return None


def _share(count: int, steps: int) -> str:
    """The shortest percentage that is ``count`` of ``steps``; empty if there is none below 100%.

    >>> _share(17, 50), _share(4, 30), _share(30, 30)
    ('34%', '13%', '')
    """
    if not 0 <= count < steps:
        return ""
    for digits in (2, 3, 4, 5):
        share = round(count / steps, digits)
        if first_steps(share, steps) == count:
            return percent_text(share)
    return ""


def values_of_others(text: str) -> Iterator[Correction]:
    """Values of the sampler's settings: `sampler euler`, `process inversion`."""
    tokens = lexed(text)
    if tokens[0] != "sampler":
        return
    fields = fields_of(Sampler)
    for before, token in pairwise(tokens):
        declared = fields["method"] if before is tokens[0] else fields.get(str(before))
        if declared is None or token.type != "NAME" or str(token) in declared.choices:
            continue
        ours = VALUES_OF_OTHERS.get(declared.keyword, {}).get(str(token).lower())
        if ours:
            yield _value(token, declared, ours)


def _value(token: Token, declared: Declaration, ours: Ours) -> Correction:
    message = invalid_value(str(token), declared.keyword, expected_value(declared))
    if declared.head:
        message = f"unknown sampler {declared.keyword} `{token}`"
    change = replaced(token, ours.keyword)
    return Correction(message, (change,), ours.cure, "G202")
