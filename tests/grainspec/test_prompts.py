"""Syntax of other tools and invisible characters in prompts."""

from __future__ import annotations

import pytest

from grainspec import check, from_json, parse_all, to_json
from grainspec.checks.foreign_syntax import foreign_parts, without_foreign_syntax
from grainspec.diagnostics import Diagnostic
from grainspec.text.kinds import quoted

CORRECTED = [
    # prompt, what is reported, the prompt without it
    ("a (green robot:1.3) on grass", ["(green robot:1.3)"], "a green robot on grass"),
    ("a (绿色机器人:0.8)", ["(绿色机器人:0.8)"], "a 绿色机器人"),
    ("a (green robot)1.3 x", ["(green robot)1.3"], "a green robot x"),
    ("a （green robot：1.3） x", ["（green robot：1.3）"], "a green robot x"),
    ("a ((green) robot:1.2) x", ["((green) robot:1.2)"], "a green robot x"),
    ("a (green robot:1.2", ["(green robot:1.2"], "a green robot"),
    ("a (green robot:1.2, a man", ["(green robot:1.2"], "a green robot, a man"),
    ("a robot AND:1.2 a man", ["AND:1.2"], "a robot and a man"),
    ("((best)), (((x))), [[ugly]]", ["((best))", "(((x)))", "[[ugly]]"], "best, x, ugly"),
    ("a robot BREAK the man", ["BREAK"], "a robot, the man"),
    ("(a (b:1.2) c:1.3)", ["(a (b:1.2) c:1.3)", "(b:1.2)"], "a b c"),
    ("robot++ and (a hat)+ and (x)--", ["robot++", "(a hat)+", "(x)--"], "robot and a hat and x"),
    ("a robot--, a man", ["robot--"], "a robot, a man"),
    ("a robot BREAK a man", ["BREAK"], "a robot, a man"),
    ("a robot, BREAK a man", ["BREAK"], "a robot, a man"),
    ("a robot BREAK\na man", ["BREAK"], "a robot, a man"),
    ("BREAK a man BREAK", ["BREAK", "BREAK"], "a man"),
    ("masterpiece AND 1girl", ["AND"], "masterpiece and 1girl"),
    ("a robot ADDCOMM a man", ["ADDCOMM"], "a robot, a man"),
    (r"a \(red\) man", [r"\(", r"\)"], "a (red) man"),
    ("{{masterpiece}}, {{x}}", ["{{masterpiece}}", "{{x}}"], "masterpiece, x"),
]
DOUBTFUL = [
    ("a [blue man] on grass", "[blue man]", "a blue man on grass"),
    ("a robot {green}", "{green}", "a robot green"),
    ("a BREAK in the clouds", "BREAK", "a, in the clouds"),
    ("a robot BREAK in half", "BREAK", "a robot, in half"),
]
REPORTED = [
    ("a green robot:1.3", ":1.3", "Remove “:1.3”"),
    ("a robot:1.3, a man", ":1.3", "weight 1.3"),
    ("<lora:ink:0.8> a man", "<lora:ink:0.8>", "--lora ink.safetensors:0.8"),
    ("a __colour__ hat", "__colour__", "variant"),
    ("a {red|blue} hat", "{red|blue}", "“red”"),
    ("a {2$$red|blue} hat", "{2$$red|blue}", "“red”"),
    ("a [cat|dog] hat", "[cat|dog]", "“cat”"),
    ("a [cat:dog:0.5]", "[cat:dog:0.5]", "until"),
    ("a [cat::10]", "[cat::10]", "until"),
    ("embedding:bad, ugly", "embedding:bad", "--embedding bad=FILE.safetensors"),
    ("a man --ar 16:9", "--ar 16:9", "size"),
    ("a man --v 6", "--v 6", "Remove"),
    ("a man --no hats, red dogs", "--no hats, red dogs", "negative"),
    ("hot::2 dog", "::2", "comma"),
    ("# a comment\na man", "# a comment", "Remove"),
    ("a man\n// a comment", "// a comment", "Remove"),
    ('("a", "b").and()', ").and()", "one prompt"),
]
ORDINARY = [
    "a man (in red)", "a man (red) (blue)", "a screen (16:9) at (10:30)", "John (3:16)", "f(x)",
    "a C++ book, g++", "A+ grade, 18+, Disney+", "a sign EXIT AND ENTRY", "A MAN AND A DOG",
    "a man [1]", "a photo [sic]", "a sign [EXIT]", "a man -- tall -- walks", "pre--war", "a --- b",
    "a dog :) :( ;-)", "<3 love", "¯\\_(ツ)_/¯", "(•_•) >⌐■-■", "( ͡° ͜ʖ ͡°)", "a_b __ c",
    "#1 fan of #cats in #ff0000", "see http://a.b", "a man; dog: cat", "AT&T", "R&B AND",
    "at 12:30 in 16:9, ratio:1.85, aspect:1.85, f/1.8", "see (12:30", "John:3.16", "a (hat: 1.2 m) man", ":( at:2",
    "<toy> on grass", "he said: (2)", "a man’s (old) hat [2]", "一个（绿色）机器人",
]  # fmt: skip


