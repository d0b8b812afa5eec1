"""Where an edit's words stand in the prompt, by character."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

CharSpan = tuple[int, int]
"""Start and end of a stretch of characters, end exclusive."""


def occurrences(phrase: str, prompt: str) -> list[CharSpan]:
    """Every place where ``phrase`` stands in ``prompt`` as whole words, whatever the case.

    >>> occurrences("Polar Bear", "a polar  bear and two polar bears")
    [(2, 13)]
    """
    words = [re.escape(word) for word in phrase.split()]
    if not words:
        return []
    before = r"(?<!\w)" if re.match(r"\w", phrase.split()[0]) else ""
    after = r"(?!\w)" if re.search(r"\w$", phrase.split()[-1]) else ""
    pattern = before + r"\s+".join(words) + after
    return [match.span() for match in re.finditer(pattern, prompt, re.IGNORECASE)]


def bind(phrases: Sequence[str], prompt: str) -> list[list[CharSpan]]:
    """The places that belong to each phrase, in the order of ``phrases``.

    Where phrases overlap, the longer one has the words:

    >>> bind(["bear", "polar bear"], "a bear and a polar bear")
    [[(2, 6)], [(13, 23)]]
    """
    found: list[list[CharSpan]] = [[] for _ in phrases]
    taken: list[CharSpan] = []
    for index in sorted(range(len(phrases)), key=lambda i: -len(phrases[i])):
        for start, end in occurrences(phrases[index], prompt):
            if all(end <= low or high <= start for low, high in taken):
                found[index].append((start, end))
        taken += found[index]
    return found


def nearest_words(phrase: str, prompt: str) -> str | None:
    """The words of ``prompt`` most like ``phrase``, if any are like it at all.

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
