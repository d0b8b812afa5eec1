"""Generate benchmark cases from seeds: edits of the demo world with their exact targets.

A case is a clip of two or three figures, a spec that edits it, and the scene that a perfect edit
produces: the same poses, but other kinds, colours or accessories, or another place (background or
ground).
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
"""The edit granularities of consecutive cases, repeated, so that the first six contain all."""
FRAMES = 8
SIZE = 96
GROWN = "6%"
"""How far regions of whole figures are grown, because figures of another kind may be wider."""

_SEEDS: dict[Split, int] = {"tuning": 1_000_000, "held-out": 2_000_000}


@dataclass(frozen=True)
class Case:
    """One benchmark case.

    source, target: the scenes of the first frame; :func:`grainspec_runtime.demo.world.advance`
    gives those of later frames. edited: the indices of the figures that an edit names. spec: the
    edit without settings; its clip is in ``clip`` and its masks are in ``masks/NAME``. masks: maps
    each mask's name to what it shows, such as a figure, the box of a part, or the ground.
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
        """The target with the looks of its two figures exchanged, which is complete leakage.

        None if there is nothing to exchange.
        """
        figures = list(self.target.figures)
        if len(figures) != 2 or not self.edited or self.grain == "class":
            return None
        first, second = figures
        exchanged = (_looks_of(first, second), _looks_of(second, first))
        return None if exchanged == tuple(figures) else replace(self.target, figures=exchanged)

    def scenes(self, scene: Scene) -> list[Scene]:
        """The scene in every frame of the clip."""
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


def _other_looks(figure: Figure, rng: random.Random, taken: set[str]) -> Figure:
    """Change a figure's kind and colour to ones that are not ``taken``."""
    kind = rng.choice([k for k in world.KINDS if k != figure.kind and k not in taken])
    colour = rng.choice([c for c in world.COLOURS if c != figure.colour and c not in taken])
    taken.update((kind, colour))
    return replace(figure, kind=kind, colour=colour)


def _words(figure: Figure) -> str:
    return f"{figure.colour} {figure.kind}"


def _start(
    source: Scene, target: Scene, rng: random.Random, *, group: bool = False
) -> tuple[Builder, dict[str, str]]:
    """Build the clip and the prompts, which name figures in random order, and a mask per figure."""
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
    """Change one or both of two figures of the same kind."""
    source = _clip(rng)
    edited = rng.choice(((0, 1), (0, 1), (0, 1), (0,), (1,)))
    taken = {f.colour for i, f in enumerate(source.figures) if i not in edited}
    figures = tuple(
        _other_looks(figure, rng, taken) if number in edited else figure
        for number, figure in enumerate(source.figures)
    )
    target = replace(source, figures=figures)
    builder, case_masks = _start(source, target, rng)
    builder = _with_figures(builder, edited)
    for number in edited:
        builder = builder.instance(f"figure{number}", _words(figures[number]))
    kind = "both" if len(edited) == 2 else "one"
    return Case(name, "instance", kind, source, target, edited, builder, case_masks)


def _class(name: str, rng: random.Random) -> Case:
    """Change all figures of one kind to another kind, in one colour."""
    count = rng.choice((2, 3))
    source = _clip(rng, count=count)
    looks = _other_looks(source.figures[0], rng, {f.colour for f in source.figures})
    target = replace(source, figures=tuple(_looks_of(f, looks) for f in source.figures))
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
        phrase = _words(changed)
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
    target = _elsewhere(source, rng, kind)
    builder, case_masks = _start(source, target, rng)
    builder = _with_place(builder, target, case_masks, kind)
    return Case(name, "place", kind, source, target, (), builder, case_masks)


def _several(name: str, rng: random.Random) -> Case:
    """Change both figures and the place."""
    source = _clip(rng)
    kind = rng.choice(("background", "ground", "both"))
    taken: set[str] = set()
    figures = tuple(_other_looks(figure, rng, taken) for figure in source.figures)
    target = replace(_elsewhere(source, rng, kind), figures=figures)
    builder, case_masks = _start(source, target, rng)
    builder = _with_figures(builder, (0, 1))
    builder = _with_place(builder, target, case_masks, kind, figures=("figure0", "figure1"))
    for number, figure in enumerate(figures):
        builder = builder.instance(f"figure{number}", _words(figure))
    return Case(name, "several", f"{kind} too", source, target, (0, 1), builder, case_masks)


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
    case_masks: dict[str, str],
    kind: str,
    figures: tuple[str, ...] = (),
) -> Builder:
    """Add regions and edits for the parts of the place that change, minus the figures' regions."""
    for region, phrase in (("background", target.background), ("ground", target.ground)):
        case_masks[region] = region
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
