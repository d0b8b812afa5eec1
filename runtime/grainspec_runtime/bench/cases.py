"""Edits of the demo world, made from a seed, each with its exact target.

A case is a clip of two or three figures, a spec that edits it, and the scene that the edit ought to
give: the same poses, with other kinds, colours, things worn, or another place.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from grainspec import Builder, masks
from grainspec.model.algebra import Expression
from grainspec_runtime.demo import world
from grainspec_runtime.demo.world import Figure, Scene

Grain = Literal["class", "instance", "part", "place", "several"]
Split = Literal["tuning", "held-out"]

GRAINS: tuple[Grain, ...] = ("instance", "class", "part", "instance", "place", "several")
"""The grains of consecutive cases, over and over, so that any first few hold all of them."""
FRAMES = 8
SIZE = 96
GROWN = "6%"
"""How far the regions of whole figures reach beyond the source's figures: another kind is wider."""

_SEEDS: dict[Split, int] = {"tuning": 1_000_000, "held-out": 2_000_000}


@dataclass(frozen=True)
class Case:
    """One edit.

    source, target: the scenes of the first frame; the clip is theirs, moved on by
    :func:`grainspec_runtime.demo.world.advance`. edited: the numbers of the figures that an edit
    names. spec: the edit without any settings, its clip in ``clip``, masks in ``masks/NAME``.
    masks: for each of these names what of the scene it shows: a figure, a part's box, the ground.
    """

    name: str
    grain: Grain
    kind: str
    source: Scene
    target: Scene
    edited: tuple[int, ...]
    spec: Builder
    masks: dict[str, str]

    @property
    def swapped(self) -> Scene | None:
        """The target with its first two figures' looks exchanged: what perfect leakage gives.

        None where there is nothing to exchange.
        """
        figures = list(self.target.figures)
        if len(figures) != 2 or not self.edited or self.grain == "class":
            return None
        one, other = figures
        exchanged = (_looks_of(one, other), _looks_of(other, one))
        return None if exchanged == tuple(figures) else replace(self.target, figures=exchanged)

    def scenes(self, scene: Scene) -> list[Scene]:
        """The scene on every frame of the clip."""
        return [world.advance(scene, frame) for frame in range(FRAMES)]


def _looks_of(figure: Figure, looks: Figure) -> Figure:
    return replace(
        figure,
        kind=looks.kind,
        colour=looks.colour,
        hat=looks.hat,
        sunglasses=looks.sunglasses,
    )


def make_cases(count: int, split: Split) -> list[Case]:
    """The first ``count`` cases of a split; case ``i`` depends on the split and ``i`` alone.

    >>> [case.grain for case in make_cases(6, "held-out")]
    ['instance', 'class', 'part', 'instance', 'place', 'several']
    >>> one = make_cases(1, "held-out")[0]
    >>> [figure.kind for figure in one.source.figures], [f.kind for f in one.target.figures]
    (['alien', 'alien'], ['robot', 'alien'])
    """
    return [make_case(index, split) for index in range(count)]


def make_case(index: int, split: Split) -> Case:
    """One case of a split."""
    rng = random.Random(_SEEDS[split] + index)
    grain = GRAINS[index % len(GRAINS)]
    return _MAKE[grain](f"{split}-{index:03d}-{grain}", rng)


def _clip(rng: random.Random, *, count: int = 2, alike: bool = True) -> Scene:
    """Figures side by side, apart from each other, of one kind if ``alike``."""
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


def _other_looks(figure: Figure, rng: random.Random, taken: set[str]) -> Figure:
    """Another kind and another colour, neither of them ``taken``."""
    kind = rng.choice([k for k in world.KINDS if k != figure.kind and k not in taken])
    colour = rng.choice([c for c in world.COLOURS if c != figure.colour and c not in taken])
    taken.update((kind, colour))
    return replace(figure, kind=kind, colour=colour)


def _words(figure: Figure) -> str:
    return f"{figure.colour} {figure.kind}"


def _begun(
    source: Scene, target: Scene, rng: random.Random, *, group: bool = False
) -> tuple[Builder, dict[str, str]]:
    """Clip and prompts, whose figures are named in random order; a mask a figure."""
    numbers = range(len(source.figures))
    builder = (
        Builder("clip", frames=(0, FRAMES - 1))
        .source(world.caption(source, rng.sample(numbers, len(numbers))))
        .target(world.caption(target, rng.sample(numbers, len(numbers)), group=group))
    )
    return builder, {f"figure{i}": f"figure{i}" for i in numbers}


def _with_figures(builder: Builder, numbers: tuple[int, ...]) -> Builder:
    for number in numbers:
        region = masks(f"masks/figure{number}").grow(GROWN)
        builder = builder.region(f"figure{number}", region)
    return builder


