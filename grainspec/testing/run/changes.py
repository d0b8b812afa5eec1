"""Random changes of a spec and of its backbone.

Everything that changes is part of the spec, so that a changed spec can be written down: settings,
weights, the frames, the size and crop of the clip, and regions, which are cut by boxes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, get_args

from grainspec.checks.meaning import check_meaning
from grainspec.clip.crop import NativeSize, frame_numbers
from grainspec.diagnostics import GrainError
from grainspec.model.algebra import Difference, Intersection, Reference
from grainspec.model.expressions import box
from grainspec.model.settings.attention import (
    NormScope,
    Outside,
    Overlap,
    PhraseContext,
    SelfArea,
    Unconditional,
)
from grainspec.model.shapes import TokenRule
from grainspec.model.spec import (
    MAX_WEIGHT,
    Context,
    Edit,
    EditSpec,
    FrameRange,
    FrameScope,
    Free,
    Region,
    Size,
)
from grainspec.plan.backbone import Backbone
from grainspec.regions.layout import MAX_REGIONS, Layout
from grainspec.testing.backbone import PaddingKeys
from grainspec.testing.fitting import fitting
from grainspec.testing.run.cases import Checker, Trial
from grainspec.testing.run.stand_in import StandIn, layers_needed, levels_needed, tokens_needed

Change = Callable[[Trial], Trial]

_VIEWS = 2
"""How many sizes and crops the cases of one file have; each reads the masks again."""
_CELLS = (3, 10)
"""The least and the largest number of latent tokens along a side of a changed clip."""
_CUTS = 2
_FRAMES = 6
"""About how many frames a changed clip has at most."""


@dataclass(frozen=True)
class FileCase:
    """A case of a file: the spec itself if ``number`` is 0, or else a random change of it.

    ``variant`` is "" for the edit that is in no variant. A case follows from the spec, the seed,
    the variant and the number, and not from the cases before it.
    """

    variant: str
    number: int
    trial: Trial

    def __str__(self) -> str:
        of = f" of variant {self.variant}" if self.variant else ""
        return f"case {self.number}{of}"


def file_case(checker: Checker, spec: EditSpec, variant: str, number: int, seed: int) -> FileCase:
    """A case of a spec without variants; raises GrainError if the spec cannot be bound."""
    trial = Trial(spec)
    if number:
        trial = _changed(random.Random(f"{seed} {variant} {number}"), checker, trial, seed)
    return FileCase(variant, number, trial)


def _changed(rng: random.Random, checker: Checker, trial: Trial, seed: int) -> Trial:
    backbone = checker.given
    per = backbone.frames_per_latent if backbone else rng.choice([1, 1, 1, 2, 4])
    first = backbone.first_frames if backbone else rng.choice([1, 1, per, 1 + per // 2])
    view = rng.randrange(_VIEWS)
    more: list[Change] = [partial(_as_part, rng), partial(_freed, rng), _doubled]
    changes: list[Change] = [
        partial(_viewed, checker, view, seed),
        partial(_shortened, rng, checker, per, first),
        *[partial(_cut, rng)] * rng.randint(0, _CUTS),
        *rng.sample(more, rng.randint(0, 2)),
    ]
    trial, layout = _applied(checker, trial, changes)
    frames, height, width = layout.bits_FHW.shape
    if backbone is None:
        if frames < first or (frames - first) % per:
            per = first = 1
        trial = replace(trial, stand_in=_stand_in(rng, trial.spec, width, height, per, first))
        backbone = checker.backbone(trial, layout)
    spec = trial.spec
    attention = spec.attention.replaced({}, **_attention(rng, backbone))
    update = {"attention": attention, "edits": tuple(_weighted(rng, edit) for edit in spec.edits)}
    if rng.random() < 0.3:
        update["context"] = _context(rng)
    return replace(trial, spec=fitting(spec.replaced({}, **update), backbone))


def _applied(checker: Checker, trial: Trial, changes: Sequence[Change]) -> tuple[Trial, Layout]:
    """Apply changes; if together they are not valid, only those that are, one after another."""
    whole = trial
    for change in changes:
        whole = change(whole)
    if layout := _layout(checker, whole):
        return whole, layout
    valid = None
    for change in changes:
        other = change(trial)
        if layout := _layout(checker, other):
            trial, valid = other, layout
    return trial, valid or checker.layouts(trial)[1]


def _layout(checker: Checker, trial: Trial) -> Layout | None:
    """The layout of a trial; None if it is not valid: an edit may have lost all its pixels."""
    try:
        layout = checker.layouts(trial)[1]
    except GrainError:
        return None
    return None if any(finding.is_error for finding in check_meaning(trial.spec)) else layout


# --- where: the clip and its regions -------------------------------------------------------------


def _viewed(checker: Checker, number: int, seed: int, trial: Trial) -> Trial:
    """Another size, small and often of another aspect, and perhaps a crop."""
    rng = random.Random(f"{seed} view {number}")
    unit = checker.given.size_multiple if checker.given else rng.choice([4, 8])
    while unit < 16 / _CELLS[0]:
        unit *= 2
    if number == 0:  # the whole frame, smaller
        facts = checker.clip.facts
        side = unit * _CELLS[1]
        width, height = NativeSize(Size(width=side, height=side), unit).of_aspect(
            facts.width, facts.height
        )
    else:
        width, height = (unit * rng.randint(*_CELLS) for _ in range(2))
    video = trial.spec.video.replaced({}, size=Size(width=width, height=height))
    if number == _VIEWS - 1 and video.crop is None:
        left, top = rng.randint(0, 25), rng.randint(0, 25)
        right, bottom = rng.randint(70, 100), rng.randint(70, 100)
        video = video.replaced({}, crop=box(f"{left}%", f"{top}%", f"{right}%", f"{bottom}%"))
    return replace(trial, spec=trial.spec.replaced({}, video=video))


def _shortened(rng: random.Random, checker: Checker, per: int, first: int, trial: Trial) -> Trial:
    """Some consecutive frames, or every second one: ``first``, and a multiple of ``per`` more."""
    video = trial.spec.video
    numbers = frame_numbers(video, checker.clip.facts)
    step = rng.choice([1, 1, 2])
    numbers = numbers[rng.randrange(len(numbers)) :: step]
    groups = max(0, len(numbers) - first) // per
    numbers = numbers[: first + per * rng.randint(0, min(groups, max(1, _FRAMES // per)))]
    return replace(trial, spec=trial.spec.replaced({}, video=with_frames(video, numbers)))


def with_frames(video: Any, numbers: list[int]) -> Any:
    """A ``video`` statement that selects these frames, which are evenly spaced."""
    steps = [after - before for before, after in pairwise(numbers)]
    frames = FrameRange(first=numbers[0], last=numbers[-1])
    return video.replaced({}, frames=frames, step=steps[0] if steps else 1)


def _cut(rng: random.Random, trial: Trial) -> Trial:
    """The part of an edit's region that is inside a box, or outside it, in place of the region."""
    spec = trial.spec
    edit = rng.choice(spec.edits)
    regions, name = _with_cut(rng, spec, edit.region)
    edits = tuple(
        other.replaced({}, region=name) if other == edit else other for other in spec.edits
    )
    return replace(trial, spec=spec.replaced({}, regions=regions, edits=edits))


