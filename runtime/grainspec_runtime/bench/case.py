"""A benchmark case, and what the generators of cases share."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from grainspec import Builder, masks
from grainspec.model.algebra import Expression
from grainspec_runtime.demo import world
from grainspec_runtime.demo.clips import ClipScene
from grainspec_runtime.demo.world import Figure, Scene

Grain = Literal["class", "instance", "part", "place", "several"]
Split = Literal["tuning", "held-out"]
CaseSet = Literal["frames", "clips"]
"""Cases whose figures jog on the spot and stand apart, and cases on clips with motion."""

GRAINS: tuple[Grain, ...] = ("instance", "class", "part", "instance", "place", "several")
"""The edit granularities of consecutive cases, repeated, so that the first six contain all."""
FRAMES = 8
"""Frames of a case without a motion of its own."""
SIZE = 96


@dataclass(frozen=True)
class Case:
    """One benchmark case.

    source, target: the scenes of the first frame. edited: the indices of the figures that an edit
    names. spec: the edit without settings; its clip is in ``clip`` and its masks are in
    ``masks/NAME``. masks: maps each mask's name to what it shows, such as a figure, the box around
    one, the box of a part, or the ground. motion: how the figures and the camera move; None if the
    figures jog on the spot, as :func:`grainspec_runtime.demo.world.advance` has it.
    """

    name: str
    grain: Grain
    kind: str
    source: Scene
    target: Scene
    edited: tuple[int, ...]
    spec: Builder
    masks: dict[str, str]
    motion: ClipScene | None = None

    @property
    def frames(self) -> int:
        """The number of frames of the clip."""
        return FRAMES if self.motion is None else self.motion.frames

    @property
    def exchanged(self) -> tuple[Scene, ...]:
        """The target with the looks of its figures exchanged, which is complete leakage.

        Two figures can be exchanged in one way. Of three, each takes the looks of the next one, or
        of the one after. Exchanges that change nothing are left out, and class edits of one class,
        where no figure differs from another, have none.
        """
        figures = self.target.figures
        if not self.edited or (self.grain == "class" and self.motion is None):
            return ()
        if len(figures) != 2 and self.motion is None:
            return ()
        scenes = []
        count = len(figures)
        for by in range(1, count):
            turned = tuple(looks_of(f, figures[(i + by) % count]) for i, f in enumerate(figures))
            if turned != figures:
                scenes.append(replace(self.target, figures=turned))
        return tuple(scenes)

    @property
    def asked(self) -> list[str]:
        """What changes, in words, and which figures stay: ``red man → green robot``, ``grass →
        sand``, ``blue man stays``."""
        pairs = zip(self.source.figures, self.target.figures, strict=True)
        words = [tuple(map(world.figure_words, pair)) for pair in pairs]
        words += [
            (before, after)
            for before, after in (
                (self.source.ground, self.target.ground),
                (self.source.background, self.target.background),
            )
            if before != after
        ]
        return [f"{a} stays" if a == b else f"{a} → {b}" for a, b in words]

    @property
    def figure_words(self) -> list[str]:
        """What each figure of the target is, in words, as its caption has them."""
        return [world.figure_words(figure) for figure in self.target.figures]

    def scenes(self, scene: Scene) -> list[Scene]:
        """A scene in every frame of the clip."""
        if self.motion is not None:
            return self.motion.with_looks(scene).scenes()
        return [world.advance(scene, frame) for frame in range(FRAMES)]


def looks_of(figure: Figure, looks: Figure) -> Figure:
    """A figure with the kind, colour and accessories of another one."""
    return replace(
        figure,
        kind=looks.kind,
        colour=looks.colour,
        hat=looks.hat,
        sunglasses=looks.sunglasses,
    )


def other_looks(figure: Figure, rng: random.Random, taken: set[str]) -> Figure:
    """Change a figure's kind and colour to ones that are not ``taken``, and take them."""
    kind = rng.choice([k for k in world.KINDS if k != figure.kind and k not in taken])
    colour = rng.choice([c for c in world.COLOURS if c != figure.colour and c not in taken])
    taken.update((kind, colour))
    return replace(figure, kind=kind, colour=colour)


def words_of(figure: Figure) -> str:
    """A figure's colour and kind."""
    return f"{figure.colour} {figure.kind}"


def elsewhere(scene: Scene, rng: random.Random, kind: str) -> Scene:
    """Change the background, the ground, or both (``kind``) to others."""
    if kind != "ground":
        others = [name for name in world.BACKGROUNDS if name != scene.background]
        scene = replace(scene, background=rng.choice(others))
    if kind != "background":
        scene = replace(
            scene, ground=rng.choice([name for name in world.GROUNDS if name != scene.ground])
        )
    return scene


def start(
    builder: Builder, source: Scene, target: Scene, rng: random.Random, *, group: bool = False
) -> tuple[Builder, dict[str, str]]:
    """Add the prompts, which name figures in random order; return the masks of the figures, too."""
    numbers = range(len(source.figures))
    builder = builder.source(world.caption(source, rng.sample(numbers, len(numbers)))).target(
        world.caption(target, rng.sample(numbers, len(numbers)), group=group)
    )
    return builder, {f"figure{i}": f"figure{i}" for i in numbers}


def edit_place(
    builder: Builder, target: Scene, kind: str, case_masks: dict[str, str], minus: list[Expression]
) -> Builder:
    """Add regions and edits for the parts of the place that change, without the areas ``minus``."""
    for region, phrase in (("background", target.background), ("ground", target.ground)):
        case_masks.setdefault(region, region)
        if kind in (region, "both"):
            area: Expression = masks(f"masks/{region}")
            for figure in minus:
                area = area - figure
            phrase = phrase.removeprefix("a ")
            builder = builder.region(region, area).edit(region, phrase)
    return builder
