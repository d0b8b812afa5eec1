"""Characters of the world's scripts: how they are folded for comparison, and where words end.

Two texts that look alike should compare equal. :func:`folded` therefore ignores case, composition
(NFC), full-width forms, the shape of quotes and dashes, and characters that are not visible.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

ZERO_WIDTH_SPACE = "\u200b"
"""Invisible, but a place where a word may end."""

SPACE_FREE = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese, Shan
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19ff\u1a20-\u1aaf\uaa80-\uaadf"  # Tai Le, New Tai Lue, Tai Tham, Tai Viet
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b"  # radicals, ideographic marks
    "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # Japanese kana
    "\u3105-\u312f\u31a0-\u31bf\ua000-\ua4cf"  # Bopomofo, Yi
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Chinese characters
    "\U00011700-\U0001174f\U00016fe0-\U0001b2ff\U00020000-\U0003ffff"
)
"""Scripts without spaces between words, as ranges for a character class."""

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that are not drawn (Unicode: default ignorable), for a character class."""

_SPACE_FREE = re.compile(f"[{SPACE_FREE}]")
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_IGNORED = re.compile(f"(?!{ZERO_WIDTH_SPACE})[{INVISIBLE}]")
_LOOK_ALIKES = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′‵ʹʻʼʽˈ`´", "'"),
        **dict.fromkeys("“”„‟«»″‶", '"'),
        **dict.fromkeys("‐‒–—―−", "-"),
        "ı": "i",
    }
)
_DOTTED_I = "i\u0307"
"""Turkish İ in small letters: Python's ``"İ".lower()``."""
_LEADING_VOWELS = frozenset("เแโใไເແໂໃໄ")
"""Thai and Lao vowels that are written before their consonant."""
_FOLLOWING_VOWELS = frozenset("ะาๅະາ")
_STACKERS = frozenset("\u1039\u17d2\u1a60")
"""Signs of Burmese, Khmer and Tai Tham that join the next consonant to the one before."""

_PARTICLES = re.compile(
    "(들)?(이|가|은|는|을|를|의|도|만|에|에서|에게|에게서|한테|께|께서|와|과|랑|이랑|하고|로|으로"
    "|로서|으로서|부터|로부터|으로부터|에게로|에게로부터|까지|까지도|처럼|만큼|대로|밖에|보다|마다|조차"
    "|나|이나|이고|이며|인|라는|이라는|입니다|이다|이었다|였다)?"
)
"""Korean particles, which are written onto the word that they follow."""


class Folded(NamedTuple):
    """A folded text, and the span of each of its characters in the original."""

    text: str
    places: list[tuple[int, int]]


@lru_cache(maxsize=64)  # all phrases of a spec are searched in one prompt
def folded(text: str) -> Folded:
    """Fold a text for comparison.

    >>> folded("Ｇreen—man’s\u00a0HAT").text
    "green-man's hat"
    """
    signs: list[str] = []
    places: list[tuple[int, int]] = []
    starts = [at for at, sign in enumerate(text) if at == 0 or not _continues(sign)]
    for start, end in pairwise([*starts, len(text)]):
        letters = _folded_letter(text[start:end])
        signs.append(letters)
        places += [(start, end)] * len(letters)
    return Folded("".join(signs), places)


@lru_cache(maxsize=4096)
def _folded_letter(letter: str) -> str:
    """Fold a character with its combining marks; invisible ones become nothing."""
    plain = _IGNORED.sub("", letter).translate(_LOOK_ALIKES)
    plain = unicodedata.normalize("NFKC", plain).casefold().translate(_LOOK_ALIKES)
    return unicodedata.normalize("NFKC", plain.replace(_DOTTED_I, "i"))


def _continues(sign: str) -> bool:
    """Whether a character may combine with the one before."""
    return is_mark(sign) or "\u1161" <= sign <= "\u11ff" or sign in "\uff9e\uff9f"


def is_mark(sign: str) -> bool:
    """Whether a character is a combining mark."""
    return unicodedata.category(sign).startswith("M")


def is_blank(text: str) -> bool:
    """Whether a text has white space, combining marks and invisible characters only."""
    return all(sign.isspace() or is_mark(sign) or _INVISIBLE.match(sign) for sign in text)


def is_space_free(sign: str) -> bool:
    """Whether a character's script has no spaces between words."""
    return _SPACE_FREE.match(sign) is not None


def joined(before: str, after: str) -> bool:
    """Whether no word can end between these two characters of a folded text.

    >>> joined("r", "m"), joined("r", " "), joined("绿", "色"), joined("色", "r")
    (True, False, False, False)
    """
    if is_mark(after) or before in _STACKERS:
        return True
    if before in _LEADING_VOWELS or after in _FOLLOWING_VOWELS:
        return True
    return _in_spaced_word(before) and _in_spaced_word(after)


def _in_spaced_word(sign: str) -> bool:
    return (sign.isalnum() or sign == "_" or is_mark(sign)) and not is_space_free(sign)


def ends_word(text: str, end: int) -> bool:
    """Whether a word ends at an index of a folded text; a Korean one ends before its particles.

    >>> ends_word("robots", 5), ends_word("로봇이 있다", 2), ends_word("로봇팔", 2)
    (False, True, False)
    """
    if end == len(text) or not joined(text[end - 1], text[end]):
        return True
    if not "가" <= text[end - 1] <= "힣":
        return False
    for size in range(1, 7):  # the longest particles have six syllables with 들
        after = end + size
        if after > len(text) or not _PARTICLES.fullmatch(text, end, after):
            continue
        if after == len(text) or not joined(text[after - 1], text[after]):
            return True
    return False


def begins_word(text: str, start: int) -> bool:
    """Whether a word begins at an index of a folded text."""
    return start == 0 or not joined(text[start - 1], text[start])
