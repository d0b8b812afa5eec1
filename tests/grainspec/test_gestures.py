"""Gestures in the picture: what they write, what they leave, and what they refuse."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, get_args

import pytest
from clips import EXAMPLES
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grainspec import EditSpec, GrainError, parse, point, track
from grainspec.analysis.document import Document
from grainspec.analysis.edits import TextEdit, applied, inverse
from grainspec.analysis.gestures import GestureResult, gesture_edits
from grainspec.analysis.gestures.gesture import GestureKind
from grainspec.analysis.gestures.outline import simplified
from grainspec.diagnostics.codes import ERRORS
from grainspec.model.algebra import Box, Polygon, Prompt, Track
from grainspec.model.spec import Edit
from grainspec.testing import grain_texts
from grainspec.testing.strategies.regions import boxes, polygons, tracks
from grainspec.text.format import format_text
from grainspec.text.printer import expression_text


@dataclass(frozen=True)
class Extent:
    """The size of a clip."""

    width: int = 640
    height: int = 480
    frames: int = 100


CLIP = Extent()

SPEC = """grain 1

# the clip
video "c.mp4"

target "a green robot and a yellow bear on grass"

region left = track(point(30%, 55%) @ 0)  # him
region b    = box(10.25%, 10%, 20%, 30%)

edit instance left -> "green robot"
keep b  # stays

