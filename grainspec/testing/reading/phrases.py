"""Find phrases in a prompt, letter by letter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from grainspec.testing.reading import signs as kinds
from grainspec.testing.reading.letters import (
    Letter,
    letters,
    particle_follows,
    word_begins,
    word_ends,
)
from grainspec.words import CharSpan


def read_phrases(phrases: Sequence[str], prompt: str) -> list[list[CharSpan]]:
    """Find every phrase in a prompt: the character spans of each, in the order of the prompt.

    This is the definition of what an edit's words are. A phrase is found where the prompt has its
    letters as whole words. Case, the encoding of accents, full-width letters, the form of quotes
    and dashes and invisible characters do not matter, nor how much white space is between two
    words. In scripts without spaces, words may begin and end at any letter, and white space
    between letters does not matter. A Korean word may have a particle. The places of a phrase do
    not overlap. If those of two phrases do, the phrase with more letters has the place; of two
    equally long phrases, the first.

    >>> read_phrases(["bear", "polar bear"], "a bear and a polar bear")
    [[(2, 6)], [(13, 23)]]
    """
    return [list(spans) for spans in _read(tuple(phrases), prompt)]


@lru_cache(maxsize=64)
def _read(phrases: tuple[str, ...], prompt: str) -> list[list[CharSpan]]:
    found = {number: places(phrase, prompt) for number, phrase in enumerate(phrases)}
    taken: set[int] = set()
    for number in sorted(found, key=lambda number: (-length(phrases[number]), number)):
        spans = [span for span in found[number] if taken.isdisjoint(range(*span))]
        found[number] = spans
        taken |= {at for span in spans for at in range(*span)}
    return [found[number] for number in range(len(phrases))]


def length(phrase: str) -> int:
    """The number of letters of a phrase, with one for the space between two words.

    >>> length("Cafe\u0301  noir ")
    9
    """
    text = letters(phrase)
    return sum(len(letter.composed) for letter in text) + sum(
        letter.after_space for letter in text[1:]
    )


def places(phrase: str, prompt: str) -> list[CharSpan]:
    """Every place of a prompt where a phrase stands as whole words."""
    text = letters(prompt)
    found = []
    at = 0
    while at < len(text):
        end = _end_of_phrase(phrase, text, at)
        if end and word_begins(text, at) and (word_ends(text, end) or particle_follows(text, end)):
            found.append((text[at].start, text[end - 1].end))
            at = end
        else:
            at += 1
    return found


def longer_words_of(phrase: str, prompt: str) -> list[str]:
    """The words of a prompt that have the letters of ``phrase`` in them, each once.

    >>> longer_words_of("man", "Spiderman and a woman and Spiderman")
    ['Spiderman', 'woman']
    """
    text = letters(prompt)
    found: list[str] = []
    for at in range(len(text)):
        end = _end_of_phrase(phrase, text, at)
        if end is None:
            continue
        while not word_begins(text, at):
            at -= 1
        while not word_ends(text, end):
            end += 1
        found.append(prompt[text[at].start : text[end - 1].end])
    return list(dict.fromkeys(found))


def _end_of_phrase(phrase: str, text: Sequence[Letter], at: int) -> int | None:
    """The number of the letter after the phrase, if its letters stand from number ``at`` on."""
    wanted = _signs(phrase)
    number, matched, before = at, 0, ""
    while matched < len(wanted):
        if number == len(text):
            return None
        letter = text[number]
        for index, sign in enumerate(letter.signs):
            if matched == len(wanted):
                return None  # the phrase ends within a letter
            needed, begins_word = wanted[matched]
            if sign != needed:
                return None
            gap_is_free = kinds.is_without_spaces(before or sign) and kinds.is_without_spaces(sign)
            if matched and not gap_is_free:
                spaced = index == 0 and letter.after_space
                if begins_word and not spaced:
                    return None
                if not begins_word and index == 0 and letter.after_white:
                    return None
            matched, before = matched + 1, sign
        number += 1
    return number if wanted else None


@lru_cache(maxsize=256)
def _signs(phrase: str) -> Sequence[tuple[str, bool]]:
    """The signs of a phrase, each with whether a space stands before it."""
    return [
        (sign, index == 0 and letter.after_space)
        for letter in letters(phrase)
        for index, sign in enumerate(letter.signs)
    ]
