"""Words read a second time: the same words as the compiler's, and what is wrong with one is found."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grainspec import scripts, words
from grainspec.testing import (
    Broken,
    check_words,
    prompts,
    read_phrases,
)
from grainspec.testing.reading.examples import examples, marked
from grainspec.testing.reading.sign_examples import sign_examples
from grainspec.words import CharSpan, bind_phrases


@pytest.mark.parametrize("seed", range(3))
def test_the_librarys_words_are_those_of_the_second_reading(seed: int) -> None:
    check_words(drawn_prompts=1000, seed=seed)


@given(prompts(4))
def test_drawn_prompts_are_read_alike(made: tuple[str, tuple[str, ...]]) -> None:
    target, phrases = made
    assert bind_phrases(phrases, target) == read_phrases(phrases, target)


@given(st.text("aAbB1_ -'’é\u0301\u00ad\u200b\n人色がか로봇이들กาน้ำ", max_size=12), st.data())
def test_any_text_is_read_alike(prompt: str, data: st.DataObject) -> None:
    letters = st.text(prompt or "a", max_size=4)
    phrases = data.draw(st.lists(letters, max_size=3))
    assert bind_phrases(phrases, prompt) == read_phrases(phrases, prompt)


def test_examples_mark_their_places() -> None:
    example = marked("two", ("b", "a"), "⟦a⟧₂ or ⟦b⟧")
    assert (example.prompt, example.spans) == ("a or b", (((5, 6),), ((0, 1),)))
    for example in (*examples(), *sign_examples()):
        assert read_phrases(example.phrases, example.prompt) == [*map(list, example.spans)]


# --- functions of users that are wrong ---

Bind = Callable[[Sequence[str], str], list[list[CharSpan]]]


def by_pattern(pattern: str, flags: int = re.IGNORECASE) -> Bind:
    def bind(phrases: Sequence[str], prompt: str) -> list[list[CharSpan]]:
        return [
            [m.span() for m in re.finditer(pattern.format(re.escape(phrase)), prompt, flags)]
            if phrase.strip()
            else []
            for phrase in phrases
        ]

    return bind


def longest_last(phrases: Sequence[str], prompt: str) -> list[list[CharSpan]]:
    order = sorted(range(len(phrases)), key=lambda number: len(phrases[number]))
    spans: dict[int, list[CharSpan]] = {}
    for number in order:
        taken = [span for found in spans.values() for span in found]
        spans[number] = [
            (start, end)
            for start, end in words.occurrences(phrases[number], prompt)
            if all(end <= low or high <= start for low, high in taken)
        ]
    return [spans[number] for number in range(len(phrases))]


@pytest.mark.parametrize(
    ("bind", "message"),
    [
        (by_pattern("{}"), r"“bear” in “a bear, the bear and bears” is at 2 to 6 and 12 to 16 and"),
        (by_pattern(r"\b{}\b", 0), "“r2d2” in “R2D2 and R2D22” is nowhere, not at 0 to 4"),
        (by_pattern(r"\b{}\b"), r"“\\u200b” in “a\\u200bbear” is at 1 to 2, not nowhere"),
        (
            longest_last,
            "“bear” beside “polar bear” in “a bear and a polar bear” is at 2 to 6 and 19",
        ),
        (lambda phrases, prompt: [], "0 phrases are bound, not 1"),
        (lambda phrases, prompt: bind_phrases(phrases, prompt)[::-1], "beside"),
        (lambda phrases, prompt: 1 / 0, "binding “bear” in “bear” raised ZeroDivisionError"),
        (
            lambda phrases, prompt: [spans[:1] for spans in bind_phrases(phrases, prompt)],
            "is at 2 to 6, not at 2 to 6 and 12 to 16",
        ),
    ],
)
def test_wrong_bindings_are_named(bind: Bind, message: str) -> None:
    with pytest.raises(Broken, match=message) as raised:
        check_words(bind)
    assert raised.value.invariant == "words"


# --- tables of scripts.py: every entry ---


def forget() -> None:
    for cached in (scripts.folded, scripts._folded_letter, words._pattern, words._occurrences):
        cached.cache_clear()


@contextlib.contextmanager
def patched(module: object, **values: object) -> Iterator[None]:
    """Other values of a module, without what was remembered of the true ones."""
    try:
        with mock.patch.multiple(module, **values):
            forget()
            yield
    finally:
        forget()


def broken_examples() -> list[str]:
    """The names of the examples of single signs that the library's binding fails."""
    found = []
    for example in sign_examples():
        if bind_phrases(example.phrases, example.prompt) != [*map(list, example.spans)]:
            found.append(example.name)
    return found


def code(sign: str) -> str:
    return f"U+{ord(sign):04X} "


@pytest.mark.parametrize("sign", [*map(chr, scripts._LOOK_ALIKES)], ids=ascii)
def test_every_look_alike_is_needed(sign: str) -> None:
    if sign == "ı":
        other = {**scripts._LOOK_ALIKES, ord("ı"): "ı"}
        with patched(scripts, _LOOK_ALIKES=other), pytest.raises(Broken, match="ıstanbul"):
            check_words()
        return
    less = {key: plain for key, plain in scripts._LOOK_ALIKES.items() if key != ord(sign)}
    with patched(scripts, _LOOK_ALIKES=less):
        found = broken_examples()
    assert any(name.startswith(code(sign)) for name in found)
    assert all("looks like" in name for name in found)
    other = '"' if scripts._LOOK_ALIKES[ord(sign)] != '"' else "-"
    with patched(scripts, _LOOK_ALIKES={**scripts._LOOK_ALIKES, ord(sign): other}):
        assert any(name.startswith(code(sign)) for name in broken_examples())