sampler ddim { steps 30 }
"""


def gesture(text: str, extent: Extent | None = CLIP, **given: Any) -> GestureResult:
    return gesture_edits(Document(text, None), given, extent)


def after(text: str, **given: Any) -> str:
    return applied(text, gesture(text, **given).edits)


def changes(text: str, **given: Any) -> list[str]:
    """The lines that a gesture changes or adds."""
    old = Counter(text.splitlines())
    return [line for line in after(text, **given).splitlines() if not old[line]]


def refusal(text: str, **given: Any) -> tuple[str, str]:
    """The code of a refusal, and all that it says."""
    with pytest.raises(GrainError) as refused:
        gesture(text, **given)
    (finding,) = refused.value.diagnostics
    assert finding.code in ERRORS
    assert finding.cure
    return finding.code, f"{finding.message}. {finding.cure}"


# --- examples --------------------------------------------------------------------------------------


def test_a_click_is_a_new_region_in_the_files_style() -> None:
    made = gesture(SPEC, kind="point", frame=3, points=[[0.5, 0.5]])
    assert made.region == "region_1"
    text = applied(SPEC, made.edits)
    assert made.select
    assert text[slice(*made.select)] == "region_1"
    assert "region region_1 = track(point(50%, 50%) @ 3)\n" in text
    assert format_text(text) == text  # what was aligned still is
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


def test_moving_a_corner_changes_its_numbers_alone() -> None:
    moved = gesture(SPEC, kind="move", frame=9, region="b", points=[[0.1025, 0.1], [0.2, 0.35]])
    (edit,) = moved.edits
    assert edit.text == "35%"
    text = applied(SPEC, moved.edits)
    assert "region b    = box(10.25%, 10%, 20%, 35%)\n" in text
    assert moved.select
    assert text[slice(*moved.select)] == "box(10.25%, 10%, 20%, 35%)"


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


def test_words_are_bound_to_regions() -> None:
    kept = changes(SPEC, kind="bind", region="b", words="Yellow  bear")
    assert kept == ['edit b             -> "yellow bear"  # stays']
    at = SPEC.index("ellow be")
    made = gesture(SPEC, kind="bind", region="b", words=[at, at + 8])
    text = applied(SPEC, made.edits)
    assert made.select
    assert text[slice(*made.select)] == "yellow bear"
    assert changes(SPEC, kind="bind", region="left", words="grass") == [
        'edit instance left -> "grass"'
    ]
    fresh = after(SPEC, kind="box", region="far_right", points=[[0.6, 0], [1, 1]])
    bound = after(fresh, kind="bind", region="far_right", words="yellow bear")
    assert 'edit far_right     -> "yellow bear"\nkeep b  # stays' in bound
    assert format_text(bound) == bound


def test_words_of_a_variant_are_bound_in_it() -> None:
    text = (EXAMPLES / "variants.grain").read_text()
    start = text.index("blue man", text.index("variant left"))
    bound = after(text, kind="bind", region="right", words=[start, start + 8])
    (variant,) = [one for one in parse(bound).variants if one.name == "left"]
    assert [edit for edit in variant.edits if isinstance(edit, Edit)] == [
        Edit(region="right", phrase="blue man")
    ]
    assert "without" not in bound[bound.index("variant left") : bound.index("variant right")]
    assert format_text(bound) == bound


def test_regions_are_kept() -> None:
    assert after(SPEC, kind="keep", region="b") == SPEC
    assert "\nkeep left\nkeep b" in after(SPEC, kind="keep", region="left")
    sky = after(SPEC, kind="box", region="sky", points=[[0, 0], [1, 0.2]])
    assert "\nkeep b, sky  # stays\n" in after(sky, kind="keep", region="sky")


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


def parse_region(text: str) -> list[Any]:
    draft = Document(text, None).draft
    assert draft
    return [region.expression for region in draft.regions]


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


def test_small_moves_are_written_and_smaller_ones_are_not() -> None:
    text = "region a = track(point(30%, 55.55%) @ 0)"
    assert gesture(text, kind="move", region="a", points=[[0.3004, 0.5555]]).edits == []
    assert "point(30.1%, 55.55%)" in after(text, kind="move", region="a", points=[[0.3006, 0.5555]])


def test_regions_are_renamed() -> None:
    text = after(SPEC, kind="rename", region="b", name="bear")
    assert "keep bear  # stays" in text
    assert parse(text).regions[1].name == "bear"
    assert refusal(SPEC, kind="rename", region="b", name="left")[0] == "G102"
    assert refusal(SPEC, kind="rename", region="b", name="9 lives")[0] == "G202"


def test_a_polygon_that_moves_keeps_its_points() -> None:
    text = "region a = polygon(0% 0%, 50% 0%, 25% 50%)"
    points = [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]
    here = after(text, kind="polygon", region="a", points=points)
    assert here == "region a = polygon(0% 0%, 50% 0%, 50% 50%, 0% 50%)"
    code, said = refusal(text, kind="polygon", frame=9, region="a", points=points)
    assert (code, "Move its corners" in said) == ("G711", True)
    later = after(text, kind="polygon", frame=9, region="a", points=points[:3])
    assert later == f"{text} @ 0, polygon(0% 0%, 50% 0%, 50% 50%) @ 9"


def test_selections_are_words_of_the_prompt_without_escapes() -> None:
    text = 'target "🐻 a \\"big\\" bear, he said"\nregion a = all\n'
    at = text.index("ig")
    assert 'edit a -> "\\"big\\" bear"' in after(
        text, kind="bind", region="a", words=[at - 3, text.index("ear") + 5]
    )
    assert 'edit a -> "big"' in after(text, kind="bind", region="a", words=[at, at + 1])


def test_accents_may_be_encoded_in_either_way() -> None:
    apart, joined = "Ba\u0308r", "B\u00e4r"
    text = f"region {apart} = box(0%, 0%, 50%, 50%)\nkeep {joined}\n"
    for name in (apart, joined):
        assert "60%" in after(text, kind="move", region=name, points=[[0, 0], [0.5, 0.6]])
        assert refusal(text, kind="delete", region=name)[0] == "G713"
    assert after(text, kind="delete", region=joined, cascade=True) == ""


REFUSED = [
    ("G710", {"kind": "wave"}),
    ("G710", {"kind": "point", "points": []}),
    ("G710", {"kind": "point", "points": [[0.1, float("nan")]]}),
    ("G710", {"kind": "mask"}),
    ("G710", {"kind": "move", "points": [[0, 0]]}),
    ("G710", {"kind": "move", "region": "b", "points": [[0.5, 0.5]]}),
    ("G101", {"kind": "keep", "region": "lefft"}),
    ("G202", {"kind": "box", "region": "my box", "points": [[0, 0], [1, 1]]}),
    ("G303", {"kind": "point", "frame": 100, "points": [[0.5, 0.5]]}),
    ("G711", {"kind": "not_point", "points": [[0.5, 0.5]]}),
    ("G711", {"kind": "point", "region": "b", "points": [[0.5, 0.5]]}),
    ("G711", {"kind": "box", "points": [[0.5, 0.5], [0.5, 0.9]]}),
    ("G711", {"kind": "polygon", "points": [[0, 0], [0.5, 0.5], [0, 0], [0.5, 0.5]]}),
    ("G711", {"kind": "move", "region": "b", "shape": 3, "points": [[0, 0], [1, 1]]}),
    ("G714", {"kind": "bind", "region": "b", "words": "purple cat"}),
    ("G714", {"kind": "bind", "region": "b", "words": [3, 6]}),
    ("G105", {"kind": "bind", "region": "b", "words": "robot"}),
    ("G350", {"kind": "not_point", "frame": 7, "region": "left", "points": [[0.5, 0.5]]}),
]


@pytest.mark.parametrize(("code", "given_"), REFUSED, ids=str)
def test_what_has_no_meaning_is_refused(code: str, given_: dict[str, Any]) -> None:
    assert refusal(SPEC, **given_)[0] == code


def test_broken_files_are_edited_where_they_can_be_read() -> None:
    text = SPEC.replace("steps 30 }", "stepps 30").replace(
        "region b    = box(10.25%", "region b = box("
    )
    assert "region c    = track" in after(text, kind="point", region="c", points=[[0.5, 0.5]])
    (line,) = changes(text, kind="point", region="left", points=[[0.5, 0.5]])
    assert "point(30%, 55%), point(50%, 50%) @ 0" in line
    code, said = refusal(text, kind="box", region="b", points=[[0, 0], [1, 1]])
    assert code == "G712"
    assert "line 9" in said
    half = SPEC.replace("20%, 30%)", "20%, 30)")
    code, said = refusal(half, kind="move", region="b", points=[[0, 0], [1, 1]])
    assert (code, "30" in said) == ("G712", True)


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


# --- properties ------------------------------------------------------------------------------------

SHARES = st.integers(0, 1000).map(lambda drawn: drawn / 1000)
FRAMES = st.sampled_from([0, 1, 3, 12, 20, 24, 40])
PLACES = st.tuples(SHARES, SHARES)
SEPARATORS = st.sampled_from([", ", ",", " ,   ", ",  # so, @ 9\n    "])
_COMMENTS = re.compile(r'"(?:\\.|[^"\\\n])*"|(#[^\r\n]*)')


def comments(text: str) -> list[str]:
    return [match[1].rstrip() for match in _COMMENTS.finditer(text) if match[1]]


def undone(text: str, made: GestureResult) -> str:
    """The text after a gesture, which keeps its comments and can be undone."""
    new = applied(text, made.edits)
    assert applied(new, inverse(text, made.edits)) == text
    assert comments(new) == comments(text)
    return new


def apart(spec: EditSpec, *fields: str) -> dict[str, Any]:
    return spec.model_dump(exclude=set(fields))


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


@given(grain_texts(settings=False), st.data())
@settings(max_examples=30, deadline=None)
def test_words_and_deletions_change_one_region(text: str, data: st.DataObject) -> None:
    spec = parse(text)
    name = data.draw(st.sampled_from([region.name for region in spec.regions]))
    words = spec.target.split()
    kind = data.draw(st.sampled_from(["bind", "keep", "delete"]))
    given_ = {"words": data.draw(st.sampled_from(words))} if kind == "bind" else {}
    try:
        made = gesture(text, kind=kind, region=name, cascade=kind == "delete", **given_)
    except GrainError as error:
        codes = {"G104", "G105", "G109", "G713", "G714"}
        assert error.diagnostics[0].code in codes
        return
    new_text = applied(text, made.edits)
    assert applied(new_text, inverse(text, made.edits)) == text
    new = Document(new_text, None).draft
    assert new
    assert apart(new, "edits", "regions") == apart(spec, "edits", "regions")
    assert sorted(elsewhere(new, name), key=str) == sorted(elsewhere(spec, name), key=str)
    said = [edit for edit in new.edits if edit.region == name]
    if kind == "delete":
        assert said == []
        assert new.regions == tuple(region for region in spec.regions if region.name != name)
    else:
        assert new.regions == spec.regions
        assert len(said) == 1
        assert said[0].verb == "keep" if kind == "keep" else isinstance(said[0], Edit)


TEXTS = [path.read_text() for path in sorted(EXAMPLES.glob("*.grain"))]
ANY = {
    "kind": st.sampled_from(get_args(GestureKind)),
    "frame": st.integers(0, 7),
    "region": st.sampled_from(["left", "right", "middle", "eyes", "new", None]),
    "shape": st.sampled_from([None, None, 0, 1]),
    "points": st.lists(PLACES, min_size=1, max_size=4),
    "words": st.sampled_from(["blue robot", "on", (150, 170), (0, 9)]),
    "path": st.just("masks/one.png"),
    "name": st.sampled_from(["left", "hero"]),
    "cascade": st.booleans(),
}


@given(st.sampled_from(TEXTS), st.integers(0, 900), st.integers(0, 3), st.fixed_dictionaries(ANY))
@settings(max_examples=100, deadline=None)
def test_half_typed_files_are_never_made_worse(
    text: str, at: int, length: int, given_: dict[str, Any]
) -> None:
    broken = text[:at] + text[at + length :] if length else text[:at]
    try:
        made = gesture(broken, **given_)
    except GrainError as error:
        assert error.diagnostics[0].cure or error.diagnostics[0].code < "G7"
        return
    new = applied(broken, made.edits)
    assert applied(new, inverse(broken, made.edits)) == broken
    assert errors(new) <= errors(broken) | {"G108"}


def errors(text: str) -> set[str]:
    return {finding.code for finding in Document(text, None).findings if finding.is_error}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.text("ab", max_size=3))))
def test_edits_are_undone(drawn: list[tuple[int, int, str]]) -> None:
    text, edits, position = "0123456789", [], 0
    for start, length, new in sorted(drawn):
        if position <= start:
            edits.append(TextEdit(start, min(start + length, 10), new))
            position = start + length
    assert applied(applied(text, edits), inverse(text, edits)) == text


def spec_of(expression: str, comma: str) -> str:
    """A spec with a region `r`, whose arguments are written with other commas."""
    commas = re.compile(r'("(?:\\.|[^"\\\n])*")|, ')
    written = commas.sub(lambda match: match[1] or comma, expression)
    return (
        'grain 1\nvideo "c.mp4"\ntarget "a bear on grass"\n\n'
        f'region r = {written}  # beside\n# below\nregion s = all\n\nedit s -> "bear"\nkeep r'
    )


def elsewhere(spec: EditSpec, name: str) -> list[Any]:
    """The statements that have nothing to do with a region."""
    return [edit for edit in spec.edits if name not in (edit.region, getattr(edit, "owner", None))]


def prompts_of(spec: EditSpec) -> list[Prompt]:
    """The prompts of region `r`, each with its frame."""
    expression = spec.region("r").expression
    assert isinstance(expression, Track)
    return [
        prompt if prompt.frame is not None else prompt.replaced({}, frame=0)
        for prompt in expression.prompts
    ]
