"""The invariants of mask plans, by name; a failure names the region, frame, level and latent token.

An invariant takes a :class:`Case` and raises :class:`Broken`. Some check the plan by itself. Others
compile again after a change that must change the plan in a known way. They are all in this file, so
that it reads as the definition of a correct plan.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from grainspec.model.spec import Edit, EditSpec, Free
from grainspec.plan.backbone import Backbone, leading_timesteps
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan, PlanLevel, class_counts
from grainspec.plan.save import load_plan, save_plan
from grainspec.regions.layout import Layout, Mask
from grainspec.regions.parts import covered
from grainspec.words import bind_phrases

Compiler = Callable[[EditSpec, Layout, Backbone], MaskPlan]


def compiled(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
    """Compile with grainspec's own compiler."""
    return compile_plan(spec, layout, backbone).plan


class Broken(AssertionError):
    """An invariant is violated; the message says which, and where.

    >>> str(Broken("words", "the word “hat” is not positive", region="hat", level=1))
    'words: the word “hat” is not positive (region hat, level 1)'
    """

    def __init__(self, invariant: str, message: str, **where: object) -> None:
        self.invariant = invariant
        self.where = where
        places = ", ".join(f"{name} {value}" for name, value in where.items())
        super().__init__(f"{invariant}: {message}{f' ({places})' if places else ''}")


@dataclass(frozen=True)
class Case:
    """A spec without variants, the layout of its edits (``Bound.edits``), a backbone and the plan.

    ``kept``: bool ``[F, H, W]``, the pixels of the kept regions, if they are known. Invariants
    that compile again use ``compiler``.
    """

    spec: EditSpec
    layout: Layout
    backbone: Backbone
    plan: MaskPlan
    kept: Mask | None = None
    compiler: Compiler = compiled

    def again(self, spec: EditSpec | None = None, layout: Layout | None = None) -> MaskPlan:
        """Compile the case again, with another spec or layout."""
        return self.compiler(spec or self.spec, layout or self.layout, self.backbone)


Invariant = Callable[[Case], None]

INVARIANTS: dict[str, Invariant] = {}
"""All invariants by name, in the order of checking."""


def _named(name: str) -> Callable[[Invariant], Invariant]:
    def register(invariant: Invariant) -> Invariant:
        INVARIANTS[name] = invariant
        return invariant

    return register


def check_plan(
    spec: EditSpec,
    layout: Layout,
    backbone: Backbone,
    *,
    plan: MaskPlan | None = None,
    kept: Mask | None = None,
    compiler: Compiler = compiled,
) -> None:
    """Check a plan against all invariants; raise :class:`Broken` for the first violated one.

    ``layout`` has one region per edit, like ``edits`` of :func:`grainspec.bind`. Without ``plan``,
    the spec is compiled. ``compiler`` replaces grainspec's own.

    >>> import grainspec
    >>> spec = grainspec.parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> from grainspec.testing import word_backbone
    >>> layout = Layout.of({"r": np.ones((2, 64, 64), bool)})
    >>> check_plan(spec, layout, word_backbone())
    """
    plan = plan or compiler(spec, layout, backbone)
    case = Case(spec, layout, backbone, plan, kept, compiler)
    for invariant in INVARIANTS.values():
        invariant(case)


@dataclass(frozen=True)
class _Tokens:
    """A level by latent token: the edits that each token belongs to, and its strengths."""

    members_GNE: npt.NDArray[np.bool_]
    strengths: dict[str, npt.NDArray[np.float32]]


def _tokens(plan: MaskPlan, level: PlanLevel) -> _Tokens:
    groups = len(level.labels_FHW)
    labels = level.labels_FHW.reshape(groups, -1)
    frame = np.arange(groups)[:, None]
    tables = {
        name: getattr(level, f"{name}_FC")[frame, labels]
        for name in ("cross_attract", "cross_repel", "self_attract", "self_repel")
    }
    return _Tokens(plan.members_CE[labels], tables)


def _same(
    invariant: str, case: Case, other: MaskPlan, turn: Callable[[PlanLevel, object], object]
) -> None:
    """Raise Broken unless ``other`` is the case's plan with its latent tokens moved by ``turn``."""
    names = [edit.region for edit in case.plan.edits]
    order = [[edit.region for edit in other.edits].index(name) for name in names]
    for level, others in zip(case.plan.levels, other.levels, strict=True):
        here, there = _tokens(case.plan, level), _tokens(other, others)
        expected = np.asarray(turn(level, here.members_GNE))
        actual = there.members_GNE[..., order]
        for frame, token, edit in np.argwhere(expected != actual)[:1]:
            message = (
                "a token left its region"
                if expected[frame, token, edit]
                else "a token joined a region"
            )
            raise _at(invariant, message, other, level, frame, token, region=names[edit])
        for name, table in here.strengths.items():
            expected = np.asarray(turn(level, table))
            away = ~np.isclose(expected, there.strengths[name], atol=1e-6)
            for frame, token in np.argwhere(away)[:1]:
                message = f"{name} is {there.strengths[name][frame, token]:.4f}"
                message += f", not {expected[frame, token]:.4f}"
                raise _at(invariant, message, other, level, frame, token)