def findings(target: str, phrase: str = "x") -> tuple[str, list[Diagnostic]]:
    text = f'grain 1 video "c" region r = all\ntarget {quoted(target + " x")} edit r -> "{phrase}"'
    return text, list(parse_all(text).diagnostics)


def fixed(text: str, found: list[Diagnostic]) -> str:
    lines = text.split("\n")
    fixes = sorted(
        ((fix.span.column, fix) for one in found for fix in one.fixes),
        reverse=True,
        key=lambda pair: pair[0],
    )
    for _, fix in fixes:
        line = lines[fix.span.line - 1]
        lines[fix.span.line - 1] = (
            line[: fix.span.column - 1] + fix.text + line[fix.span.end_column - 1 :]
        )
    return "\n".join(lines)


def marked(text: str, finding: Diagnostic) -> str:
    assert finding.span is not None
    line = text.split("\n")[finding.span.line - 1]
    return line[finding.span.column - 1 : finding.span.end_column - 1]


@pytest.mark.parametrize(("prompt", "parts", "plain"), CORRECTED)
def test_corrections(prompt: str, parts: list[str], plain: str) -> None:
    found = foreign_parts(prompt)
    assert [prompt[part.start : part.end] for part in found] == parts
    assert without_foreign_syntax(prompt) == plain
    assert foreign_parts(plain) == []


@pytest.mark.parametrize(("prompt", "parts", "plain"), CORRECTED)
def test_fixes_of_a_text_leave_no_finding(prompt: str, parts: list[str], plain: str) -> None:
    text, found = findings(prompt)
    assert [one.code for one in found] == ["G115"] * len(parts)
    assert parse_all(fixed(text, found)).diagnostics == ()


@pytest.mark.parametrize(("prompt", "part", "plain"), DOUBTFUL)
def test_what_may_be_ordinary_text_has_no_fix(prompt: str, part: str, plain: str) -> None:
    text, [found] = findings(prompt)
    assert (found.code, marked(text, found), found.fixes) == ("G115", part, ())
    assert without_foreign_syntax(prompt) == plain


@pytest.mark.parametrize(("prompt", "part", "cure"), REPORTED)
def test_reported_with_what_grainspec_has(prompt: str, part: str, cure: str) -> None:
    text, [found] = findings(prompt)
    assert marked(text, found).removesuffix(" x") == quoted(part)[1:-1]
    assert cure in found.cure
    assert found.fixes == ()


@pytest.mark.parametrize("prompt", ORDINARY)
def test_ordinary_punctuation_is_not_reported(prompt: str) -> None:
    assert findings(prompt)[1] == []


def test_places_mind_escapes() -> None:
    text, [found] = findings('a "red"\\ \n man and a (hat:1.2)')
    assert marked(text, found) == "(hat:1.2)"


def test_phrases_and_variants_are_checked_too() -> None:
    text = 'grain 1 video "c" target "a (hat:1.2)" negative "[ugly]" region r = all edit r -> "(hat:1.2)"'
    text += ' variant v { target "a ((cat))" edit r -> "cat" }'
    messages = [found.message.partition(" is syntax")[0] for found in parse_all(text).diagnostics]
    assert messages == [
        "“(hat:1.2)” in `target`",
        "“[ugly]” in `negative`",
        "“(hat:1.2)” in the edit of `r`",
        "“((cat))” in `target` of variant `v`",
    ]


