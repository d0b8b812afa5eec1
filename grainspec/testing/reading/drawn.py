"""Random prompts and phrases, the shortest first, without Hypothesis."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator

WORDS = (
    "a man woman Spiderman bear polar-bear robot robots r2d2 2 22 b_1 café naïve Straße İstanbul "
    "ınce ﬁsh o'clock man's ΟΔΟΣ οδός робот й Ảo rock-’n’-roll extraordinarily 绿色 机器人 人 色 "
    "ロボット ガラス が か 𠮷 หุ่นยนต์ สีเขียว น้ำ กา ໝາ ຂຽວ ឆ្កែ ខ្មែរ ခွေး "
    "로봇 로봇이 로봇팔 나무들에게로부터 이 कुत्ता रोबोट রোবট رجل הרובוט མི ሮቦት"
).split()
"""Words of many scripts; some are parts of others."""

_BETWEEN = (
    *(" ", " ", " ", "", ", ", "  ", "\u00a0", "\u3000", "\n", "-", "–", "’", ". ", "/"),
    *("\u200b", " \u200b", "_", "\u00ad", ") (", "“", "》", "。"),
)


def drawn(count: int, seed: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """Draw phrases and the prompt to find them in; prompts have one word at first, then more.

    >>> next(drawn(1, seed=1))[1] in WORDS
    True
    """
    rng = random.Random(seed)
    for number in range(count):
        few = rng.sample(WORDS, min(len(WORDS), rng.randint(1, 4)))
        words = [rng.choice(few) for _ in range(1 + 8 * number // count)]
        prompt = words[0]
        for word in words[1:]:
            prompt += rng.choice(_BETWEEN) + word
        spelt = [_spelt(rng, _piece(rng, words, prompt)) for _ in range(rng.randint(1, 3))]
        yield tuple(spelt), prompt if number < count // 4 else _spelt(rng, prompt)


def _piece(rng: random.Random, words: list[str], prompt: str) -> str:
    """Some of a prompt's words, or a part of it that may begin or end within a word."""
    kind = rng.random()
    if kind < 0.7:
        first = rng.randrange(len(words))
        return rng.choice([" ", " ", ""]).join(words[first : first + rng.randint(1, 3)])
    if kind < 0.9:
        first = rng.randrange(len(prompt))
        return prompt[first : first + rng.randint(1, 6)]
    return rng.choice(WORDS)


def _spelt(rng: random.Random, text: str) -> str:
    """A text in another spelling, which may be the same text to a reader."""
    return rng.choice(_SPELLINGS)(text)


def _wide(text: str) -> str:
    return "".join(chr(ord(s) + 0xFEE0) if "!" <= s <= "~" else s for s in text)


def _with_hyphenation(text: str) -> str:
    return text[:1] + "\u00ad" + text[1:] if text[1:2].isalpha() else text


_SPELLINGS = (
    str,
    str,
    str.upper,
    str.lower,
    str.title,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: unicodedata.normalize("NFC", text),
    lambda text: unicodedata.normalize("NFKD", text).upper(),
    lambda text: text.replace("'", "’").replace("-", "‑"),
    lambda text: text.replace("’", "'").replace("–", "-"),
    lambda text: text.replace(" ", "\u2003 "),
    _wide,
    _with_hyphenation,
)