def _at(
    invariant: str,
    message: str,
    plan: MaskPlan,
    level: PlanLevel,
    frame: int,
    token: int,
    **more: object,
) -> Broken:
    row, column = divmod(int(token), level.labels_FHW.shape[2])
    place = f"{column},{row}"
    source = plan.frames[plan.groups[int(frame)][0]]
    return Broken(invariant, message, **more, frame=source, level=level.index, token=place)


# --- the plan alone ---


@_named("pairs")
def _pairs(case: Case) -> None:
    """Two latent tokens are a positive pair exactly if they share an edit.

    The relation is symmetric. If no regions overlap, it is also transitive.
    """
    plan = case.plan
    relation = plan.self_relation_CC
    for first, first_edits in enumerate(plan.members_CE):
        for second, second_edits in enumerate(plan.members_CE):
            positive = bool((first_edits & second_edits).any())
            if relation[first, second] != positive or relation[second, first] != positive:
                both = first_edits | second_edits
                names = [e.region for e, m in zip(plan.edits, both, strict=True) if m]
                kind = "negative" if positive else "positive"
                message = f"classes {first} and {second} are a {kind} pair"
                raise Broken("pairs", message, region=" and ".join(names) or "none")
    if (plan.members_CE.sum(axis=1) <= 1).all():
        steps = relation.astype(int) @ relation.astype(int) > 0
        if (steps & ~relation).any():
            raise Broken("pairs", "the relation is not transitive, although no regions overlap")


@_named("parts")
def _parts(case: Case) -> None:
    """A part shares no pixel and no latent token with the regions behind it, such as its owner."""
    plan, names = case.plan, case.layout.names
    for part, behind in _covered(case).items():
        for other in behind:
            both = case.layout.mask(part) & case.layout.mask(other)
            for frame, row, column in np.argwhere(both)[:1]:
                message = (
                    f"the part shares the pixel {column},{row} with {other}, which is behind it"
                )
                raise Broken("parts", message, region=part, frame=case.layout.frames[frame])
            shared = plan.members_CE[:, names.index(part)] & plan.members_CE[:, names.index(other)]
            for level in plan.levels:
                in_both = shared[level.labels_FHW].reshape(len(level.labels_FHW), -1)
                for frame, token in np.argwhere(in_both)[:1]:
                    message = f"the part shares a latent token with {other}, which is behind it"
                    raise _at("parts", message, plan, level, frame, token, region=part)


def _covered(case: Case) -> dict[str, frozenset[str]]:
    return covered((claim.region, claim.grain, claim.owner) for claim in case.spec.claims)


@_named("regions")
def _regions(case: Case) -> None:
    """A latent token is in a region if the region has all its pixels, and not if it has none."""
    plan = case.plan
    for index, edit in enumerate(plan.edits):
        mask = case.layout.mask(edit.region)
        for level in plan.levels:
            _, rows, columns = level.labels_FHW.shape
            for number, group in enumerate(plan.groups):
                share = _shares(mask[list(group)], rows, columns)
                inside = plan.members_CE[level.labels_FHW[number], index]
                wrong = (inside & (share == 0)) | (~inside & (share == 1))
                for row, column in np.argwhere(wrong)[:1]:
                    if inside[row, column]:
                        message = "the token is in the region, which has none of its pixels"
                    else:
                        message = "the token is not in the region, which has all of its pixels"
                    token = int(row) * columns + int(column)
                    raise _at("regions", message, plan, level, number, token, region=edit.region)


