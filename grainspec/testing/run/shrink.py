"""The smallest spec that still violates an invariant.

One simplification is tried after another: fewer frames, edits, settings and regions, plainer
regions. One that keeps the violation is kept, until none does. Nothing depends on chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from grainspec.clip.crop import frame_numbers
from grainspec.clip.facts import ClipFacts
from grainspec.model.expressions import (
    ALL,
    Expression,
    Find,
    MaskFiles,
    Rest,
    Track,
    box,
    references,
    walk,
)
from grainspec.model.expressions import children as children_of
from grainspec.model.nodes import given
from grainspec.model.spec import Edit, EditSpec
from grainspec.testing.broken import Broken
from grainspec.testing.run.cases import Trial
from grainspec.testing.run.changes import with_frames

_MOST = 400
"""How many simplifications are tried at most."""

Simpler = Callable[[Trial], Iterator[Trial]]


def smallest(
    trial: Trial, broken: Broken, violates: Callable[[Trial], Broken | None], facts: ClipFacts
) -> tuple[Trial, Broken]:
    """Simplify a trial as long as ``violates`` returns how it breaks the same invariant."""
    passes: list[Simpler] = [
        lambda trial: _frames(trial, facts),
        _statements,
        _blocks,
        _settings,
        _stand_ins,
        _weights,
        _uncut,
        _unused,
        _plainer,
        _clip,
        _target,
    ]
    tries = iter(range(_MOST))
    changed = True
    while changed:
        changed = False
        for simpler in passes:
            while found := _first(simpler(trial), violates, tries):
                (trial, broken), changed = found, True
    return trial, broken


def _first(
    candidates: Iterator[Trial],
    violates: Callable[[Trial], Broken | None],
    tries: Iterator[int],
) -> tuple[Trial, Broken] | None:
    """The first candidate that is still a violation, as long as there are tries left."""
    for _, candidate in zip(tries, candidates, strict=False):
        if broken := violates(candidate):
            return candidate, broken
    return None


def _with(trial: Trial, **fields: Any) -> Trial:
    return replace(trial, spec=trial.spec.replaced({}, **fields))


def _frames(trial: Trial, facts: ClipFacts) -> Iterator[Trial]:
    """Fewer frames: one, a half, all but one."""
    numbers = frame_numbers(trial.spec.video, facts)
    if len(numbers) == 1:
        return
    half = len(numbers) // 2
    fewer = [numbers[:1], numbers[-1:], numbers[:half], numbers[half:], numbers[1:], numbers[:-1]]
    per = trial.stand_in.frames_per_latent if trial.stand_in else 1
    first = trial.stand_in.first_frames if trial.stand_in else 1
    if per > 1 or first > 1:
        fewer += [numbers[:first], numbers[:-per], numbers[per:]]
    seen = []
    for some in fewer:
        if 0 < len(some) < len(numbers) and some not in seen:
            seen.append(some)
            yield _with(trial, video=with_frames(trial.spec.video, some))


def _statements(trial: Trial) -> Iterator[Trial]:
    """A statement less; a part that is an edit of its own; an edit in place of `add`."""
    edits = trial.spec.edits
    for index in range(len(edits) * (len(edits) > 1)):
        yield _with(trial, edits=(*edits[:index], *edits[index + 1 :]))
    for index, edit in enumerate(edits):
        if isinstance(edit, Edit) and edit.grain:
            for plainer in ({"grain": None, "owner": None, "verb": "edit"}, {"verb": "edit"}):
                other = edit.replaced({}, **plainer)
                if other != edit:
                    yield _with(trial, edits=(*edits[:index], other, *edits[index + 1 :]))


def _blocks(trial: Trial) -> Iterator[Trial]:
    """A block, a prompt or the model less."""
    for name in (
        "context",
        "controls",
        "flow",
        "inject",
        "freeu",
        "method",
        "sampler",
        "blend",
        "attention",
    ):
        yield from _default(trial, name)
    for name in ("source", "negative", "motion_adapter", "model"):
        yield from _default(trial, name)


def _default(trial: Trial, name: str) -> Iterator[Trial]:
    default = EditSpec.model_fields[name].default
    if getattr(trial.spec, name) != default:
        yield _with(trial, **{name: default})


def _settings(trial: Trial) -> Iterator[Trial]:
    """A setting of attention less, or of a rounder value."""
    attention = trial.spec.attention
    for name, value in given(attention).items():
        yield _with(trial, attention=attention.replaced({}, **{name: None}))
        if isinstance(value, float):
            for rounder in (0.0, 1.0, round(value, 1)):
                if len(str(rounder)) < len(str(value)):
                    yield _with(trial, attention=attention.replaced({}, **{name: rounder}))
        elif isinstance(value, tuple) and len(value) > 1:
            for level in value:
                yield _with(trial, attention=attention.replaced({}, **{name: (level,)}))


def _stand_ins(trial: Trial) -> Iterator[Trial]:
    """The stand-in that suits the spec, or one that differs less from the usual."""
    if trial.stand_in is None:
        return
    yield replace(trial, stand_in=None)
    old = trial.stand_in
    for simpler in (
        replace(old, attended=None),
        replace(old, frames_per_latent=1, first_frames=1),
        replace(old, frames_per_latent=1),
        replace(old, first_frames=1),
        replace(old, pixels_per_latent=8, patch=1),
        replace(old, pixels_per_latent=8),
        replace(old, pixels_per_latent=old.pixels_per_latent * old.patch, patch=1),
        replace(old, layer_count=None),
        replace(old, shift=None),
        replace(old, padding_keys="modulated"),
        replace(old, start_tokens=1, padded="right"),
        replace(old, start_tokens=1),
        replace(old, padded="right"),
        *(replace(old, levels=levels) for levels in range(1, old.levels)),
        *(replace(old, attended=(level,)) for level in old.attended or ()),
    ):
        fits = simpler.levels > max(simpler.attended or (0,))
        if simpler != old and fits:
            yield replace(trial, stand_in=simpler)


def _weights(trial: Trial) -> Iterator[Trial]:
    edits = trial.spec.edits
    for index, edit in enumerate(edits):
        if not isinstance(edit, Edit):
            continue
        for name, values in (("repel", (None, 0.0, 1.0)), ("weight", (1.0, 0.0, 2.0, 4.0))):
            for value in values:
                old = getattr(edit, name)
                if old == value:
                    break
                other = edit.replaced({}, **{name: value})
                yield _with(trial, edits=(*edits[:index], other, *edits[index + 1 :]))


def _uncut(trial: Trial) -> Iterator[Trial]:
    """A statement about a region in place of one about its cut."""
    spec = trial.spec
    taken = {edit.region for edit in spec.edits}
    for index, edit in enumerate(spec.edits):
        for reference in references(spec.region(edit.region).expression):
            if reference.name not in taken:
                whole = edit.replaced({}, region=reference.name)
                yield _with(trial, edits=(*spec.edits[:index], whole, *spec.edits[index + 1 :]))


def _unused(trial: Trial) -> Iterator[Trial]:
    """Without a region that nothing refers to."""
    spec = trial.spec
    used = {edit.region for edit in spec.edits}
    used |= {edit.owner for edit in spec.changes if edit.owner}
    for region in spec.regions:
        used |= {reference.name for reference in references(region.expression)} - {region.name}
    for region in reversed(spec.regions):
        if region.name not in used:
            yield _with(trial, regions=tuple(one for one in spec.regions if one != region))


def _plainer(trial: Trial) -> Iterator[Trial]:
    """A plainer expression for a region: all, a part of it, a box."""
    regions = trial.spec.regions
    for index, region in enumerate(regions):
        for plain in (ALL, *children_of(region.expression), *_BOXES):
            if _size(plain) < _size(region.expression):
                other = region.replaced({}, expression=plain)
                yield _with(trial, regions=(*regions[:index], other, *regions[index + 1 :]))


_BOXES = [
    box(*sides)
    for sides in (
        ("0%", "0%", "50%", "100%"),
        ("50%", "0%", "100%", "100%"),
        ("0%", "0%", "100%", "50%"),
        ("25%", "25%", "75%", "75%"),
    )
]


def _size(expression: Expression) -> int:
    """How complex an expression is; `rest`, which depends on others, counts more than a box."""
    return sum(
        {MaskFiles: 5, Track: 5, Find: 5, Rest: 3}.get(type(part), 1)
        + len(getattr(part, "keyframes", ()))
        for part in walk(expression)
    )


def _clip(trial: Trial) -> Iterator[Trial]:
    """The whole frame in its own size; or at least smaller, to be quick."""
    video = trial.spec.video
    for update in ({"size": None, "crop": None}, {"crop": None}, {"size": None}):
        if any(getattr(video, name) is not None for name in update):
            yield _with(trial, video=video.replaced({}, **update))
    if video.step > 1 and video.frames and video.frames.first == video.frames.last:
        yield _with(trial, video=video.replaced({}, step=1))


def _target(trial: Trial) -> Iterator[Trial]:
    """Only the words of the edits."""
    phrases = dict.fromkeys(edit.phrase for edit in trial.spec.changes)
    target = " and ".join(phrases)
    if 0 < len(target) < len(trial.spec.target):
        yield _with(trial, target=target)
