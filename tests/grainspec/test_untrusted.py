"""Whatever somebody writes, a spec's doors answer with findings: no crash, no hang, no overflow."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable

import pytest
from clips import EXAMPLES, ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark

from grainspec import GrainError, dumps, from_json, override, parse, parse_all, to_json
from grainspec.diagnostics.render import render
from grainspec.text.format import format_text
from grainspec.text.highlight import GrainLexer
from grainspec.text.tokens import grammar

HEAD = 'grain 1\nvideo "c.mp4"\ntarget "a bear"\n'
GOOD = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.grain"))] + [
    text
    for page in ("README.md", "cookbook.md")
    for text in re.findall(
        r"```grain\n(.*?)```", (ROOT / "grammar" / page).read_text(encoding="utf-8"), re.DOTALL
    )
]
PIECES = st.sampled_from(
    [
        *'\x00 \x1b[31m \ud800 \udfff \ufeff \u202e \r " \\ \\" # } { ) ( } ~ | & - @ = ,'.split(
            " "
        ),
        *"-> region edit add keep free variant without grain video attention sampler".split(),
        *"of part during grow rest all box( masks( polygon( 0..-1 -1 -0 1e999 -1e999".split(),
        *"1e-999 inf nan 99999999999999999999 50% 50px 0x0 99999999x99999999 0.0.0".split(),
        *".5 5. 1..2..3 ٣ ² ½ é e\u0301 \u200d 🙂 ﬀ \U0010ffff".split(),
        *" \n\t\v\f\u00a0\u2028\u2029\x85",
    ]
)


@st.composite
def spoilt(draw: st.DrawFn, texts: list[str]) -> str:
    """A good text with a few stretches cut out, doubled, moved or overwritten."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = text[start:end]
        change = draw(st.sampled_from(["cut", "double", "move", "insert", "replace"]))
        if change == "cut":
            text = text[:start] + text[end:]
        elif change == "double":
            text = text[:end] + piece + text[end:]
        elif change == "move":
            rest = text[:start] + text[end:]
            at = draw(st.integers(0, len(rest)))
            text = rest[:at] + piece + rest[at:]
        else:
            new = "".join(draw(st.lists(PIECES, min_size=1, max_size=3)))
            text = text[:start] + new + text[end if change == "replace" else start :]
    return text


def check_every_door(text: str) -> None:
    """What must hold of any text at all."""
    parsed = parse_all(text)
    lines = parsed.source.split("\n")
    assert parsed.spec is not None or any(finding.is_error for finding in parsed.diagnostics)
    for finding in parsed.diagnostics:
        assert finding.message
        if finding.span is not None:
            assert 1 <= finding.span.line <= len(lines)
            assert 1 <= finding.span.column <= len(lines[finding.span.line - 1]) + 1
    shown = render(parsed.diagnostics, source=parsed.source, path="edit.grain").plain
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", shown)
    json.dumps([finding.as_json() for finding in parsed.diagnostics])
    try:
        laid_out = format_text(text)
    except GrainError as error:
        assert error.diagnostics
    else:
        assert format_text(laid_out) == laid_out
        assert parse_all(laid_out).spec == parsed.spec
    if parsed.spec is not None:
        assert parse(dumps(parsed.spec)) == parsed.spec
        assert from_json(to_json(parsed.spec)) == parsed.spec


@settings(max_examples=150)
@given(st.lists(from_lark(grammar(), start="statement"), min_size=1, max_size=4))
def test_whatever_the_grammar_allows(statements: list[str]) -> None:
    check_every_door(HEAD + "\n".join(statements))


@settings(max_examples=60)
@given(st.lists(from_lark(grammar(), start="statement"), min_size=1, max_size=4))
def test_whatever_the_grammar_allows_in_a_variant(statements: list[str]) -> None:
    check_every_door(HEAD + "variant v {\n" + "\n".join(statements) + "\n}\n")


@settings(max_examples=300)
@given(spoilt(GOOD))
def test_good_specs_spoilt(text: str) -> None:
    check_every_door(text)


