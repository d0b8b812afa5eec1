"""A document in an editor: positions, edits, and answers about texts that are being written."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asking import ask_all, ask_at
from clips import EXAMPLES
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from lark import Token

from grainspec import GrainError, parse_all
from grainspec.analysis.document import MAX_ANALYSED, Document
from grainspec.analysis.edits import applied
from grainspec.analysis.fixes import all_fixed, corrections, formatted
from grainspec.analysis.positions import Utf16
from grainspec.diagnostics.span import Span
from grainspec.model.nodes import Node
from grainspec.text.format import format_text
from grainspec.text.readable import unreadable
from grainspec.text.tokens import grammar

SPECS = {path.stem: path.read_text() for path in sorted(EXAMPLES.glob("*.grain"))}
WIDE = "a🐻b 熊猫 e\u0301 \U0001f468\u200d\U0001f469 ß"
STRANGE = ("🐻", "熊", "e\u0301", "\r\n", "\r", "\n", "\u2028", "\x0c", "\x85", "\ufeff", "\x00")
WORDS = ('"', "{", "}", "#", "\\", "region ", "edit ", "->", "masks(", "a", " ", "variant v {")
PIECES = st.sampled_from(STRANGE + WORDS)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def units(text: str) -> list[int]:
    """The UTF-16 units of a text."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


# --- positions -----------------------------------------------------------------------------------


@given(text=TEXTS)
@example(text=WIDE)
@example(text="a\r\nb\rc\nd")
@example(text="")
def test_every_offset_has_its_position_and_back(text: str) -> None:
    places = Utf16(text)
    lines = re.split(r"\r\n|\r|\n", text)
    assert places.lines == len(lines)
    for offset in range(len(text) + 1):
        line, column = places.position(offset)
        inside_line_end = text[offset - 1 : offset + 1] == "\r\n"
        assert 0 <= column <= len(units(lines[line]))
        if not inside_line_end:
            assert places.offset(line, column) == offset
            before = re.split(r"\r\n|\r|\n", text[:offset])[-1]
            assert column == len(units(before))


def test_positions_outside_are_moved_inside() -> None:
    places = Utf16("a🐻\nb")
    assert places.offset(0, 2) == 1  # the middle of a surrogate pair
    assert places.offset(0, 99) == 2
    assert places.offset(9, 0) == 4
    assert places.offset(-1, 5) == 0
    assert places.position(99) == (1, 1)


@given(text=TEXTS)
def test_spans_are_those_of_the_parser(text: str) -> None:
    document = Document(text, None)
    assert len(document.plain) == len(text)
    for token in document.tokens:
        start, end = token.start_pos or 0, token.end_pos or 0
        assert document.positions.span(start, end).line == token.line
        assert document.positions.span(start, end).column == token.column


# --- edits ---------------------------------------------------------------------------------------


@settings(max_examples=40, phases=set(Phase) - {Phase.shrink})  # an example is a whole session
@given(texts=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), TEXTS), max_size=6))
def test_an_edited_document_is_a_fresh_one(texts: list[tuple[int, int, str]]) -> None:
    document = Document(SPECS["variants"], None)
    for start, length, new in texts:
        start = min(start, len(document.text))
        expected = document.text[:start] + new + document.text[start + length :]
        document = document.edited(start, start + length, new)
        assert document.text == expected
        fresh = Document(expected, None)
        assert document.findings == fresh.findings
        assert document.symbols == fresh.symbols
        assert [one.keyword for one in document.statements] == [
            one.keyword for one in fresh.statements
        ]
    ask_all(document)
    for offset in {0, len(document.text), *(start for start, _, _ in texts)}:
        ask_at(document, min(offset, len(document.text)))


@given(text=TEXTS)
@example(text='edit "')
@example(text="variant v {")
@example(text="region =")
@example(text="region a = track(masks(")
@example(text="variant variant { }}")
def test_no_text_is_too_strange(text: str) -> None:
    document = Document(text, None)
    ask_all(document)
    for offset in range(0, len(text) + 1, 3):
        ask_at(document, offset)


