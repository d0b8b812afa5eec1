"""Points, shapes and masks that are drawn: what they write, and what they leave."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from gesture_texts import (
    CLIP,
    FRAMES,
    PLACES,
    SEPARATORS,
    SPEC,
    after,
    apart,
    changes,
    gesture,
    refusal,
    spec_of,
    undone,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grainspec import EditSpec, GrainError, parse, point, track
from grainspec.analysis.document import Document
from grainspec.analysis.edits import applied, inverse
from grainspec.analysis.gestures.outline import simplified
from grainspec.model.algebra import Box, Polygon, Prompt, Track
from grainspec.testing import grain_texts
from grainspec.testing.strategies.regions import tracks
from grainspec.text.printer import expression_text


def test_a_click_is_a_new_region_in_the_files_style() -> None:
    made = gesture(SPEC, kind="point", frame=3, points=[[0.5, 0.5]])
    assert made.region == "region_1"
    text = applied(SPEC, made.edits)
    assert made.select
    assert text[slice(*made.select)] == "region_1"
    assert "region region_1 = track(point(50%, 50%) @ 3)\n" in text
    assert text.replace("region region_1 = track(point(50%, 50%) @ 3)\n", "") == SPEC
    assert changes(SPEC, kind="point", frame=3, points=[[0.5, 0.5]], region="c") == [
        "region c    = track(point(50%, 50%) @ 3)"
    ]


ADDED = [
    ({"kind": "not_point", "points": [[0.8, 0.81234]]}, ", not point(80%, 81.2%) @ 0)"),
    ({"kind": "point", "points": [[1, 1.5]]}, "point(30%, 55%), point(99.8%, 99.8%) @ 0)"),
    ({"kind": "point", "frame": 12, "points": [[0.5, 0]]}, " @ 0, point(50%, 0%) @ 12)"),
    (
        {"kind": "box", "frame": 5, "points": [[0.8, 0.1], [0.2, 0.3]]},
        "@ 0, box(20%, 10%, 80%, 30%) @ 5)",
    ),
    (
        {"kind": "polygon", "frame": 5, "points": [[0, 0], [0.5, 0], [0.25, 0.5]]},
        "@ 0, polygon(0% 0%, 50% 0%, 25% 50%) @ 5)",
    ),
    ({"kind": "mask", "frame": 5, "path": 'p/"a".png'}, r'@ 0, masks("p/\"a\".png") @ 5)'),
]


@pytest.mark.parametrize(("given_", "written"), ADDED, ids=[str(row[0]["kind"]) for row in ADDED])
def test_prompts_are_added_to_their_frame(given_: dict[str, Any], written: str) -> None:
    (line,) = changes(SPEC, region="left", **given_)
    assert line.endswith(f"{written}  # him")


def test_prompts_without_frame_are_on_the_first_one_in_use() -> None:
    text = 'video "c" { frames 4..30 }\nregion a = track(point(1%, 2%))'
    here = after(text, kind="point", frame=4, region="a", points=[[0.5, 0.5]])
    assert here.endswith("track(point(1%, 2%), point(50%, 50%))")
    later = after(text, kind="point", frame=9, region="a", points=[[0.5, 0.5]])
    assert later.endswith("track(point(1%, 2%) @ 4, point(50%, 50%) @ 9)")
    earlier = after(text, kind="point", frame=2, region="a", points=[[0.5, 0.5]])
    assert earlier.endswith("track(point(50%, 50%) @ 2, point(1%, 2%) @ 4)")


def test_a_prompt_that_is_there_is_not_written_twice() -> None:
    assert gesture(SPEC, kind="point", region="left", points=[[0.3, 0.55]]).edits == []
    assert gesture(SPEC, kind="bind", region="left", words="green robot").edits == []
    boxed = after(SPEC, kind="box", frame=5, region="left", points=[[0.1, 0.1], [0.2, 0.3]])
    (line,) = changes(boxed, kind="box", frame=5, region="left", points=[[0.1, 0.1], [0.2, 0.4]])
    assert line.count("box") == 1
    assert "box(10%, 10%, 20%, 40%) @ 5" in line


def test_a_box_begins_to_move_where_it_is_drawn_again() -> None:
    drawn = after(SPEC, kind="box", frame=12, region="b", points=[[0.5, 0.5], [0.8, 0.8]])
    moves = "region b    = box(10.25%, 10%, 20%, 30%) @ 0, box(50%, 50%, 80%, 80%) @ 12\n"
    assert moves in drawn
    moved = gesture(drawn, kind="move", frame=6, region="b", points=[[0.3, 0.3], [0.5, 0.5]])
    text = applied(drawn, moved.edits)
    assert " @ 0, box(30%, 30%, 50%, 50%) @ 6, box(" in text
    assert moved.select
    assert text[slice(*moved.select)] == "box(30%, 30%, 50%, 50%) @ 6"
    assert after(text, kind="delete", frame=6, region="b", shape=0) == drawn


def test_a_box_that_is_drawn_again_moves_as_a_whole_without_keyframes() -> None:
    given_ = {"kind": "box", "frame": 12, "region": "b", "points": [[0.5, 0.5], [0.8, 0.8]]}
    drawn = after(SPEC, keyframe=False, **given_)
    assert drawn == SPEC.replace("box(10.25%, 10%, 20%, 30%)", "box(50%, 50%, 80%, 80%)")
    moves = "region a = box(0%, 0%, 9%, 9%) @ 0, box(5%, 5%, 9%, 9%) @ 6"
    more = after(moves, keyframe=False, **{**given_, "region": "a"})
    assert more == f"{moves}, box(50%, 50%, 80%, 80%) @ 12"


def test_the_masks_of_all_frames_are_not_replaced_by_one() -> None:
    for path in ("masks/left", "masks/left_*.png", "masks/left.npz", "masks/left.mp4"):
        text = f'region left = masks("{path}")\n'
        code, said = refusal(text, kind="mask", frame=3, region="left", path="painted/3.png")
        assert (code, "each frame" in said) == ("G711", True)
        repaired = after(text, kind="mask", frame=3, region="left", path="painted/left")
        assert repaired == 'region left = masks("painted/left")\n'


def test_what_a_shape_is_for_can_be_chosen() -> None:
    corners = [[0.1, 0.1], [0.5, 0.5]]
    square = "(10%, 10%, 50%, 50%)"
    for given_, written in [
        ({"kind": "box", "track": True}, f"track(box{square} @ 3)"),
        ({"kind": "ellipse", "keyframe": True}, f"ellipse{square} @ 3"),
        ({"kind": "ellipse"}, f"ellipse{square}"),
    ]:
        assert after("", frame=3, points=corners, **given_) == f"region region_1 = {written}\n"
    masks = after("", kind="mask", frame=3, path="a.png", track=False)
    assert masks == 'region region_1 = masks("a.png")\n'
    again = after(masks, kind="mask", frame=3, path="b.png", region="region_1")
    assert again == 'region region_1 = masks("b.png")\n'
    still = f"region a = box{square}"
    moved = after(still, kind="move", frame=3, region="a", points=[[0, 0], [1, 1]], keyframe=True)
    assert moved == f"{still} @ 0, box(0%, 0%, 100%, 100%) @ 3"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet",
        'grain 1\r\nvideo "c"\r\ntarget "a bear"\r\n',
        '\ufeffgrain 1\nvideo "c"\ntarget "a bear"',
        'grain 1 video "c" target "a bear" region r = all edit r -> "bear"',
        'grain 1\nedit later -> "bear"\nvideo "c"\n\ntarget "a bear"',
        'variant v {\ntarget "a bear"',
    ],
)
def test_a_region_finds_its_place_in_any_text(text: str) -> None:
    made = gesture(text, kind="box", region="box_1", points=[[0, 0], [0.5, 0.5]])
    new = applied(text, made.edits)
    assert applied(new, inverse(text, made.edits)) == text
    assert made.select
    assert new[slice(*made.select)] == "box_1"
    draft = Document(new, None).draft
    assert draft
    assert [region.name for region in draft.regions][-1:] == ["box_1"]
    assert "\r\r" not in new
    assert ("\r\n" in new) == ("\r\n" in text)


def test_a_lasso_has_few_points_and_the_same_shape() -> None:
    from math import cos, pi, sin

    circle = [(0.5 + 0.3 * cos(a * pi / 400), 0.5 + 0.3 * sin(a * pi / 400)) for a in range(800)]
    few = simplified([*circle, circle[0]])
    assert 8 < len(few) < 40
    area = sum(
        x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(few, [*few[1:], few[0]], strict=True)
    )
    assert area / 2 == pytest.approx(pi * 0.09, rel=0.02)


@given(grain_texts(settings=False), st.data())
@settings(max_examples=30, deadline=None)
def test_a_new_region_changes_nothing_else(text: str, data: st.DataObject) -> None:
    spec, frame = parse(text), data.draw(FRAMES)
    kind = data.draw(st.sampled_from(["point", "box", "polygon", "mask"]))
    points = data.draw(st.lists(PLACES, min_size=3, max_size=6, unique=True))
    points = points[: {"point": 1, "box": 2, "mask": 0}.get(kind)]
    try:
        made = gesture(text, kind=kind, frame=frame, points=points, path="masks/one.png")
    except GrainError as error:
        assert error.diagnostics[0].code == "G711"  # no area
        return
    new = parse(undone(text, made))
    assert apart(new, "regions") == apart(spec, "regions")
    assert new.regions[:-1] == spec.regions
    assert new.regions[-1].name == made.region
    drawn = new.regions[-1].expression
    (x, y), (right, bottom) = (*points, (0, 0), (0, 0))[:2]
    if kind == "point" and "px" not in text:
        shown = [f"{min(round(100 * share, 1), 99.8):g}%" for share in (x, y)]
        assert drawn == track(point(*shown) @ frame)
    elif kind == "box":
        assert isinstance(drawn, Box)
        sides = drawn.sides(0, CLIP.width, CLIP.height)
        wanted = (min(x, right), min(y, bottom), max(x, right), max(y, bottom))
        assert sides == pytest.approx([s * (640, 480)[i % 2] for i, s in enumerate(wanted)], abs=1)
    assert isinstance(drawn, {"polygon": Polygon, "box": Box}.get(kind, Track))


@given(tracks(), SEPARATORS, st.data())
@settings(max_examples=40, deadline=None)
def test_a_prompt_is_added_and_deleted_again(drawn: Track, comma: str, data: st.DataObject) -> None:
    text = spec_of(expression_text(drawn), comma)
    before, frame = parse(text), data.draw(FRAMES)
    kind = data.draw(st.sampled_from(["point", "not_point", "box"]))
    points = data.draw(st.lists(PLACES, min_size=2, max_size=2))[: 1 if "point" in kind else 2]
    try:
        made = gesture(text, kind=kind, frame=frame, region="r", points=points)
    except GrainError as error:
        assert error.diagnostics[0].code in {"G350", "G711"}
        return
    assume(made.edits)
    text_after = undone(text, made)
    new = parse(text_after)
    assert apart(new, "regions") == apart(before, "regions")
    old_prompts, new_prompts = prompts_of(before), prompts_of(new)
    added = list((Counter(new_prompts) - Counter(old_prompts)).elements())
    gone = list((Counter(old_prompts) - Counter(new_prompts)).elements())
    assert len(added) == 1
    assert added[0].frame == frame
    assert added[0].outside == (kind == "not_point")
    if gone:  # a box that took another place
        assert [prompt.shape.kind for prompt in gone] == [kind]
        return
    index = new_prompts.index(added[0])
    back = parse(after(text_after, kind="delete", region="r", shape=index))
    assert prompts_of(back) == old_prompts


def prompts_of(spec: EditSpec) -> list[Prompt]:
    """The prompts of region `r`, each with its frame."""
    expression = spec.region("r").expression
    assert isinstance(expression, Track)
    return [
        prompt if prompt.frame is not None else prompt.replaced({}, frame=0)
        for prompt in expression.prompts
    ]
