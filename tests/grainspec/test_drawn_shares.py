"""How often strategies draw what bugs depend on: each feature in a share of all examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from grainspec import EditSpec
from grainspec.model.expressions import During, Grown, MaskFiles, Reference, Rest, walk
from grainspec.model.nodes import given as settings_given
from grainspec.model.settings.sampler import Sampler
from grainspec.model.spec import Free, Keep
from grainspec.regions.layout import Layout
from grainspec.testing import Case, layouts, plans, specs

Features = dict[str, tuple[float, Callable[[Any], object]]]
"""The least share of the examples that have a feature, and whether an example has it."""


def missing(strategy: st.SearchStrategy[Any], features: Features, examples: int) -> list[str]:
    """The features that are rarer than they should be, with their shares."""
    counts: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def count(value: Any) -> None:
        counts["all"] += 1
        counts.update(name for name, (_, has) in features.items() if has(value))

    count()
    shares = {name: counts[name] / counts["all"] for name in features}
    return [
        f"{name}: {shares[name]:.1%}"
        for name, (least, _) in features.items()
        if shares[name] < least
    ]


def inside(spec: EditSpec) -> list[Any]:
    return [node for region in spec.regions for node in walk(region.expression)]


def moves(spec: EditSpec) -> bool:
    return any(len(getattr(node, "keyframes", ())) > 1 for node in inside(spec))


def grown_name(node: Any) -> bool:
    return isinstance(node, Grown) and isinstance(node.of, Reference)


SPECS: Features = {
    "context": (0.2, lambda spec: spec.context),
    "key frames of the context": (0.1, lambda spec: spec.context and spec.context.keys),
    "moving shapes": (0.1, moves),
    "names in expressions": (0.15, lambda s: any(isinstance(n, Reference) for n in inside(s))),
    "names of names": (0.03, lambda spec: names_of_names(spec)),
    "rest": (0.1, lambda spec: any(isinstance(node, Rest) for node in inside(spec))),
    "grown names": (0.02, lambda spec: any(map(grown_name, inside(spec)))),
    "during": (0.1, lambda spec: any(isinstance(node, During) for node in inside(spec))),
    "masks": (0.1, lambda spec: any(isinstance(node, MaskFiles) for node in inside(spec))),
    "variants": (0.3, lambda spec: spec.variants),
    "two variants": (0.1, lambda spec: len(spec.variants) > 1),
    "owned parts": (0.2, lambda spec: any(edit.owner for edit in spec.changes)),
    "keep": (0.05, lambda spec: any(isinstance(edit, Keep) for edit in spec.edits)),
    "free": (0.05, lambda spec: any(isinstance(edit, Free) for edit in spec.edits)),
    "own repulsion": (0.2, lambda spec: any(edit.repel is not None for edit in spec.changes)),
    "flow": (0.2, lambda spec: spec.flow),
    "inject": (0.2, lambda spec: spec.inject),
    "freeu": (0.15, lambda spec: spec.freeu),
    "method": (0.1, lambda spec: spec.method),
    "a variant's method": (0.01, lambda s: any(v.method for v in s.variants)),
    "two controls": (0.05, lambda spec: len(spec.controls) > 1),
    "no settings of attention": (0.05, lambda spec: not settings_given(spec.attention)),
    "no blocks": (0.01, lambda spec: not (spec.flow or spec.inject or spec.context)),
    "FlowEdit": (0.05, lambda spec: spec.sampler.process == "flow_edit"),
    "settings of FlowEdit": (0.1, lambda spec: spec.sampler.skip != Sampler().skip),
    "a variant's process": (0.05, lambda s: any(v.sampler.process for v in s.variants)),
    "layers": (0.1, lambda spec: isinstance(spec.attention.layers, tuple)),
    "a long text": (0.05, lambda spec: len(spec.source) > 3),
    "letters beyond ASCII": (0.2, lambda spec: any(not r.name.isascii() for r in spec.regions)),
}


def names_of_names(spec: EditSpec) -> bool:
    uses = {
        region.name: {n.name for n in walk(region.expression) if isinstance(n, Reference)}
        for region in spec.regions
    }
    return any(uses[name] for used in uses.values() for name in used)


def tokens(case: Case) -> bool:
    return any((level.labels_FHW != 0).any() for level in case.plan.levels)


def nested_parts(case: Case) -> bool:
    owners = {edit.region: edit.owner for edit in case.plan.edits if edit.owner}
    return any(owner in owners for owner in owners.values())


def ties(case: Case) -> bool:
    """Whether a latent token has exactly the share of pixels that it needs."""
    attention, grid = case.plan.attention, case.plan.levels[0].labels_FHW.shape[1:]
    if attention.resize != "area":
        return False
    cell = case.backbone.size_multiple
    for name in case.layout.names:
        for group in case.plan.groups:
            block = case.layout.mask(name)[list(group)].reshape(
                len(group), grid[0], cell, grid[1], cell
            )
            if np.isclose(block.mean(axis=(0, 2, 4)), attention.threshold).any():
                return True
    return False


PLANS: Features = {
    "a latent token of an edit": (0.95, tokens),
    "no latent token of an edit": (0.002, lambda case: not tokens(case)),
    "oblong frames": (1, lambda case: case.plan.width != case.plan.height),
    "odd grids": (0.3, lambda case: any(n % 2 for n in case.plan.levels[0].labels_FHW.shape[1:])),
    "one frame": (0.05, lambda case: len(case.plan.frames) == 1),
    "several frames": (0.4, lambda case: len(case.plan.frames) > 2),
    "other source frames": (
        0.2,
        lambda case: case.plan.frames != tuple(range(len(case.plan.frames))),
    ),
    "latent groups": (0.15, lambda case: case.plan.frames_per_latent > 1 < len(case.plan.groups)),
    "attended levels": (0.1, lambda case: case.backbone.attended is not None),
    "one level": (0.1, lambda case: len(case.plan.levels) == 1),
    "four levels": (0.05, lambda case: len(case.plan.levels) == 4),
    "levels chosen": (0.05, lambda case: case.plan.attention.levels != "all"),
    **{
        f"resize {rule}": (0.05, lambda case, rule=rule: case.plan.attention.resize == rule)
        for rule in ("nearest", "area", "any")
    },
    **{
        f"frames {scope}": (0.04, lambda case, scope=scope: case.plan.attention.frames == scope)
        for scope in ("each", "first_last", "sparse_causal", "full")
    },
    "exact ties": (0.005, ties),
    "unbound 0": (0.01, lambda case: case.plan.attention.unbound == 0),
    "unbound 1": (0.05, lambda case: case.plan.attention.unbound == 1),
    "unbound between": (0.1, lambda case: 0 < case.plan.attention.unbound < 1),
    "another decay": (0.1, lambda case: case.plan.attention.decay not in (1, 5)),
    "until a timestep": (0.1, lambda case: case.plan.attention.until_timestep > 0),
    "owned parts": (0.15, lambda case: any(edit.owner for edit in case.plan.edits)),
    "nested parts": (0.02, nested_parts),
    "kept pixels": (0.03, lambda case: case.kept is not None and case.kept.any()),
    "free": (0.05, lambda case: any(edit.verb == "free" for edit in case.plan.edits)),
    "overlaps": (0.1, lambda case: (case.plan.members_CE.sum(axis=1) > 1).any()),
    "more than eight edits": (0.005, lambda case: len(case.plan.edits) > 8),
    "absent on a frame": (0.2, lambda case: (case.layout.areas() == 0).any()),
    "windows": (0.1, lambda case: case.spec.context),
    "patches": (0.1, lambda case: case.plan.patch > 1),
    "flow matching": (0.1, lambda case: case.plan.noise == "flow"),
    "shares of unevenly spaced steps": (
        0.02,
        lambda case: case.plan.noise == "flow" and case.spec.attention.until,
    ),
    "neutral padding": (0.05, lambda case: case.plan.neutral_T.any()),
    "absent padding": (0.05, lambda case: case.plan.masked_T.any()),
    "padding before the words": (
        0.03,
        lambda case: (case.plan.neutral_T | case.plan.masked_T)[0],
    ),
    "a first latent frame like the others": (
        0.01,
        lambda case: case.plan.first_frames == case.plan.frames_per_latent > 1,
    ),
    "a first latent frame of several frames": (
        0.02,
        lambda case: 1 < case.plan.first_frames != case.plan.frames_per_latent,
    ),
    "some layers": (0.03, lambda case: case.plan.attention.layers != "all"),
    "columns": (0.02, lambda case: case.plan.attention.columns > 0),
}


def boxes_of(layout: Layout, name: str) -> list[tuple[int, int]]:
    """The upper left corner of a region on each frame that has it."""
    return [
        (int(mask.any(axis=1).argmax()), int(mask.any(axis=0).argmax()))
        for mask in layout.mask(name)
        if mask.any()
    ]


def apart(layout: Layout) -> bool:
    """Whether the distance of two regions changes between frames that have both."""
    both = [index for index, areas in enumerate(layout.areas()) if areas.all()]
    left, right = (boxes_of(layout.at(both), name) for name in ("left", "right"))
    return len({(a - c, b - d) for (a, b), (c, d) in zip(left, right, strict=True)}) > 1


LAYOUTS: Features = {
    "moves": (0.3, lambda layout: len(set(boxes_of(layout, "left"))) > 1),
    "moves apart": (0.15, apart),
    "overlap": (0.15, lambda layout: (layout.mask("left") & layout.mask("right")).any()),
    "nested": (0.05, lambda layout: not (layout.mask("right") & ~layout.mask("left")).any()),
    "equal": (0.02, lambda layout: (layout.mask("right") == layout.mask("left")).all()),
    "absent on a frame": (0.2, lambda layout: (layout.areas() == 0).any()),
    "everywhere": (0.03, lambda layout: any(layout.mask(n).all() for n in layout.names)),
    "one pixel wide": (0.05, lambda layout: any(map(thin, map(layout.mask, layout.names)))),
    "no box": (0.3, lambda layout: not is_box(layout.mask("right"))),
    "oblong": (1, lambda layout: layout.bits_FHW.shape[1] != layout.bits_FHW.shape[2]),
    "never absent on all": (1, lambda layout: layout.areas().any(axis=0).all()),
}


def thin(mask: np.ndarray) -> bool:
    columns, rows = mask.any(axis=(0, 1)), mask.any(axis=(0, 2))
    return bool(min(columns.sum(), rows.sum()) == 1)


def is_box(mask: np.ndarray) -> bool:
    return all(frame.sum() == frame.any(axis=0).sum() * frame.any(axis=1).sum() for frame in mask)


@pytest.mark.parametrize(
    ("strategy", "features", "examples"),
    [
        (specs(), SPECS, 500),
        (plans(), PLANS, 500),
        (layouts(["left", "right"]), LAYOUTS, 500),
    ],
    ids=["specs", "plans", "layouts"],
)
def test_each_feature_is_drawn(
    strategy: st.SearchStrategy[Any], features: Features, examples: int
) -> None:
    assert missing(strategy, features, examples) == []
