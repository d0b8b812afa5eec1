"""The colours of a text: what each word is, by the lexer of ``text/highlight.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pygments.token import Comment, Error, Keyword, Name, Number, Operator, String

from grainspec.analysis.document import MAX_ANALYSED, Document
from grainspec.text.highlight import GrainLexer

_KINDS = {
    Comment: "comment",
    Keyword.Constant: "macro",
    Keyword.Type: "modifier",
    Keyword: "keyword",
    Name.Attribute: "property",
    Name.Class: "class",
    Name.Constant: "enumMember",
    Name.Function: "function",
    Name.Variable: "variable",
    Number: "number",
    Operator: "operator",
    String.Escape: "regexp",
    String: "string",
    Error: "",
}
"""The kind of each of Pygments' token types, in the words of the language server protocol."""

KINDS = tuple(dict.fromkeys(kind for kind in _KINDS.values() if kind))
"""The kinds of words, in the order in which the protocol numbers them."""


class Coloured(NamedTuple):
    """A word, and what it is; ``start`` and ``end`` are offsets on one line."""

    start: int
    end: int
    kind: str


def coloured(document: Document) -> Iterator[Coloured]:
    """Each word of the text with its kind, in order.

    >>> [one.kind for one in coloured(Document("keep sky # blue", None))]
    ['keyword', 'variable', 'comment']
    """
    if len(document.text) > MAX_ANALYSED:
        return
    for start, kind, value in GrainLexer().get_tokens_unprocessed(document.plain):
        name = _kind_of(kind)
        for line in value.split("\n") if name else ():
            if line.strip():
                yield Coloured(start, start + len(line.rstrip()), name)
            start += len(line) + 1


def _kind_of(kind: Any) -> str:
    while kind is not None:
        if kind in _KINDS:
            return _KINDS[kind]
        kind = kind.parent
    return ""
