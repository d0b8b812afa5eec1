"""What kind of character a character is, by its name and category in Unicode."""

from __future__ import annotations

import unicodedata
from functools import cache

ZERO_WIDTH_SPACE = unicodedata.lookup("ZERO WIDTH SPACE")

SCRIPTS_WITHOUT_SPACES = (
    "AHOM",
    "BALINESE",
    "BOPOMOFO",
    "CJK COMPATIBILITY IDEOGRAPH",
    "CJK RADICAL",
    "CJK UNIFIED",
    "COMBINING KATAKANA",
    "HANGZHOU",
    "HENTAIGANA",
    "HIRAGANA",
    "IDEOGRAPHIC CLOSING",
    "IDEOGRAPHIC ITERATION",
    "IDEOGRAPHIC NUMBER",
    "JAVANESE",
    "KANGXI RADICAL",
    "KATAKANA",
    "KHITAN",
    "KHMER",
    "LAO",
    "MYANMAR",
    "NEW TAI LUE",
    "NUSHU",
    "OLD CHINESE",
    "TAI LE",
    "TAI THAM",
    "TAI VIET",
    "TANGUT",
    "THAI",
    "VERTICAL IDEOGRAPHIC ITERATION",
    "VERTICAL KANA",
    "VIETNAMESE ALTERNATE",
    "YI",
)
"""How the names of characters begin whose script has no spaces between words."""

_WITHOUT_SPACES = tuple(f"{script}{end}" for script in SCRIPTS_WITHOUT_SPACES for end in " -")
_NO_LETTERS = ("KATAKANA MIDDLE DOT", "KATAKANA-HIRAGANA DOUBLE HYPHEN")
_NAMELESS = (range(0x17000, 0x1B300), range(0x20000, 0x40000))
"""Where Unicode has Tangut and Chinese characters, which may have no name."""

INVISIBLE_MARKS = (
    "COMBINING GRAPHEME JOINER",
    "HALFWIDTH HANGUL FILLER",
    "HANGUL CHOSEONG FILLER",
    "HANGUL FILLER",
    "HANGUL JUNGSEONG FILLER",
    "KHMER VOWEL INHERENT AA",
    "KHMER VOWEL INHERENT AQ",
    *(f"MONGOLIAN FREE VARIATION SELECTOR {number}" for number in ("ONE", "TWO", "THREE", "FOUR")),
)
"""Invisible characters that are not in the category of format characters."""

_DRAWN_FORMATS = (
    "ARABIC NUMBER",
    "ARABIC SIGN",
    "ARABIC FOOTNOTE",
    "ARABIC END",
    "ARABIC DISPUTED",
    "ARABIC POUND",
    "ARABIC PIASTRE",
    "SYRIAC ABBREVIATION",
    "KAITHI NUMBER",
    "INTERLINEAR ANNOTATION",
    "EGYPTIAN HIEROGLYPH",
)
"""How the names of format characters begin that are drawn nevertheless."""

SINGLE_QUOTES = (
    "LEFT SINGLE QUOTATION MARK",
    "RIGHT SINGLE QUOTATION MARK",
    "SINGLE LOW-9 QUOTATION MARK",
    "SINGLE HIGH-REVERSED-9 QUOTATION MARK",
    "PRIME",
    "REVERSED PRIME",
    "MODIFIER LETTER PRIME",
    "MODIFIER LETTER TURNED COMMA",
    "MODIFIER LETTER APOSTROPHE",
    "MODIFIER LETTER REVERSED COMMA",
    "MODIFIER LETTER VERTICAL LINE",
    "GRAVE ACCENT",
    "ACUTE ACCENT",
    "FULLWIDTH APOSTROPHE",
    "FULLWIDTH GRAVE ACCENT",
)
DOUBLE_QUOTES = (
    "LEFT DOUBLE QUOTATION MARK",
    "RIGHT DOUBLE QUOTATION MARK",
    "DOUBLE LOW-9 QUOTATION MARK",
    "DOUBLE HIGH-REVERSED-9 QUOTATION MARK",
    "LEFT-POINTING DOUBLE ANGLE QUOTATION MARK",
    "RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK",
    "DOUBLE PRIME",
    "REVERSED DOUBLE PRIME",
    "FULLWIDTH QUOTATION MARK",
)
DASHES = (
    "HYPHEN",
    "NON-BREAKING HYPHEN",
    "FIGURE DASH",
    "EN DASH",
    "EM DASH",
    "HORIZONTAL BAR",
    "MINUS SIGN",
    "SMALL EM DASH",
    "SMALL HYPHEN-MINUS",
    "FULLWIDTH HYPHEN-MINUS",
)

