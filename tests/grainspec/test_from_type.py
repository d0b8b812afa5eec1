"""`from_type` for grainspec's types, and values that are shown as the code that makes them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import grainspec
from grainspec import parse
from grainspec.model import algebra, partial, shapes, spec
from grainspec.model.expressions import Expression
from grainspec.regions.layout import Layout
from grainspec.testing import Case, layouts, plans, word_backbone
from grainspec.testing.hypothesis_types import TYPES, register, register_if_used

ROOT = Path(__file__).parents[2]
FEW = settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
EVERY = [(module, name) for module, names in TYPES.items() for name in names]

PASTED = {
    name: value
    for module in (shapes, partial, spec, algebra)
    for name, value in vars(module).items()
} | {"parse": parse, "Layout": Layout, "Case": Case, "word_backbone": word_backbone}

register()


@pytest.mark.parametrize(("module", "name"), EVERY)
def test_every_type_has_a_strategy(module: str, name: str) -> None:
    wanted = getattr(import_module(module), name)

    @FEW
    @given(st.from_type(wanted))
    def is_one(value: object) -> None:
        assert isinstance(value, wanted)
        if not repr(value).startswith("<") and "<Layout" not in repr(value):
            assert eval(repr(value), PASTED) == value or isinstance(value, MADE_ANEW)

    if name != "PlannedEdit":
        is_one()


MADE_ANEW = (Layout, Case, grainspec.plan.backbone.Backbone)
"""These are compared by identity, or have functions of their own."""


@FEW
@given(st.from_type(Expression))
def test_expressions_too(expression: object) -> None:
    assert eval(repr(expression), PASTED) == expression


def test_types_are_registered_once_grainspec_is_used() -> None:
    code = """
import sys
from grainspec.testing.hypothesis_types import register_if_used
import hypothesis
register_if_used()
heavy = {"pydantic", "numpy", "lark", "grainspec.model.spec"} & sys.modules.keys()
assert not heavy, heavy
from hypothesis import strategies as st, find
from grainspec.regions.layout import Layout
from grainspec import EditSpec
assert find(st.from_type(EditSpec), lambda spec: True).edits
assert find(st.from_type(Layout), lambda layout: True).names == ("left", "right", "hat")
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_entry_point() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, name = points["hypothesis"]["grainspec"].partition(":")
    assert getattr(import_module(module), name) is register_if_used


# --- values as code ------------------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(plans())
def test_a_case_can_be_pasted(case: Case) -> None:
    if "<" in repr(case.regions):
        return
    again = eval(repr(case), PASTED)
    assert again.plan == case.plan
    assert again.spec == case.spec
    assert (again.kept == case.kept).all()
    assert (again.regions.bits_FHW == case.regions.bits_FHW).all()
    carved = eval(repr(Case(case.spec, case.layout, case.backbone, case.plan)), PASTED)
    assert carved.plan == case.plan
    assert carved.kept is None


@settings(max_examples=60)
@given(layouts(["left", "right"], size=(12, 20), cell=4))
def test_a_layout_is_its_text(layout: Layout) -> None:
    indented = repr(layout).replace("\n", "\n        ")
    for text in (repr(layout), indented):
        again = eval(text, PASTED)
        assert (again.names, again.frames) == (layout.names, layout.frames)
        assert again.bits_FHW.dtype == layout.bits_FHW.dtype
        assert (again.bits_FHW == layout.bits_FHW).all()


def test_large_values_are_summed_up() -> None:
    noise = np.random.default_rng(0).random((2, 64, 64)) > 0.5
    layout = Layout.of({"left": noise, "right": ~noise})
    assert repr(layout).startswith("<Layout of left, right: frames 2, size 64x64, digest ")
    assert repr(layout) != repr(Layout.of({"left": ~noise, "right": noise}))
    case = Case.of(
        'grain 1 video "c" target "a bear" region left = all edit left -> "bear"',
        layout,
        word_backbone(levels=1),
    )
    expected = "<MaskPlan of left: frames 2, size 64x64, levels 1, classes 2, digest "
    assert repr(case.plan).startswith(expected)
    assert repr(case.plan.levels[0]) == "<PlanLevel 0: latent frames 2, grid 8x8, classes 2>"
    assert len(repr(case)) < 400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "regions a\nframes 0\n\n.",
        "regions a\nframes 0\nblock 1 1\nb c\n\nb",
        "regions a\nframes 0 1\nblock 1 1\na a\n\na",
        "regions a\nframes 0\nblock 1 1\na a\n\na\n.a",
        "regions a\nframes 0\nblock 1 1\na a\n\nb",
    ],
)
def test_texts_that_are_no_layout(text: str) -> None:
    with pytest.raises(ValueError, match="not a layout's text|a picture of the same size"):
        Layout.parse(text)


def test_a_spec_that_cannot_be_written_is_shown_by_its_fields() -> None:
    valid = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    assert repr(valid).startswith("parse('''\ngrain 1\n\nvideo")
    broken = valid.model_copy(update={"regions": (None,)})
    assert repr(broken).startswith("EditSpec(")