@pytest.mark.parametrize("table", ["_LEADING_VOWELS", "_FOLLOWING_VOWELS", "_STACKERS"])
def test_every_vowel_and_stacking_sign_is_needed(table: str) -> None:
    entries = getattr(scripts, table)
    for sign in entries:
        with patched(scripts, **{table: entries - {sign}}):
            found = broken_examples()
        assert found
        assert all(name.startswith(unicodedata.name(sign)) for name in found)
    with patched(scripts, **{table: entries | {"ก"}}):
        assert broken_examples()


def ranges(table: str) -> list[tuple[str, str]]:
    """The ranges of a character class."""
    return [(m[1], m[2] or m[1]) for m in re.finditer("(.)(?:-(.))?", table, re.DOTALL)]


def without(table: str, first: str, last: str) -> str:
    return "".join(f"{a}-{b}" for a, b in ranges(table) if (a, b) != (first, last))


@pytest.mark.parametrize(("first", "last"), ranges(scripts.SPACE_FREE), ids=ascii)
def test_every_script_without_spaces_is_needed(first: str, last: str) -> None:
    less = without(scripts.SPACE_FREE, first, last)
    with patched(scripts, _SPACE_FREE=re.compile(f"[{less}]")):
        found = broken_examples()
    named = [name for name in found if "is of a script without spaces" in name]
    assert any(first <= chr(int(name[2:].split()[0], 16)) <= last for name in named)
    if (after := chr(ord(last) + 1)).isalnum():
        with patched(scripts, _SPACE_FREE=re.compile(f"[{scripts.SPACE_FREE}{after}]")):
            found = broken_examples()
        wanted = [f"{code(after)}" in name or "without" in name for name in found]
        assert all(wanted)


@pytest.mark.parametrize(("first", "last"), ranges(scripts.INVISIBLE), ids=ascii)
def test_every_invisible_character_is_needed(first: str, last: str) -> None:
    for start in {first, last} - {scripts.ZERO_WIDTH_SPACE}:
        ignored = f"(?![{scripts.ZERO_WIDTH_SPACE}{start}])[{scripts.INVISIBLE}]"
        with patched(scripts, _IGNORED=re.compile(ignored)):
            found = broken_examples()
        assert found
        assert all(name.startswith(code(start).strip()) for name in found)
    after = chr(ord(last) + 1)
    more = f"(?!{scripts.ZERO_WIDTH_SPACE})[{scripts.INVISIBLE}{after}]"
    with patched(scripts, _IGNORED=re.compile(more)):
        found = broken_examples()
    assert all(code(after).strip() in name for name in found)


def test_every_particle_is_needed() -> None:
    _, one_of = re.findall(r"\(([^)]*)\)\?", scripts._PARTICLES.pattern)
    particles = one_of.split("|")
    assert len(particles) == 50
    for particle in particles:
        rest = "|".join(other for other in particles if other != particle)
        with patched(scripts, _PARTICLES=re.compile(f"(들)?({rest})?")):
            found = broken_examples()
        assert set(found) == {f"{particle} is a particle", f"들{particle} is a particle"}
    with patched(scripts, _PARTICLES=re.compile(f"({one_of})?")), pytest.raises(Broken, match="들"):
        check_words()
    more = re.compile(f"(들)?({one_of}|팔)?")
    with patched(scripts, _PARTICLES=more), pytest.raises(Broken, match="로봇팔"):
        check_words()


# --- functions of words.py ---


def first_only(phrase: str, prompt: str) -> list[CharSpan]:
    return FIND(phrase, prompt)[:1]


FIND, LONGER, NEAREST, MATCHES = (
    words.occurrences,
    words.longer_words,
    words.nearest_words,
    words._matches,
)
WRONG_WORDS: dict[str, tuple[dict[str, object], str]] = {
    "the first place only": ({"occurrences": first_only}, "words: “bear” in"),
    "any place": ({"begins_word": lambda text, start: True}, "words: “b” in “b bb b ab ba”"),
    "any end": ({"ends_word": lambda text, end: True}, "words: “bear” in .* bears”"),
    "half a letter": (
        {
            "_matches": lambda phrase, prompt: (
                (a, b) for a, b in MATCHES(phrase, prompt) if b > a + 1
            )
        },
        "words: “b” in",
    ),
    "length by encoding": ({"_length": len}, "does not depend on its encoding"),
    "no length": ({"_length": lambda phrase: 0}, "the longer phrase has the place"),
    "shorter first": ({"_length": lambda phrase: -len(phrase)}, "the longer phrase has the place"),
}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_mistakes_of_words_are_named(name: str) -> None:
    values, message = WRONG_WORDS[name]
    with patched(words, **values), pytest.raises(Broken, match=message):
        check_words()


CHECKING = "grainspec.testing.reading.check"


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("longer_words", lambda *a: LONGER(*a)[::-1], "is part of"),
        ("longer_words", lambda *a: LONGER(*a)[:1], "is part of"),
        ("longer_words", lambda *a: [], "is part of nothing, not of"),
        ("longer_words", lambda *a: [f"{word}!" for word in LONGER(*a)], "is part of"),
        ("longer_words", lambda *a: 1 / 0, "raised ZeroDivisionError"),
        ("nearest_words", lambda *a: None, "nothing is suggested for “mans hat”"),
        ("nearest_words", lambda phrase, prompt: prompt.split()[0], "is suggested for"),
        (
            "nearest_words",
            lambda *a: NEAREST(*a) and NEAREST(*a)[:-1],
            "is not in|is suggested for",
        ),
        ("nearest_words", lambda *a: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_wrong_suggestions_are_named(name: str, wrong: object, message: str) -> None:
    with mock.patch(f"{CHECKING}.{name}", wrong), pytest.raises(Broken, match=message) as raised:
        check_words()
    assert raised.value.invariant == "suggestions"