@settings(max_examples=100)
@given(st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join))
def test_rubbish(text: str) -> None:
    check_every_door(text)
    check_every_door(HEAD + text)
    assert "".join(piece for _, piece in GrainLexer(stripnl=False).get_tokens(text)) is not None


@settings(max_examples=100)
@given(spoilt([to_json(parse(text)) for text in GOOD]))
@example("\ud800")
@example('{"target": "\\ud800"}')
@example('{"version": 1e999}')
def test_documents_spoilt(text: str) -> None:
    try:
        spec = from_json(text)
    except GrainError as error:
        assert error.diagnostics
        assert all(finding.message for finding in error.diagnostics)
    else:
        assert from_json(to_json(spec)) == spec


@settings(max_examples=100)
@given(
    st.sampled_from(["attention.self", "sampler.steps", "video.size", "r.weight", "r.phrase", "x"]),
    st.sampled_from(["=", "", " = ", "=="]),
    st.lists(PIECES | st.text(max_size=3), max_size=5).map("".join),
)
def test_single_values(name: str, equals: str, value: str) -> None:
    spec = parse(HEAD + 'region r = all\nedit r -> "bear"')
    try:
        override(spec, [name + equals + value])
    except GrainError as error:
        for finding in error.diagnostics:
            assert finding.span is not None
            assert finding.span.line == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "region r = " + "(" * n,
        lambda n: "region r = " + "(" * n + "all" + ")" * n,
        lambda n: "region r = " + "~" * n + "all",
        lambda n: "region r = all" + " grow 1px" * n,
        lambda n: "region r = all" + " | all" * n,
        lambda n: "region r = box(" + "1%, " * n,
        lambda n: "variant v {" * n,
        lambda n: "variant v {\n" * n + "}" * n,
        lambda n: "attention {" + " {" * n,
        lambda n: "{" * n + "}" * n,
        lambda n: '"' * n,
        lambda n: "r" * n,
        lambda n: "9" * n,
        lambda n: f'edit r -> "{"x" * n}"',
        lambda n: "\n" * n + "§",
        lambda n: "".join(f"region r{i} = r{i + 1}\n" for i in range(n // 20)),
        lambda n: "".join(f'edit r{i} -> "bare"\n' for i in range(n // 20)),
        lambda n: "keep " + ", ".join(f"r{i}" for i in range(n // 10)),
        lambda n: "region r = " + "not " * n + "all",
        lambda n: "region r = " + "all and " * n + "all",
        lambda n: "region r = [" * (n // 10),
        lambda n: "sampler { " + "steps = 5, " * (n // 10) + "}",
        lambda n: "prompt “x”\n" * (n // 10),
        lambda n: "edit r => 'x';\n" * (n // 10),
        lambda n: "edit r -> “" + "x" * n,
        lambda n: "// " + "x" * n,
        lambda n: 'region r = masks("' + "\\q" * n + '")',
        lambda n: "a:\n  b:\n" * (n // 10),
        lambda n: "{" + '"a": [' * n,
    ],
)
@pytest.mark.timeout(30)
def test_size_alone_is_no_danger(make: Callable[[int], str]) -> None:
    parsed = parse_all(HEAD + make(20_000))
    assert parsed.spec is None
    assert parsed.diagnostics


LONG: dict[str, Callable[[int], str]] = {
    "keyframes": lambda n: (
        "region r = " + ", ".join(f"box({i % 90}.25%, 2%, 95%, 40%) @ {i}" for i in range(n))
    ),
    "regions": lambda n: "\n".join(f"region r{i} = r{i + 1}" for i in range(n)),
    "a union": lambda n: "region r = " + " | ".join(["all"] * n),
    "edits": lambda n: 'edit r -> "bear"\n' * n,
    "unknown statements": lambda n: 'vidoe "x"\n' * n,
    "signs of others": lambda n: "edit r => “bear”;\n" * n,
    "settings": lambda n: "sampler { " + "stesp 5 " * n + "}",
    "comments": lambda n: "# nothing\n" * n + "keep r",
    "unclosed brackets": lambda n: 'region r = masks("a"\n' * n,
}


@pytest.mark.parametrize("name", LONG)
def test_time_grows_linearly(name: str) -> None:
    """Four times the text takes four times as long; ten times would be a sign of quadratic time.

    Another process can make one measurement slow, not three of three.
    """

    def seconds(count: int) -> float:
        text = HEAD + LONG[name](count)
        start = time.process_time()
        parse_all(text)
        with contextlib.suppress(GrainError):
            format_text(text)
        return time.process_time() - start

    seconds(100)
    short = min(seconds(1000) for _ in range(2))
    assert any(seconds(4000) < 10 * short + 0.2 for _ in range(3))


def test_twenty_thousand_keyframes() -> None:
    text = HEAD + LONG["keyframes"](20_000) + '\nedit r -> "bear"\n'
    start = time.process_time()
    parsed = parse_all(text)
    assert time.process_time() - start < 10  # 3 s on an idle core
    assert parsed.spec is not None
    document = to_json(parsed.spec)
    start = time.process_time()
    assert from_json(document) == parsed.spec
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("region r = " + "(" * 100_000 + "all", "G004"),
        ("region r = " + "~" * 100_000 + "all", "G004"),
        ("region r = " + "not " * 100_000 + "all", "G001"),
        ("region r = all" + " grow 1px" * 100_000, "G004"),
        ("region " + "r" * 1_000_000 + " = all", "G203"),
        ('negative "' + "x" * 1_000_000 + '"', "G203"),
        ('region r = masks("' + "x/" * 500_000 + '")', ""),
        ("variant v {\n" * 50_000, "G010"),
        ("sampler {" * 100_000, "G001"),
    ],
    ids=lambda value: value if len(value) < 10 else f"{value[:14]}…",
)
def test_deep_nesting_and_long_names_have_codes(text: str, code: str) -> None:
    found = {finding.code for finding in parse_all(HEAD + text).diagnostics}
    assert not code or code in found


def test_errors_in_a_long_document_take_linear_time() -> None:
    spec = parse(HEAD + 'region r = all\nedit r -> "bear"')
    document = json.loads(to_json(spec))
    document["regions"] = [{"name": 5, "expression": {"kind": "all"}}] * 20_000
    start = time.process_time()
    with pytest.raises(GrainError) as raised:
        from_json(json.dumps(document))
    assert len(raised.value.diagnostics) == 1_001
    assert "19,000 more mistakes" in raised.value.diagnostics[-1].message
    assert time.process_time() - start < 10


@pytest.mark.parametrize("sign", ["a", "a-", "-", "( ", "=", "“", "1 ", '"', "masks(", "//"])
@pytest.mark.parametrize("start", ["region r = ", "edit r -> ", "attention { ", "edit "])
def test_corrections_are_sought_for_a_bounded_length(start: str, sign: str) -> None:
    """Statements that cannot be read, long or many: the time for each is that of reading them."""
    line = start + sign * 1500 + "\n"
    for text in (HEAD + line * 12, HEAD + start + sign * 9000):
        before = time.process_time()
        assert parse_all(text).diagnostics
        assert time.process_time() - before < 6


def test_documents_of_any_length() -> None:
    keys = ",".join(f'"key{index}":0' for index in range(40_000))
    for text, code in ((f"{{{keys}}}", "G009"), ("[" + "0," * 4_000_000 + "0]", "G006")):
        with pytest.raises(GrainError) as raised:
            from_json(text)
        assert {finding.code for finding in raised.value.diagnostics} == {code}
        assert len(raised.value.diagnostics) <= 20_000


@pytest.mark.parametrize("sign", ["\x1f", "\x1c", "\x00", "\x7f"])
def test_formatting_refuses_what_cannot_be_read(sign: str) -> None:
    with pytest.raises(GrainError, match="G006"):
        format_text(HEAD + f"sampler{sign}{{ steps 3 }}\n")
