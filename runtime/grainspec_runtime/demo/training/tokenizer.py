"""Build the demo model's tokenizer."""

from __future__ import annotations

import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from grainspec_runtime.demo import world

MAX_TOKENS = 48


def build_tokenizer() -> CLIPTokenizer:
    """Build a CLIP tokenizer in which every word of the demo world is one token.

    Unknown words split into letters that the text encoder was not trained on. Requires
    transformers 5, which only training needs.
    """
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, min_frequency=1, end_of_word_suffix="</w>", show_progress=False
    )
    bpe.train_from_iterator([" ".join(world.VOCABULARY)], trainer)
    merges = [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    entries = [*letters, *(f"{letter}</w>" for letter in letters)]
    entries += [a + b for a, b in merges]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: index for index, entry in enumerate(dict.fromkeys(entries))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)
    for word in world.VOCABULARY:
        pieces = tokenizer(word, add_special_tokens=False).input_ids
        if len(pieces) != 1:
            raise AssertionError(f"{word!r} is {len(pieces)} tokens; expected 1")
    return tokenizer
