"""The strategies for users' tests: valid and faulty as they say, and simple once shrunk."""

from __future__ import annotations

import pytest
from hypothesis import Phase, find, given, settings

from grainspec import EditSpec, GrainError, check, dumps, parse
from grainspec.testing import faulty_specs, faulty_texts, grain_texts, prompts, specs
from grainspec.testing.strategies.faults import SPEC_FAULTS, TEXT_FAULTS
from grainspec.words import bind_phrases


def errors(text: str) -> list[str]:
    """The codes of all errors in a text."""
    try:
        return [finding.code for finding in check(parse(text)) if finding.is_error]
    except GrainError as error:
        return [finding.code for finding in error.diagnostics if finding.is_error]


@given(specs())
def test_specs_have_no_error(spec: EditSpec) -> None:
    assert [finding for finding in check(spec) if finding.is_error] == []


@given(grain_texts())
def test_sources_have_none_either(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize("code", SPEC_FAULTS)
def test_specs_with_one_fault(code: str) -> None:
    @settings(max_examples=40)
    @given(faulty_specs([code]))
    def has_it(made: tuple[EditSpec, str]) -> None:
        spec, said = made
        assert said == code
        assert [finding.code for finding in check(spec) if finding.is_error] == [code]

    has_it()


@pytest.mark.parametrize("code", [*SPEC_FAULTS, *TEXT_FAULTS])
def test_text_with_one_fault(code: str) -> None:
    @settings(max_examples=40)
    @given(faulty_texts([code]))
    def has_it(made: tuple[str, str]) -> None:
        text, said = made
        assert said == code
        assert errors(text) == [code]

    has_it()


@pytest.mark.parametrize("code", ["G201", "G202", "G203", "G204"])
def test_every_setting_can_be_at_fault(code: str) -> None:
    text = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"'
    for spoil in TEXT_FAULTS[code]:
        assert errors(spoil(text)) == [code], spoil(text)


def test_faults_that_are_not_there() -> None:
    with pytest.raises(KeyError):
        faulty_specs(["G999"])
    with pytest.raises(KeyError):
        faulty_texts(["G999"])


@given(prompts(4))
def test_phrases_can_all_be_bound(made: tuple[str, tuple[str, ...]]) -> None:
    target, phrases = made
    assert 1 <= len(phrases) <= 4
    assert all(bind_phrases(phrases, target))


def test_a_phrase_may_stand_twice() -> None:
    target, phrases = find(prompts(), lambda made: made[0].count(made[1][0]) == 2)
    assert (target, phrases) == ("robot and robot", ("robot",))


@pytest.mark.parametrize(
    ("is_wrong", "least"),
    [
        (lambda spec: any(edit.repulsion != edit.weight for edit in spec.changes), 2),
        (lambda spec: any(edit.owner for edit in spec.changes), 5),
        (lambda spec: spec.attention.frames == "each", 3),
        (lambda spec: spec.target.count(spec.changes[-1].phrase) > 1, 2),
    ],
)
def test_faults_shrink_to_few_statements(is_wrong: object, least: int) -> None:
    always_the_same = settings(
        max_examples=2000,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],  # explaining takes thrice as long, and is not read
    )
    spec = find(specs(variants=0), is_wrong, settings=always_the_same)  # type: ignore[arg-type]
    lines = [line.split()[0] for line in dumps(spec).splitlines() if line]
    statements = [word for word in lines if word not in ("grain", "video", "target")]
    assert len(statements) <= least, dumps(spec)
