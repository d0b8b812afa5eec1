"""Phrases in prompts of many scripts, and where they are: written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from grainspec.words import CharSpan


class Example(NamedTuple):
    """Phrases, a prompt, and the spans of each phrase in it; ``name`` says what it shows."""

    name: str
    phrases: tuple[str, ...]
    prompt: str
    spans: tuple[tuple[CharSpan, ...], ...]


def marked(name: str, phrases: str | tuple[str, ...], prompt: str) -> Example:
    """An example whose prompt marks the places of phrases: the first's ⟦so⟧, the second's ⟦so⟧₂.

    >>> marked("two", ("bear", "polar bear"), "a ⟦bear⟧ and a ⟦polar bear⟧₂").spans
    (((2, 6),), ((13, 23),))
    """
    phrases = (phrases,) if isinstance(phrases, str) else phrases
    spans: list[list[CharSpan]] = [[] for _ in phrases]
    plain = ""
    position = 0
    for match in re.finditer("⟦(.*?)⟧([₂₃]?)", prompt, re.DOTALL):
        plain += prompt[position : match.start()]
        number = "₂₃".index(match[2]) + 1 if match[2] else 0
        spans[number].append((len(plain), len(plain) + len(match[1])))
        plain += match[1]
        position = match.end()
    return Example(name, phrases, plain + prompt[position:], tuple(map(tuple, spans)))


def examples() -> Iterator[Example]:
    """All examples written by hand."""
    for name, cases in _ONE_PHRASE.items():
        for phrase, prompt in cases:
            yield marked(name, phrase, prompt)
    for name, phrases, prompt in _SEVERAL:
        yield marked(name, phrases, prompt)


_ONE_PHRASE: dict[str, list[tuple[str, str]]] = {
    "a phrase is whole words": [
        ("bear", "⟦bear⟧"),
        ("bear", "⟦bear⟧ here"),
        ("bear", "a ⟦bear⟧"),
        ("bear", "a ⟦bear⟧, the ⟦bear⟧ and bears"),
        ("bear bear", "a ⟦bear bear⟧ bear"),
        ("b", "⟦b⟧ bb ⟦b⟧ ab ba"),
        ("man", "Spiderman and a woman, mankind"),
        ("robot", "robots xrobot robot2 2robot robot_ _robot robote\u0301"),
        ("robot", "(⟦robot⟧),“⟦robot⟧”;⟦robot⟧-⟦robot⟧’s #⟦robot⟧!⟦robot⟧/⟦robot⟧"),
        ("2", "⟦2⟧ robots and 22 or a2 or ⟦2⟧.⟦2⟧"),
        ("r2d2", "⟦R2D2⟧ and R2D22"),
        ("a bear", "a\u0301 bear and ⟦a bear⟧"),
        ("", "a bear"),
        (" ", "a bear"),
        ("\u200b", "a\u200bbear"),
        ("giraffe", "a bear"),
        ("polar bear", "bear polar"),
        ("polar bear", "polarbear"),
        ("polarbear", "polar bear"),
        ("bear", ""),
        ("a bear", "a"),
    ],
    "after a place that fails, the search goes on at the next letter": [
        ("a a b", "a ⟦a a b⟧"),
        ("aa a", "xaa ⟦aa a⟧"),
    ],
    "case does not matter": [
        ("Polar Bear", "a ⟦pOLAR bEAR⟧"),
        ("STRASSE", "eine ⟦Straße⟧"),
        ("straße", "EINE ⟦STRASSE⟧"),
        ("ΟΔΟΣ", "στην ⟦οδος⟧"),
        ("istanbul", "⟦İstanbul⟧ ve ⟦ISTANBUL⟧ ve ⟦ıstanbul⟧"),
        ("İZMİR", "⟦izmir⟧ ve ⟦İzmir⟧ ve ⟦I\u0307zmir⟧ ve ⟦i\u0307zmir⟧"),
        ("медведь", "белый ⟦МЕДВЕДЬ⟧"),
        ("s", "eine Straße"),
    ],
    "the encoding of accents does not matter": [
        ("café", "a ⟦cafe\u0301⟧, cafe\u0301s, ⟦café⟧"),
        ("cafe\u0301", "⟦café⟧ ⟦CAFÉ⟧ cafe"),
        ("cafe", "a cafe\u0301, café and ⟦cafe⟧"),
        ("Ảo ảnh", "một ⟦ảo ảnh⟧ và ⟦a\u0309o a\u0309nh⟧"),
        ("ṩ", "⟦s\u0323\u0307⟧ ⟦s\u0307\u0323⟧ s\u0323"),
        ("e", "ae\u0301 ⟦e⟧ e\u0308"),
        ("가방", "⟦\u1100\u1161\u1107\u1161\u11bc⟧ \u1100\u1161\u1107\u1161"),
        ("가", "가\u11ff ⟦가⟧"),
        ("힣", "⟦힣⟧은"),
    ],
    "the form of letters does not matter": [
        ("green robot", "Ａ　⟦ＧＲＥＥＮ　ＲＯＢＯＴ⟧"),
        ("ガラス", "⟦ｶﾞﾗｽ⟧の靴"),
        ("fish", "a ⟦ﬁsh⟧ and a ﬁshy one"),
        ("i", "a ﬁ ⟦i⟧"),
        ("f", "a ﬁ ⟦f⟧"),
    ],
    "how much white space is between words does not matter": [
        (
            "green robot",
            "a ⟦green  robot⟧, ⟦green\u00a0robot⟧, ⟦green\n\trobot⟧, ⟦green\u3000robot⟧",
        ),
        (" green  robot ", "a ⟦green robot⟧ greenrobot"),
        ("green\u200brobot", "a ⟦green robot⟧ greenrobot"),
    ],
    "invisible characters do not matter": [
        ("green robot", "a ⟦gre\u00aden \u200brobot⟧\ufeff"),
        ("green robot", "a \ufeff⟦green\u200b\u200d robot⟧"),
        ("ro\u200dbot", "a ⟦robot⟧ robo\u200dts"),
        ("robot", "a ⟦ro\u200bbot⟧"),
    ],
    "a word may end at a zero-width space": [
        ("green robot", "a ⟦green\u200brobot⟧"),
        ("robot", "green\u200b⟦robot⟧\u200bhere"),
        ("bot", "ro\u200b⟦bot⟧"),
    ],
    "in scripts without spaces, words may begin and end at any letter": [
        ("绿色机器人", "一个⟦绿色机器人⟧和一个蓝色的人"),
        ("人", "蓝色的⟦人⟧和⟦人⟧"),
        ("色的", "绿⟦色的⟧绿⟦色 的⟧"),
        ("绿色 机器人", "⟦绿色机器人⟧ ⟦绿色 机器人⟧ ⟦绿\u3000色机器人⟧"),
        ("绿色机器人", "一个⟦绿色  机器\n人⟧"),
        ("绿色机器人", "⟦绿色\u200b机器人⟧"),
        ("green robot", "一个⟦green robot⟧在草地上"),
        ("robot", "色⟦robot⟧色 ⟦robot⟧色s"),
        ("ロボット", "緑の⟦ロボット⟧と青い人"),
        ("𠮷", "⟦𠮷⟧野家の⟦𠮷⟧"),
        ("2台", "⟦2台⟧のロボット"),
        ("台", "2⟦台⟧"),
        ("หุ่นยนต์", "⟦หุ่นยนต์⟧สีเขียวบนหญ้า"),
        ("สีเขียว", "หุ่นยนต์⟦สีเขียว⟧บนหญ้า"),
        ("ໝາ", "ໂຕ⟦ໝາ⟧ສີຂຽວ"),
        ("ឆ្កែ", "សត្វ⟦ឆ្កែ⟧ពណ៌ស"),
        ("ခွေး", "အဖြူရောင်⟦ခွေး⟧"),
        ("ຂຽວ", "ໝາສີ⟦ຂຽວ⟧"),
        ("ᩉᨾᩣ", "ᨲᩫ᩠ᩅ⟦ᩉᨾᩣ⟧"),
    ],
    "letters with marks and vowels are not taken apart": [
        ("น้ำ", "ดื่ม⟦น้ำ⟧เย็น"),
        ("ส", "สีเขียว"),
        ("ยว", "เขียว\u0e48"),
        ("กา", "แกา ก\u0e33 ⟦กา⟧"),
        ("ก", "ก\u0e33"),
        ("ກ", "ກ\u0eb3"),
        ("か", "か\u309a ⟦か⟧"),
        ("कुत्ता", "एक ⟦कुत्ता⟧ घास पर"),
        ("कुत्त", "एक कुत्ता"),
        ("ត", "សត្វ"),
    ],
    "other scripts have spaces between words": [
        ("رجل", "⟦رجل⟧ أخضر الرجل"),
        ("ربوت", "ربوتات"),
        ("רובוט", "⟦רובוט⟧ ירוק רובוטים"),
        ("ρομπότ", "ένα ⟦ρομπότ⟧ ρομπότα"),
        ("робот", "⟦робот⟧ и роботы"),
        ("ռոբոտ", "⟦ռոբոտ⟧ ռոբոտներ"),
        ("რობოტი", "⟦რობოტი⟧ რობოტიდან"),
        ("ሮቦት", "⟦ሮቦት⟧ ሮቦቶች"),
        ("রোবট", "⟦রোবট⟧ রোবটটি"),
        ("ரோபோ", "⟦ரோபோ⟧ ரோபோவை"),
        ("རོ", "⟦རོ⟧་བོ"),
    ],
    "a Korean word may have a particle": [
        ("로봇", "초록 ⟦로봇⟧이 풀밭에 있다"),
        ("로봇", "초록 로봇팔"),
        ("봇", "로봇이 있다"),
        ("로봇", "로봇이팔 로봇들들 로봇은은 로봇에게들 로봇가나다라마바사"),
        ("로봇", "⟦로봇⟧이, ⟦로봇⟧은.⟦로봇⟧\u200b이팔"),
        ("로봇", "⟦로봇⟧들"),
        ("로봇", "⟦로봇⟧이เด็ก"),
        ("로봇", "로봇이\u0e30, 로봇이\u0301"),
        ("나무", "⟦나무⟧들에게로부터"),
        ("나무", "⟦나무⟧들에게로부터 나무들에게로부터나"),
        ("robot", "robot이 robot은"),
        ("2", "2이"),
    ],
    "quotes and dashes": [
        ("man's hat", "a ⟦man’s hat⟧, a mans hat"),
        ('the "big" bear', "⟦the “big” bear⟧"),
        ("polar-bear", "a ⟦polar‑bear⟧ and a ⟦polar–bear⟧ and a polar bear"),
        ("man-s", "man's"),
        ("man's", 'man"s'),
    ],
}
"""What is shown, and for each phrase a prompt in which its places are marked."""

_SEVERAL: list[tuple[str, tuple[str, ...], str]] = [
    ("the longer phrase has the place", ("bear", "polar bear"), "a ⟦bear⟧ and a ⟦polar bear⟧₂"),
    ("the longer phrase has the place", ("polar bear", "bear"), "a ⟦bear⟧₂ and a ⟦polar bear⟧"),
    ("the longer phrase has the place", ("polar bear", "bear"), "a ⟦polar bear⟧"),
    (
        "the longer phrase has the place",
        ("hat", "red hat", "big red hat"),
        "⟦hat⟧ ⟦red hat⟧₂ ⟦big red hat⟧₃",
    ),
    ("the longer phrase has the place", ("人", "绿色机器人"), "⟦绿色机器人⟧₂和⟦人⟧"),
    ("the longer phrase has the place", ("b c d", "a b c d e"), "⟦a b c d e⟧₂ a ⟦b c d⟧"),
    ("phrases that touch do not overlap", ("绿色", "机器人"), "⟦绿色⟧⟦机器人⟧₂⟦绿色⟧"),
    ("of equally long phrases the first has the place", ("a bear", "bear b"), "⟦a bear⟧ b"),
    ("of equally long phrases the first has the place", ("bear b", "a bear"), "a ⟦bear b⟧"),
    ("of equally long phrases the first has the place", ("Bear", "bear"), "a ⟦bear⟧"),
    (
        "the length of a phrase does not depend on its encoding",
        ("un café", "cafe\u0301 et"),
        "⟦un café⟧ et",
    ),
    (
        "the length of a phrase does not depend on its encoding",
        ("a  bear ", "bear at"),
        "a ⟦bear at⟧₂",
    ),
    (
        "the length of a phrase does not depend on its encoding",
        ("a bear", "be\u00ad\u00adar b"),
        "⟦a bear⟧ b",
    ),
    ("all phrases are in the order they were given", ("x", "giraffe", "bear"), "a ⟦bear⟧₃ ⟦x⟧"),
    ("no phrase", (), "a bear"),
]
