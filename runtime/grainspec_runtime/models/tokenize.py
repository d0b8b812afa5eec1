"""Find the characters of a prompt's tokens, textual inversions included. Free of torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from grainspec.plan.backbone import Tokenize
from grainspec.words import CharSpan


def word_tokens(length: int) -> Tokenize:
    """Return a function that splits a text into the words that CLIP's tokenizers begin with.

    They make at least one token of each. The result has ``length`` spans, with a start and an end.

    >>> word_tokens(6)("a man's 42")
    [(0, 0), (0, 1), (2, 5), (5, 7), (8, 9), (0, 0)]
    """

    def tokenize(text: str) -> Sequence[CharSpan]:
        spans = [match.span() for match in _WORDS.finditer(text)][: length - 2]
        return [(0, 0), *spans, *[(0, 0)] * (length - 1 - len(spans))]

    return tokenize


_WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)


def token_spans(tokenizer: Any, text: str) -> Sequence[CharSpan]:
    """Return the character span in ``text`` of each token of the text encoder's input.

    ``tokenizer`` is a fast tokenizer of transformers. A word from a textual inversion may be
    several tokens, which diffusers writes into the prompt one after the other; each of them has
    the span of the word. Special tokens and padding have empty spans.
    """
    written, starts, ends = _with_all_tokens(tokenizer, text)
    encoded = tokenizer(
        written,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_offsets_mapping=True,
    )
    return [
        (starts[first], ends[last - 1]) if first < last else (0, 0)
        for first, last in encoded["offset_mapping"]
    ]


def _with_all_tokens(tokenizer: Any, text: str) -> tuple[str, list[int], list[int]]:
    """Return the prompt as diffusers expands it, and the span in ``text`` of each character."""
    known = tokenizer.added_tokens_encoder
    words = sorted((word for word in known if f"{word}_1" in known), key=len, reverse=True)
    written, starts, ends = "", list[int](), list[int]()
    position = 0

    def copy(until: int) -> None:
        nonlocal written
        written += text[position:until]
        starts.extend(range(position, until))
        ends.extend(range(position + 1, until + 1))

    for match in re.finditer("|".join(map(re.escape, words)), text) if words else ():
        copy(match.start())
        tokens, index = [match[0]], 1
        while f"{match[0]}_{index}" in known:
            tokens.append(f"{match[0]}_{index}")
            index += 1
        whole = " ".join(tokens)
        written += whole
        starts += [match.start()] * len(whole)
        ends += [match.end()] * len(whole)
        position = match.end()
    copy(len(text))
    return written, starts, ends
