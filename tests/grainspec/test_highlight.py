"""Editors' colours: every word of every example gets one, and both grammars give the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from clips import EXAMPLES, ROOT
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Error, Token

from grainspec.text.highlight import GrainLexer, textmate_grammar, textmate_text

SPECS = {path.stem: path.read_text() for path in sorted(EXAMPLES.glob("*.grain"))} | {
    f"{page} {index}": text
    for page in ("README", "cookbook")
    for index, text in enumerate(
        re.findall(
            r"```grain\n(.*?)```",
            (ROOT / "grammar" / f"{page}.md").read_text(encoding="utf-8"),
            re.DOTALL,
        )
    )
}

KINDS = {
    "comment": Token.Comment,
    "string": Token.Literal.String,
    "constant.character": Token.Literal.String,
    "constant.numeric": Token.Literal.Number,
    "constant.language": Token.Keyword.Constant,
    "constant.other": Token.Name.Constant,
    "entity.name.function": Token.Name.Function,
    "entity.name.type": Token.Name.Class,
    "keyword.operator": Token.Operator,
    "keyword.control": Token.Keyword,
    "storage.type": Token.Keyword.Type,
    "support.type": Token.Name.Attribute,
    "variable": Token.Name.Variable,
    "punctuation": Token.Punctuation,
    "invalid": Error,
}


def textmate_scopes(text: str) -> list[str | None]:
    """The scope of every character, by the rules that TextMate grammars share."""
    grammar = textmate_grammar()

    def spread(patterns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for pattern in patterns:
            if "include" in pattern:
                name = pattern["include"].removeprefix("#")
                found += spread(grammar["repository"][name]["patterns"])
            else:
                found.append(pattern)
        return found

    scopes: list[str | None] = []
    open_rules: list[dict[str, Any]] = []
    for line in text.splitlines(keepends=True):
        at = 0
        while at < len(line):
            inside = open_rules[-1] if open_rules else grammar
            rules = [{"end": inside["end"]}] if "end" in inside else []
            rules += spread(inside.get("patterns", []))
            hits = []
            for order, rule in enumerate(rules):
                match = re.compile(
                    rule.get("end" if order == 0 and open_rules else "match") or rule["begin"]
                ).search(line, at)
                if match and match.end() > match.start():
                    hits.append((match.start(), order, match, rule))
            default = inside.get("name")
            if not hits:
                scopes += [default] * (len(line) - at)
                break
            start, order, match, rule = min(hits, key=lambda hit: hit[:2])
            scopes += [default] * (start - at)
            if order == 0 and open_rules:
                captures = inside.get("endCaptures", {})
                open_rules.pop()
            else:
                captures = rule.get("beginCaptures", {})
                if "begin" in rule:
                    open_rules.append(rule)
            own = captures.get("0", {}).get("name") or rule.get("name") or default
            scopes += [own] * (match.end() - start)
            for group in filter(int, captures):
                first, last = match.span(int(group))
                scopes[len(scopes) - match.end() + first : len(scopes) - match.end() + last] = [
                    captures[group]["name"]
                ] * (last - first)
            at = match.end()
    return scopes


@pytest.mark.parametrize("name", SPECS)
def test_pygments_knows_every_word(name: str) -> None:
    tokens = list(GrainLexer().get_tokens(SPECS[name]))
    assert "".join(text for _, text in tokens).strip("\n") == SPECS[name].strip("\n")
    assert not [text for kind, text in tokens if kind is Error]


@pytest.mark.parametrize("name", SPECS)
def test_both_grammars_agree(name: str) -> None:
    text = SPECS[name]
    scopes = textmate_scopes(text)
    assert len(scopes) == len(text)
    at = 0
    for at, kind, piece in GrainLexer().get_tokens_unprocessed(text):
        for offset, sign in enumerate(piece):
            if not sign.isspace():
                scope = scopes[at + offset]
                assert scope is not None, f"{sign!r} in {piece!r} has no scope"
                wanted = next(kind for prefix, kind in KINDS.items() if scope.startswith(prefix))
                assert kind in wanted, (piece, kind, scope)
    assert at > 0


def test_kinds_of_words() -> None:
    text = 'edit part self of self -> "self" { repel 1 }  # self'
    tokens = [(kind, word) for kind, word in GrainLexer().get_tokens(text) if word.strip()]
    assert tokens[:5] == [
        (Token.Keyword, "edit"),
        (Token.Keyword.Type, "part"),
        (Token.Name.Variable, "self"),
        (Token.Keyword.Type, "of"),
        (Token.Name.Variable, "self"),
    ]
    assert (Token.Name.Attribute, "repel") in tokens
    assert tokens[-1] == (Token.Comment.Single, "# self")


def test_words_that_are_settings_only_where_they_stand() -> None:
    text = 'region index = masks("m", index 1, from 2) variant step { edit index -> "step" }'
    tokens = [(kind, word) for kind, word in GrainLexer().get_tokens(text) if word.strip()]
    assert tokens[1] == (Token.Name.Variable, "index")
    assert tokens.count((Token.Name.Attribute, "index")) == 1
    assert (Token.Name.Attribute, "from") in tokens
    assert (Token.Name.Class, "step") in tokens
    assert tokens[-6] == (Token.Name.Variable, "index")


def test_mistakes_are_marked() -> None:
    for text in ('source "not closed\ntarget', "region ? = all", "video ;"):
        assert Error in [kind for kind, _ in GrainLexer().get_tokens(text)]


def test_pygments_finds_the_lexer() -> None:
    assert isinstance(get_lexer_by_name("grain"), GrainLexer)
    assert isinstance(get_lexer_for_filename("edit.grain"), GrainLexer)


def test_the_textmate_grammar_on_disk_is_current() -> None:
    assert (ROOT / "grammar" / "grain.tmLanguage.json").read_text() == textmate_text()