def test_cures_advise_an_edit_only_for_words_that_it_has() -> None:
    prompts = 'source "(hat:1.4)" negative "(hat:1.4) AND a::2" target "a (HAT:1.4) and (hats:1.4)"'
    text = f'grain 1 video "c" {prompts} region r = all edit r -> "hat"'
    assert [found.cure for found in parse_all(text).diagnostics if found.code == "G115"] == [
        "Write “hat”. Words of `source` have no weights.",
        "Write “hat”. Words of `negative` have no weights.",
        "Write “and”.",
        "Write a comma.",
        'Write “HAT”. Words are weighted by their edit: `edit … -> "HAT" { weight 1.4 }`.',
        "Write “hats”. Only the words of an edit have a weight.",
    ]


@pytest.mark.parametrize(
    "prompt", ["a (green:1.2) robot", "a green (robot:1.2)", "a green BREAK the robot"]
)
def test_syntax_inside_the_words_of_an_edit_is_one_finding(prompt: str) -> None:
    phrase = "green, the robot" if "BREAK" in prompt else "green robot"
    text, [found] = findings(prompt, phrase)
    assert found.code == "G104"
    assert "is syntax of other tools" in found.message
    assert parse_all(fixed(text, [found])).diagnostics == ()


def test_other_syntax_has_its_own_finding() -> None:
    _, found = findings("a (green:1.2) robot and a (hat:1.3)", "green robot")
    assert sorted(one.code for one in found) == ["G104", "G115"]


def test_syntax_that_breaks_the_words_in_a_variant_is_reported() -> None:
    text = 'grain 1 video "c" target "a cat" region r = all edit r -> "cat"'
    text += ' variant v { target "a (green:1.2) cat" edit r -> "green cat" }'
    assert "G104" in [found.code for found in parse_all(text).diagnostics]


def test_suggestions_quote_no_syntax() -> None:
    _, found = findings("a (green:1.2) robot <lora:robots:1>", "gren robot")
    [cure] = [one.cure for one in found if one.code == "G104"]
    assert cure == "Did you mean “green robot”?"


def test_specs_from_json_have_the_finding_without_fixes() -> None:
    spec = parse_all(findings("a (hat:1.2)")[0]).spec
    assert spec is not None
    [found] = check(from_json(to_json(spec)))
    assert (found.code, found.span, found.fixes) == ("G115", None, ())


@pytest.mark.parametrize(
    "text", ["(" * 10_000, "[" * 10_000, "{" * 10_000, "(a:" * 3000, "a'" * 5000, "a-" * 5000, "(\0" * 5000,
     "(" + "a:1.2, " * 5000, "((a)" * 5000, "(" + "(a)" * 5000, "a:1.2 " * 3000]
)  # fmt: skip
@pytest.mark.timeout(10)
def test_long_prompts_take_no_long_time(text: str) -> None:
    foreign_parts(text)


@pytest.mark.parametrize(
    ("prompt", "count", "after"),
    [
        ("gre\u00aden robot", 1, "green robot"),
        ("a green\u200brobot", 1, "a green robot"),
        ("\ufeffa robot\u200e \u2060here\u202e", 4, "a robot here"),
        ("ro\u200dbot", 1, "robot"),
        ("hi\U000e0041dden", 1, "hidden"),
    ],
)
def test_invisible_characters(prompt: str, count: int, after: str) -> None:
    text, [found] = findings(prompt)
    assert (found.code, len(found.fixes)) == ("G116", count)
    corrected = fixed(text, [found])
    assert quoted(after + " x") in corrected
    assert parse_all(corrected).diagnostics == ()


@pytest.mark.parametrize(
    "prompt",
    ["👨‍🚀 and ❤️", "می‌خواهم", "क्‍ष", "ក\u200bខ", "רגל\u200f a", "🏴\U000e0067\U000e0062\U000e007f", "a\u00a0b"],
)  # fmt: skip
def test_invisible_characters_with_a_use(prompt: str) -> None:
    assert findings(prompt)[1] == []