def _shares(mask_FHW: Mask, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """The share of the pixels of every cell, over all frames, that are set."""
    _, height, width = mask_FHW.shape
    y = [row * height // rows for row in range(rows + 1)]
    x = [column * width // columns for column in range(columns + 1)]
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = mask_FHW.mean(axis=0).cumsum(axis=0).cumsum(axis=1)
    corners = sums[np.ix_(y, x)]
    inside = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    return np.asarray(np.round(inside / np.outer(np.diff(y), np.diff(x)), 9))


@_named("words")
def _words(case: Case) -> None:
    """A word of the prompt is positive exactly for the regions whose phrases contain it."""
    plan, owners = case.plan, _owners(case)
    crossing = plan.cross_relation_CT
    for number, members in enumerate(plan.members_CE):
        regions = [e.region for e, m in zip(plan.edits, members, strict=True) if m]
        for token, owning in enumerate(owners):
            positive = not owning.isdisjoint(regions)
            if crossing[number, token] != positive:
                kind = "negative" if positive else "positive"
                message = f"the word {_word(case, token)} is {kind}"
                raise Broken("words", message, region=" and ".join(regions) or "none", token=token)


@_named("unbound")
def _unbound(case: Case) -> None:
    """Words of no edit repel by the share `unbound`, and all other words fully."""
    for token, owning in enumerate(_owners(case)):
        share = 1.0 if owning else case.spec.modulation.unbound
        actual = float(case.plan.repel_shares_T[token])
        if not math.isclose(actual, share, abs_tol=1e-6):
            message = f"the word {_word(case, token)} repels by {actual:g}, not {share:g}"
            raise Broken(
                "unbound", message, region=" and ".join(sorted(owning)) or "none", token=token
            )


def _owners(case: Case) -> list[set[str]]:
    """For every text token of the target prompt, the regions whose phrases contain it."""
    changes = case.spec.changes
    phrases = bind_phrases([edit.phrase for edit in changes], case.spec.target)
    return [
        {
            edit.region
            for edit, spans in zip(changes, phrases, strict=True)
            if any(start < last and first < end and start < end for first, last in spans)
        }
        for start, end in case.backbone.tokenize(case.spec.target)
    ]


def _word(case: Case, token: int) -> str:
    start, end = list(case.backbone.tokenize(case.spec.target))[token]
    return f"“{case.spec.target[start:end] or '(none)'}”"


@_named("strengths")
def _strengths(case: Case) -> None:
    """Strengths are in [0, 1], are 0 outside all regions, and fall as a region's area grows."""
    plan, modulation = case.plan, case.spec.modulation
    edits = {edit.region: edit for edit in case.spec.changes}
    weights: dict[str, list[float]] = {"attract": [], "repel": []}
    for planned in plan.edits:  # free regions have the weight 1
        edit = edits.get(planned.region)
        weights["attract"].append(edit.weight if edit else 1.0)
        weights["repel"].append(edit.repulsion if edit else 1.0)
    worded = [planned.region in edits for planned in plan.edits]
    for level in plan.levels:
        counts = class_counts(level.labels_FHW, len(plan.members_CE))
        areas = counts @ plan.self_relation_CC / level.tokens
        scope = np.stack([areas[keys].mean(axis=0) for keys in plan.key_frames_FK])
        for kind, top, share in (
            ("cross", modulation.cross, areas),
            ("self", modulation.self_, scope),
        ):
            for name, of_edits in weights.items():
                table = getattr(level, f"{kind}_{name}_FC")
                values = np.array(of_edits) * (1 if kind == "self" else np.array(worded))
                most = np.where(plan.members_CE, values, 0).max(axis=1, initial=0)
                expected = top * most * (1 - share) * plan.members_CE.any(axis=1)
                away = ~np.isclose(table, expected, atol=1e-6) | (table < 0)
                for frame, number in np.argwhere(away & (counts > 0))[:1]:
                    message = f"{kind}_{name} is {table[frame, number]:.4f}"
                    message += f", not {expected[frame, number]:.4f}"
                    token = int(np.argmax(level.labels_FHW[frame].ravel() == number))
                    raise _at("strengths", message, plan, level, frame, token)
                if plan.at(plan.training_steps, table).max() > 1:
                    raise Broken("strengths", f"{kind}_{name} is above 1", level=level.index)


@_named("schedule")
def _schedule(case: Case) -> None:
    """Modulation decreases from step to step, and ends for good after its share of the steps."""
    plan = case.plan
    times = np.linspace(0, plan.training_steps, 33)
    shares = [plan.schedule(float(time)) for time in times]
    if shares != sorted(shares) or not 0 <= shares[0] <= shares[-1] <= 1:
        raise Broken("schedule", "the schedule does not rise with the timestep from 0 to 1")
    until, last = plan.attention.until, plan.attention.until_timestep
    for steps in (1, 7, 50):
        run = leading_timesteps(steps, plan.training_steps)
        active = [plan.is_active(step, steps, time) for step, time in enumerate(run)]
        if active != sorted(active, reverse=True):
            raise Broken("schedule", "modulation begins again after it has ended", steps=steps)
        for step, time in enumerate(run):
            if active[step] and time < last:
                message = f"step {step + 1} of {steps}, at timestep {time:g}, is modulated"
                raise Broken("schedule", message, until_timestep=last)
        in_time = sum(time >= last for time in run)
        wanted = min(until * steps, in_time)
        if abs(sum(active) - wanted) > max(0.5, until > 0) + 1e-6:
            message = f"{sum(active)} of {steps} steps are modulated"
            raise Broken("schedule", message, until=until, until_timestep=last)


@_named("scope")
def _scope(case: Case) -> None:
    """Each frame attends to the frames of the scope that the spec chose."""
    count = len(case.plan.groups)
    for frame, keys in enumerate(case.plan.key_frames_FK.tolist()):
        expected = {
            "each": [frame],
            "first_last": [0, count - 1],
            "sparse_causal": [0, max(0, frame - 1)],
            "full": [*range(count)],
        }[case.spec.modulation.frames]
        if keys != expected:
            raise Broken("scope", f"the frame attends to {keys}, not {expected}", frame=frame)


@_named("levels")
def _levels(case: Case) -> None:
    """Each level has the grid of the backbone, and is modulated exactly if the spec chose it."""
    grids = case.backbone.grids(case.plan.width, case.plan.height)
    chosen = case.spec.modulation.levels
    for index, (level, grid) in enumerate(zip(case.plan.levels, grids, strict=True)):
        if level.index != index or level.labels_FHW.shape[1:] != grid:
            message = f"the grid is {level.labels_FHW.shape[1:]}, not {grid}"
            raise Broken("levels", message, level=index)
        if level.modulated != (chosen == "all" or index in chosen):
            raise Broken("levels", f"modulated is {level.modulated}", level=index)


# --- the regions it was made from ---


@_named("kept")
def _kept(case: Case) -> None:
    """No edit has a pixel of a kept region."""
    if case.kept is None:
        return
    for name in case.layout.names:
        for frame, row, column in np.argwhere(case.layout.mask(name) & case.kept)[:1]:
            message = f"the edit has the kept pixel {column},{row}"
            raise Broken("kept", message, region=name, frame=case.layout.frames[frame])


# --- the same, compiled again ---


@_named("determinism")
def _determinism(case: Case) -> None:
    """Compiling twice gives the same plan."""
    if case.again() != case.plan:
        raise Broken("determinism", "compiling a second time gave another plan")


@_named("saving")
def _saving(case: Case) -> None:
    """A saved and loaded plan is the same plan."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.safetensors"
        save_plan(case.plan, path)
        if load_plan(path) != case.plan:
            raise Broken("saving", "the loaded plan differs from the saved one")


@_named("renaming")
def _renaming(case: Case) -> None:
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
    _same("renaming", case, renamed, lambda level, tokens: tokens)


@_named("reversal")
def _reversal(case: Case) -> None:
    """Reversing the clip reverses the plan, for scopes that do not depend on the first frame."""
    if case.spec.modulation.frames not in {"each", "full"} or case.plan.frames_per_latent > 1:
        return
    backwards = Layout(case.layout.names, case.layout.bits_FHW[::-1], case.layout.frames)
    other = case.again(layout=backwards)
    _same("reversal", case, other, lambda level, tokens: np.asarray(tokens)[::-1])


@_named("shift")
def _shift(case: Case) -> None:
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

    _same("shift", case, other, turn)


@_named("flip")
def _flip(case: Case) -> None:
    """Mirroring regions, horizontally or vertically, mirrors the plan."""
    for axis in (1, 2):
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
        other = case.again(layout=Layout(case.layout.names, mirrored, case.layout.frames))

        def turn(level: PlanLevel, tokens: object, axis: int = axis) -> object:
            array = np.asarray(tokens)
            grid = array.reshape(*level.labels_FHW.shape, *array.shape[2:])
            return np.flip(grid, axis).reshape(array.shape)

        _same("flip", case, other, turn)


@_named("splitting")
def _splitting(case: Case) -> None:
    """The halves of a region cut in two are negative pairs; nothing else changes.

    The second half is `free`, so that it needs no words.
    """
    covering = _covered(case)
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
            here, there = _tokens(case.plan, level).members_GNE, _tokens(plan, others).members_GNE
            rest = [i for i in range(here.shape[2]) if i != index]
            changed = (here[..., rest] != there[..., rest]).any(axis=2)
            if case.spec.modulation.resize == "nearest":
                joined = there[..., index] | there[..., -1]
                changed |= joined != here[..., index]
                changed |= there[..., index] & there[..., -1]
            for frame, token in np.argwhere(changed)[:1]:
                message = "cutting a region in two changed other regions"
                raise _at("splitting", message, plan, level, frame, token, region=edit.region)
        relation = plan.self_relation_CC
        only = [plan.members_CE[:, i] & (plan.members_CE.sum(axis=1) == 1) for i in (index, -1)]
        if relation[np.ix_(*only)].any():
            raise Broken("splitting", "the halves are a positive pair", region=edit.region)
        return
