"""Where a prompt's tokens stand in it, also where a learnt word is several tokens. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from grainspec.words import CharSpan


def placed_tokens(tokenizer: Any, text: str) -> Sequence[CharSpan]:
    """The character spans in ``text`` of its tokens, one per position of the encoder's input.

    ``tokenizer`` is a fast one of transformers. A word that textual inversion taught it may be
    several tokens, which diffusers writes into the prompt one after the other; all of them stand
    where the word does. Special tokens and padding have empty spans.
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
    """The prompt as diffusers hands it on, and the place in ``text`` of each of its characters."""
    known = tokenizer.added_tokens_encoder
    words = sorted((word for word in known if f"{word}_1" in known), key=len, reverse=True)
    written, starts, ends = "", list[int](), list[int]()
    position = 0

    def copy(until: int) -> None:
        nonlocal written
        written += text[position:until]
        starts.extend(range(position, until))
        ends.extend(range(position + 1, until + 1))

    for found in re.finditer("|".join(map(re.escape, words)), text) if words else ():
        copy(found.start())
        tokens, index = [found[0]], 1
        while f"{found[0]}_{index}" in known:
            tokens.append(f"{found[0]}_{index}")
            index += 1
        whole = " ".join(tokens)
        written += whole
        starts += [found.start()] * len(whole)
        ends += [found.end()] * len(whole)
        position = found.end()
    copy(len(text))
    return written, starts, ends
