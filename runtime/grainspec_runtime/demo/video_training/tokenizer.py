"""Build the demo video model's tokenizer."""

from __future__ import annotations

import string

from transformers import T5Tokenizer

from grainspec_runtime.demo import world

MAX_TOKENS = 48
"""Tokens of the longest caption, with its end: three figures with hats and sunglasses have 41."""


def build_tokenizer() -> T5Tokenizer:
    """Build a T5 tokenizer in which every word of the demo world is one token.

    Other words split into letters that the text encoder was not trained on. Texts are padded to 512
    tokens, as diffusers' pipelines do for Wan. Requires transformers 5, which only training needs.
    """
    signs = (*string.ascii_letters, *string.digits, *string.punctuation)
    scores = {"<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, "▁": -4.0}
    scores |= {f"▁{word}": -2.0 for word in world.VOCABULARY}
    scores |= {sign: -9.0 for sign in signs if sign not in scores}
    tokenizer = T5Tokenizer(vocab=list(scores.items()), extra_ids=0, model_max_length=512)
    for word in world.VOCABULARY:
        pieces = tokenizer(f"the {word}, the {word}", add_special_tokens=False).input_ids
        if pieces.count(tokenizer.convert_tokens_to_ids(f"▁{word}")) != 2:
            raise AssertionError(f"{word!r} is not one token")
    return tokenizer
