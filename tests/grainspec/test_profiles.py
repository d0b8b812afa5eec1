"""Profiles of `attention`: which one `auto` is for a model, and what a plan has of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grainspec import EditSpec, compile, parse
from grainspec.model.spec import PROFILES
from grainspec.regions.layout import Layout
from grainspec.testing import Case, word_backbone

UNET = word_backbone(levels=1)
TRANSFORMER = replace(UNET, noise="flow", layer_count=30)
LAYOUT = Layout.of({"r": np.ones((1, 16, 16), bool)})


def spec(line: str = "", model: str = "owner/name") -> EditSpec:
    text = f'grain 1 video "c" model "{model}" target "a bear" region r = all edit r -> "bear" '
    return parse(text + line)


@pytest.mark.parametrize(
    ("line", "model", "on_unet", "on_transformer"),
    [
        ("", "owner/name", "stable_diffusion", "flow_matching"),
        ("attention auto", "owner/name", "stable_diffusion", "flow_matching"),
        ("", "demo", "demo", "demo"),
        ("attention videograin", "owner/name", "videograin", "videograin"),
        ("attention flow_matching", "owner/name", "flow_matching", "flow_matching"),
    ],
)
def test_auto_depends_on_the_model(
    line: str, model: str, on_unet: str, on_transformer: str
) -> None:
    assert compile(spec(line, model), LAYOUT, UNET).attention == PROFILES[on_unet]
    plan = compile(spec(line, model), LAYOUT, TRANSFORMER)
    assert plan.attention == PROFILES[on_transformer]


def test_settings_of_the_spec_stay() -> None:
    plan = compile(spec("attention { self 0.5 layers 0..9 }"), LAYOUT, TRANSFORMER)
    changed = {"self_": 0.5, "layers": tuple(range(10))}
    assert plan.attention == PROFILES["flow_matching"].model_copy(update=changed)


def test_flowanchor_pulls_columns_and_leaves_self_attention_alone() -> None:
    anchor = compile(spec("attention flowanchor"), LAYOUT, TRANSFORMER).attention
    assert (anchor.cross, anchor.columns, anchor.self_) == (0.3, 0.3, 0)
    assert (anchor.until, anchor.until_timestep, anchor.decay) == (1, 600, 0)


def test_invariants_see_the_profile_that_was_compiled() -> None:
    case = Case.of(spec(), LAYOUT, TRANSFORMER)
    assert case.spec.modulation == case.plan.attention == PROFILES["flow_matching"]
    assert Case.of(spec(), LAYOUT, UNET).spec == spec()
