"""What to write instead of a value of another kind, where that is certain."""

from __future__ import annotations

from lark import Token
from pydantic import ValidationError

from grainspec.diagnostics import closest
from grainspec.model.declaration import Declaration, fields_of, head_of, settings_of
from grainspec.model.expected import in_range, takes_shares
from grainspec.model.numbers import decimal_text, percent_text, share_of_percent
from grainspec.model.spec import BLOCKS
from grainspec.text.foreign import VALUES_OF_OTHERS
from grainspec.text.kinds import KINDS, Mismatch, Word, number_of, quoted, read_value
from grainspec.text.tokens import grammar
from grainspec.text.unexpected import NO_METHOD_IN_VARIANT


def cure_of_value(words: list[Word], declaration: Declaration) -> tuple[str, str]:
    """A cure for words that a setting does not take, and the text to write if that is certain.

    Both are empty if there is none.

    >>> from grainspec.model.declaration import settings_of
    >>> from grainspec.model.spec import BLOCKS
    >>> settings = settings_of(BLOCKS["attention"].model)
    >>> cure_of_value([Token("NUMBER", "0.3")], settings["until"])
    ('Write `30%`.', '30%')
    >>> cure_of_value([Token("PERCENT", "50%")], settings["self"])
    ('Write `0.5`.', '0.5')
    """
    if len(words) != 1 or not isinstance(words[0], Token):
        return "", ""
    word = words[0]
    if word.type == "STRING":
        inside = str(word)[1:-1].strip()
        fits = _is_value(inside, declaration)
        return (f"Write `{inside}`, without quotes.", inside) if fits else ("", "")
    if word.type == "NAME" and declaration.choices:
        ours = VALUES_OF_OTHERS.get(declaration.keyword, {}).get(str(word).lower())
        if ours:
            return ours.cure, ours.keyword
        near = closest(str(word), declaration.choices)
        return (f"Did you mean `{near}`?" if near else "", "")
    if word.type == "NAME" and declaration.kind in {"text", "path"}:
        text = quoted(str(word))
        return f"Write `{text}`.", text
    if word.type not in {"NUMBER", "PERCENT"}:
        return "", ""
    if declaration.kind == "length":
        return f"Write `{word}px` or `{word}%`.", ""
    if declaration.keyword == "skip" and word.type == "NUMBER" and number_of(word) > 1:
        return f"Write `{word}%`, a share of the steps: 17 of 50 steps are `34%`.", ""
    number = _converted(word, declaration)
    return (f"Write `{number}`.", number) if number else ("", "")


_ONE_IS_ALL = {"until", "mask_threshold"}
"""Percentages of which 1 means 100%; elsewhere it may be 1%. `mask_threshold` was a number."""


def _converted(word: Token, declaration: Declaration) -> str:
    """A number or percentage in the form that a setting takes; empty if it is not in its range."""
    kind = KINDS[declaration.kind]
    if word.type == "PERCENT" and takes_shares(declaration):
        value = share_of_percent(str(word))
        return kind.write(value) if in_range(declaration, value) else ""
    value = number_of(word)
    if word.type != "NUMBER" or not in_range(declaration, value):
        is_percent = word.type == "NUMBER" and declaration.kind == "percent" and 2 <= value <= 100
        return f"{decimal_text(value)}%" if is_percent else ""
    certain = value != 1 or "." in word or declaration.keyword in _ONE_IS_ALL
    if declaration.kind == "percent" and certain:
        return percent_text(value)
    if declaration.kind in {"whole", "levels", "layers"} and value.is_integer():
        return str(int(value))
    return ""


def _is_value(text: str, declaration: Declaration) -> bool:
    """Whether a text is a single word that the setting takes."""
    tokens = list(grammar().lex(text))
    if len(tokens) != 1 or declaration.kind == "flag":
        return False
    try:
        read_value(tokens[0], declaration)
    except (Mismatch, ValidationError):
        return False
    return declaration.kind not in {"text", "path"}


_NO_METHOD = {"off", "none", "no", "auto", "default"}


def cure_of_head(keyword: str, word: str, *, in_variant: bool = False) -> str:
    """The cure for a word that is no profile or method of a block; empty if there is none.

    It may be a value of one of the block's settings, or for `method` of another statement.

    >>> cure_of_head("method", "mean"), cure_of_head("method", "flow_edit")
    ('Write `method controlvideo { middle mean }`.', 'Write `sampler { process flow_edit }`.')
    """
    model, lower = BLOCKS[keyword].model, word.lower()
    head = head_of(model)
    if keyword == "method" and lower in _NO_METHOD and head:
        cure = f"Leave `method` out, or name one: `method {head.choices[0]}`."
        return NO_METHOD_IN_VARIANT if in_variant else cure
    for name, declared in settings_of(model).items():
        value = _ours(name, lower) or word
        if value in declared.choices:
            named = (declared.owners or head.choices)[:1] if head and head.required else ()
            return f"Write `{' '.join([keyword, *named])} {{ {name} {value} }}`."
    return _other_statement(lower) if keyword == "method" else ""


def _other_statement(word: str) -> str:
    """The cure for a process, profile or solver where a `method` is."""
    for keyword in ("sampler", "attention"):
        for name, declared in fields_of(BLOCKS[keyword].model).items():
            value = _ours(name, word) or word
            if name in _EDITORS and value in declared.choices:
                written = value if declared.head else f"{{ {name} {value} }}"
                return f"Write `{keyword} {written}`."
    return ""


_EDITORS = {"process", "method", "profile"}
"""What names a way to edit in other statements."""


def _ours(name: str, word: str) -> str:
    """Our value of a setting for the word of another tool; empty if there is none."""
    ours = VALUES_OF_OTHERS.get(name, {}).get(word)
    return ours.keyword if ours else ""
