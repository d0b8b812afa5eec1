"""Hypothesis strategies for specs, regions, layouts and plans.

Strategies are made once and kept: making them anew for every draw takes longer than drawing.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np
from hypothesis import strategies as st

from grainspec.diagnostics import GrainError
from grainspec.names import RESERVED
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.bind import carve
from grainspec.regions.expressions import (
    ALL,
    MAX_FRAME,
    REST,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    FrameRange,
    Grown,
    Intersection,
    Keyframe,
    Length,
    MaskFiles,
    Outline,
    Point,
    Polygon,
    Reference,
    Union,
)
from grainspec.regions.layout import Layout
from grainspec.spec import (
    MAX_LEVEL,
    MAX_WEIGHT,
    Attention,
    AttentionChange,
    Edit,
    EditSpec,
    Free,
    Keep,
    Region,
    Sampler,
    SamplerChange,
    Size,
    Variant,
    Video,
    Without,
)
from grainspec.testing.backbone import word_backbone

_WORDS = (
    "robot bear cat alien penguin man tree hill river cloud lamp boat drum kite rose "
    "stone glass sand snow moon star fish bird wolf"
).split()


@cache
def names() -> st.SearchStrategy[str]:
    """Names a region can have.

    >>> from hypothesis import find
    >>> find(names(), lambda name: len(name) > 3).isidentifier()
    True
    """
    plain = st.from_regex(r"[a-z_][a-z0-9_]{0,7}", fullmatch=True)
    others = st.text(st.characters(categories=["L"]), min_size=1, max_size=8).map(_composed)
    return st.one_of(plain, others.filter(_is_word)).filter(lambda name: name not in RESERVED)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_word(text: str) -> bool:
    return re.fullmatch(r"[^\W\d]\w*", text) is not None


@cache
def texts() -> st.SearchStrategy[str]:
    """Prompts and paths: any text without control characters and surrogates.

    >>> from hypothesis import find
    >>> find(texts(), lambda text: "x" in text)
    'x'
    """
    plain = st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t")
    return st.text(plain, max_size=20)


def _rounded(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(math.ceil(low * 100), math.floor(high * 100)).map(lambda n: n / 100)


@cache
def _numbers(high: float) -> st.SearchStrategy[float]:
    return _rounded(0, high) | st.floats(0, high)


@cache
def lengths(unit: str, low: float, high: float) -> st.SearchStrategy[Length]:
    """Lengths of a unit between two values, round or not.

    >>> from hypothesis import find
    >>> find(lengths("px", 5, 50), lambda length: True)
    Length(5px)
    """
    values = _rounded(low, high) | st.floats(low, high)
    return values.map(lambda value: Length.model_validate({"value": value, "unit": unit}))


@cache
def _frames(moving: bool | None = None) -> st.SearchStrategy[Sequence[int | None]]:
    """The frames of a shape's keyframes: None alone where it stands still."""
    rising = st.sets(st.integers(0, 40), min_size=1, max_size=3).map(sorted)
    still: st.SearchStrategy[Sequence[int | None]] = st.just([None])
    if moving is None:
        return still | rising
    return rising if moving else still


@cache
@st.composite
def boxes(draw: st.DrawFn, moving: bool | None = None) -> Box:
    """Boxes and, if they may move, ellipses, with area, still or with keyframes.

    >>> from hypothesis import find
    >>> [key.frame for key in find(boxes(), lambda box: len(box.keyframes) > 1).keyframes]
    [0, 1]
    """
    unit, size = draw(st.sampled_from([("%", 100), ("px", 500)]))
    numbers = draw(_frames(moving))
    keys = []
    for number in numbers:
        corner, extent = lengths(unit, -5, size - 10), lengths(unit, 1, size)
        x0, y0 = draw(corner), draw(corner)
        x1 = Length(value=x0.value + draw(extent).value, unit=x0.unit)
        y1 = Length(value=y0.value + draw(extent).value, unit=y0.unit)
        keys.append(Keyframe(frame=number, x0=x0, y0=y0, x1=x1, y1=y1))
    kind = "box" if moving is False else draw(st.sampled_from(["box", "ellipse"]))
    return Box.model_validate({"kind": kind, "keyframes": tuple(keys)})


@cache
@st.composite
def polygons(draw: st.DrawFn) -> Polygon:
    """Polygons of three to five points, still or with keyframes.

    >>> from hypothesis import find
    >>> len(find(polygons(), lambda polygon: True).keyframes[0].points)
    3
    """
    unit, size = draw(st.sampled_from([("%", 100), ("px", 500)]))
    count = draw(st.integers(3, 5))
    keys = [
        Outline(frame=number, points=draw(_points(unit, size, count))) for number in draw(_frames())
    ]
    return Polygon(keyframes=tuple(keys))


@cache
def _points(unit: str, size: int, count: int) -> st.SearchStrategy[tuple[Point, ...]]:
    place = lengths(unit, -5, size)
    point = st.builds(Point, x=place, y=place)
    return st.lists(point, min_size=count, max_size=count).map(tuple)


