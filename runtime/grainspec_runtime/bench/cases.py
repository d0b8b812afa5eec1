"""Generate benchmark cases from seeds: edits of the demo world with their exact targets.

A case is a clip of two or three figures, a spec that edits it, and the scene that a perfect edit
produces: the same poses, but other kinds, colours or accessories, or another place (background or
ground).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from grainspec import Builder, masks
from grainspec.model.algebra import Expression
from grainspec_runtime.bench.case import (
    FRAMES,
    GRAINS,
    Case,
    Grain,
    Split,
    edit_place,
    elsewhere,
    looks_of,
    other_looks,
    start,
    words_of,
)
from grainspec_runtime.demo import world
from grainspec_runtime.demo.world import Figure, Scene

__all__ = ["GRAINS", "Case", "Grain", "Split", "make_case", "make_cases"]

GROWN = "6%"
"""How far regions of whole figures are grown, because figures of another kind may be wider."""

_SEEDS: dict[Split, int] = {"tuning": 1_000_000, "held-out": 2_000_000}


def make_cases(count: int, split: Split) -> list[Case]:
    """Generate the first ``count`` cases of a split; case ``i`` depends only on split and ``i``.

    >>> [case.grain for case in make_cases(6, "held-out")]
    ['instance', 'class', 'part', 'instance', 'place', 'several']
    >>> case = make_cases(1, "held-out")[0]
    >>> [figure.kind for figure in case.source.figures], [f.kind for f in case.target.figures]
    (['alien', 'alien'], ['robot', 'alien'])
    """
    return [make_case(index, split) for index in range(count)]


def make_case(index: int, split: Split) -> Case:
    """Generate one case of a split."""
    rng = random.Random(_SEEDS[split] + index)
    grain = GRAINS[index % len(GRAINS)]
    return _MAKE[grain](f"{split}-{index:03d}-{grain}", rng)


def _clip(rng: random.Random, *, count: int = 2, alike: bool = True) -> Scene:
    """Figures side by side without overlap, all of one kind if ``alike``."""
    kind, colours = rng.choice(world.KINDS), rng.sample(tuple(world.COLOURS), count)
    places, tall = {2: ((0.27, 0.73), (0.56, 0.70)), 3: ((0.18, 0.5, 0.82), (0.42, 0.5))}[count]
    figures = tuple(
        Figure(
            kind if alike else rng.choice(world.KINDS),
            colour,
            x=x + rng.uniform(-0.025, 0.025),
            feet=rng.uniform(0.88, 0.95),
            height=rng.uniform(*tall),
            phase=rng.uniform(0, 6),
            facing=rng.choice((1, -1)),
        )
        for x, colour in zip(places, colours, strict=True)
    )
    return Scene(
        figures, rng.choice(world.BACKGROUNDS), rng.choice(world.GROUNDS), rng.uniform(0, 1)
    )


def _start(
    source: Scene, target: Scene, rng: random.Random, *, group: bool = False
) -> tuple[Builder, dict[str, str]]:
    """Build the clip and the prompts, and a mask per figure."""
    return start(Builder("clip", frames=(0, FRAMES - 1)), source, target, rng, group=group)


def _with_figures(builder: Builder, numbers: tuple[int, ...]) -> Builder:
    for number in numbers:
        region = masks(f"masks/figure{number}").grow(GROWN)
        builder = builder.region(f"figure{number}", region)
    return builder


def _instance(name: str, rng: random.Random) -> Case:
    """Change one or both of two figures of the same kind."""
    source = _clip(rng)
    edited = rng.choice(((0, 1), (0, 1), (0, 1), (0,), (1,)))
    taken = {f.colour for i, f in enumerate(source.figures) if i not in edited}
    figures = tuple(
        other_looks(figure, rng, taken) if number in edited else figure
        for number, figure in enumerate(source.figures)
    )
    target = replace(source, figures=figures)
    builder, case_masks = _start(source, target, rng)
    builder = _with_figures(builder, edited)
    for number in edited:
        builder = builder.instance(f"figure{number}", words_of(figures[number]))
    kind = "both" if len(edited) == 2 else "one"
    return Case(name, "instance", kind, source, target, edited, builder, case_masks)


def _class(name: str, rng: random.Random) -> Case:
    """Change all figures of one kind to another kind, in one colour."""
    count = rng.choice((2, 3))
    source = _clip(rng, count=count)
    looks = other_looks(source.figures[0], rng, {f.colour for f in source.figures})
    target = replace(source, figures=tuple(looks_of(f, looks) for f in source.figures))
    builder, case_masks = _start(source, target, rng, group=True)
    edited = tuple(range(count))
    everyone: Expression = masks("masks/figure0").grow(GROWN)
    for number in edited[1:]:
        everyone = everyone | masks(f"masks/figure{number}").grow(GROWN)
    phrase = f"{looks.colour} {world.PLURALS[looks.kind]}"
    builder = builder.region("everyone", everyone).class_("everyone", phrase)
    kind = f"{count} figures"
    return Case(name, "class", kind, source, target, edited, builder, case_masks)


def _part(name: str, rng: random.Random) -> Case:
    """Give one of two figures, which differ only in colour, a hat, sunglasses or a new colour."""
    source = _clip(rng)
    number, change = rng.randrange(2), rng.choice(("hat", "sunglasses", "colour"))
    figure = source.figures[number]
    owner = f"figure{number}"
    if change == "colour":
        taken = {f.colour for f in source.figures}
        free = [colour for colour in world.COLOURS if colour not in taken]
        changed = replace(figure, colour=rng.choice(free))
    else:
        changed = replace(figure, hat=change == "hat", sunglasses=change == "sunglasses")
    figures = tuple(changed if i == number else f for i, f in enumerate(source.figures))
    target = replace(source, figures=figures)
    builder, case_masks = _start(source, target, rng)
    if change == "colour":
        phrase = words_of(changed)
        builder = builder.region(owner, masks(f"masks/{owner}")).instance(owner, phrase)
    else:
        phrase, place = change, "hat" if change == "hat" else "eyes"
        case_masks["worn"] = f"{owner}.{place}"
        builder = (
            builder.region(owner, masks(f"masks/{owner}"))
            .region("worn", masks("masks/worn"))
            .add("worn", phrase, of=owner)
        )
    return Case(name, "part", change, source, target, (number,), builder, case_masks)


def _place(name: str, rng: random.Random) -> Case:
    """Change the background, the ground, or both."""
    source = _clip(rng, alike=False)
    kind = rng.choice(("background", "ground", "both"))
    target = elsewhere(source, rng, kind)
    builder, case_masks = _start(source, target, rng)
    builder = _with_place(builder, target, case_masks, kind)
    return Case(name, "place", kind, source, target, (), builder, case_masks)


def _several(name: str, rng: random.Random) -> Case:
    """Change both figures and the place."""
    source = _clip(rng)
    kind = rng.choice(("background", "ground", "both"))
    taken: set[str] = set()
    figures = tuple(other_looks(figure, rng, taken) for figure in source.figures)
    target = replace(elsewhere(source, rng, kind), figures=figures)
    builder, case_masks = _start(source, target, rng)
    builder = _with_figures(builder, (0, 1))
    builder = _with_place(builder, target, case_masks, kind, figures=("figure0", "figure1"))
    for number, figure in enumerate(figures):
        builder = builder.instance(f"figure{number}", words_of(figure))
    return Case(name, "several", f"{kind} too", source, target, (0, 1), builder, case_masks)


def _with_place(
    builder: Builder,
    target: Scene,
    case_masks: dict[str, str],
    kind: str,
    figures: tuple[str, ...] = (),
) -> Builder:
    """Add the edits of the place, outside the regions of the figures that are edited."""
    grown: list[Expression] = [masks(f"masks/{name}").grow(GROWN) for name in figures]
    return edit_place(builder, target, kind, case_masks, grown)


_MAKE: dict[Grain, Callable[[str, random.Random], Case]] = {
    "instance": _instance,
    "class": _class,
    "part": _part,
    "place": _place,
    "several": _several,
}
