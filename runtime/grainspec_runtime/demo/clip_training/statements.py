"""What a caption says and what a frame shows, as sets of facts, and captions with one word changed.

A caption is true of a frame if all of its facts are facts of the frame. So captions that only name
figures in another order, or whose words changed places between like figures, are never taken for
false ones: frames cannot tell them apart.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from grainspec_runtime.demo import world
from grainspec_runtime.demo.dataset import MAX_FIGURES
from grainspec_runtime.demo.world import Figure, Scene

Change = Literal["colour", "kind", "worn", "ground", "background"]
"""What one word of a caption names."""
CHANGES: tuple[Change, ...] = get_args(Change)
MOST_FACTS = MAX_FIGURES + 2
"""The most facts of a frame or a caption: its figures, the ground and the background."""

_COLOURS = tuple(world.COLOURS)
_LOOKS = len(world.KINDS) * len(_COLOURS) * 4
_GROUNDS = _LOOKS * MAX_FIGURES
_BACKGROUNDS = _GROUNDS + len(world.GROUNDS)
FACTS = _BACKGROUNDS + len(world.BACKGROUNDS)
"""The number of different facts."""

Facts = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A caption and the facts that it states."""

    words: str
    facts: Facts


def facts_of(figures: Iterable[Figure], ground: str = "", background: str = "") -> Facts:
    """The facts of some figures and a place, in ascending order.

    The second figure with the same looks is another fact than the first.

    >>> man = Figure("man", "red")
    >>> facts_of([man]), facts_of([man, man]), facts_of([], "grass", "mountains")
    ((0,), (0, 1), (576, 585))
    """
    facts = [
        looks * MAX_FIGURES + nth
        for looks, count in Counter(_looks(figure) for figure in figures).items()
        for nth in range(count)
    ]
    facts += [_GROUNDS + world.GROUNDS.index(ground)] if ground else []
    facts += [_BACKGROUNDS + world.BACKGROUNDS.index(background)] if background else []
    return tuple(sorted(facts))


def _looks(figure: Figure) -> int:
    kind, colour = world.KINDS.index(figure.kind), _COLOURS.index(figure.colour)
    return ((kind * len(_COLOURS) + colour) * 2 + figure.hat) * 2 + figure.sunglasses


def complete(scene: Scene, rng: random.Random) -> Statement:
    """State everything that a scene shows, with its figures in random order."""
    order = rng.sample(range(len(scene.figures)), len(scene.figures))
    words = world.caption(scene, order, group=rng.random() < 0.5)
    return Statement(words, facts_of(scene.figures, scene.ground, scene.background))


def random_statement(scene: Scene, rng: random.Random) -> Statement:
    """State everything that a scene shows (in 7 of 10 cases), or its figures, one, or the place."""
    draw = rng.random()
    if draw < 0.7:
        return complete(scene, rng)
    if draw < 0.8:
        words = complete(scene, rng).words.split(" on ")[0]
        return Statement(words, facts_of(scene.figures))
    if draw < 0.92:
        return one_figure(rng.choice(scene.figures), rng)
    words = f"{scene.ground} before {scene.background}"
    return Statement(words, facts_of([], scene.ground, scene.background))


def one_figure(figure: Figure, rng: random.Random) -> Statement:
    """State what one figure is, with or without an article, as the phrases of edits."""
    words = world.figure_words(figure)
    return Statement(words if rng.random() < 0.5 else world.with_article(words), facts_of([figure]))


def changed(scene: Scene, change: Change, rng: random.Random) -> Scene:
    """Change one thing of a scene, which changes one word of its caption.

    With ``worn``, the hat or the sunglasses of a figure are put on or taken off.
    """
    if change == "ground":
        return replace(scene, ground=_other(world.GROUNDS, scene.ground, rng))
    if change == "background":
        return replace(scene, background=_other(world.BACKGROUNDS, scene.background, rng))
    number = rng.randrange(len(scene.figures))
    figures = list(scene.figures)
    figures[number] = changed_figure(figures[number], change, rng)
    return replace(scene, figures=tuple(figures))


def changed_figure(figure: Figure, change: Change, rng: random.Random) -> Figure:
    """Change the kind, the colour, or one worn thing of a figure."""
    if change == "kind":
        return replace(figure, kind=_other(world.KINDS, figure.kind, rng))
    if change == "colour":
        return replace(figure, colour=_other(_COLOURS, figure.colour, rng))
    if rng.random() < 0.5:
        return replace(figure, hat=not figure.hat)
    return replace(figure, sunglasses=not figure.sunglasses)


def _other(names: tuple[str, ...], name: str, rng: random.Random) -> str:
    return rng.choice([other for other in names if other != name])