@cache
def _spans() -> st.SearchStrategy[FrameRange]:
    ends = st.tuples(st.integers(0, 20), st.integers(0, 20))
    return ends.map(lambda pair: FrameRange(first=min(pair), last=max(pair)))


@cache
def mask_files() -> st.SearchStrategy[MaskFiles]:
    """Masks with any of their options; there need be no such files.

    >>> from hypothesis import find
    >>> find(mask_files(), lambda masks: masks.in_order)
    MaskFiles(path='0', in_order=True)
    """
    shares = _rounded(0.01, 1) | st.floats(0, 1, exclude_min=True)
    colours = st.from_regex(r"#[0-9a-fA-F]{6}", fullmatch=True)
    pixels: st.SearchStrategy[dict[str, Any]] = st.one_of(
        st.just({}),
        st.fixed_dictionaries({"threshold": shares}),
        st.fixed_dictionaries({"index": st.integers(0, 65535)}),
        st.fixed_dictionaries({"colour": colours}),
    )
    others = st.fixed_dictionaries(
        {"path": texts().filter(bool)},
        optional={
            "invert": st.booleans(),
            "array": texts().filter(bool),
            "first": st.integers(-MAX_FRAME, MAX_FRAME),
            "in_order": st.booleans(),
            "scaled": st.booleans(),
            "resize": st.sampled_from(["nearest", "area", "any"]),
        },
    )
    return st.builds(lambda one, other: MaskFiles(**one, **other), others, pixels)


def expressions(known: Sequence[str] = ()) -> st.SearchStrategy[Expression]:
    """Region expressions that use the names in ``known`` and sources.

    >>> from hypothesis import find
    >>> find(expressions(["left"]), lambda region: isinstance(region, Reference))
    Reference(name='left')
    """
    if not known:
        return _expressions()
    return st.builds(_filled_in, _expressions(references=True), st.permutations(list(known)))


_ANY = "some_region"
"""Stands for the names in expressions that are not yet filled in."""


def _filled_in(expression: Expression, names: Sequence[str]) -> Expression:
    """The expression with the names in turn wherever it refers to a region."""
    turn = cycle(names)

    def fill(node: Expression) -> Expression:
        if isinstance(node, Reference):
            return Reference(name=next(turn))
        if isinstance(node, Union | Intersection | Difference):
            return node.model_copy(update={"items": tuple(map(fill, node.items))})
        if isinstance(node, Complement | Grown | During):
            return node.model_copy(update={"of": fill(node.of)})
        return node

    return fill(expression)


@cache
def _expressions(*, references: bool = False) -> st.SearchStrategy[Expression]:
    leaves: list[st.SearchStrategy[Expression]] = [
        mask_files(),
        boxes(),
        polygons(),
        st.just(ALL),
        st.just(REST),
    ]
    if references:
        leaves.append(st.just(Reference(name=_ANY)))

    def larger(smaller: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        items = st.lists(smaller, min_size=2, max_size=3).map(tuple)
        return st.one_of(
            st.builds(Union, items=items),
            st.builds(Intersection, items=items),
            st.builds(Difference, items=items),
            st.builds(Complement, of=smaller),
            st.builds(
                Grown,
                kind=st.sampled_from(["grow", "shrink"]),
                of=smaller,
                by=lengths("%", 0, 20) | lengths("px", 0, 30),
            ),
            st.builds(During, of=smaller, frames=_spans()),
        )

    return st.recursive(st.one_of(leaves), larger, max_leaves=8)


@cache
def _levels(highest: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(0, highest), min_size=1, max_size=4).map(tuple)


@st.composite
def _statements(
    draw: st.DrawFn, regions: Sequence[str], phrases: Sequence[str]
) -> tuple[Edit | Keep | Free, ...]:
    """Edits that bind the phrases to the first of the regions, and leave the others unworded."""
    edits: list[Edit | Keep | Free] = []
    for index, (name, phrase) in enumerate(zip(regions, phrases, strict=False)):
        weights = _numbers(MAX_WEIGHT)
        verb, owner = "edit", None
        grain = draw(st.sampled_from([None, "class", "instance", "part"]))
        others = regions[:index]  # an owner before its parts, so that there is no circle
        if grain == "part" and others and draw(st.booleans()):
            owner, verb = draw(st.sampled_from(others)), draw(st.sampled_from(["edit", "add"]))
        edits.append(
            Edit.model_validate(
                {
                    "verb": verb,
                    "grain": grain,
                    "region": name,
                    "owner": owner,
                    "phrase": phrase,
                    "weight": draw(weights),
                    "repel": draw(st.none() | weights),
                }
            )
        )
    for name in regions[len(phrases) :]:
        unworded = draw(st.sampled_from([None, Keep(region=name), Free(region=name)]))
        if unworded is not None:
            edits.append(unworded)
    return tuple(edits)


@cache
def _attention(max_level: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "cross": _numbers(1),
            "self": _numbers(1),
            "until": _numbers(1),
            "decay": _numbers(10),
            "frames": st.sampled_from(["each", "first_last", "sparse_causal", "full"]),
            "levels": st.just("all") | _levels(max_level),
            "phrases": st.sampled_from(["isolated", "in_context"]),
            "resize": st.sampled_from(["nearest", "area", "any"]),
            "threshold": _numbers(1).filter(bool),
        },
    )


