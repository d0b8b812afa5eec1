"""The demo world: its scenes, their captions, and random scenes.

A scene has up to three figures in a place, which is a ground and a background.
:mod:`grainspec_runtime.demo.render` draws scenes. Coordinates are fractions of the frame, in
[0, 1]: ``x`` points right and ``y`` points down.

>>> caption(Scene((Figure("man", "red", x=0.3), Figure("man", "blue", x=0.7))))
'a red man and a blue man on grass before green trees'
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

RGB = tuple[int, int, int]

KINDS = ("man", "robot", "bear", "cat", "alien", "penguin")
COLOURS: dict[str, RGB] = {
    "red": (217, 42, 42),
    "blue": (44, 96, 220),
    "green": (38, 160, 70),
    "yellow": (240, 205, 45),
    "purple": (140, 62, 190),
    "orange": (245, 135, 35),
    "white": (240, 240, 240),
    "brown": (122, 76, 46),
}
ACCESSORIES = ("hat", "sunglasses")
BACKGROUNDS = (
    "green trees",
    "cherry trees",
    "snowy trees",
    "autumn trees",
    "a night city",
    "mountains",
)
GROUNDS = ("grass", "sand", "snow", "road")
PLURALS = {
    "man": "men",
    "robot": "robots",
    "bear": "bears",
    "cat": "cats",
    "alien": "aliens",
    "penguin": "penguins",
}
NUMBERS = {2: "two", 3: "three"}
VOCABULARY: tuple[str, ...] = tuple(
    sorted(
        {
            *KINDS,
            *PLURALS.values(),
            *COLOURS,
            *ACCESSORIES,
            *GROUNDS,
            *NUMBERS.values(),
            *(word for name in BACKGROUNDS for word in name.split()),
            *("a", "an", "and", "with", "on", "before"),
        }
    )
)
"""Every word of the captions, and so of the demo model's vocabulary."""

PARTS = ("head", "eyes", "hat", "body", "legs")
GROUND_LINE = 0.68
"""The ``y`` at which the ground begins."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    ``x`` is its centre, ``feet`` the ``y`` of its feet, and ``height`` its height, all as fractions
    of the frame. ``phase`` is the phase of its step in radians. ``facing`` is 1 or -1, and
    between them while a figure turns: all its widths are multiplied by it.
    """

    kind: str
    colour: str
    x: float = 0.5
    feet: float = 0.92
    height: float = 0.66
    hat: bool = False
    sunglasses: bool = False
    phase: float = 0.0
    facing: float = 1


@dataclass(frozen=True, slots=True)
class Scene:
    """Figures in a place. Figures are drawn back to front: those with higher feet first.

    ``scroll`` shifts the place by fractions of the frame; :func:`advance` adds motion.
    """

    figures: tuple[Figure, ...]
    background: str = "green trees"
    ground: str = "grass"
    scroll: float = 0.0


def advance(scene: Scene, frame: int) -> Scene:
    """The scene ``frame`` frames later: the figures jog in place while the place scrolls by."""
    figures = tuple(replace(f, phase=f.phase + 0.8 * frame) for f in scene.figures)
    return replace(scene, figures=figures, scroll=scene.scroll + 0.02 * frame)


def figure_words(figure: Figure, *, colour: bool = True) -> str:
    """Describe a figure without an article, as ``'red robot with a hat and sunglasses'``."""
    words = [figure.colour] * colour + [figure.kind]
    worn = ["a hat"] * figure.hat + ["sunglasses"] * figure.sunglasses
    if worn:
        words += ["with", " and ".join(worn)]
    return " ".join(words)


def with_article(words: str) -> str:
    """Add an indefinite article, as in ``'an orange cat'``."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def caption(scene: Scene, order: list[int] | None = None, *, group: bool = False) -> str:
    """Describe a scene, with its figures in ``order`` (default: their order in the scene).

    With ``group``, figures with the same description are counted: ``'two red robots'``.
    """
    chosen = [scene.figures[i] for i in (order or range(len(scene.figures)))]
    descriptions = [figure_words(f) for f in chosen]
    if group and len(chosen) > 1 and len(set(descriptions)) == 1:
        first, *rest = descriptions[0].split(" with ")
        colour, kind = first.split()
        figures = f"{NUMBERS[len(chosen)]} {colour} {PLURALS[kind]}"
        figures += "".join(f" with {worn.replace('a hat', 'hat')}" for worn in rest)
    else:
        figures = _listed([with_article(words) for words in descriptions])
    return f"{figures} on {scene.ground} before {scene.background}"


def random_scene(rng: random.Random, *, figures: int | None = None) -> Scene:
    """Draw a random scene with one to three figures, or exactly ``figures``."""
    count = figures or rng.choices((1, 2, 3), weights=(30, 55, 15))[0]
    alike = rng.random()
    kind, colour = rng.choice(KINDS), rng.choice(list(COLOURS))
    made = []
    for index in range(count):
        height = rng.uniform(0.5, 0.74) if count < 3 else rng.uniform(0.46, 0.6)
        made.append(
            Figure(
                kind=kind if alike < 0.25 else rng.choice(KINDS),
                colour=colour if alike < 0.12 else rng.choice(list(COLOURS)),
                x=(index + 0.5) / count + rng.uniform(-1, 1) * (0.25, 0.11, 0.06)[count - 1],
                feet=rng.uniform(0.84, 0.97),
                height=height,
                hat=rng.random() < 0.25,
                sunglasses=rng.random() < 0.25,
                phase=rng.uniform(0, 2 * math.pi),
                facing=rng.choice((1, -1)),
            )
        )
    if alike < 0.12:
        made = [replace(f, hat=made[0].hat, sunglasses=made[0].sunglasses) for f in made]
    rng.shuffle(made)
    return Scene(
        figures=tuple(made),
        background=rng.choice(BACKGROUNDS),
        ground=rng.choice(GROUNDS),
        scroll=rng.random(),
    )


def random_caption(scene: Scene, rng: random.Random) -> str:
    """Draw a random training caption for ``scene``: usually complete, sometimes partial.

    Figures are named in random order, and no caption says left or right. So words alone cannot tell
    which figure is meant, which is the problem that region control solves.
    """
    draw = rng.random()
    if draw < 0.10:
        return ""
    order = list(range(len(scene.figures)))
    rng.shuffle(order)
    figures = [scene.figures[i] for i in order]
    if draw < 0.70:
        return caption(scene, order, group=rng.random() < 0.7)
    if draw < 0.76:  # a single phrase, because an edit's phrase is encoded by itself
        figure = figures[0]
        worn = ["hat"] * figure.hat + ["sunglasses"] * figure.sunglasses
        short = f"{figure.colour} {figure.kind}"
        return rng.choice(
            [figure_words(figure), short, short, scene.background, scene.ground, *worn]
        )
    if draw < 0.84:  # figures only
        listed = _listed([with_article(figure_words(f)) for f in figures])
        return listed if rng.random() < 0.7 else listed.split(" and ")[0]
    if draw < 0.92:  # some details omitted
        bare = [
            replace(f, hat=f.hat and rng.random() < 0.5, sunglasses=f.sunglasses) for f in figures
        ]
        listed = _listed([with_article(figure_words(f, colour=rng.random() < 0.6)) for f in bare])
        return f"{listed} on {scene.ground} before {scene.background}"
    return rng.choice(
        [
            f"{scene.ground} before {scene.background}",
            f"on {scene.ground} before {scene.background}",
            f"on {scene.ground}",
            f"before {scene.background}",
        ]
    )
