"""The invariants of an edit's words and text tokens: true of the compiler, and false of mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from grainspec import parse
from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec
from grainspec.plan import compile as compiling
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec.testing import Broken, Case, check_case, check_plan, plans, word_backbone
from grainspec.testing.case import compiled
from grainspec.words import CharSpan

ABOUT_WORDS = ["words", "unbound", "refused words", "prompt warnings"]
ALWAYS_THE_SAME = settings(
    max_examples=250,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Drawn cases, always the same."""
    found: list[Case] = []

    @ALWAYS_THE_SAME
    @given(plans())
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


def test_no_case_is_wrong(cases: list[Case]) -> None:
    for case in cases:
        check_case(case, ABOUT_WORDS)


TOKENS, LETTER = compiling.tokens_of, compiling._last_letter


def touching(span: CharSpan, places: Sequence[CharSpan]) -> tuple[int, ...]:
    return tuple(n for n, (a, b) in enumerate(places) if a < b and a <= span[1] and span[0] <= b)


def empty_too(span: CharSpan, places: Sequence[CharSpan]) -> tuple[int, ...]:
    return tuple(n for n, (a, b) in enumerate(places) if (a < span[1] and span[0] < b) or b == 0)


def never(*_: object) -> list[object]:
    return []


def others(name: str) -> Callable[..., object]:
    """A warning's function, for another prompt than the one it is about."""
    true = getattr(compiling, name)

    def wrong(spec: EditSpec, *rest: object) -> object:
        update = {"source": spec.negative, "negative": spec.source, "target": spec.target[:9]}
        return true(spec.model_copy(update=update), *rest)

    return wrong


def always(name: str, max_tokens: int) -> Callable[..., object]:
    true = getattr(compiling, name)
    spec = parse('grain 1 video "c" source "a <b>" target "a <b> c" region r = all edit r -> "a"')
    backbone = word_backbone(max_tokens=max_tokens)

    def wrong(*rest: object) -> object:
        return [*true(*rest), *true(spec, backbone)]

    return wrong


WRONG_TOKENS: dict[str, tuple[dict[str, object], str]] = {
    "tokens that touch": ({"tokens_of": touching}, "words: .* has the text tokens"),
    "tokens without letters": ({"tokens_of": empty_too}, "words: .* has the text tokens"),
    "the first token only": (
        {"tokens_of": lambda *a: TOKENS(*a)[:1]},
        "words: .* has the text tokens",
    ),
    "a letter less": (
        {"_last_letter": lambda text, span: LETTER(text, span) - 1},
        "refused words: G402 .* is not reported",
    ),
    "a letter more": (
        {"_last_letter": lambda text, span: LETTER(text, span) + 1},
        "refused words: G402: .* is reported without a reason",
    ),
    "nothing about the end": ({"unread_words": never}, "prompt warnings: G403 .* is not reported"),
    "nothing about brackets": ({"unloaded_words": never}, "prompt warnings: G522 .* not reported"),
    "nothing about shared tokens": ({"shared_tokens": never}, "prompt warnings: G521 .* not rep"),
    "about another prompt's end": (
        {"unread_words": others("unread_words")},
        "prompt warnings: .*G403",
    ),
    "about another prompt's brackets": (
        {"unloaded_words": others("unloaded_words")},
        "prompt warnings: .*G522",
    ),
    "the end of each prompt": (
        {"unread_words": always("unread_words", 4)},
        "prompt warnings: .*G403: .* without a reason",
    ),
    "brackets everywhere": (
        {"unloaded_words": always("unloaded_words", 77)},
        "prompt warnings: .*G522: .* without a reason",
    ),
}


@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_mistakes_of_text_tokens_are_named(name: str, cases: list[Case]) -> None:
    values, message = WRONG_TOKENS[name]
    invariant = message.partition(":")[0]
    with mock.patch.multiple(compiling, **values), pytest.raises(Broken, match=f"(?s){message}"):
        for case in cases:
            try:
                plan = compiled(case.spec, case.layout, case.backbone)
            except GrainError:
                continue
            check_case(replace(case, plan=plan), [invariant])


LAYOUT = Layout.of({"r": np.ones((1, 64, 64), bool)})
SPEC = parse('grain 1 video "c" target "a bear and a bear" region r = all edit r -> "bear"')


def wrong_plan(change: Callable[[MaskPlan], MaskPlan]) -> Callable[..., MaskPlan]:
    def compiler(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
        return replace(change(compiled(spec, layout, backbone)), _cache={})

    return compiler


def of_edit(**values: object) -> Callable[[MaskPlan], MaskPlan]:
    return lambda plan: replace(plan, edits=(replace(plan.edits[0], **values),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            of_edit(spans=((2, 6),)),
            "words: “bear” is at 2 to 6 in the prompt, not at 2 to 6 and 13",
        ),
        (of_edit(spans=()), "words: “bear” is at no place in the prompt"),
        (
            of_edit(tokens=((2,), (4,))),
            r"“bear”, at 13 to 17, has the text tokens \[4\], not \[5\]",
        ),
        (of_edit(tokens=((2,),)), "“bear” has text tokens at 1 places, not at 2"),
        (of_edit(region="s"), r"the plan has 0 edits of the region \(region r\)"),
        (
            lambda plan: replace(plan, words_ET=plan.words_ET & (np.arange(77) < 5)),
            r"the word “bear” is not one of the edit's \(region r, token 5\)",
        ),
        (
            lambda plan: replace(plan, words_ET=plan.words_ET | (np.arange(77) == 3)),
            r"the word “and” is one of the edit's \(region r, token 3\)",
        ),
    ],
)
def test_wrong_plans_are_named(change: Callable[[MaskPlan], MaskPlan], message: str) -> None:
    with pytest.raises(Broken, match=message):
        check_plan(
            SPEC, LAYOUT, word_backbone(), compiler=wrong_plan(change), invariants=ABOUT_WORDS
        )


def test_a_compiler_that_binds_what_it_should_refuse_is_named(cases: list[Case]) -> None:
    def lenient(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
        longer = replace(backbone, tokenize=word_backbone(max_tokens=backbone.max_tokens).tokenize)
        return compiled(spec, layout, longer)

    with pytest.raises(Broken, match="refused words: G402 about “.*” is not reported"):
        for case in cases:
            check_case(replace(case, compiler=lenient), ["refused words"])