@cache
def _sampler() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {},
        optional={
            "steps": st.integers(1, 60),
            "guidance": _numbers(100),
            "seed": st.integers(0, 2**63 - 1),
        },
    )


@cache
def _phrases(count: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(_WORDS), min_size=1, max_size=count, unique=True)


@st.composite
def _variant(draw: st.DrawFn, name: str, spec: EditSpec, max_level: int) -> Variant:
    """A variant with a target of its own; what of the spec's edits would not fit it is left out."""
    regions = draw(st.permutations([region.name for region in spec.regions]))
    phrases = draw(_phrases(len(regions)))
    edits = draw(_statements(regions, phrases))
    said = {edit.region for edit in edits}
    left = [Without(region=edit.region) for edit in spec.edits if edit.region not in said]
    return Variant(
        name=name,
        target=" and ".join(phrases),
        negative=draw(st.none() | texts()),
        edits=(*edits, *left),
        attention=AttentionChange.model_validate(draw(_attention(max_level))),
        sampler=SamplerChange.model_validate(draw(_sampler())),
    )


@st.composite
def specs(draw: st.DrawFn, *, max_level: int = MAX_LEVEL, variants: int = 2) -> EditSpec:
    """Valid specs: every name is defined, every phrase is in the target prompt.

    None of them names a level above ``max_level`` or has more than so many ``variants``.

    >>> from grainspec import check
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(specs())
    ... def has_no_error(spec):
    ...     assert not any(finding.is_error for finding in check(spec))
    >>> has_no_error()
    """
    chosen = draw(st.lists(names(), min_size=1, max_size=5, unique=True))
    regions = []
    for index, name in enumerate(chosen):
        expression = draw(expressions(chosen[:index]))
        regions.append(Region(name=name, expression=expression))
    phrases = draw(_phrases(len(chosen)))
    first = draw(st.integers(0, 20))
    spec = EditSpec(
        video=Video(
            path=draw(texts().filter(bool)),
            frames=draw(st.none() | st.just(FrameRange(first=first, last=first + 30))),
            step=draw(st.integers(1, 4)),
            size=draw(st.none() | st.just(Size(width=512, height=384))),
            crop=draw(st.none() | boxes(moving=False)),
        ),
        model=draw(st.sampled_from(["demo", "owner/name", "./folder"]) | texts().filter(bool)),
        source=draw(texts()),
        target=" and ".join(phrases),
        negative=draw(texts()),
        regions=tuple(regions),
        edits=draw(_statements(draw(st.permutations(chosen)), phrases)),
        attention=Attention.model_validate(draw(_attention(max_level))),
        sampler=Sampler.model_validate(draw(_sampler())),
    )
    named = draw(st.lists(names(), max_size=variants, unique=True))
    made = tuple(draw(_variant(name, spec, max_level)) for name in named)
    return spec.model_copy(update={"variants": made})


@st.composite
def layouts(
    draw: st.DrawFn, edits: Sequence[str], *, side: int = 64, frames: int | None = None
) -> Layout:
    """Layouts of boxes that may overlap and may be empty on a frame, one region per name.

    They have ``frames`` frames, or one to four.

    >>> from hypothesis import find
    >>> find(layouts(["left", "right"]), lambda layout: layout.areas().min() > 0).areas()
    array([[1, 1]])
    """
    count = draw(st.integers(1, 4)) if frames is None else frames
    masks = {}
    for name in edits:
        mask = np.zeros((count, side, side), np.bool_)
        for frame in range(count):
            x0, y0 = draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))
            wide, high = draw(st.integers(0, side)), draw(st.integers(0, side))
            mask[frame, y0 : y0 + high, x0 : x0 + wide] = True
        masks[name] = mask
    return Layout.of(masks)


@st.composite
def plans(draw: st.DrawFn) -> tuple[EditSpec, Layout, MaskPlan]:
    """A spec, a layout of its edits with parts carved out, and the plan compiled from both.

    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(plans())
    ... def has_every_edit(made):
    ...     spec, layout, plan = made
    ...     assert [edit.region for edit in plan.edits] == list(layout.names)
    >>> has_every_edit()
    """
    spec = draw(specs(max_level=1, variants=0))
    regions = draw(layouts([region.name for region in spec.regions]))
    try:
        layout, _ = carve(spec, regions)
    except GrainError:  # a region with nothing in it, or a part far from its owner
        alone = {"verb": "edit", "owner": None}
        edits = tuple(
            edit.model_copy(update=alone if isinstance(edit, Edit) else {}) for edit in spec.claims
        )
        spec = spec.model_copy(update={"edits": edits})
        layout = Layout.of({edit.region: regions.mask(edit.region) for edit in edits})
    return spec, layout, compile_plan(spec, layout, word_backbone(levels=2)).plan
