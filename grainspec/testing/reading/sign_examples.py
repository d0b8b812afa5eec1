"""One example for every character, range or particle that reading words depends on."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from grainspec.testing.reading import signs as kinds
from grainspec.testing.reading.examples import Example, marked


@cache
def sign_examples() -> tuple[Example, ...]:
    """The examples; each is named after its character, and what it shows of it."""
    return (
        *_look_alikes(),
        *_invisible(),
        *_scripts_without_spaces(),
        *_scripts_with_spaces(),
        *_vowels(),
        *_particles(),
    )


def _look_alikes() -> Iterator[Example]:
    for sign, plain in kinds.LOOK_ALIKES.items():
        name = f"{_named(sign)} looks like {plain}"
        yield marked(name, f"a{plain}b", f"x ⟦a{sign}b⟧ x")
        yield marked(name, f"a{sign}b", f"x ⟦a{plain}b⟧ x")
        yield marked(name, f"a{sign}b", "x ab x")


def _invisible() -> Iterator[Example]:
    """Every invisible character, and the visible ones beside them."""
    for start, end in _runs(_is_invisible, _WITH_INVISIBLE):
        for code in range(start, end):
            sign = chr(code)
            if sign == kinds.ZERO_WIDTH_SPACE or (code not in (start, end - 1) and _is_new(sign)):
                continue
            yield marked(f"{_named(sign)} is invisible", "robot", f"a ⟦ro{sign}bot⟧")
        for sign in (chr(start - 1), chr(end)):
            if not _is_new(sign) and not sign.isspace():
                yield marked(f"{_named(sign)} is not invisible", "robot", f"a ro{sign}bot")


def _scripts_without_spaces() -> Iterator[Example]:
    """The first and the last character of every range, with another one of its script."""
    for start, end in _runs(_is_without_spaces, _WITHOUT_SPACES):
        every = [chr(code) for code in range(start, end) if not _is_new(chr(code))]
        plain = [sign for sign in every if _stands_alone(sign)] or ["色"]
        own = [sign for sign in plain if unicodedata.normalize("NFKD", sign) == sign] or plain
        for sign in dict.fromkeys((every[0], every[-1], plain[0], plain[-1], own[0], own[-1])):
            if _is_vowel(sign):
                continue
            name = f"{_named(sign)} is of a script without spaces"
            letter = sign if _stands_alone(sign) else f"{plain[0]}{sign}"
            yield marked(name, letter, f"⟦{letter}⟧a")
            if letter == sign:
                yield marked(name, sign, f"⟦{sign}⟧⟦{sign}⟧")
                yield marked(name, sign * 2, f"⟦{sign} {sign}⟧")


def _scripts_with_spaces() -> Iterator[Example]:
    """A letter of every script, and the letters beside the ranges of scripts without spaces."""
    beside = [
        chr(code)
        for run in _runs(_is_without_spaces, _WITHOUT_SPACES)
        for code in (run[0] - 1, run[1])
    ]
    for sign in (*_LETTERS, *beside):
        if unicodedata.category(sign)[0] in "LN" and not _is_without_spaces(sign):
            name = f"{_named(sign)} is of a script with spaces"
            yield marked(name, sign, f"{sign}{sign} ⟦{sign}⟧ {sign}a")


def _vowels() -> Iterator[Example]:
    for name in kinds.VOWELS_BEFORE:
        vowel = unicodedata.lookup(name)
        base = "ກ" if name.startswith("LAO") else "ก"
        yield marked(f"{name} belongs to the letter after it", base, f"⟦{base}⟧{vowel}{base}")
        yield marked(f"{name} belongs to the letter after it", base + vowel, base + vowel + base)
        yield marked(f"{name} belongs to the letter after it", vowel + base, f"⟦{vowel}{base}⟧")
    for name in kinds.VOWELS_AFTER:
        vowel = unicodedata.lookup(name)
        base = "ກ" if name.startswith("LAO") else "ก"
        yield marked(f"{name} belongs to the letter before it", base, f"⟦{base}⟧{base}{vowel}")
        yield marked(f"{name} belongs to the letter before it", base + vowel, f"⟦{base}{vowel}⟧a")
    for name, base in zip(kinds.STACKING, "ကកᨠ", strict=True):
        stacked = base + unicodedata.lookup(name) + base
        yield marked(f"{name} joins two letters", base, f"⟦{base}⟧{stacked}")


def _particles() -> Iterator[Example]:
    for particle in sorted(kinds.PARTICLES):
        for ending in (particle, kinds.PLURAL + particle):
            name = f"{ending} is a particle"
            yield marked(name, "로봇", f"⟦로봇⟧{ending} 로봇{ending}팔. ⟦로봇⟧{ending}")


def _runs(holds: Callable[[str], bool], blocks: Sequence[range]) -> Iterator[tuple[int, int]]:
    """The ranges of code points for which a condition holds; the end is exclusive."""
    for block in blocks:
        start = None
        for code in (*block, block.stop):
            if code < block.stop and holds(chr(code)):
                start = code if start is None else start
            elif start is not None:
                yield start, code
                start = None


def _is_new(sign: str) -> bool:
    """Whether this version of Unicode has no such character."""
    return unicodedata.category(sign) == "Cn"


def _stands_alone(sign: str) -> bool:
    """Whether a character is a letter by itself, not a mark or a vowel of another letter."""
    apart = unicodedata.normalize("NFKD", sign)
    return not any(map(kinds.is_mark, apart)) and not _is_vowel(sign)


def _is_vowel(sign: str) -> bool:
    """Whether a character belongs to the letter before or after it, without being a mark."""
    name = unicodedata.name(sign, "")
    parts = unicodedata.normalize("NFKD", sign)
    return name in (*kinds.VOWELS_BEFORE, *kinds.VOWELS_AFTER, *kinds.STACKING) or len(parts) > 1


def _named(sign: str) -> str:
    return f"U+{ord(sign):04X} {unicodedata.name(sign, '')}".rstrip()


# Not cached: most characters are looked at only here.
_is_without_spaces = kinds.is_without_spaces.__wrapped__
_is_invisible = kinds.is_invisible.__wrapped__

_WITHOUT_SPACES = (
    range(0xE00, 0xFC00),
    range(0x11600, 0x11800),
    range(0x16F00, 0x1B400),
    range(0x1FFF0, 0x20100),
    range(0x2FA00, 0x30100),
)
"""Blocks with all scripts without spaces."""
_WITH_INVISIBLE = (
    range(0x80, 0x10000),
    range(0x1BC00, 0x1BD00),
    range(0x1D100, 0x1D200),
    range(0xE0000, 0xE1000),
)
"""Blocks with all invisible characters."""

_LETTERS = "aZß éøЖωբאعܐދߊࠀࡀकকਕકକதకಕകකཀაሀᎠᐁᚁᚠᜀᜠᠠᢰᤁᮃᯀᰀᱚ봇ㄱⰀⴰꓐꔀꙀꡀꢄꤊꤰꬁꯀ1٣߀५"
"""A letter or digit of most scripts with spaces between words."""
