"""Find the words of edits in the prompt, by character."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter

from grainspec.scripts import (
    INVISIBLE,
    SPACE_FREE,
    ZERO_WIDTH_SPACE,
    begins_word,
    ends_word,
    folded,
    is_mark,
    is_space_free,
    joined,
)

CharSpan = tuple[int, int]
"""Start and end of a range of characters; the end is exclusive."""

_GAP = rf"[\s{ZERO_WIDTH_SPACE}]"


def occurrences(phrase: str, prompt: str) -> list[CharSpan]:
    """Every place where ``phrase`` occurs in ``prompt`` as whole words.

    Case does not matter, nor does anything else that :func:`grainspec.scripts.folded` ignores. In
    scripts without spaces between words, a phrase may begin and end anywhere between two letters.

    >>> occurrences("Polar Bear", "a polar  bear and two polar bears")
    [(2, 13)]
    >>> occurrences("绿色机器人", "一个绿色机器人和一个人")
    [(2, 7)]
    """
    return list(_occurrences(phrase, prompt))


@lru_cache(maxsize=1024)  # of a text that is read again at every key, few phrases change
def _occurrences(phrase: str, prompt: str) -> tuple[CharSpan, ...]:
    text, places = folded(prompt)
    return tuple(
        (places[start][0], places[end - 1][1])
        for start, end in _matches(phrase, prompt)
        if begins_word(text, start) and ends_word(text, end)
    )


def longer_words(phrase: str, prompt: str) -> list[str]:
    """The words of ``prompt`` that ``phrase`` is only a part of, each once.

    >>> longer_words("man", "Spiderman and a woman and Spiderman")
    ['Spiderman', 'woman']
    """
    text, places = folded(prompt)
    words: dict[str, None] = {}
    for start, end in _matches(phrase, prompt):
        while not begins_word(text, start):
            start -= 1
        while end < len(text) and joined(text[end - 1], text[end]):
            end += 1
        words[prompt[places[start][0] : places[end - 1][1]]] = None
    return list(words)


def _matches(phrase: str, prompt: str) -> Iterator[CharSpan]:
    """The spans in the folded prompt that have the letters of ``phrase``; they do not overlap."""
    pattern = _pattern(folded(phrase).text.strip())
    text, places = folded(prompt)
    position = 0
    while pattern and (match := pattern.search(text, position)):
        start, end = match.span()
        whole = (start == 0 or places[start - 1] != places[start]) and (
            end == len(text) or places[end - 1] != places[end]
        )
        if whole:
            yield start, end
        free = whole and begins_word(text, start) and ends_word(text, end)
        position = end if free else start + 1


@lru_cache(maxsize=512)
def _pattern(letters: str) -> re.Pattern[str] | None:
    """A pattern for folded letters; None if there are none.

    White space matches any white space, and none between letters of scripts without spaces.
    """
    words = _between_gaps(letters)
    if not words:
        return None
    parts = []
    before = ""
    for word in words:
        for index, letter in enumerate(word):
            if before:
                loose = is_space_free(before) and is_space_free(letter)
                gap = f"{_GAP}*" if loose else f"{_GAP}+" if index == 0 else f"{ZERO_WIDTH_SPACE}*"
                parts.append(gap)
            parts.append(re.escape(letter))
            before = letter
    return re.compile("".join(parts))


def _between_gaps(letters: str) -> list[str]:
    return re.findall(rf"(?:(?!{_GAP}).)+", letters, re.DOTALL)


def bind_phrases(phrases: Sequence[str], prompt: str) -> list[list[CharSpan]]:
    """Assign words of the prompt to phrases: the spans of each, in the order of ``phrases``.

    If phrases overlap, the longer one gets the shared words:

    >>> bind_phrases(["bear", "polar bear"], "a bear and a polar bear")
    [[(2, 6)], [(13, 23)]]
    """
    spans: list[list[CharSpan]] = [[] for _ in phrases]
    taken: list[CharSpan] = []
    for index in sorted(range(len(phrases)), key=lambda i: -_length(phrases[i])):
        for start, end in occurrences(phrases[index], prompt):
            if all(end <= low or high <= start for low, high in taken):
                spans[index].append((start, end))
        taken += spans[index]
    return spans


def _length(phrase: str) -> int:
    """The number of letters and single spaces, however the phrase is encoded."""
    return len(" ".join(_between_gaps(folded(phrase).text)))


def nearest_words(phrase: str, prompt: str) -> str | None:
    """The text of ``prompt`` that is most similar to ``phrase``, as it is written there, or None.

    >>> nearest_words("cherry tree", "a bear before cherry trees")
    'cherry trees'
    >>> nearest_words("mans hat", "a man’s hat on grass")
    'man’s hat'
    """
    words = word_spans(prompt)[:400]
    count = len(word_spans(phrase))
    spans = {
        (words[start][0], words[start + length - 1][1])
        for length in {count, count + 1, max(1, count - 1)} - {0}
        for start in range(len(words) - length + 1)
    }
    runs = {prompt[slice(*span)] for span in spans if _are_whole_words(span, prompt)}
    texts = {
        folded(run).text: " ".join(run.split())
        for run in sorted(runs)
        if not re.search(r'["\\]', run)
    }
    near = difflib.get_close_matches(folded(phrase).text, texts, n=1, cutoff=0.55)
    return texts[near[0]] if near else None


def _are_whole_words(span: CharSpan, prompt: str) -> bool:
    text, places = folded(prompt)
    start = bisect_left(places, span[0], key=itemgetter(0))
    end = bisect_right(places, span[1], key=itemgetter(1))
    return begins_word(text, start) and ends_word(text, end)


def word_spans(text: str) -> list[CharSpan]:
    """The words of a text, without punctuation; in scripts without spaces, its letters.

    >>> word_spans("a man’s hat, red")
    [(0, 1), (2, 7), (8, 11), (13, 16)]
    """
    marks = "".join({sign for sign in text if is_mark(sign)})
    more = f"[{marks}{INVISIBLE}]*"
    letter = rf"(?![{SPACE_FREE}])[\w]"
    word = rf"{letter}(?:{letter}|[{marks}{INVISIBLE}'’‘‑‐-])*"
    return [match.span() for match in re.finditer(rf"[{SPACE_FREE}]{more}|{word}", text)]
