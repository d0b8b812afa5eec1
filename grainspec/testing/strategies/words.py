"""Names, texts and prompts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
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

    Phrases have one or two words, in several scripts and spellings. Each may occur in the prompt
    twice, as part of a longer phrase, or spelt otherwise than the phrase.

    >>> from hypothesis import find
    >>> target, phrases = find(prompts(), lambda made: len(made[1]) == 2)
    >>> target == " and ".join(phrases)
    True
    """
    looks = draw(st.lists(LOOKS, min_size=1, max_size=phrases))
    return prompt_of(looks, draw(FIRST))


Look = tuple[str, bool]
"""How a phrase looks, a name of :data:`_LOOKS`, and whether it is in the prompt twice."""


def _accent(noun: str) -> str:
    return f"{noun} th\u00e9"


def _apart(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def _wide(text: str) -> str:
    return "".join(chr(ord(sign) + 0xFEE0) for sign in text)


_NOUNS = (
    "robot bear cat alien penguin man tree hill river cloud lamp boat drum kite rose "
    "stone glass sand snow moon star fish bird wolf"
).split()
_CHINESE = "机熊猫人树山河云灯船鼓鸢花石杯沙雪月星鱼鸟狼狗马"
_THAI = (
    "หมี แมว คน ต้นไม้ ภูเขา แม่น้ำ เมฆ ตะเกียง เรือ กลอง ว่าว กุหลาบ "
    "หิน แก้ว ทราย หิมะ พระจันทร์ ดาว ปลา นก หมาป่า สุนัข ม้า แกะ"
).split()
_KOREAN = (
    "로봇 곰 고양이 사람 나무 산 강 구름 등불 배 북 연 "
    "장미 돌 유리 모래 눈 달 별 물고기 새 늑대 개 말"
).split()
"""As many nouns of each language, none of them inside another."""

Written = tuple[str, str]
"""A phrase as an edit has it, and as it is written in the prompt."""

# No look is more than six tokens, even in pieces of three letters: prompts stay within 77.
_LOOKS: dict[str, Callable[[int], Written]] = {
    "": lambda n: (_NOUNS[n], _NOUNS[n]),
    "red": lambda n: (f"red {_NOUNS[n]}", f"red {_NOUNS[n]}"),
    "longer": lambda n: (_NOUNS[n], _NOUNS[n]),  # than the phrase before: see `prompt_of`
    "capital": lambda n: (_NOUNS[n].title(), _NOUNS[n].upper()),
    "spaced": lambda n: (f"old {_NOUNS[n]}", f"old\u00a0 {_NOUNS[n]}"),
    "composed": lambda n: (_accent(_NOUNS[n]), _apart(_accent(_NOUNS[n]))),
    "decomposed": lambda n: (_apart(_accent(_NOUNS[n])), _accent(_NOUNS[n]).upper()),
    "apostrophe": lambda n: (f"man's {_NOUNS[n]}", f"man’s {_NOUNS[n]}"),
    "hyphen": lambda n: (f"x-ray {_NOUNS[n]}", f"x\u2011ray {_NOUNS[n]}"),
    "quoted": lambda n: (f'"{_NOUNS[n]}"', f"“{_NOUNS[n]}”"),
    "digit": lambda n: (f"{_NOUNS[n]} 2", f"{_NOUNS[n]} 2"),
    "long": lambda n: (f"mega{_NOUNS[n]}ish", f"mega{_NOUNS[n]}ish"),
    "within": lambda n: (_NOUNS[n], f"{_NOUNS[n].title()}s {_NOUNS[n]}"),
    "wide": lambda n: (_NOUNS[n], _wide(_NOUNS[n])),
    "invisible": lambda n: (_NOUNS[n], f"{_NOUNS[n][:2]}\u00ad{_NOUNS[n][2:]}"),
    "Chinese": lambda n: (f"红{_CHINESE[n]}", f"一个红{_CHINESE[n]}和"),
    "Thai": lambda n: (_THAI[n], f"{_THAI[n]}แดง"),
    "Korean": lambda n: (_KOREAN[n], f"{_KOREAN[n]}들은"),
}
"""By name, the phrase made of the noun number ``n``; the simplest come first."""

LOOKS: st.SearchStrategy[Look] = st.sampled_from(
    [("", False), ("", True), ("red", False), ("red", True)]
    + [("", False), ("longer", False), ("longer", False)]
    + [(look, look == "decomposed") for look in _LOOKS if look not in ("", "red", "longer")]
)

_BETWEEN = (" and ", ", ", " ", ". ", "\n", "/", "-", "\u3000", " “")
"""What is written between phrases; a token at most."""

FIRST = st.integers(0, len(_NOUNS) * len(_BETWEEN) - 1)
"""Which noun comes first, and what is between phrases."""


def prompt_of(looks: Sequence[Look], first: int) -> tuple[str, tuple[str, ...]]:
    """A prompt and its phrases; each phrase has its own noun, or is longer than the one before.

    >>> prompt_of([("", False), ("longer", True), ("capital", False)], 0)
    ('robot and big Robot and CAT and big Robot', ('robot', 'big Robot', 'Cat'))
    """
    between, first = divmod(first, len(_NOUNS))
    written: list[Written] = []
    for index, (look, _) in enumerate(looks):
        if look == "longer" and index and looks[index - 1][0] == "":
            longer = f"big {written[-1][0].title()}"
            written.append((longer, longer))
        else:
            written.append(_LOOKS[look]((first + index) % len(_NOUNS)))
    again = [text for (_, text), (_, twice) in zip(written, looks, strict=True) if twice]
    texts = [*(text for _, text in written), *again]
    return _BETWEEN[between].join(texts), tuple(phrase for phrase, _ in written)


def paths() -> st.SearchStrategy[str]:
    """Paths and names of models: texts on one line.

    >>> from hypothesis import find
    >>> find(paths(), lambda path: "/" in path)
    '/'
    """
    return texts(1).map(lambda text: text.replace("\t", "/").replace("\n", "/"))
