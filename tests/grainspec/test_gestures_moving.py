"""Shapes that are moved, and their keyframes."""

from __future__ import annotations

from typing import Any

import pytest
from gesture_texts import (
    FRAMES,
    PLACES,
    SEPARATORS,
    SPEC,
    after,
    apart,
    gesture,
    refusal,
    spec_of,
    undone,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from grainspec import GrainError, parse
from grainspec.analysis.edits import applied
from grainspec.model.algebra import Box, Polygon
from grainspec.testing.strategies.regions import boxes, polygons
from grainspec.text.printer import expression_text


def test_moving_a_corner_changes_its_numbers_alone() -> None:
    moved = gesture(SPEC, kind="move", frame=9, region="b", points=[[0.1025, 0.1], [0.2, 0.35]])
    (edit,) = moved.edits
    assert edit.text == "35%"
    text = applied(SPEC, moved.edits)
    assert "region b    = box(10.25%, 10%, 20%, 35%)\n" in text
    assert moved.select
    assert text[slice(*moved.select)] == "box(10.25%, 10%, 20%, 35%)"


def test_a_shape_that_begins_to_move_has_its_new_keyframe_selected() -> None:
    triangle = "polygon(10% 10%, 20% 10%, 20% 20%)"
    text = f'video "c" {{ frames 4..30 }}\nregion p = {triangle} grow 2%'
    for frame in (9, 2, 4):
        given_ = {"kind": "move", "frame": frame, "region": "p", "keyframe": True}
        moved = gesture(text, points=[[0.5, 0.5], [0.8, 0.8], [0.4, 0.9]], **given_)
        new = applied(text, moved.edits)
        assert moved.select
        written = "polygon(50% 50%, 80% 80%, 40% 90%)"
        assert new[slice(*moved.select)] == written + (f" @ {frame}" if frame != 4 else "")
        assert (f"{triangle} @ 4" in new) == (frame != 4)


def test_pixels_stay_pixels() -> None:
    text = "region a = box(10px, 10px, 50px, 20%)"
    moved = [[20 / 640, 10 / 480], [60.4 / 640, 0.4]]
    assert after(text, kind="move", region="a", points=moved) == (
        "region a = box(20px, 10px, 60px, 40%)"
    )
    new = after(text, kind="point", points=[[0.5, 0.5]])
    assert new.endswith("\nregion region_1 = track(point(320px, 240px) @ 0)")
    code, said = refusal_without_size(text, kind="move", region="a", points=moved)
    assert code == "G715"
    assert "pixels" in said


def refusal_without_size(text: str, **given: Any) -> tuple[str, str]:
    with pytest.raises(GrainError) as refused:
        gesture(text, None, **given)
    return refused.value.diagnostics[0].code, str(refused.value)


def test_small_moves_are_written_and_smaller_ones_are_not() -> None:
    text = "region a = track(point(30%, 55.55%) @ 0)"
    assert gesture(text, kind="move", region="a", points=[[0.3004, 0.5555]]).edits == []
    assert "point(30.1%, 55.55%)" in after(text, kind="move", region="a", points=[[0.3006, 0.5555]])


def test_a_polygon_that_moves_keeps_its_points() -> None:
    text = "region a = polygon(0% 0%, 50% 0%, 25% 50%)"
    points = [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]
    here = after(text, kind="polygon", region="a", points=points)
    assert here == "region a = polygon(0% 0%, 50% 0%, 50% 50%, 0% 50%)"
    code, said = refusal(text, kind="polygon", frame=9, region="a", points=points)
    assert (code, "Move its corners" in said) == ("G711", True)
    later = after(text, kind="polygon", frame=9, region="a", points=points[:3])
    assert later == f"{text} @ 0, polygon(0% 0%, 50% 0%, 50% 50%) @ 9"


@given(boxes() | polygons(), SEPARATORS, st.data())
@settings(max_examples=40, deadline=None)
def test_a_shape_moves_at_the_playhead_alone(
    shape: Box | Polygon, comma: str, data: st.DataObject
) -> None:
    text = spec_of(f"{expression_text(shape)} grow 2% | rest", comma)
    before, frame = parse(text), data.draw(FRAMES)
    count = 2 if isinstance(shape, Box) else len(shape.keyframes[0].points)
    points = data.draw(st.lists(PLACES, min_size=count, max_size=count))
    try:
        made = gesture(text, kind="move", frame=frame, region="r", points=points)
    except GrainError as error:
        assert error.diagnostics[0].code == "G711"  # a box without area
        return
    new_text = undone(text, made)
    new = parse(new_text)
    assert apart(new, "regions") == apart(before, "regions")
    moved = new.regions[0].expression.items[0].of  # type: ignore[union-attr]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    if isinstance(shape, Box):
        xs, ys = sorted(xs), sorted(ys)
    wanted = [side for x, y in zip(xs, ys, strict=True) for side in (x * 640, y * 480)]
    assert moved.numbers(frame, 640, 480) == pytest.approx(wanted, abs=0.51)
    frames = [key.frame for key in shape.keyframes]
    others = [key for key in shape.keyframes if key.frame not in (frame, None)]
    assert [key for key in moved.keyframes if key.frame not in (frame, None)] == others
    expected = frames if frames == [None] else sorted({*frames, frame})
    assert [key.frame for key in moved.keyframes] == expected
    assert made.select
    assert new_text[slice(*made.select)].startswith(shape.kind)
