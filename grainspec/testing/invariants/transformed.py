"""Changes of the clip or the spec that must change the plan in a known way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from grainspec.model.spec import Edit, Free
from grainspec.plan.mask_plan import PlanLevel
from grainspec.regions.layout import Layout
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import taken_by_parts
from grainspec.testing.invariants.places import at_token, require_same, tokens_of
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.sometimes import chosen


@invariant("renaming")
def renaming(case: Case) -> None:
    """Renaming regions and reordering edits changes nothing else."""
    names = [edit.region for edit in case.spec.edits]
    owners = [edit.owner for edit in case.spec.changes if edit.owner]
    fresh = {name: f"renamed_{i}" for i, name in enumerate(dict.fromkeys([*names, *owners]))}
    edits = []
    for edit in reversed(case.spec.edits):
        update = {"region": fresh[edit.region]}
        if isinstance(edit, Edit) and edit.owner:
            update["owner"] = fresh[edit.owner]
        edits.append(edit.model_copy(update=update))
    spec = case.spec.model_copy(update={"edits": tuple(edits)})
    masks = {fresh[name]: case.layout.mask(name) for name in case.layout.names}
    layout = Layout.of(
        {claim.region: masks[claim.region] for claim in spec.claims}, case.layout.frames
    )
    plan = case.again(spec, layout)
    back = {new: old for old, new in fresh.items()}
    renamed = replace(
        plan,
        edits=tuple(replace(edit, region=back[edit.region]) for edit in plan.edits),
        _cache={},
    )
    require_same("renaming", case, renamed, lambda level, tokens: tokens)


@invariant("reversal")
def reversal(case: Case) -> None:
    """Reversing the clip reverses the plan, for scopes that do not depend on the first frame.

    Of latent frames that stand for several frames, each must stand for as many, and be looked at as
    a whole: by `area` or `any`.
    """
    plan, modulation = case.plan, case.spec.modulation
    alike = plan.first_frames == plan.frames_per_latent
    whole = plan.frames_per_latent == 1 or modulation.resize in {"area", "any"}
    if modulation.frames not in {"each", "full"} or not alike or not whole:
        return
    backwards = Layout(case.layout.names, case.layout.bits_FHW[::-1], case.layout.frames)
    other = case.again(layout=backwards)
    require_same("reversal", case, other, lambda level, tokens: np.asarray(tokens)[::-1])


@invariant("shift")
def shift(case: Case) -> None:
    """Shifting regions by whole cells of the coarsest level shifts the plan by the same amount."""
    coarsest = case.plan.levels[-1].labels_FHW.shape[1:]
    height, width = case.layout.bits_FHW.shape[1:]
    for level in case.plan.levels:
        rows, columns = level.labels_FHW.shape[1:]
        if height % rows or width % columns or rows % coarsest[0] or columns % coarsest[1]:
            return  # cells differ in size, so no shift moves whole cells
    step_y, step_x = height // coarsest[0], width // coarsest[1]
    moved = np.roll(case.layout.bits_FHW, (step_y, -step_x), axis=(1, 2))
    other = case.again(layout=Layout(case.layout.names, moved, case.layout.frames))

    def turn(level: PlanLevel, tokens: object) -> object:
        array = np.asarray(tokens)
        rows, columns = level.labels_FHW.shape[1:]
        grid = array.reshape(len(array), rows, columns, *array.shape[2:])
        by = rows // coarsest[0], -columns // coarsest[1]
        return np.roll(grid, by, axis=(1, 2)).reshape(array.shape)

    require_same("shift", case, other, turn)


@invariant("flip")
def flip(case: Case) -> None:
    """Mirroring regions, horizontally or vertically, mirrors the plan.

    A case is mirrored in one of the two directions.
    """
    for axis in chosen(case, (1, 2), 1):
        extent = case.layout.bits_FHW.shape[axis]
        cells = [level.labels_FHW.shape[axis] for level in case.plan.levels]
        if any(extent % count for count in cells):
            continue  # cells differ in size, and their order changes
        sizes = [extent // count for count in cells]
        mirrored = np.flip(case.layout.bits_FHW, axis)
        if case.spec.modulation.resize == "nearest":
            # The centre of a cell of even size is the pixel after its middle; mirrored, it is the
            # pixel before. A shift by one pixel maps centres to centres.
            if len({size % 2 for size in sizes}) > 1:
                continue
            mirrored = np.roll(mirrored, 1 - sizes[0] % 2, axis)
        if case.spec.modulation.resize == "corner":
            continue  # the corner of a mirrored cell is the other one
        other = case.again(layout=Layout(case.layout.names, mirrored, case.layout.frames))

        def turn(level: PlanLevel, tokens: object, axis: int = axis) -> object:
            array = np.asarray(tokens)
            grid = array.reshape(*level.labels_FHW.shape, *array.shape[2:])
            return np.flip(grid, axis).reshape(array.shape)

        require_same("flip", case, other, turn)


@invariant("splitting")
def splitting(case: Case) -> None:
    """The halves of a region cut in two are negative pairs; nothing else changes.

    The second half is `free`, so that it needs no words.
    """
    covering = taken_by_parts(case.spec.claims)
    touched = {*covering, *(name for behind in covering.values() for name in behind)}
    for index, edit in enumerate(case.plan.edits):
        if edit.region in touched:
            continue  # the free half is not a part, so it covers nothing
        mask = case.layout.mask(edit.region)
        halves = [mask.copy(), mask.copy()]
        middle = mask.shape[2] // 2
        halves[0][:, :, middle:], halves[1][:, :, :middle] = False, False
        if not halves[0].any() or not halves[1].any() or len(case.layout.names) > 60:
            continue
        half = "the_other_half"
        masks = {name: case.layout.mask(name) for name in case.layout.names}
        masks[edit.region] = halves[0]
        masks[half] = halves[1]
        free = Free(region=half)
        spec = case.spec.model_copy(update={"edits": (*case.spec.edits, free)})
        plan = case.again(spec, Layout.of(masks, case.layout.frames))
        for level, others in zip(case.plan.levels, plan.levels, strict=True):
            here, there = (
                tokens_of(case.plan, level).members_GNE,
                tokens_of(plan, others).members_GNE,
            )
            rest = [i for i in range(here.shape[2]) if i != index]
            changed = (here[..., rest] != there[..., rest]).any(axis=2)
            if case.spec.modulation.resize in {"nearest", "corner"}:
                joined = there[..., index] | there[..., -1]
                changed |= joined != here[..., index]
                changed |= there[..., index] & there[..., -1]
            for frame, token in np.argwhere(changed)[:1]:
                message = "cutting a region in two changed other regions"
                raise at_token("splitting", message, plan, level, frame, token, region=edit.region)
        relation = plan.self_relation_CC
        only = [plan.members_CE[:, i] & (plan.members_CE.sum(axis=1) == 1) for i in (index, -1)]
        if relation[np.ix_(*only)].any():
            raise Broken("splitting", "the halves are a positive pair", region=edit.region)
        return
