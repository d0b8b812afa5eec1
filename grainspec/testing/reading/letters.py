"""A text as letters, and where words begin and end between them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from grainspec.testing.reading import signs as kinds


class Letter(NamedTuple):
    """A character with its marks, or white space.

    ``signs`` are what the letter is compared by: its parts in small letters. White space has none.
    ``composed`` are the same, put together. ``after_space`` says whether white space or a
    zero-width space stands before the letter, and ``after_white`` whether white space does.
    """

    start: int
    end: int
    signs: str
    composed: str
    after_space: bool
    after_white: bool


@lru_cache(maxsize=256)
def letters(text: str) -> Sequence[Letter]:
    """The letters of a text, without those that are invisible.

    >>> [letter.signs for letter in letters("Man’s")]
    ['m', 'a', 'n', "'", 's']
    """
    found = []
    space = white = False
    for start, end in _clusters(text):
        cluster = text[start:end]
        if cluster.isspace() or cluster == kinds.ZERO_WIDTH_SPACE:
            space, white = True, white or cluster.isspace()
            continue
        plain = _plain(cluster)
        if plain:
            composed = unicodedata.normalize("NFC", plain)
            found.append(Letter(start, end, plain, composed, space, white))
            space = white = False
    return found


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Where each character with its marks begins and ends."""
    start = 0
    for at in range(1, len(text) + 1):
        if at < len(text) and kinds.continues(text[at]) and not _is_gap(text[at - 1]):
            continue
        yield start, at
        start = at


def _is_gap(sign: str) -> bool:
    return sign.isspace() or sign == kinds.ZERO_WIDTH_SPACE


@lru_cache(maxsize=4096)
def _plain(cluster: str) -> str:
    """The signs of a letter, taken apart: without invisible ones, in small letters."""
    seen = [kinds.LOOK_ALIKES.get(s, s) for s in cluster if not kinds.is_invisible(s)]
    apart = unicodedata.normalize("NFKD", "".join(seen))
    small = unicodedata.normalize("NFKD", apart.casefold())
    small = small.replace("ı", "i").replace("i\u0307", "i")  # Turkish: İ, i, I and ı are one letter
    return "".join(kinds.LOOK_ALIKES.get(sign, sign) for sign in small)


def word_begins(text: Sequence[Letter], at: int) -> bool:
    """Whether a word may begin with the letter number ``at``.

    >>> robots = letters("a robot’s 绿色r")
    >>> [letter.signs for at, letter in enumerate(robots) if word_begins(robots, at)]
    ['a', 'r', "'", 's', '绿', '色', 'r']
    """
    if at == 0 and not text[0].after_space:
        return True
    first = text[at].composed[0]
    if kinds.is_mark(first) or unicodedata.name(first, "") in kinds.VOWELS_AFTER:
        return False
    if text[at].after_space:
        return True
    last = text[at - 1].composed[-1]
    if _awaits_more(last):
        return False
    return not (kinds.in_spaced_word(last) and kinds.in_spaced_word(first))


def word_ends(text: Sequence[Letter], end: int) -> bool:
    """Whether a word may end before the letter number ``end``."""
    if end == len(text):
        return True
    if text[end].after_space:
        return not _awaits_more(text[end - 1].composed[-1])
    return word_begins(text, end)


def _awaits_more(sign: str) -> bool:
    """Whether a sign belongs to the letter after it."""
    return unicodedata.name(sign, "") in (*kinds.STACKING, *kinds.VOWELS_BEFORE)


def particle_follows(text: Sequence[Letter], at: int) -> bool:
    """Whether the rest of the word, from letter number ``at``, is a Korean particle.

    >>> particle_follows(letters("로봇이 있다"), 2), particle_follows(letters("로봇팔"), 2)
    (True, False)
    """
    if not unicodedata.name(text[at - 1].composed[-1], "").startswith("HANGUL SYLLABLE"):
        return False
    end = at
    while end < len(text) and (end == at or not word_ends(text, end)):
        end += 1
    rest = "".join(letter.composed for letter in text[at:end])
    return rest == kinds.PLURAL or rest.removeprefix(kinds.PLURAL) in kinds.PARTICLES
