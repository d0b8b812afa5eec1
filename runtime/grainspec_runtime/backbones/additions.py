"""LoRAs and textual inversions that a model is loaded with: naming and checking them. No torch.

A LoRA changes weights. A textual inversion teaches the text encoders a new word of one or several
tokens, which a plan has to know of too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from grainspec.diagnostics import fail

_OF_ENCODERS = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
"""The names that a file gives to SDXL's two encoders."""
_ANONYMOUS = "emb_params"
"""The name of an embedding whose word is its file's name."""


@dataclass(frozen=True)
class Lora:
    """A file of LoRA weights, and how strongly it is applied.

    >>> Lora.read("styles/ink.safetensors:0.8")
    Lora(path=PosixPath('styles/ink.safetensors'), scale=0.8)
    """

    path: Path
    scale: float = 1.0

    @classmethod
    def read(cls, text: str) -> Lora:
        """From ``PATH`` or ``PATH:SCALE``."""
        found = re.fullmatch(r"(.+):(-?\d*\.?\d+)", text)
        return cls(Path(found[1]), float(found[2])) if found else cls(Path(text))


@dataclass(frozen=True)
class Embedding:
    """A file of a textual inversion, and the word that it teaches.

    Without a word it is that in the file, or else the file's name.

    >>> Embedding.read("<toy>=words/cat-toy.safetensors")
    Embedding(path=PosixPath('words/cat-toy.safetensors'), word='<toy>')
    """

    path: Path
    word: str | None = None

    @classmethod
    def read(cls, text: str) -> Embedding:
        """From ``PATH`` or ``WORD=PATH``."""
        word, sign, path = text.partition("=")
        return cls(Path(path), word) if sign and word else cls(Path(text))


@dataclass(frozen=True)
class NewWord:
    """A word that a textual inversion teaches: its vectors, by the text encoder that gets them.

    ``tensors`` names the file's tensor for each encoder.
    """

    path: Path
    word: str
    vectors: int
    tensors: Mapping[str, str]

    @property
    def tokens(self) -> list[str]:
        """The tokens that stand for it, as diffusers names them."""
        return [self.word, *(f"{self.word}_{index}" for index in range(1, self.vectors))]


def check_lora(lora: Lora) -> None:
    """Raises GrainError unless a LoRA can be loaded, as far as can be told without the model.

    G508: the file is not there, not in safetensors, or holds no LoRA. G501: peft, by which
    diffusers loads them, is not installed.
    """
    names = _shapes(lora.path, "LoRA")
    if not any("lora" in name for name in names):
        message = f"{lora.path} holds no LoRA: none of its {len(names)} tensors is named so"
        raise fail("G508", message, "Is it a whole checkpoint, or a textual inversion?")
    if find_spec("peft") is None:
        cure = "Install it with: pip install 'grainspec[runtime]'"
        raise fail("G501", "LoRAs need the package peft, which is not installed", cure)


def new_word(embedding: Embedding, widths: Mapping[str, int]) -> NewWord:
    """What a textual inversion teaches a model whose text encoders have these ``widths``.

    Raises GrainError (G508) for a file that cannot be read, is none, or is for another model.
    """
    shapes = _shapes(embedding.path, "textual inversion")
    if len(widths) > 1:
        tensors = {encoder: name for name, encoder in _OF_ENCODERS.items() if name in shapes}
    else:
        tensors = {"text_encoder": next(iter(shapes))} if len(shapes) == 1 else {}
    if set(tensors) != set(widths):
        wanted = "tensors `clip_l` and `clip_g`" if len(widths) > 1 else "one tensor"
        message = f"{embedding.path} is no textual inversion for this model: it needs {wanted}"
        raise fail("G508", message, f"It has {', '.join(sorted(shapes)[:4]) or 'none'}.")
    counts = set()
    for encoder, name in tensors.items():
        shape = shapes[name]
        count, width = (1, *shape)[-2:] if shape else (0, 0)
        if width != widths[encoder] or len(shape) > 2 or not 1 <= count <= _MAX_VECTORS:
            message = (
                f"{embedding.path} is made for another model: its {name} is {list(shape)}, "
                f"and the {encoder} takes vectors of {widths[encoder]}"
            )
            raise fail("G508", message, "Take one trained for this kind of Stable Diffusion.")
        counts.add(count)
    if len(counts) > 1:
        raise fail("G508", f"{embedding.path} has more vectors for one encoder than for the other")
    named = next(iter(tensors.values()))
    stem = embedding.path.name.removesuffix(".safetensors")
    inside = named if named not in (*_OF_ENCODERS, _ANONYMOUS) else stem
    word = embedding.word or inside
    if not re.fullmatch(r"\S+", word):
        message = f"“{word}” cannot be the word of a textual inversion: it has spaces"
        raise fail("G508", message, "Name another: `WORD=PATH`.")
    return NewWord(embedding.path, word, counts.pop(), tensors)


_MAX_VECTORS = 75
"""More than a prompt has room for."""


def teach(tokenizer: Any, words: Sequence[NewWord]) -> None:
    """Let a tokenizer know new words, as diffusers does when it loads their vectors.

    Raises GrainError (G508) for a word that it knows already.
    """
    for word in words:
        known = set(word.tokens) & set(tokenizer.get_vocab())
        if known:
            message = f"the model knows the word “{min(known)}” already"
            raise fail("G508", message, f"Name another: `--embedding WORD={word.path}`.")
        tokenizer.add_tokens(word.tokens)


def digest(path: Path) -> str:
    """A hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shapes(path: Path, kind: str) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a safetensors file; nothing else is read."""
    if path.suffix != ".safetensors":
        message = f"{path} is no safetensors file"
        cure = "Other formats (.bin, .pt, .ckpt) are not loaded, because they can run any code."
        raise fail("G508", message, cure)
    try:
        with safe_open(str(path), framework="numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        message = f"the {kind} {path} cannot be read: {error}"
        raise fail("G508", message, "Is the path right, and was it downloaded in full?") from error
