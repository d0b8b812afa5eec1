"""Highlighting for editors and web pages: a Pygments lexer and an equivalent TextMate grammar.

The lexer is registered with Pygments as ``grain``. The TextMate grammar, for VS Code, Sublime Text
and others, is in ``grammar/grain.tmLanguage.json``, which ``python -m grainspec.generate`` writes.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups, include
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Whitespace,
)

from grainspec.model.algebra import Find, MaskFiles
from grainspec.model.declaration import fields_of, settings_of
from grainspec.model.names import RESERVED
from grainspec.model.spec import BLOCKS, Edit
from grainspec.model.statements import STATEMENTS


def _any(*words: str) -> str:
    return rf"\b(?:{'|'.join(sorted(words))})\b"


_CONSTANTS = {"all", "rest"}
_STATEMENT = _any(*STATEMENTS)
_OPTION = _any(
    *settings_of(MaskFiles),
    *settings_of(Find),
    *set(fields_of(Find)["choice"].choices) - {"all"},
    "not",
)
_CONSTANT = _any(*_CONSTANTS)
_MODIFIER = _any(*(RESERVED - set(STATEMENTS) - _CONSTANTS))
_SETTINGS = {
    word
    for model in (Edit, *(block.model for block in BLOCKS.values()))
    for word in settings_of(model)
}
_SETTING = _any(*_SETTINGS)
_COMMENT = r"#.*"
_UNCLOSED = r'"(?:\\.|[^"\\\n])*$'
_ESCAPE = r'\\["\\nt]'
_RANGE = r"-?\d+\.\.-?\d+"
_SIZE = r"\d+x\d+"
_NUMBER = r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:%|px\b|[eE][+-]?\d+)?(?![\w.])"
_NAME = r"[^\W\d]\w*"
_CALL = rf"({_NAME})(\s*)(\()"
_VARIANT = rf"\b(variant)(\s+)({_NAME})(\s*)(\{{)"
_OPERATOR = r"->|[|&~=@-]"
_SIGN = r"[(),]"


_groups: Any = bygroups  # which has no types


class GrainLexer(RegexLexer):
    """The Pygments lexer for ``.grain`` files; text outside the language is an error token."""

    name = "Grain"
    aliases: ClassVar = ["grain"]
    filenames: ClassVar = ["*.grain"]
    mimetypes: ClassVar = ["text/x-grain"]

    tokens: ClassVar = {
        "root": [
            (
                _VARIANT,
                _groups(Keyword, Whitespace, Name.Class, Whitespace, Punctuation),
                "variant",
            ),
            include("statements"),
        ],
        "variant": [
            (r"\}", Punctuation, "#pop"),
            include("statements"),
        ],
        "statements": [
            (_STATEMENT, Keyword),
            (_MODIFIER, Keyword.Type),
            (r"\{", Punctuation, "block"),
            include("anywhere"),
            (_NAME, Name.Variable),
        ],
        "block": [
            (r"\}", Punctuation, "#pop"),
            (_SETTING, Name.Attribute),
            include("anywhere"),
            (_NAME, Name.Constant),
        ],
        "call": [
            (r"\)", Punctuation, "#pop"),
            (_OPTION, Name.Attribute),
            include("anywhere"),
            (_NAME, Name.Constant),
        ],
        "anywhere": [
            (r"\s+", Whitespace),
            (_COMMENT, Comment.Single),
            (_UNCLOSED, Error),
            (r'"', String.Double, "string"),
            (_RANGE, Number),
            (_SIZE, Number),
            (_NUMBER, Number),
            (_CONSTANT, Keyword.Constant),
            (_CALL, _groups(Name.Function, Whitespace, Punctuation), "call"),
            (_OPERATOR, Operator),
            (_SIGN, Punctuation),
        ],
        "string": [
            (_ESCAPE, String.Escape),
            (r'"', String.Double, "#pop"),
            (r'[^"\\]+|\\.', String.Double),
        ],
    }


def textmate_grammar() -> dict[str, Any]:
    """The TextMate grammar, with the standard scopes that themes use."""
    anywhere = [
        {"name": "comment.line.number-sign.grain", "match": _COMMENT},
        {"name": "invalid.illegal.unclosed.grain", "match": _UNCLOSED},
        {
            "name": "string.quoted.double.grain",
            "begin": '"',
            "end": '"',
            "patterns": [{"name": "constant.character.escape.grain", "match": _ESCAPE}],
        },
        {"name": "constant.numeric.grain", "match": rf"{_RANGE}|{_SIZE}|{_NUMBER}"},
        {"name": "constant.language.grain", "match": _CONSTANT},
        {
            "begin": _CALL,
            "end": r"\)",
            "beginCaptures": {
                "1": {"name": "entity.name.function.grain"},
                "3": {"name": "punctuation.section.parens.begin.grain"},
            },
            "endCaptures": {"0": {"name": "punctuation.section.parens.end.grain"}},
            "patterns": [
                {"name": "support.type.property-name.grain", "match": _OPTION},
                {"include": "#anywhere"},
                {"name": "constant.other.grain", "match": _NAME},
            ],
        },
        {"name": "keyword.operator.grain", "match": _OPERATOR},
        {"name": "punctuation.separator.grain", "match": _SIGN},
    ]
    statements = [
        {"name": "keyword.control.grain", "match": _STATEMENT},
        {"name": "storage.type.grain", "match": _MODIFIER},
        {
            "begin": r"\{",
            "end": r"\}",
            "beginCaptures": {"0": {"name": "punctuation.section.block.begin.grain"}},
            "endCaptures": {"0": {"name": "punctuation.section.block.end.grain"}},
            "patterns": [
                {"name": "support.type.property-name.grain", "match": _SETTING},
                {"include": "#anywhere"},
                {"name": "constant.other.grain", "match": _NAME},
            ],
        },
        {"include": "#anywhere"},
        {"name": "variable.other.region.grain", "match": _NAME},
    ]
    variant = {
        "begin": _VARIANT,
        "end": r"\}",
        "beginCaptures": {
            "1": {"name": "keyword.control.grain"},
            "3": {"name": "entity.name.type.variant.grain"},
            "5": {"name": "punctuation.section.block.begin.grain"},
        },
        "endCaptures": {"0": {"name": "punctuation.section.block.end.grain"}},
        "patterns": [{"include": "#statements"}],
    }
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "Grain",
        "scopeName": "source.grain",
        "fileTypes": ["grain"],
        "patterns": [variant, {"include": "#statements"}],
        "repository": {
            "anywhere": {"patterns": anywhere},
            "statements": {"patterns": statements},
        },
    }


def textmate_text() -> str:
    """The content of ``grammar/grain.tmLanguage.json``."""
    return json.dumps(textmate_grammar(), indent=2) + "\n"
