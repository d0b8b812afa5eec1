"""Find the words of edits in the prompt, by character."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

CharSpan = tuple[int, int]
"""Start and end of a range of characters; the end is exclusive."""


def occurrences(phrase: str, prompt: str) -> list[CharSpan]:
    """Every place where ``phrase`` occurs in ``prompt`` as whole words, ignoring case.

    >>> occurrences("Polar Bear", "a polar  bear and two polar bears")
    [(2, 13)]
    """
    words = unicodedata.normalize("NFC", phrase).split()
    if not words:
        return []
    text, places = _composed(prompt)
    letter = rf"[\w{_marks(text)}{_marks(phrase)}]"
    before = f"(?<!{letter})" if re.match(letter, words[0]) else ""
    after = f"(?!{letter})" if re.search(f"{letter}$", words[-1]) else ""
    pattern = before + r"\s+".join(map(re.escape, words)) + after
    return [
        (places[match.start()][0], places[match.end() - 1][1])
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


@lru_cache(maxsize=8)  # all phrases of a spec are searched in one prompt
def _composed(text: str) -> tuple[str, list[CharSpan]]:
    """The text in composed form (NFC), and the span of each of its characters in the original."""
    if unicodedata.is_normalized("NFC", text):
        return text, [(at, at + 1) for at in range(len(text))]
    composed: list[str] = []
    places: list[CharSpan] = []
    starts = [at for at, sign in enumerate(text) if at == 0 or not _continues(sign)]
    for start, end in pairwise([*starts, len(text)]):
        letters = unicodedata.normalize("NFC", text[start:end])
        composed.append(letters)
        places += [(start, end)] * len(letters)
    return "".join(composed), places


def _continues(sign: str) -> bool:
    """Whether a character may combine with the one before: marks, Hangul vowels and finals."""
    return unicodedata.category(sign).startswith("M") or "\u1160" <= sign <= "\u11ff"


@lru_cache(maxsize=8)
def _marks(text: str) -> str:
    """The combining marks of a text, for a character class of a regular expression."""
    return "".join({sign for sign in text if unicodedata.category(sign).startswith("M")})


def bind_phrases(phrases: Sequence[str], prompt: str) -> list[list[CharSpan]]:
    """Assign words of the prompt to phrases: the spans of each, in the order of ``phrases``.

    If phrases overlap, the longer one gets the shared words:

    >>> bind_phrases(["bear", "polar bear"], "a bear and a polar bear")
    [[(2, 6)], [(13, 23)]]
    """
    spans: list[list[CharSpan]] = [[] for _ in phrases]
    taken: list[CharSpan] = []
    for index in sorted(range(len(phrases)), key=lambda i: -len(phrases[i])):
        for start, end in occurrences(phrases[index], prompt):
            if all(end <= low or high <= start for low, high in taken):
                spans[index].append((start, end))
        taken += spans[index]
    return spans


def nearest_words(phrase: str, prompt: str) -> str | None:
    """The words of ``prompt`` that are most similar to ``phrase``, or None.

    >>> nearest_words("cherry tree", "a bear before cherry trees")
    'cherry trees'
    """
    words = re.findall(r"\w[\w'-]*", prompt)[:400]
    count = len(phrase.split())
    runs = {
        " ".join(words[start : start + length])
        for length in {count, count + 1, max(1, count - 1)}
        for start in range(len(words) - length + 1)
    }
    folded = {run.casefold(): run for run in sorted(runs)}
    near = difflib.get_close_matches(phrase.casefold(), folded, n=1, cutoff=0.55)
    return folded[near[0]] if near else None
