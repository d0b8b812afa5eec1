"""Which words of the source prompt the words of the target correspond to, and what attention moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grainspec.prompt_alignment import PromptAlignment, align_prompts
from grainspec.testing import word_backbone

BACKBONE = word_backbone(levels=1, max_tokens=24)
WORDS = st.lists(st.sampled_from(["a", "red", "man", "bear", "on", "grass", "with"]), max_size=9)


def aligned(source: str, target: str) -> PromptAlignment:
    return align_prompts(source, target, BACKBONE.tokenize(source), BACKBONE.tokenize(target))


def worded(source: str, target: str) -> list[tuple[str, str, bool]]:
    """The words of each correspondence: of the target, of the source, and whether they differ."""
    places, theirs = BACKBONE.tokenize(target), BACKBONE.tokenize(source)
    return [
        (
            " ".join(target[slice(*places[token])] for token in one.target),
            " ".join(source[slice(*theirs[token])] for token in one.source),
            one.replaced,
        )
        for one in aligned(source, target).correspondences
        if any(places[token][0] < places[token][1] for token in one.target)
    ]


@pytest.mark.parametrize(
    ("source", "target", "changed"),
    [
        ("a red man on grass", "a red man on grass", []),
        ("a red man on grass", "A red man on Grass", []),
        (
            "a red man and a blue man on grass before green trees",
            "a green robot and a yellow bear on grass before cherry trees",
            [
                ("green", "red", True),
                ("robot", "man", True),
                ("yellow", "blue", True),
                ("bear", "man", True),
                ("cherry", "green", True),
            ],
        ),
        (
            "a cat and a dog on sand",
            "two robots on sand",
            [("two robots", "a cat and a dog", True)],
        ),
        ("a bear on road", "a bear with sunglasses on road", []),
        ("a bear with sunglasses on road", "a bear on road", []),
    ],
)
def test_words_correspond(source: str, target: str, changed: list[object]) -> None:
    found = worded(source, target)
    assert [one for one in found if one[2]] == changed
    assert all(ours.lower() == theirs.lower() for ours, theirs, replaced in found if not replaced)


def test_added_words_take_over_nothing() -> None:
    alignment = aligned("a bear on road", "a bear with sunglasses on road")
    columns = alignment.mapping_ST(replace=True).sum(0)
    assert columns[1:8].tolist() == [1, 1, 0, 0, 1, 1, 1]  # `on road`, and the end token


@given(WORDS, WORDS, st.booleans())
def test_each_token_of_the_source_is_taken_over_once_at_most(
    source: list[str], target: list[str], replace: bool
) -> None:
    """So that no attention is counted twice; of equal prompts, all is where it was."""
    alignment = aligned(" ".join(source), " ".join(target))
    mapping = alignment.mapping_ST(replace=replace)
    assert (mapping >= 0).all()
    assert mapping.sum(1).max() <= 1 + 1e-6
    assert not ((mapping > 0).sum(0) == 0).all()
    same = aligned(" ".join(source), " ".join(source)).mapping_ST(replace=replace)
    assert np.array_equal(same, np.eye(len(same)))


def test_replaced_words_share_the_attention_of_those_they_replace() -> None:
    alignment = aligned("a cat and a dog on sand", "two robots on sand")
    mapping = alignment.mapping_ST(replace=True)
    np.testing.assert_allclose(mapping[1:6, 1:3], 0.5)
    assert mapping[:, 1:3].sum() == 5
    assert alignment.mapping_ST(replace=False)[:, 1:3].sum() == 0


def test_the_words_of_the_source_behind_an_edit() -> None:
    alignment = aligned("a red man on grass", "a red robot with a hat on grass")
    places = BACKBONE.tokenize("a red robot with a hat on grass")
    assert [places[token] for token in (2, 3)] == [(2, 5), (6, 11)]
    assert alignment.sources([2]) == (2,)  # `red`
    assert alignment.sources([3]) == (3,)  # `robot with a hat` for `man`
    assert alignment.sources([]) == ()
