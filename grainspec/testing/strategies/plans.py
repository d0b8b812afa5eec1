"""Layouts, and the plans compiled from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from grainspec.diagnostics import GrainError
from grainspec.model.spec import Edit
from grainspec.plan.compile import compile_plan
from grainspec.regions.bind import carve
from grainspec.regions.layout import Layout
from grainspec.testing.backbone import word_backbone
from grainspec.testing.case import Case
from grainspec.testing.strategies.specs import specs


@st.composite
def layouts(
    draw: st.DrawFn, edits: Sequence[str], *, side: int = 64, frames: int | None = None
) -> Layout:
    """Layouts with one region per name: boxes that may overlap or be empty on a frame.

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
def plans(draw: st.DrawFn) -> Case:
    """A spec, a layout of its edits after carving out parts, and the plan compiled from both.

    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(plans())
    ... def has_every_edit(case):
    ...     assert [edit.region for edit in case.plan.edits] == list(case.layout.names)
    >>> has_every_edit()
    """
    spec = draw(specs(max_level=1, variants=0))
    regions = draw(layouts([region.name for region in spec.regions]))
    try:
        layout, _ = carve(spec, regions)
    except GrainError:  # a region with nothing in it, or a part far from its owner
        alone = {"verb": "edit", "owner": None, "grain": None}
        edits = tuple(
            edit.model_copy(update=alone if isinstance(edit, Edit) else {}) for edit in spec.claims
        )
        spec = spec.model_copy(update={"edits": edits})
        layout = Layout.of({edit.region: regions.mask(edit.region) for edit in edits})
    backbone = word_backbone(levels=2)
    return Case(spec, layout, backbone, compile_plan(spec, layout, backbone).plan, regions=regions)
