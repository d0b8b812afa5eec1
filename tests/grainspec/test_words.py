"""Words of edits in the prompt: whole words, in all scripts, however they are encoded."""

from __future__ import annotations

import pytest

from grainspec import parse_all
from grainspec.diagnostics import Diagnostic
from grainspec.words import bind_phrases, longer_words, nearest_words, occurrences

FOUND = [
    # phrase, prompt, the text that it covers
    ("绿色机器人", "一个绿色机器人和一个蓝色的人在草地上", ["绿色机器人"]),
    ("人", "蓝色的人和人", ["人", "人"]),
    ("绿色 机器人", "绿色机器人", ["绿色机器人"]),
    ("绿色机器人", "绿色 机器人", ["绿色 机器人"]),
    ("green robot", "一个green robot在草地上", ["green robot"]),
    ("ロボット", "緑のロボットと青い人", ["ロボット"]),
    ("ガラス", "ｶﾞﾗｽの靴", ["ｶﾞﾗｽ"]),
    ("หุ่นยนต์", "หุ่นยนต์สีเขียวบนหญ้า", ["หุ่นยนต์"]),
    ("น้ำ", "ดื่มน้ำเย็น", ["น้ำ"]),
    ("ឆ្កែ", "សត្វឆ្កែពណ៌ស", ["ឆ្កែ"]),
    ("ໝາ", "ໂຕໝາສີຂຽວ", ["ໝາ"]),
    ("ခွေး", "အဖြူရောင်ခွေး", ["ခွေး"]),
    ("로봇", "초록 로봇이 풀밭에 있다", ["로봇"]),
    ("로봇", "로봇으로부터 로봇에게로 로봇이었다 로봇까지도 로봇만큼 로봇대로 로봇밖에 로봇이라는", ["로봇"] * 8),
    ("나무", "나무로부터 나무였다 나무라는 나무들에게로부터", ["나무"] * 4),
    ("강아지", "귀여운 강아지들이 논다", ["강아지"]),
    ("man's hat", "a man’s hat", ["man’s hat"]),
    ("man’s hat", "a man's hat", ["man's hat"]),
    ('the "big" bear', "the “big” bear", ["the “big” bear"]),
    ("polar-bear", "a polar‑bear and a polar–bear", ["polar‑bear", "polar–bear"]),
    ("green robot", "a green\u00a0robot and a green\u3000robot", ["green\u00a0robot", "green\u3000robot"]),
    ("green robot", "a gre\u00aden \u200brobot\ufeff", ["gre\u00aden \u200brobot"]),
    ("green robot", "a green\u200brobot", ["green\u200brobot"]),
    ("green robot", "Ａ　ＧＲＥＥＮ　ＲＯＢＯＴ", ["ＧＲＥＥＮ　ＲＯＢＯＴ"]),
    ("café", "a cafe\u0301, cafe\u0301s, café", ["cafe\u0301", "café"]),
    ("STRASSE", "eine Straße", ["Straße"]),
    ("straße", "EINE STRASSE", ["STRASSE"]),
    ("istanbul", "İstanbul ve ISTANBUL", ["İstanbul", "ISTANBUL"]),
    ("ΟΔΟΣ", "στην οδος", ["οδος"]),
    ("कुत्ता", "एक कुत्ता घास पर", ["कुत्ता"]),
    ("رجل", "رجل أخضر", ["رجل"]),
    ("robot", "robot’s", ["robot"]),
]  # fmt: skip
NOT_FOUND = [
    ("man", "Spiderman and a woman"),
    ("robot", "robots"),
    ("봇", "로봇이 있다"),
    ("로봇", "초록 로봇팔"),
    ("ส", "สีเขียว"),  # a consonant without its vowel
    ("ยว", "เขียว\u0e48"),  # without the mark on its last letter
    ("กา", "แกา"),  # without the vowel before it
    ("cafe", "a cafe\u0301"),
    ("s", "eine Straße"),
    ("कुत्त", "एक कुत्ता"),
    ("\u200b", "a\u200bb"),
    (" ", "a b"),
]


@pytest.mark.parametrize(("phrase", "prompt", "texts"), FOUND)
def test_words_are_found(phrase: str, prompt: str, texts: list[str]) -> None:
    spans = occurrences(phrase, prompt)
    assert [prompt[start:end] for start, end in spans] == texts
    for text in texts:  # what is quoted can be pasted
        assert set(spans) <= set(occurrences(text, prompt))


@pytest.mark.parametrize(("phrase", "prompt"), NOT_FOUND)
def test_parts_of_words_and_letters_are_not(phrase: str, prompt: str) -> None:
    assert occurrences(phrase, prompt) == []


def test_longer_phrases_get_shared_letters_in_scripts_without_spaces() -> None:
    spans = bind_phrases(["人", "绿色机器人"], "绿色机器人和人")
    assert spans == [[(6, 7)], [(0, 5)]]


@pytest.mark.parametrize(
    ("phrase", "prompt", "near"),
    [
        ("mans hat", "a man’s\u00a0hat on grass", "man’s hat"),
        ("绿色机械人", "一个绿色机器人和人", "绿色机器人"),
        ("green robott", "a green  robot", "green robot"),
        ("cafes", "le café", "café"),
        ("giraffe", "a man", None),
        ("", "a man", None),
    ],
)
def test_suggestions_are_the_prompts_own_text(phrase: str, prompt: str, near: str | None) -> None:
    assert nearest_words(phrase, prompt) == near
    assert near is None or occurrences(near, prompt)


def finding(target: str, phrase: str) -> Diagnostic:
    text = f'grain 1 video "c" target "{target}" region r = all edit r -> "{phrase}"'
    [found] = parse_all(text).diagnostics
    assert found.code == "G104"
    return found


@pytest.mark.parametrize(
    ("target", "phrase", "message", "pasted"),
    [
        ("Spiderman on grass", "man", "“man” is only part of “Spiderman”", "Spiderman"),
        ("two green robots", "green robot", "only part of “green robots”", "green robots"),
        ("로봇팔이 있다", "로봇", "only part of “로봇팔이”", "로봇팔이"),
    ],
)
def test_part_of_a_longer_word(target: str, phrase: str, message: str, pasted: str) -> None:
    found = finding(target, phrase)
    assert message in found.message
    assert f"“{pasted}” here" in found.cure
    assert parse_all(
        f'grain 1 video "c" target "{target}" region r = all edit r -> "{pasted}"'
    ).spec


def test_all_longer_words_are_named_once() -> None:
    assert longer_words("man", "Spiderman, a woman, Spiderman") == ["Spiderman", "woman"]
    message = finding("Spiderman and a woman", "man").message
    assert message == "in the target prompt “man” is only part of “Spiderman” and “woman”"


def test_other_tools_syntax_around_the_words_of_an_edit() -> None:
    found = finding("a green robot", "(green robot:1.3)")
    assert "Write “green robot”" in found.cure
    assert [fix.text for fix in found.fixes] == ["", ""]