def _freed(rng: random.Random, trial: Trial) -> Trial:
    """One more region may change: a part of another, which it overlaps."""
    spec = trial.spec
    regions, name = _with_cut(rng, spec, rng.choice(spec.edits).region)
    if name in {edit.region for edit in spec.edits}:
        return trial
    edits = (*spec.edits, Free(region=name))
    return replace(trial, spec=spec.replaced({}, regions=regions, edits=edits))


def _with_cut(rng: random.Random, spec: EditSpec, of: str) -> tuple[tuple[Region, ...], str]:
    """The regions of a spec and a cut of one of them, and its name.

    The cut is inside the region, so `rest` stays what it is.
    """
    x0, y0 = rng.randint(0, 80), rng.randint(0, 80)
    x1, y1 = rng.randint(x0 + 5, 100), rng.randint(y0 + 5, 100)
    kind = rng.choice([Intersection, Difference])
    items = (Reference(name=of), box(f"{x0}%", f"{y0}%", f"{x1}%", f"{y1}%"))
    taken = {region.name for region in spec.regions}
    if len(taken) == MAX_REGIONS:
        return spec.regions, of
    name = next(n for i in range(99) if (n := f"{of[:80]}_cut{i or ''}") not in taken)
    return (*spec.regions, Region(name=name, expression=kind(items=items))), name


