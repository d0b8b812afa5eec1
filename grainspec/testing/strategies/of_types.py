"""A strategy for each type that ``from_type`` knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

from hypothesis import strategies as st

from grainspec.model.expressions import ALL, REST, FrameRange, Reference
from grainspec.model.partial import Attention, SamplerChange
from grainspec.model.spec import (
    BLOCKS,
    DEMO,
    MAX_LEVEL,
    Free,
    Keep,
    Region,
    Sampler,
    Size,
    Video,
    Without,
)
from grainspec.testing.strategies.backbones import backbones
from grainspec.testing.strategies.blocks import CLIP, read_block
from grainspec.testing.strategies.layouts import layouts
from grainspec.testing.strategies.plans import plans
from grainspec.testing.strategies.regions import (
    boxes,
    expressions,
    finds,
    mask_files,
    polygons,
    read_operation,
    tracks,
)
from grainspec.testing.strategies.settings import length, settings
from grainspec.testing.strategies.specs import specs, variants
from grainspec.testing.strategies.values import BYTES, Rolls
from grainspec.testing.strategies.words import names

T = TypeVar("T")


@cache
def of_type(wanted: type[T]) -> st.SearchStrategy[T]:
    """The strategy of a type; raises KeyError for a type that has none."""
    return _STRATEGIES[wanted.__name__]()


def _read(read: Callable[[Rolls], Any]) -> st.SearchStrategy[Any]:
    return BYTES.map(lambda drawn: read(Rolls(drawn)))


def _block(word: str) -> st.SearchStrategy[Any]:
    levels = tuple(range(MAX_LEVEL + 1))
    return _read(lambda rolls: read_block(rolls, word, levels))


def _operation(kind: str) -> st.SearchStrategy[Any]:
    return _read(lambda rolls: read_operation(rolls, kind, ("left", "right")))


def _frames(rolls: Rolls) -> FrameRange:
    first = rolls.whole(0, 1000)
    return FrameRange(first=first, last=first + rolls.upto(100))


def _size(rolls: Rolls) -> Size:
    return Size(width=rolls.whole(16, 512), height=rolls.whole(16, 512))


_SAMPLER = settings(Sampler, (), steps=lambda rolls: 1 + rolls.upto(59))

_STRATEGIES: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
    # numbers and places
    "Length": lambda: _read(lambda rolls: length(rolls, -5, 500)),
    "FrameRange": lambda: _read(_frames),
    "Keyframe": lambda: boxes().map(lambda box: box.keyframes[-1]),
    "Outline": lambda: polygons().map(lambda polygon: polygon.keyframes[-1]),
    "Point": lambda: polygons().map(lambda polygon: polygon.keyframes[-1].points[-1]),
    # region expressions
    "MaskFiles": mask_files,
    "Box": boxes,
    "Polygon": polygons,
    "Rest": lambda: st.just(REST),
    "All": lambda: st.just(ALL),
    "Reference": lambda: names().map(lambda name: Reference(name=name)),
    "Union": lambda: _operation("union"),
    "Intersection": lambda: _operation("intersection"),
    "Difference": lambda: _operation("difference"),
    "Complement": lambda: _operation("complement"),
    "Grown": lambda: _operation("grow") | _operation("shrink"),
    "During": lambda: _operation("during"),
    "Smoothed": lambda: _operation("smooth"),
    "Track": tracks,
    "Find": finds,
    "Prompt": lambda: tracks().map(lambda track: track.prompts[-1]),
    # settings
    "Size": lambda: _read(_size),
    "Video": lambda: _read(lambda rolls: Video.model_validate({"path": "clip", **CLIP(rolls)})),
    "Modulation": lambda: of_type(Attention).map(lambda attention: attention.settled(DEMO)),
    "SamplerChange": lambda: _read(lambda rolls: SamplerChange.model_validate(_SAMPLER(rolls))),
    **{
        block.model.__name__: partial(_block, word)
        for word, block in BLOCKS.items()
        if word != "video"
    },
    # statements
    "EditSpec": specs,
    "Region": lambda: st.builds(Region, name=names(), expression=expressions()),
    "Edit": lambda: specs(variants=0).map(lambda spec: spec.changes[-1]),
    "Keep": lambda: names().map(lambda name: Keep(region=name)),
    "Free": lambda: names().map(lambda name: Free(region=name)),
    "Without": lambda: names().map(lambda name: Without(region=name)),
    "Variant": variants,
    # plans
    "Backbone": backbones,
    "Layout": lambda: layouts(["left", "right", "hat"]),
    "Case": plans,
    "MaskPlan": lambda: plans().map(lambda case: case.plan),
    "PlanLevel": lambda: plans().map(lambda case: case.plan.levels[-1]),
    "PlannedEdit": lambda: plans().map(lambda case: case.plan.edits[-1]),
}
