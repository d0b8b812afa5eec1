"""The text tokens of an edit's words, as a model's tokenizer splits them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from grainspec import parse
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import Compiled, compile_plan
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone

Spans = Sequence[tuple[int, int]]


def pieces(pattern: str) -> Backbone:
    """A backbone whose tokens are what a pattern matches, as byte pairs may be."""

    def tokenize(text: str) -> Spans:
        spans = [(0, 0), *(match.span() for match in re.finditer(pattern, text))][:76]
        return spans + [(0, 0)] * (77 - len(spans))

    return replace(word_backbone(), tokenize=tokenize)


def compiled(target: str, phrase: str, backbone: Backbone, more: str = "") -> Compiled:
    text = f'grain 1 video "c" target "{target}" region r = all edit r -> "{phrase}" {more}'
    return compile_plan(parse(text), Layout.of({"r": np.ones((1, 64, 64), bool)}), backbone)


def test_tokens_cover_exactly_the_letters_of_the_phrase() -> None:
    made = compiled("一个绿色机器人和人", "绿色机器人", pieces("."))
    assert made.plan.edits[0].tokens == ((3, 4, 5, 6, 7),)
    assert made.warnings == ()


def test_a_letter_of_several_tokens_is_bound_whole() -> None:
    backbone = replace(
        word_backbone(),
        tokenize=lambda text: [(0, 0), *((i, i + 1) for i in range(len(text)) for _ in "abc")],
    )
    made = compiled("绿人", "人", replace(backbone, max_tokens=10))
    assert made.plan.edits[0].tokens == ((4, 5, 6),)


def test_a_token_across_the_end_of_the_phrase_is_reported() -> None:
    made = compiled("一个绿色机器人和人", "绿色机器人", pieces("人和|器机|."))
    assert made.plan.edits[0].tokens == ((3, 4, 5, 6, 7),)
    [found] = made.warnings
    assert found.code == "G521"
    assert "“人和” is one text token" in found.message
    assert compiled("一个 绿色机器人 和人", "绿色机器人", pieces("人和|[^ ]")).warnings == ()


def test_spaces_in_a_token_are_not_reported() -> None:
    assert compiled("a green robot here", "green robot", pieces(r" ?\w+")).warnings == ()


@pytest.mark.parametrize("phrases", ["isolated", "in_context"])
def test_a_phrase_that_is_split_otherwise_by_itself(phrases: str) -> None:
    more = f"attention {{ phrases {phrases} }}"
    made = compiled("一机器人", "机器人", pieces("^机器|."), more)
    assert [found.code for found in made.warnings] == ["G521"] * (phrases == "isolated")
    assert compiled("一机器人", "机器人", pieces("."), more).warnings == ()


def test_a_combining_mark_at_the_end_of_the_prompt_is_not_beyond_the_limit() -> None:
    made = compiled("le cafe\u0301", "café", pieces(r"\w+"))  # tokenizers drop its place
    assert made.plan.edits[0].tokens == ((2,),)


def test_words_in_angle_brackets() -> None:
    [found] = compiled("a <toy> robot", "robot", word_backbone()).warnings
    assert (found.code, "--embedding" in found.cure) == ("G522", True)
    assert compiled("a <toy> robot", "robot", pieces(r"<\w+>|\w+")).warnings == ()
    assert compiled("a 3 < 4 robot <3", "robot", word_backbone()).warnings == ()
