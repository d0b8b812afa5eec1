"""Make a phrase by itself have the same embedding as in a sentence: stage 4 of the image model.

An edit's phrase is encoded by itself, and its embedding replaces that of the same words in the
prompt. A large text encoder such as CLIP's, trained on short and long texts, tolerates this. The
demo model's small one, trained on one kind of sentence, gives "robot" at the start of a text
another embedding than after "a red", and edits lost their colours. So the text encoder is
fine-tuned, while the UNet stays as it is: sentences keep their embeddings, and a phrase by itself
learns the embeddings that its words have in sentences.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from grainspec_runtime.demo import world
from grainspec_runtime.demo.training.tokenizer import MAX_TOKENS
from grainspec_runtime.demo.training.trainer import Trainer, descend

BATCH = 64
_SENTENCE = re.compile(r"^(a|an|two|three|on|before|grass|sand|snow|road)\b.* .* ")


Embed = Callable[[Any, list[str]], Tensor]
"""Encodes texts with a text encoder: embeddings ``[B, T, C]``."""


def tune_clip_phrases(
    trainer: Trainer, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> None:
    """Fine-tune the image model's text encoder in place."""

    def embed(encoder: CLIPTextModel, texts: list[str]) -> Tensor:
        encoded = tokenizer(
            texts,
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
            return_tensors="pt",
        )
        embeddings: Tensor = encoder(encoded.input_ids.to(trainer.device))[0]
        return embeddings

    tune_phrases(trainer, text_encoder, tokenizer, embed, first=1)


def tune_phrases(
    trainer: Trainer, text_encoder: nn.Module, tokenizer: Any, embed: Embed, *, first: int
) -> None:
    """Fine-tune ``text_encoder`` in place; ``first`` is the position of a text's first token."""
    o = trainer.options
    torch.manual_seed(o.seed + 3)
    rng = random.Random(o.seed + 3)
    before = copy.deepcopy(text_encoder).eval().requires_grad_(False)
    text_encoder.train()
    adam = torch.optim.AdamW(text_encoder.parameters(), lr=1e-3, weight_decay=0.0)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, 1.5e-3, total_steps=o.phrase_steps)

    for step in range(o.phrase_steps):
        pairs = [_sentence_and_phrase(rng) for _ in range(BATCH)]
        sentences, phrases = [s for s, _ in pairs], [p for _, p in pairs]
        with torch.no_grad():
            wanted, wanted_empty = embed(before, sentences), embed(before, [""])
        kept = F.mse_loss(embed(text_encoder, sentences), wanted)
        kept = kept + F.mse_loss(embed(text_encoder, [""]), wanted_empty)
        alone = embed(text_encoder, phrases)
        errors = []
        for row, (sentence, phrase) in enumerate(pairs):
            tokens = tokens_of(tokenizer, sentence, phrase, rng)
            errors.append(F.mse_loss(alone[row, first : first + len(tokens)], wanted[row, tokens]))
        moved = torch.stack(errors).mean()
        descend(kept + 0.3 * moved, adam, rates)
        if step % 500 == 499:
            trainer.log("phrases", step=step + 1, kept=kept.item(), moved=moved.item())
    text_encoder.eval()


def _sentence_and_phrase(rng: random.Random) -> tuple[str, str]:
    """Draw a random caption, and a phrase of it that an edit might use."""
    scene = world.random_scene(rng)
    sentence = ""
    while not _SENTENCE.match(sentence):
        sentence = world.random_caption(scene, rng)
    words = sentence.split()
    first = rng.randrange(len(words))
    choices = [
        scene.background,
        scene.ground,
        "hat",
        "sunglasses",
        "a hat",
        " ".join(words[first : first + rng.randint(1, 6)]).strip(","),
    ]
    for figure in scene.figures:
        choices += [f"{figure.colour} {figure.kind}", figure.kind, world.figure_words(figure)]
        choices.append(f"{figure.colour} {world.PLURALS[figure.kind]}")
    return sentence, rng.choice([c for c in choices if _places(c, sentence)])


def _places(phrase: str, sentence: str) -> list[tuple[int, int]]:
    pattern = rf"(?<!\w){re.escape(phrase)}(?!\w)"
    return [match.span() for match in re.finditer(pattern, sentence)]


def tokens_of(tokenizer: Any, sentence: str, phrase: str, rng: random.Random) -> list[int]:
    """The positions of a phrase's tokens in a sentence, at a random one of its occurrences."""
    start, end = rng.choice(_places(phrase, sentence))
    offsets = tokenizer(sentence, return_offsets_mapping=True).offset_mapping
    return [i for i, (low, high) in enumerate(offsets) if low < high and low < end and start < high]
