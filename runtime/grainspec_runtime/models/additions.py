"""LoRAs and textual inversions to load with a model: parse and check them. Free of torch.

A LoRA changes weights. A textual inversion adds a word of one or several tokens to the tokenizer
and the text encoders, so a plan must know it too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.regular_file import open_regular
from grainspec_runtime.models.lora_file import read_addition, read_lora

_OF_ENCODERS = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
"""The text encoder of SDXL for each tensor name in a file."""
_ANONYMOUS = "emb_params"
"""The tensor name of an embedding whose word is the name of its file."""


@dataclass(frozen=True)
class Lora:
    """A file of LoRA weights, and the scale that they are multiplied by.

    >>> Lora.read("styles/ink.safetensors:0.8")
    Lora(path=PosixPath('styles/ink.safetensors'), scale=0.8)
    """

    path: Path
    scale: float = 1.0

    @classmethod
    def read(cls, text: str) -> Lora:
        """Parse ``PATH`` or ``PATH:SCALE``."""
        match = re.fullmatch(r"(.+):(-?\d*\.?\d+)", text)
        return cls(Path(match[1]), float(match[2])) if match else cls(Path(text))


@dataclass(frozen=True)
class Embedding:
    """A file of a textual inversion, and the word that it adds.

    If ``word`` is None, the word is the one in the file, or else the file's name.

    >>> Embedding.read("<toy>=words/cat-toy.safetensors")
    Embedding(path=PosixPath('words/cat-toy.safetensors'), word='<toy>')
    """

    path: Path
    word: str | None = None

    @classmethod
    def read(cls, text: str) -> Embedding:
        """Parse ``PATH`` or ``WORD=PATH``."""
        word, sign, path = text.partition("=")
        return cls(Path(path), word) if sign and word else cls(Path(text))


@dataclass(frozen=True)
class NewWord:
    """A word that a textual inversion adds, and its number of vectors, which is that of its tokens.

    ``tensors`` maps each text encoder to the name of its tensor in the file.
    """

    path: Path
    word: str
    vectors: int
    tensors: Mapping[str, str]

    @property
    def tokens(self) -> list[str]:
        """The tokens of the word, as diffusers names them."""
        return [self.word, *(f"{self.word}_{index}" for index in range(1, self.vectors))]


def check_lora(lora: Lora) -> None:
    """Raise GrainError if a LoRA cannot be loaded, as far as this is known without the model.

    G508: the file does not exist, is not a safetensors file, or does not contain a LoRA. G501:
    peft, which diffusers needs to load LoRAs, is not installed.
    """
    read_lora(lora.path)
    if find_spec("peft") is None:
        cure = "Install it with: pip install 'grainspec[runtime]'"
        raise fail("G501", "LoRAs require the package peft, which is not installed", cure)


def new_word(embedding: Embedding, widths: Mapping[str, int]) -> NewWord:
    """Read the word of a textual inversion, for a model whose text encoders have these ``widths``.

    Raises GrainError (G508) if the file cannot be read, is not a textual inversion, or is for
    another kind of model.
    """
    shapes = read_addition(embedding.path, "textual inversion").shapes
    if len(widths) > 1:
        tensors = {encoder: name for name, encoder in _OF_ENCODERS.items() if name in shapes}
    else:
        tensors = {"text_encoder": next(iter(shapes))} if len(shapes) == 1 else {}
    if set(tensors) != set(widths):
        expected = "the tensors `clip_l` and `clip_g`" if len(widths) > 1 else "a single tensor"
        names = ", ".join(f"`{name}`" for name in sorted(shapes)[:4]) or "no tensors"
        if len(widths) == 1 and set(_OF_ENCODERS) <= set(shapes):
            names += ", as those for Stable Diffusion XL do"
        message = (
            f"{embedding.path} is not a textual inversion for this model: "
            f"expected {expected}, but it contains {names}"
        )
        raise fail("G508", message, _OTHER_INVERSION)
    counts = set()
    for encoder, name in tensors.items():
        shape = shapes[name]
        count, width = (1, *shape)[-2:] if shape else (0, 0)
        if width != widths[encoder] or len(shape) > 2 or not 1 <= count <= _MAX_VECTORS:
            message = (
                f"{embedding.path} is for another model: its tensor `{name}` has the shape "
                f"{list(shape)}{_kind(width)}, but the {encoder} has vectors of width "
                f"{widths[encoder]}{_kind(widths[encoder])}"
            )
            raise fail("G508", message, _OTHER_INVERSION)
        counts.add(count)
    if len(counts) > 1:
        message = f"{embedding.path} has different numbers of vectors for the two text encoders"
        raise fail("G508", message, _OTHER_INVERSION)
    tensor = next(iter(tensors.values()))
    stem = embedding.path.name.removesuffix(".safetensors")
    default = tensor if tensor not in (*_OF_ENCODERS, _ANONYMOUS) else stem
    word = embedding.word or default
    if not re.fullmatch(r"\S+", word):
        message = f"invalid word “{word}” for a textual inversion: it has spaces"
        cure = f"Choose another word: `--embedding WORD={embedding.path}`."
        raise fail("G508", message, cure)
    return NewWord(embedding.path, word, counts.pop(), tensors)


def _kind(width: int) -> str:
    """Return whose text encoder has vectors of this width, in brackets; empty if not known."""
    kinds = {768: "1.x", 1024: "2.x", 1280: "XL"}
    return f" (Stable Diffusion {kinds[width]})" if width in kinds else ""


_MAX_VECTORS = 75
"""A prompt of 77 tokens has room for no more."""

_OTHER_INVERSION = "Use a textual inversion that was trained for this kind of Stable Diffusion."


def add_words(tokenizer: Any, words: Sequence[NewWord]) -> None:
    """Add words to a tokenizer, as diffusers does when it loads their vectors.

    Raises GrainError (G508) for a word that the tokenizer has already.
    """
    for word in words:
        known = set(word.tokens) & set(tokenizer.get_vocab())
        if known:
            message = f"the tokenizer already has the word “{min(known)}”"
            raise fail("G508", message, f"Choose another word: `--embedding WORD={word.path}`.")
        tokenizer.add_tokens(word.tokens)


def digest(path: Path) -> str:
    """Compute a hash of a file's content."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