def _instance(name: str, rng: random.Random) -> Case:
    """One or both of two figures of a kind become something else."""
    source = _clip(rng)
    edited = rng.choice(((0, 1), (0, 1), (0, 1), (0,), (1,)))
    taken = {f.colour for i, f in enumerate(source.figures) if i not in edited}
    figures = tuple(
        _other_looks(figure, rng, taken) if number in edited else figure
        for number, figure in enumerate(source.figures)
    )
    target = replace(source, figures=figures)
    builder, found = _begun(source, target, rng)
    builder = _with_figures(builder, edited)
    for number in edited:
        builder = builder.instance(f"figure{number}", _words(figures[number]))
    kind = "both" if len(edited) == 2 else "one"
    return Case(name, "instance", kind, source, target, edited, builder, found)


def _class(name: str, rng: random.Random) -> Case:
    """All figures of a kind become another kind of one colour."""
    count = rng.choice((2, 3))
    source = _clip(rng, count=count)
    looks = _other_looks(source.figures[0], rng, {f.colour for f in source.figures})
    target = replace(source, figures=tuple(_looks_of(f, looks) for f in source.figures))
    builder, found = _begun(source, target, rng, group=True)
    edited = tuple(range(count))
    everyone: Expression = masks("masks/figure0").grow(GROWN)
    for number in edited[1:]:
        everyone = everyone | masks(f"masks/figure{number}").grow(GROWN)
    phrase = f"{looks.colour} {world.PLURALS[looks.kind]}"
    builder = builder.region("everyone", everyone).class_("everyone", phrase)
    kind = f"{count} figures"
    return Case(name, "class", kind, source, target, edited, builder, found)


def _part(name: str, rng: random.Random) -> Case:
    """One of two figures that differ only in colour gets a hat, sunglasses or another colour."""
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
    builder, found = _begun(source, target, rng)
    if change == "colour":
        phrase = _words(changed)
        builder = builder.region(owner, masks(f"masks/{owner}")).instance(owner, phrase)
    else:
        phrase, place = change, "hat" if change == "hat" else "eyes"
        found["worn"] = f"{owner}.{place}"
        builder = (
            builder.region(owner, masks(f"masks/{owner}"))
            .region("worn", masks("masks/worn"))
            .add("worn", phrase, of=owner)
        )
    return Case(name, "part", change, source, target, (number,), builder, found)


def _place(name: str, rng: random.Random) -> Case:
    """Another background, another ground, or both."""
    source = _clip(rng, alike=False)
    kind = rng.choice(("background", "ground", "both"))
    target = _elsewhere(source, rng, kind)
    builder, found = _begun(source, target, rng)
    builder = _with_place(builder, target, found, kind)
    return Case(name, "place", kind, source, target, (), builder, found)


def _several(name: str, rng: random.Random) -> Case:
    """Both figures and the place at once."""
    source = _clip(rng)
    kind = rng.choice(("background", "ground", "both"))
    taken: set[str] = set()
    figures = tuple(_other_looks(figure, rng, taken) for figure in source.figures)
    target = replace(_elsewhere(source, rng, kind), figures=figures)
    builder, found = _begun(source, target, rng)
    builder = _with_figures(builder, (0, 1))
    builder = _with_place(builder, target, found, kind, figures=("figure0", "figure1"))
    for number, figure in enumerate(figures):
        builder = builder.instance(f"figure{number}", _words(figure))
    return Case(name, "several", f"{kind} too", source, target, (0, 1), builder, found)


def _elsewhere(scene: Scene, rng: random.Random, kind: str) -> Scene:
    if kind != "ground":
        others = [name for name in world.BACKGROUNDS if name != scene.background]
        scene = replace(scene, background=rng.choice(others))
    if kind != "background":
        scene = replace(
            scene, ground=rng.choice([name for name in world.GROUNDS if name != scene.ground])
        )
    return scene


def _with_place(
    builder: Builder,
    target: Scene,
    found: dict[str, str],
    kind: str,
    figures: tuple[str, ...] = (),
) -> Builder:
    """Regions and edits of what changes of the place, cut where figures are."""
    for region, phrase in (("background", target.background), ("ground", target.ground)):
        found[region] = region
        if kind in (region, "both"):
            area: Expression = masks(f"masks/{region}")
            for name in figures:
                area = area - masks(f"masks/{name}").grow(GROWN)
            phrase = phrase.removeprefix("a ")
            builder = builder.region(region, area).edit(region, phrase)
    return builder


_MAKE: dict[Grain, Callable[[str, random.Random], Case]] = {
    "instance": _instance,
    "class": _class,
    "part": _part,
    "place": _place,
    "several": _several,
}
