"""The compiler against the equations written out, and broken compilers that must not pass."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import dense_levels, difference

from grainspec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.regions.layout import Layout
from grainspec.testing import layouts, specs, word_backbone
from grainspec.testing.fitting import fitting

Case = tuple[EditSpec, Layout, Backbone]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A spec, a layout of its edits and a backbone: odd grids, levels, latent frames of several.

    Some backbones are transformers: with patches, padding, and a first latent frame of its own.
    """
    per_latent = draw(st.sampled_from([1, 1, 2, 4]))
    backbone = word_backbone(
        levels=2, pixels_per_latent=draw(st.sampled_from([4, 5, 8])), frames_per_latent=per_latent
    )
    if draw(st.booleans()):
        backbone = word_backbone(
            levels=1,
            pixels_per_latent=draw(st.sampled_from([2, 4])),
            frames_per_latent=per_latent,
            first_frames=draw(st.sampled_from([1, per_latent, 1 + per_latent // 2])),
            patch=2,
            layer_count=3,
            padding_keys=draw(st.sampled_from(["modulated", "neutral", "masked"])),
            start_tokens=draw(st.sampled_from([0, 1, 4])),
            padded=draw(st.sampled_from(["right", "left"])),
        )
    spec = fitting(draw(specs(max_level=1, variants=0)), backbone)
    size = tuple(backbone.size_multiple * draw(st.integers(2, 5)) for _ in range(2))
    names = [edit.region for edit in spec.claims]
    frames = backbone.first_frames + per_latent * draw(st.integers(0, 2))
    return spec, draw(layouts(names, size=size, frames=frames)), backbone


@settings(max_examples=120)
@given(cases())
def test_the_compiler_and_the_equations_agree(case: Case) -> None:
    spec, layout, backbone = case
    plan = compile_plan(spec, layout, backbone).plan
    assert difference(plan, spec, dense_levels(spec, layout, backbone)) == ""