LOOK_ALIKES = {
    unicodedata.lookup(name): plain
    for names, plain in ((SINGLE_QUOTES, "'"), (DOUBLE_QUOTES, '"'), (DASHES, "-"))
    for name in names
}
"""Quotes and dashes, and the one that each looks like."""

VOWELS_BEFORE = tuple(
    f"{script} {vowel}"
    for script, vowels in {
        "THAI CHARACTER SARA": ("E", "AE", "O", "AI MAIMUAN", "AI MAIMALAI"),
        "LAO VOWEL SIGN": ("E", "EI", "O", "AY", "AI"),
    }.items()
    for vowel in vowels
)
"""Vowels that are written before the consonant that they belong to."""
VOWELS_AFTER = (
    "THAI CHARACTER SARA A",
    "THAI CHARACTER SARA AA",
    "THAI CHARACTER LAKKHANGYAO",
    "LAO VOWEL SIGN A",
    "LAO VOWEL SIGN AA",
)
"""Vowels that are letters of their own in Unicode, but belong to the consonant before."""
STACKING = ("MYANMAR SIGN VIRAMA", "KHMER SIGN COENG", "TAI THAM SIGN SAKOT")
"""Signs that draw the next consonant below the one before."""

PARTICLES = frozenset(
    "이 가 은 는 을 를 의 도 만 에 에서 에게 에게서 한테 께 께서 와 과 랑 이랑 하고 로 으로 "
    "로서 으로서 부터 로부터 으로부터 에게로 에게로부터 까지 까지도 처럼 만큼 대로 밖에 보다 "
    "마다 조차 나 이나 이고 이며 인 라는 이라는 입니다 이다 이었다 였다".split()
)
"""Korean particles, which are written onto the word that they follow."""
PLURAL = "들"
"""The Korean plural, which may stand alone or before a particle."""


@cache
def is_without_spaces(sign: str) -> bool:
    """Whether a character belongs to a script without spaces between words.

    >>> is_without_spaces("色"), is_without_spaces("ก"), is_without_spaces("봇")
    (True, True, False)
    """
    name = unicodedata.name(sign, "")
    if not name:
        return any(ord(sign) in block for block in _NAMELESS)
    return name.startswith(_WITHOUT_SPACES) and name not in _NO_LETTERS


@cache
def is_invisible(sign: str) -> bool:
    """Whether a character is never drawn (in Unicode: default ignorable)."""
    name = unicodedata.name(sign, "")
    if unicodedata.category(sign) == "Cf":
        return not name.startswith(_DRAWN_FORMATS)
    if name in INVISIBLE_MARKS or name.startswith("VARIATION SELECTOR-"):
        return True
    return not name and 0xE0000 <= ord(sign) < 0xE1000


@cache
def is_mark(sign: str) -> bool:
    """Whether a character is drawn on the one before, as accents are."""
    return unicodedata.category(sign)[0] == "M"


@cache
def is_blank(sign: str) -> bool:
    """Whether a tokenizer may give no place to a character: space, mark or invisible."""
    return sign.isspace() or is_mark(sign) or is_invisible(sign)


@cache
def continues(sign: str) -> bool:
    """Whether a character belongs to the letter before it."""
    name = unicodedata.name(sign, "")
    return is_mark(sign) or name.startswith(
        (
            "HANGUL JUNGSEONG",
            "HANGUL JONGSEONG",
            "HALFWIDTH KATAKANA VOICED",
            "HALFWIDTH KATAKANA SEMI-VOICED",
        )
    )


@cache
def in_spaced_word(sign: str) -> bool:
    """Whether a character can be inside a word of a script with spaces between words."""
    kind = unicodedata.category(sign)[0]
    return (kind in "LNM" or sign == "_") and not is_without_spaces(sign)
