"""The shapes of a spec at a frame: where they are, and where their text is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grainspec import parse
from grainspec.analysis.document import Document
from grainspec.analysis.shapes import Shape, shapes
from grainspec.clip.facts import ClipFacts
from grainspec.model.algebra import Box, Polygon, walk
from grainspec.testing import grain_texts

CLIP = ClipFacts(frames=100, width=640, height=480, fps=25)

SPEC = """grain 1
video "c.mp4" { frames 2..40 }
target "a bear"
region eyes  = box(0%, 0%, 10%, 10%) @ 0, box(20%, 0%, 30%, 10%) @ 10  # they move
region hero  = track(point(30%, 50%), not point(80%, 80%), box(10%, 10%, 20%, 20%) @ 3)
region first = track(point(64px, 48px))
region sky   = ellipse(0%, 0%, 100%, 20%) grow 2% - (polygon(0% 0%, 50% 0%, 0% 50%) | rest)
region none  = masks("masks/none") | track(masks("one.png") @ 3)
edit eyes -> "bear"
"""


def at(text: str, frame: int, clip: ClipFacts | None = CLIP) -> list[Shape]:
    return shapes(Document(text, None), frame, clip)


def written(text: str, shape: Shape) -> str:
    return text[shape.start : shape.end]


def test_shapes_move_between_their_keyframes() -> None:
    for frame, left in [(0, 0.0), (5, 0.1), (10, 0.2), (90, 0.2)]:
        (eyes,) = [shape for shape in at(SPEC, frame) if shape.region == "eyes"]
        assert eyes.points[0] == pytest.approx((left, 0))
        assert eyes.points[1] == pytest.approx((left + 0.1, 0.1))
        assert eyes.keyframes == (0, 10)
    (now,) = at(SPEC, 10)[:1]
    assert written(SPEC, now) == "box(20%, 0%, 30%, 10%) @ 10"
    (between,) = at(SPEC, 5)[:1]
    assert written(SPEC, between) == "box(0%, 0%, 10%, 10%) @ 0, box(20%, 0%, 30%, 10%) @ 10"


def test_prompts_are_on_their_frame() -> None:
    hero = [shape for shape in at(SPEC, 3) if shape.region == "hero"]
    assert [(shape.kind, shape.inside, shape.index) for shape in hero] == [
        ("point", True, 0),
        ("point", False, 1),
        ("box", True, 2),
    ]
    assert [written(SPEC, shape) for shape in hero] == [
        "point(30%, 50%)",
        "not point(80%, 80%)",
        "box(10%, 10%, 20%, 20%) @ 3",
    ]
    assert all(shape.prompt and shape.keyframes == () for shape in hero)
    assert "hero" not in {shape.region for shape in at(SPEC, 4)}
    assert "first" in {shape.region for shape in at(SPEC, 2)}  # the first frame in use
    assert "first" not in {shape.region for shape in at(SPEC, 0)}


def test_shapes_inside_expressions_are_counted() -> None:
    sky = [shape for shape in at(SPEC, 0) if shape.region == "sky"]
    assert [(shape.kind, shape.index, len(shape.points)) for shape in sky] == [
        ("ellipse", 0, 2),
        ("polygon", 1, 3),
    ]
    assert not [shape for shape in at(SPEC, 3) if shape.region == "none"]


def test_pixels_need_the_size_of_the_clip() -> None:
    (first,) = [shape for shape in at(SPEC, 2) if shape.region == "first"]
    assert first.points == ((0.1, 0.1),)
    assert {shape.region for shape in at(SPEC, 2, None)} == {"eyes", "sky"}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_broken_files_have_the_shapes_that_can_be_read(mark: str, end: str) -> None:
    broken = SPEC.replace("not point(80%", "not point(80").replace('"a bear"', '"a bear')
    text = mark + broken.replace("\n", end)
    found = at(text, 0)
    assert {shape.region for shape in found} == {"eyes", "sky"}
    assert written(text, found[0]) == "box(0%, 0%, 10%, 10%) @ 0"
    assert at(mark, 0) == []


@given(grain_texts(settings=False), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_shapes_are_those_of_the_model(text: str, frame: int) -> None:
    spec = parse(text)
    found = [shape for shape in at(text, frame) if not shape.prompt]
    expected = [
        (region.name, node.kind, node.numbers(frame, CLIP.width, CLIP.height))
        for region in spec.regions
        for node in walk(region.expression)
        if isinstance(node, Box | Polygon)
    ]
    assert [(shape.region, shape.kind) for shape in found] == [row[:2] for row in expected]
    for shape, (_, kind, numbers) in zip(found, expected, strict=True):
        sides = [side * extent for x, y in shape.points for side, extent in ((x, 640), (y, 480))]
        assert sides == pytest.approx(list(numbers))
        assert text[shape.start :].startswith(f"{kind}(")
        assert text[: shape.end].endswith((")", *"0123456789"))