@pytest.mark.parametrize("name", ["instance", "tracked", "variants"])
def test_every_prefix_of_an_example(name: str) -> None:
    text = SPECS[name]
    for match in list(re.finditer(r"\b", text))[::3]:
        document = Document(text[: match.start()], EXAMPLES / f"{name}.grain")
        ask_at(document, match.start())
        ask_all(document)


@pytest.mark.parametrize("name", SPECS)
def test_every_place_of_an_example(name: str) -> None:
    document = Document(SPECS[name], None)
    ask_all(document)
    for offset in range(0, len(document.text) + 1, 4):
        ask_at(document, offset)
    assert not document.findings


@pytest.mark.parametrize("name", SPECS)
def test_findings_are_those_of_the_parser_with_any_line_ends(name: str) -> None:
    text = SPECS[name].replace("robot", "robots").replace("left ", "leftt ", 1)
    expected = parse_all(text).diagnostics
    for ends in ("\n", "\r\n", "\r"):
        document = Document("\ufeff" * (ends == "\r") + text.replace("\n", ends), None)
        assert [one.code for one in document.findings] == [one.code for one in expected]
        assert [one.span for one in document.findings] == [one.span for one in expected]


def test_a_text_that_is_too_long_has_findings_only() -> None:
    document = Document("# x\n" * (MAX_ANALYSED // 4 + 1) + "keep", None)
    assert document.tokens == ()
    assert [one.code for one in document.findings] == ["G005", "G001", "G008", "G008"]
    ask_at(document, 100)


# --- corrections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_all_corrections_leave_nothing_to_correct(ends: str) -> None:
    text = 'grain 1\nvideo "c"\ntarget "a 🐻 bear"\nregion sky = all\nedit sky => “bear”\n'
    document = Document(text.replace("\n", ends), None)
    after = applied(document.text, all_fixed(document))
    assert after == document.text.replace("=>", "->").replace("“bear”", '"bear"')


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("name", SPECS)
def test_formatting_is_that_of_the_formatter(name: str, ends: str) -> None:
    text = SPECS[name].replace("    ", "  ").replace("= ", "=   ")
    document = Document(text.replace("\n", ends), None)
    assert applied(document.text, formatted(document)) == format_text(text).replace("\n", ends)


def test_formatting_of_a_broken_text_is_refused() -> None:
    with pytest.raises(GrainError):
        formatted(Document("region = ", None))


LONG = """
region far = track(
    point(14%, 71%) @ 0,
    not point(1%, 1%) @ 3
) grow 2%
region odd = track(point(14%, 71%) @ 0) & ~(box(0%, 0%,
    9%, 9%) | masks("m", index 1, index 2)) smooth 3  edit far -> "a" edit
  odd -> "b" { weight 1.2 weight
    1 }  keep far  keep far
attention { demo cross 1 }
region near = box(0%, 0%, 9%, 9%) @ 0,
    box(5%, 0%, 9%, 9%) @ 3 # between
keep far
"""
REMEMBERED = SPECS["variants"] + SPECS["instance"] + LONG + SPECS["part"]
LINES = st.sampled_from(
    ["\n", "\n\n", "# a\n", "  ", "keep far\n", "    9%, 9%", "edit far -> ", "grain 1\n", "\r\n"]
)
EDITS = st.lists(
    st.tuples(st.integers(0, len(REMEMBERED)), st.sampled_from([0, 0, 1, 9, 80]), TEXTS | LINES),
    max_size=5,
)
INSIDE = REMEMBERED.index("not point")


def places(value: Any) -> Iterator[tuple[str, Span]]:
    """All places of a record's fields, and of those inside it."""
    if isinstance(value, Node):
        for name, span in (value._spans or {}).items():
            yield f"{type(value).__name__}.{name}", span
        for inner in value.__dict__.values():
            yield from places(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from places(inner)


@given(edits=EDITS)
@settings(max_examples=25, phases=set(Phase) - {Phase.shrink}, deadline=None)
@example(edits=[(600, 0, "\nkeep left\n"), (0, 0, "x")])
@example(edits=[(300, 0, "\n"), (300, 1, ""), (610, 3, "\n\n")])
@example(edits=[(0, 0, "\n"), (0, 0, "# a\n# b\n"), (0, 2, "")])
@example(edits=[(len(REMEMBERED), 0, "\n"), (len(REMEMBERED), 0, "keep far"), (0, 0, "\n")])
@example(edits=[(INSIDE, 0, "\n\n"), (INSIDE, 1, ""), (0, 0, "\n"), (INSIDE - 9, 9, "")])
@example(edits=[(REMEMBERED.index("region far"), 0, "    "), (0, 0, "\n")])
def test_what_is_remembered_is_what_is_read_anew(edits: list[tuple[int, int, str]]) -> None:
    document = Document(REMEMBERED, None)
    assert len(document.parsed.memory.statements) > 20
    for start, length, new in edits:
        document = document.edited(start, start + length, new)
        parsed, fresh = document.parsed, parse_all(document.plain)
        assert parsed.diagnostics == fresh.diagnostics
        assert parsed.draft == fresh.draft
        assert list(places(parsed.draft)) == list(places(fresh.draft))
        assert list(map(told, document.tokens)) == list(map(told, lexed(document)))


def lexed(document: Document) -> Iterator[Token]:
    return grammar().lex("" if unreadable(document.plain) else document.plain)


def told(token: Token) -> tuple[Any, ...]:
    """All that a token says."""
    ends = token.end_line, token.end_column, token.end_pos
    return token.type, str(token), token.line, token.column, token.start_pos, *ends


def test_a_statement_that_moves_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    document = Document(SPECS["tracked"], None)
    assert not document.findings
    read_again = "grainspec.text.tokens._Statements.parse"
    monkeypatch.setattr(read_again, lambda self: pytest.fail("read again"))
    moved = document.edited(0, 0, "\n# new\n")
    assert not moved.findings
    line = document.draft.regions[0].span.line
    assert moved.draft.regions[0].span.line == line + 2


def test_two_threads_read_a_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count = []

    def slow(*given: Any) -> Any:
        count.append(1)
        time.sleep(0.1)
        return parse_all(*given)

    monkeypatch.setattr("grainspec.analysis.document.parse_all", slow)
    document, other = Document(LONG, None), Document(LONG, None)
    with ThreadPoolExecutor() as threads:
        found = list(threads.map(lambda one: one.parsed, [document, document, document]))
        assert len(set(map(id, found))) == 1
        assert other.parsed.diagnostics == document.findings
    assert len(count) == 2


HOSTILE = {
    "quotes": '"' * 30_000,
    "paths": 'region a = masks("x"' + ', "x"' * 6_000,
    "brackets": "region a = " + "(" * 30_000,
    "variants": "variant v {\n" * 2_500,
    "edits": 'edit a -> "x"\n' * 2_000,
    "signs": "~" * 30_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_answers_about_hostile_texts_take_linear_time(text: str) -> None:
    before = time.process_time()
    document = Document(text, None)
    ask_at(document, len(text))
    ask_at(document, len(text) // 2)
    ask_all(document)
    assert time.process_time() - before < 10  # a second; ten times as long if it is quadratic


MISTAKES = {
    'region b = all  # one\nedit left -> "bear"': 'region b = all  # one\nedit left -> "bear"\nkeep b',
    'edit left -> "bear"\nvideo "d"\n# end': 'edit left -> "bear"\n# end',
    'edit left -> "bear" video "d"': 'edit left -> "bear" ',
    'edit lefft -> "bear"': 'edit left -> "bear"',
}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("text", MISTAKES)
def test_what_is_offered_to_correct_a_mistake(text: str, ends: str) -> None:
    head = 'grain 1\nvideo "c"\ntarget "a \\"big\\" hat and a bear"\nregion left = all\n'
    document = Document((head + text).replace("\n", ends), None)
    (found,) = corrections(document, document.findings, 0, len(document.text))
    assert not found.certain
    after = applied(document.text, found.edits)
    assert after == (head + MISTAKES[text]).replace("\n", ends)
    assert not Document(after, None).findings
