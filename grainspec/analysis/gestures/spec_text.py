"""A spec as it is written: its statements and names, with their places in the text.

Nothing is lost here, unlike in an :class:`~grainspec.model.spec.EditSpec`; and what cannot be read
does not hide the rest. Offsets count code points; a text begins after its byte order mark.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import NamedTuple

from lark import Token, Tree

from grainspec.diagnostics import GrainError
from grainspec.model.declaration import settings_of
from grainspec.model.settings.video import Video
from grainspec.text.readable import unreadable
from grainspec.text.records import token_of
from grainspec.text.regions import RegionReader
from grainspec.text.tokens import Statement, collector_paused, statements

_EDITS = frozenset({"edit", "add"})
_LISTS = frozenset({"keep", "free", "without"})


class WrittenRegion(NamedTuple):
    """A region's statement, its name, and the tree of its expression."""

    statement: Statement
    name: Token
    expression: Tree[Token]


class Claim(NamedTuple):
    """A region's name in a statement about regions, such as `edit`; ``owner``: after `of`."""

    statement: Statement
    keyword: str
    name: Token
    owner: bool = False

    @property
    def region(self) -> str:
        """The name of the region."""
        return named(self.name)

    @property
    def variant(self) -> int:
        """The number of the variant that it is in; 0 for none."""
        return self.statement.variant

    @property
    def phrase(self) -> Token:
        """The words of an `edit` or `add`, in their quotes."""
        return next(token for token in _tokens(self.statement) if token.type == "STRING")


@lru_cache(maxsize=4)
def spec_text_of(text: str) -> SpecText:
    """The statements of a text: of the last texts they are known."""
    return SpecText(text)


class SpecText:
    """The statements of a text; raises GrainError (G006) for what cannot be a spec.

    >>> written = SpecText('grain 1 video "c" region left = all edit left -> "cat"')
    >>> list(written.regions), [(claim.keyword, claim.name.start_pos) for claim in written.claims]
    (['left'], [('edit', 41)])
    """

    def __init__(self, text: str) -> None:
        if finding := unreadable(text):
            raise GrainError([finding], source=text)
        self.text = text
        with collector_paused():
            self.statements = tuple(statements(text, set()))

    @cached_property
    def regions(self) -> dict[str, WrittenRegion]:
        """The regions whose statements follow the grammar, by name; the first of each name."""
        found: dict[str, WrittenRegion] = {}
        for statement in self.of_kind("region"):
            assert statement.tree is not None
            name, expression = statement.tree.children
            assert isinstance(expression, Tree)
            token = token_of(name)
            found.setdefault(named(token), WrittenRegion(statement, token, expression))
        return found

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """The names in statements about regions, in order."""
        return tuple(claim for statement in self.statements for claim in _claims(statement))

    @cached_property
    def names(self) -> frozenset[str]:
        """Every word of the text that could be the name of a region."""
        words = {claim.region for claim in self.claims} | set(self.regions)
        for region in self.regions.values():
            words |= set(map(named, references(region.expression)))
        for statement in self.statements:
            if statement.tree is None:
                words |= set(re.findall(r"\w+", self.text[statement.start : statement.end]))
        return frozenset(words)

    @cached_property
    def first_frame(self) -> int | None:
        """The first source frame in use; None if the `video` statement cannot be read."""
        for statement in self.of_kind("video"):
            return _first_frame(statement)
        return None if self.broken("video") else 0

    def of_kind(self, *keywords: str) -> Iterator[Statement]:
        """The statements of these keywords that follow the grammar."""
        return (one for one in self.statements if keyword_of(one) in keywords)

    def broken(self, *words: str) -> Statement | None:
        """The first statement that begins with these words and does not follow the grammar."""
        begins = re.compile(r"\s+".join(map(re.escape, words)) + r"\b")
        return next(
            (
                one
                for one in self.statements
                if one.tree is None and begins.match(self.text, one.start)
            ),
            None,
        )


def _first_frame(video: Statement) -> int | None:
    """The first frame that a `video` statement uses; None after a mistake."""
    assert video.tree is not None
    block = next((part for part in video.tree.children if isinstance(part, Tree)), None)
    reader = RegionReader()
    given = reader.settings(block, settings_of(Video))
    if reader.findings:
        return None
    return given["frames"].value.first if "frames" in given else 0


def named(token: Token) -> str:
    """A name as specs have it: however its accents are encoded in the text."""
    return unicodedata.normalize("NFC", str(token))


def keyword_of(statement: Statement) -> str:
    """The word that begins a statement; "" if it does not follow the grammar."""
    tree = statement.tree
    if tree is None:
        return ""
    return str(tree.children[0]) if tree.data == "prompt" else str(tree.data)


def references(expression: Tree[Token]) -> Iterator[Token]:
    """The names of regions in an expression."""
    if expression.data == "reference":
        yield token_of(expression.children[0])
        return
    for part in expression.children:
        if isinstance(part, Tree):
            yield from references(part)


def _tokens(statement: Statement) -> list[Token]:
    parts = statement.tree.children if statement.tree is not None else []
    return [part for part in parts if isinstance(part, Token)]


def _claims(statement: Statement) -> Iterator[Claim]:
    keyword = keyword_of(statement)
    names = [token for token in _tokens(statement) if token.type == "NAME"]
    if keyword in _LISTS:
        yield from (Claim(statement, keyword, name) for name in names)
    elif keyword in _EDITS:
        for name, owner in zip(names, (False, True), strict=False):
            yield Claim(statement, keyword, name, owner)
