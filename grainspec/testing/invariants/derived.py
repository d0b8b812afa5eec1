"""Cases made from a case, for what few specs reach: ties of the threshold, and many classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec, Free
from grainspec.regions.layout import Layout
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case, compile_with
from grainspec.testing.invariants.blend import blend
from grainspec.testing.invariants.classes import classes, size
from grainspec.testing.invariants.expected import groups_of, level_grids, pixel_counts, pixel_totals
from grainspec.testing.invariants.registry import Invariant, invariant
from grainspec.testing.invariants.relations import pairs, parts, regions
from grainspec.testing.invariants.sometimes import chosen, now_and_then
from grainspec.testing.invariants.structure import structure


@invariant("threshold")
def threshold(case: Case) -> None:
    """Tokens with exactly the share `threshold` of their pixels in a region are in it.

    With a threshold that is a little higher, they are not; by `any`, they are. The case is compiled
    again with thresholds that some of its tokens have as their share.
    """
    share = _some_share(case)
    rules: list[dict[str, object]] = [
        {"resize": "area", "threshold": share},
        {"resize": "area", "threshold": min(1.0, share * (1 + 1e-6))},
        {"resize": "any"},
        {"resize": "nearest"},
        {"resize": "corner"},
    ]
    for settings in chosen(case, rules, 1):
        attention = case.spec.attention.model_copy(update=settings)
        spec = case.spec.model_copy(update={"attention": attention})
        other = Case(spec, case.layout, case.backbone, case.again(spec))
        _require("threshold", f"with {_shown(settings)}", other, (structure, regions, blend, parts))


def _some_share(case: Case) -> float:
    """The share of some token's pixels that a region has, neither none nor all; or a half."""
    groups, name = groups_of(case), chosen(case, case.layout.names, 1)[0]
    mask = case.layout.mask(name)
    for grid in reversed(level_grids(case)):
        counts = pixel_counts(mask, groups, grid)
        totals = pixel_totals(mask.shape[1:], groups, grid)
        some = np.argwhere((counts > 0) & (counts < totals))
        if len(some):
            place = tuple(chosen(case, some.tolist(), 1)[0])
            return float(counts[place] / totals[place])
    return 0.5


def _shown(settings: dict[str, object]) -> str:
    return " ".join(f"{name} {value}" for name, value in settings.items())


def _require(name: str, made: str, case: Case, checks: Sequence[Invariant]) -> None:
    for check in checks:
        try:
            check(case)
        except Broken as broken:
            raise Broken(name, f"{made}: {broken}") from broken


@invariant("halves")
def halves(case: Case) -> None:
    """A latent pixel of which edits have half may change; with a pixel less, it may not.

    Of the second latent frame, so that a latent pixel may have several frames, and the first in its
    token. The pixel at the token's centre is not among them, so that the token is in no edit.
    """
    backbone = case.backbone
    side, per, first = backbone.pixels_per_latent, backbone.frames_per_latent, backbone.first_frames
    token, total = side * backbone.patch, per * side * side
    if total < 3 or not now_and_then(case, 4):
        return
    pixels = np.zeros((2, total), np.bool_)
    centre = (per // 2) * side * side + (side // 2) * side + side // 2
    others = [pixel for pixel in range(total) if pixel != centre]
    for row, count in zip(pixels, ((total + 1) // 2, (total + 1) // 2 - 1), strict=True):
        row[others[:count]] = True
    cells = pixels.reshape(2, per, side, side)
    clip = np.zeros((first + per, token, 2 * token), np.bool_)
    clip[first:, :side, :side], clip[first:, :side, token : token + side] = cells
    layout = Layout.of({"half": clip})
    attention = case.spec.attention.model_copy(update={"resize": "nearest"})
    update = {"edits": (Free(region="half"),), "attention": attention}
    other = _compiled(case, case.spec.model_copy(update=update), layout)
    if other is not None:
        _require("halves", "with half of a latent pixel", other, (structure, regions, blend))


_REGIONS = 9
_SIDE = 17
"""A grid of 17 x 17 tokens has room for 257 classes."""


@invariant("many classes")
def many_classes(case: Case) -> None:
    """Plans may have more than 256 classes, whose labels take two bytes.

    One case in sixteen is compiled again with nine free regions, of which each token of a grid has
    another set.
    """
    if not now_and_then(case, 16):
        return
    side = case.backbone.pixels_per_latent * case.backbone.patch
    for count in (256, 257):
        numbers = np.arange(_SIDE * _SIDE, dtype=np.uint16).reshape(1, _SIDE, _SIDE)
        numbers[numbers >= count] = 0
        names = tuple(f"many_{index}" for index in range(_REGIONS))
        pixels = numbers.repeat(side, axis=1).repeat(side, axis=2)
        frames = case.backbone.first_frames
        layout = Layout(names, pixels.repeat(frames, axis=0), tuple(range(frames)))
        free = tuple(Free(region=name) for name in names)
        spec = case.spec.model_copy(update={"edits": free})
        other = _compiled(case, spec, layout)
        if other is not None:
            checks = (structure, classes, size, regions, blend, pairs)
            _require("many classes", f"with {count} classes", other, checks)


def _compiled(case: Case, spec: EditSpec, layout: Layout) -> Case | None:
    """A case of another size; None if a user's compiler does not support that."""
    try:
        plan = compile_with(case.compiler, spec, layout, case.backbone)
    except GrainError:
        return None
    return Case(spec, layout, case.backbone, plan)
