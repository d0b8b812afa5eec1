"""Names, texts and prompts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from hypothesis import strategies as st

from grainspec.model.names import RESERVED


@cache
def names() -> st.SearchStrategy[str]:
    """Valid names of regions.

    >>> from hypothesis import find
    >>> find(names(), lambda name: len(name) > 3).isidentifier()
    True
    """
    plain = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=8)
    letters = st.text(st.characters(categories=["L"]), min_size=1, max_size=8).map(_composed)
    return st.one_of(plain.map(_not_a_number), letters).filter(_is_name)


def _not_a_number(text: str) -> str:
    return text.lstrip("0123456789") or "a"


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[^\W\d]\w*", text) is not None and text not in RESERVED


@cache
def texts(least: int = 0) -> st.SearchStrategy[str]:
    """Prompts and paths: at least ``least`` characters, no control characters or surrogates.

    >>> from hypothesis import find
    >>> find(texts(), lambda text: "x" in text)
    'x'
    """
    plain = st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t")
    return st.text(plain, min_size=least, max_size=20)


@cache
@st.composite
def prompts(draw: st.DrawFn, phrases: int = 3) -> tuple[str, tuple[str, ...]]:
    """A prompt, and at most ``phrases`` phrases in it that edits can bind.

    Phrases have one or two words, and each may occur in the prompt twice.

    >>> from hypothesis import find
    >>> target, phrases = find(prompts(), lambda made: len(made[1]) == 2)
    >>> target == " and ".join(phrases)
    True
    """
    looks = draw(st.lists(LOOKS, min_size=1, max_size=phrases))
    return prompt_of(looks, draw(FIRST))


Look = tuple[str, bool]
"""An adjective for a noun, and whether the phrase occurs in the prompt twice."""

LOOKS: st.SearchStrategy[Look] = st.sampled_from(
    [("", False), ("red", False), ("", False), ("old", False), ("", True), ("old", True)]
)

_NOUNS = (
    "robot bear cat alien penguin man tree hill river cloud lamp boat drum kite rose "
    "stone glass sand snow moon star fish bird wolf"
).split()

FIRST = st.integers(0, len(_NOUNS) - 1)
"""Which noun comes first."""


def prompt_of(looks: Sequence[Look], first: int) -> tuple[str, tuple[str, ...]]:
    """A prompt and its phrases; each phrase has its own noun."""
    phrases = [
        f"{look} {_NOUNS[(first + index) % len(_NOUNS)]}".strip()
        for index, (look, _) in enumerate(looks)
    ]
    again = [phrase for phrase, (_, twice) in zip(phrases, looks, strict=True) if twice]
    return " and ".join([*phrases, *again]), tuple(phrases)


def paths() -> st.SearchStrategy[str]:
    """Paths and names of models: texts on one line.

    >>> from hypothesis import find
    >>> find(paths(), lambda path: "/" in path)
    '/'
    """
    return texts(1).map(lambda text: text.replace("\t", "/").replace("\n", "/"))