def _as_part(rng: random.Random, trial: Trial) -> Trial:
    """An edit becomes one of a part, which takes its pixels from the others."""
    edits = list(trial.spec.edits)
    number = rng.choice([i for i, edit in enumerate(edits) if isinstance(edit, Edit)])
    edits[number] = edits[number].replaced({}, grain="part")
    return replace(trial, spec=trial.spec.replaced({}, edits=tuple(edits)))


def _doubled(trial: Trial) -> Trial:
    """The target twice, so that each phrase occurs more often."""
    target = f"{trial.spec.target} and {trial.spec.target}"
    return replace(trial, spec=trial.spec.replaced({}, target=target))


# --- how: the backbone and the settings ----------------------------------------------------------


def _stand_in(
    rng: random.Random, spec: EditSpec, width: int, height: int, per: int, first: int
) -> StandIn:
    cells = [side for side in (2, 4, 8, 16) if width % side == height % side == 0]
    cells = [side for side in cells if width * height <= (32 * side) ** 2] or cells[-1:] or [1]
    least = levels_needed(spec)
    levels = max(least, rng.randint(1, 4))
    attended = None
    if rng.random() < 0.4:
        chosen = spec.modulation.levels
        named = set() if chosen == "all" else set(chosen)
        more = {level for level in range(levels) if rng.random() < 0.5}
        attended = tuple(sorted(named | more)) or (0,)
    cell, layers = rng.choice(cells), layers_needed(spec)
    found = StandIn(
        levels,
        cell,
        tokens_needed(spec),
        per,
        attended,
        first_frames=first,
        layer_count=layers,
    )
    return _transformer(rng, found) if layers or rng.random() < 0.3 else found


def _transformer(rng: random.Random, found: StandIn) -> StandIn:
    """The stand-in as a video transformer."""
    cell, start = found.pixels_per_latent, rng.choice([1, 0, 5])
    patch = rng.choice([side for side in (1, 2) if cell % side == 0])
    return replace(
        found,
        pixels_per_latent=cell // patch,
        max_tokens=found.max_tokens + start,
        layer_count=found.layer_count or rng.choice([1, 3, 30]),
        patch=patch,
        shift=rng.choice([None, 1.0, 3.0, 5.0]),
        padding_keys=rng.choice(get_args(PaddingKeys)),
        start_tokens=start,
        padded=rng.choice(["right", "left"]),
    )


def _attention(rng: random.Random, backbone: Backbone) -> dict[str, Any]:
    """Some of the settings of attention, each in half of the cases."""
    pixels = 2 ** rng.randint(1, 8)
    some = [level for level in backbone.attended_levels if rng.random() < 0.6]
    layers = [layer for layer in range(backbone.layer_count or 0) if rng.random() < 0.6]
    drawn = {
        "frames": rng.choice(get_args(FrameScope)),
        "cross": round(rng.random(), 2),
        "self_": round(rng.random(), 2),
        "until": round(rng.random(), 2),
        "until_timestep": float(rng.choice([0, 500, 981, rng.randint(0, 1000)])),
        "decay": rng.choice([0.0, 0.5, 1.0, 5.0, round(rng.uniform(0, 100), 1)]),
        "levels": tuple(some) or "all",
        "resize": rng.choice(get_args(TokenRule)),
        # Many shares of a token's pixels are exactly such a fraction.
        "threshold": rng.randint(1, pixels) / pixels,
        "unbound": rng.choice([0.0, 0.3, 1.0]),
        "norm": rng.choice(get_args(NormScope)),
        "phrases": rng.choice(get_args(PhraseContext)),
        "layers": tuple(layers) or "all",
        "columns": round(rng.random(), 2),
        "timestep_offset": rng.randint(0, 2),
        "unconditional": rng.choice(get_args(Unconditional)),
        "outside": rng.choice(get_args(Outside)),
        "self_area": rng.choice(get_args(SelfArea)),
        "overlap": rng.choice(get_args(Overlap)),
    }
    return {name: value for name, value in drawn.items() if rng.random() < 0.5}


def _weighted(rng: random.Random, edit: Any) -> Any:
    if not isinstance(edit, Edit):
        return edit
    weights = [0.0, 1.0, MAX_WEIGHT, *(round(rng.uniform(0, MAX_WEIGHT), 2) for _ in range(3))]
    return edit.replaced({}, weight=rng.choice(weights), repel=rng.choice([None, *weights]))


def _context(rng: random.Random) -> Context:
    overlap, keys = rng.randint(0, 2), rng.randint(0, 2)
    return Context(frames=overlap + keys + rng.randint(1, 3), overlap=overlap, keys=keys)
