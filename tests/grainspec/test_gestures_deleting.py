"""Regions, prompts and keyframes that are deleted, and the comments beside them."""

from __future__ import annotations

from typing import Any

import pytest
from gesture_texts import (
    SPEC,
    after,
    comments,
    refusal,
)

from grainspec.analysis.document import Document


def test_regions_are_deleted() -> None:
    code, said = refusal(SPEC, kind="delete", region="left")
    assert (code, "line 11" in said) == ("G713", True)
    gone = after(SPEC, kind="delete", region="left", cascade=True)
    assert gone == SPEC.replace("region left = track(point(30%, 55%) @ 0)  # him\n", "").replace(
        'edit instance left -> "green robot"\n', ""
    )
    both = "region a = all\nregion c = a | rest\n"
    assert refusal(both, kind="delete", region="a", cascade=True)[0] == "G713"
    assert after(both, kind="delete", region="c") == "region a = all\n"
    listed = both + "keep a, c, a2\n"
    assert after(listed, kind="delete", region="c", cascade=True).endswith("keep a, a2\n")


def test_prompts_are_deleted() -> None:
    text = "region a = track(point(1%, 1%), not point(2%, 2%) @ 0, point(3%, 3%) @ 5)"

    def without(shape: int) -> str:
        return after(text, kind="delete", region="a", shape=shape)

    assert without(1) == "region a = track(point(1%, 1%) @ 0, point(3%, 3%) @ 5)"
    assert without(2) == "region a = track(point(1%, 1%), not point(2%, 2%) @ 0)"
    assert refusal(text, kind="delete", region="a", shape=0)[0] == "G350"
    alone = "region b = all\nregion a = track(point(1%, 1%))"
    assert after(alone, kind="delete", region="a", shape=0) == "region b = all\n"


def test_comments_between_prompts_stay() -> None:
    text = "region a = track(\n  point(1%, 1%), # head, and\n  point(2%, 2%) # body\n  @ 0, box(3%, 3%, 9%, 9%) @ 5)"
    for shape, left in [(0, "point(2%"), (1, "point(1%"), (2, "point(2%")]:
        new = after(text, kind="delete", region="a", shape=shape)
        assert comments(new) == ["# head, and", "# body"]
        (region,) = parse_region(new)
        assert len(region.prompts) == 2
        assert left in new


KEYS = """region b = box(0%, 0%, 1%, 1%) @ 0,  # k0
           box(0%, 0%, 2%, 2%) @ 2,  # k2
           # a step
           box(0%, 0%, 4%, 4%) @ 4  # k4
region c = all
"""


@pytest.mark.parametrize(
    ("frame", "left"),
    [
        (0, KEYS.replace("box(0%, 0%, 1%, 1%) @ 0,  # k0\n           ", "")),
        (2, KEYS.replace("           box(0%, 0%, 2%, 2%) @ 2,  # k2\n", "")),
        (
            4,
            KEYS.replace("\n           box(0%, 0%, 4%, 4%) @ 4  # k4", "").replace("2,  #", "2  #"),
        ),
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_keyframe_goes_with_the_comment_in_its_row(frame: int, left: str, ends: str) -> None:
    text = KEYS.replace("\n", ends)
    assert after(text, kind="delete", frame=frame, region="b", shape=0) == left.replace("\n", ends)


def test_a_comment_in_a_row_of_its_own_outlives_the_keyframe_above() -> None:
    text = "region b = box(0%, 0%, 1%, 1%) @ 0, # k0\n  # grows\n  box(0%, 0%, 2%, 2%) @ 2"
    left = "region b =\n  # grows\n  box(0%, 0%, 2%, 2%) @ 2"
    assert after(text, kind="delete", frame=0, region="b", shape=0) == left


ABOVE = """# the men
region left  = all
region right = rest
# the bear's
# eyes
region eyes  = box(0%, 0%, 1%, 1%)

# a hat
region hat   = box(0%, 0%, 2%, 2%)
"""


@pytest.mark.parametrize(
    ("region", "gone"),
    [
        ("left", "region left  = all\n"),
        ("right", "region right = rest\n"),
        ("eyes", "# the bear's\n# eyes\nregion eyes  = box(0%, 0%, 1%, 1%)\n"),
        ("hat", "# a hat\nregion hat   = box(0%, 0%, 2%, 2%)\n"),
    ],
)
def test_the_comment_above_a_region_goes_with_it_unless_it_heads_others(
    region: str, gone: str
) -> None:
    assert after(ABOVE, kind="delete", region=region) == ABOVE.replace(gone, "")
    if region == "left":
        return
    used = f"{ABOVE}\n# stays\nkeep left\n\n# its edit\nkeep {region}\n"
    without = after(used, kind="delete", region=region, cascade=True)
    left = f"{ABOVE.replace(gone, '')}\n# stays\nkeep left\n\n"
    assert without == left.replace("\n\n\n", "\n\n")  # no two empty rows


def parse_region(text: str) -> list[Any]:
    draft = Document(text, None).draft
    assert draft
    return [region.expression for region in draft.regions]


def test_accents_may_be_encoded_in_either_way() -> None:
    apart, joined = "Ba\u0308r", "B\u00e4r"
    text = f"region {apart} = box(0%, 0%, 50%, 50%)\nkeep {joined}\n"
    for name in (apart, joined):
        assert "60%" in after(text, kind="move", region=name, points=[[0, 0], [0.5, 0.6]])
        assert refusal(text, kind="delete", region=name)[0] == "G713"
    assert after(text, kind="delete", region=joined, cascade=True) == ""
