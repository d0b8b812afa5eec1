"""Specs, layouts and backbones that fit each other, and the plans compiled from them."""

from __future__ import annotations

from typing import get_args

import numpy as np
from hypothesis import strategies as st

from grainspec.diagnostics import GrainError
from grainspec.model.expressions import ALL
from grainspec.model.shapes import TokenRule
from grainspec.model.spec import Attention, EditSpec, FrameScope, Free, Keep, Region, Sampler, Video
from grainspec.plan.backbone import Backbone
from grainspec.regions.layout import Layout
from grainspec.testing.case import Case
from grainspec.testing.fitting import fitting
from grainspec.testing.strategies.backbones import read_backbone
from grainspec.testing.strategies.blocks import read_block
from grainspec.testing.strategies.layouts import layout_of, read_canvas
from grainspec.testing.strategies.specs import REGIONS, statements, unique
from grainspec.testing.strategies.values import BYTES, Rolls


@st.composite
def plans(
    draw: st.DrawFn,
    *,
    backbone: Backbone | st.SearchStrategy[Backbone] | None = None,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    specs: st.SearchStrategy[EditSpec] | None = None,
) -> Case:
    """Cases: a spec, the regions before and after carving, a backbone, and the compiled plan.

    Without ``backbone``, every case has another of :func:`backbones`. ``size`` is the width and
    height of the frames in pixels, multiples of the backbone's ``size_multiple``; ``frames`` is
    their number, which must fill its latent frames. What the backbone does not support is replaced
    in ``specs``, which must be valid and without variants.

    >>> from grainspec.testing import word_backbone
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(plans(backbone=word_backbone(levels=2), size=(64, 48)))
    ... def has_every_edit(case):
    ...     assert [edit.region for edit in case.plan.edits] == list(case.layout.names)
    >>> has_every_edit()
    """
    rolls = Rolls(draw(BYTES))
    if backbone is None:
        backbone = read_backbone(rolls)
    elif not isinstance(backbone, Backbone):
        backbone = draw(backbone)
    canvas = read_canvas(
        rolls,
        backbone.size_multiple,
        size=size,
        frames=frames,
        frames_per_latent=backbone.frames_per_latent,
        first_frames=backbone.first_frames,
    )
    if specs is None:
        spec, shapes = _spec(draw, rolls, backbone, canvas.width * canvas.height)
    else:
        spec = draw(specs)
        shapes = {region.name: Rolls(draw(BYTES)) for region in spec.regions}
    spec = fitting(spec, backbone)
    owners = {edit.region: edit.owner for edit in spec.changes if edit.owner}
    kept = [edit.region for edit in spec.edits if isinstance(edit, Keep)]
    regions = layout_of(canvas, shapes, owners, kept, [claim.region for claim in spec.claims])
    first = len(backbone.frame_groups(len(regions.bits_FHW))[0])
    try:
        case = Case.of(spec, regions, backbone)
    except GrainError:  # a region that parts or kept regions cover, or a part beside its owner
        return Case.of(spec, with_room(spec, regions, first), backbone)
    claimed = any(level.labels_FHW.any() for level in case.plan.levels if level.modulated)
    if claimed or not rolls.of((False, True, True, True)):
        return case
    return Case.of(spec, with_room(spec, regions, first), backbone)


_CROWDS = (*(0,) * 60, 4, 12, 30, 58)
"""How many regions a spec has besides those with words; 64 are the most."""


def _spec(
    draw: st.DrawFn, rolls: Rolls, backbone: Backbone, pixels: int
) -> tuple[EditSpec, dict[str, Rolls]]:
    """A spec with all that a plan depends on, and what every region's shape is read from."""
    drawn, levels = draw(REGIONS), backbone.attended_levels
    names = unique([region.name for region in drawn])
    target, edits = statements(draw, [region.claim for region in drawn], names)
    shapes = {name: region.rolls for name, region in zip(names, drawn, strict=True)}
    crowd = min(rolls.of(_CROWDS), max(pixels - len(names), 0))  # a pixel for each region
    free = [f"free_{number}" for number in range(crowd)]
    shapes |= {name: Rolls(draw(BYTES)) for name in free}
    spec = EditSpec(
        video=Video(path="clip"),
        target=target,
        regions=tuple(Region(name=name, expression=ALL) for name in shapes),
        edits=(*edits, *(Free(region=name) for name in free)),
        attention=_attention(Rolls(draw(BYTES)), backbone),
        context=read_block(rolls, "context", levels) if rolls.of((False, True)) else None,
        sampler=read_block(rolls, "sampler", levels) if rolls.of((False, True)) else Sampler(),
    )
    return spec, shapes


def _attention(rolls: Rolls, backbone: Backbone) -> Attention:
    """Settings of attention; every rule of latent tokens and every scope is often chosen."""
    drawn: Attention = read_block(rolls, "attention", backbone.attended_levels)
    rule, scope = (rolls.of((None, *get_args(kind))) for kind in (TokenRule, FrameScope))
    chosen = {"resize": rule, "frames": scope}
    if backbone.layer_count is not None:
        last = rolls.upto(backbone.layer_count - 1)
        chosen["layers"] = rolls.of((None, "all", (last,), (*range(last + 1),)))
    return drawn.model_copy(update={name: value for name, value in chosen.items() if value})


def with_room(spec: EditSpec, regions: Layout, frames: int = 1) -> Layout:
    """The layout with a strip of the first ``frames`` frames for every region with a statement.

    Only the region and its owners have pixels there, so that nothing is left empty by carving.
    """
    owners = {edit.region: edit.owner for edit in spec.changes if edit.owner}
    named = dict.fromkeys(edit.region for edit in spec.edits)
    masks = {name: regions.mask(name) for name in regions.names}
    _, height, width = regions.bits_FHW.shape
    strips = (np.arange(height * width) * len(named) // (height * width)).reshape(height, width)
    for name in named:
        masks[name][:frames] = False
    for number, name in enumerate(named):
        region: str | None = name
        while region is not None:
            masks[region][:frames] |= strips == number
            region = owners.get(region)
    return Layout.of(masks, regions.frames)
