"""The demo world: a small cartoon world, drawn exactly, that the demo backbone has learnt.

Up to three figures stand before a background on a ground. Every frame comes with the exact mask of
every figure and of its parts, so an edit of this world has an exact right answer.

Coordinates are fractions of the frame: ``x`` runs right, ``y`` runs down, both in [0, 1].

>>> scene = Scene((Figure("man", "red", x=0.3), Figure("man", "blue", x=0.7)))
>>> frame, masks = render(scene, size=96)
>>> frame.shape, frame.dtype, sorted(masks)[:3]
((96, 96, 3), dtype('uint8'), ['background', 'figure0', 'figure0.body'])
>>> caption(scene)
'a red man and a blue man on grass before green trees'
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

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
"""Every word of the captions; the demo backbone knows no other."""

PARTS = ("head", "eyes", "hat", "body", "legs")
GROUND_LINE = 0.68
"""Height (fraction of the frame) where the ground begins."""

SUPERSAMPLING = 4
_INK: RGB = (28, 26, 32)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``x`` is its middle, ``feet`` the height its feet stand at, ``height`` its own
    height (all fractions of the frame); ``phase`` shifts its step, ``facing`` is 1 or -1."""

    kind: str
    colour: str
    x: float = 0.5
    feet: float = 0.92
    height: float = 0.66
    hat: bool = False
    sunglasses: bool = False
    phase: float = 0.0
    facing: int = 1


@dataclass(frozen=True, slots=True)
class Scene:
    """Figures (drawn back to front: those with higher feet first) in a place.

    ``scroll`` shifts the background by fractions of the frame; see :func:`advance` for motion.
    """

    figures: tuple[Figure, ...]
    background: str = "green trees"
    ground: str = "grass"
    scroll: float = 0.0


def advance(scene: Scene, frame: int) -> Scene:
    """The scene ``frame`` frames later: the figures jog in place, the background passes by."""
    figures = tuple(replace(f, phase=f.phase + 0.8 * frame) for f in scene.figures)
    return replace(scene, figures=figures, scroll=scene.scroll + 0.02 * frame)


# --- words ---------------------------------------------------------------------------------------


def figure_words(figure: Figure, *, colour: bool = True) -> str:
    """``'red robot with a hat and sunglasses'``, without an article."""
    words = [figure.colour] * colour + [figure.kind]
    worn = ["a hat"] * figure.hat + ["sunglasses"] * figure.sunglasses
    if worn:
        words += ["with", " and ".join(worn)]
    return " ".join(words)


def with_article(words: str) -> str:
    """``'an orange cat'``; plurals and numbers get none."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def caption(scene: Scene, order: list[int] | None = None, *, group: bool = False) -> str:
    """The scene in words, the figures in ``order`` (default: as given).

    With ``group``, figures that the same words describe are counted: ``'two red robots'``.
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


# --- chance --------------------------------------------------------------------------------------


def random_scene(rng: random.Random, *, figures: int | None = None) -> Scene:
    """A random scene of one to three figures (or exactly ``figures``)."""
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
    """What training shows the backbone for ``scene``: mostly the whole truth, sometimes a part.

    The order of the figures is shuffled and no caption says left or right, so words alone don't
    tell which figure is meant: the case that region control exists for.
    """
    draw = rng.random()
    if draw < 0.10:
        return ""
    order = list(range(len(scene.figures)))
    rng.shuffle(order)
    figures = [scene.figures[i] for i in order]
    if draw < 0.70:
        return caption(scene, order, group=rng.random() < 0.7)
    if draw < 0.76:  # one phrase alone, as an edit's phrase is encoded
        figure = figures[0]
        worn = ["hat"] * figure.hat + ["sunglasses"] * figure.sunglasses
        short = f"{figure.colour} {figure.kind}"
        return rng.choice(
            [figure_words(figure), short, short, scene.background, scene.ground, *worn]
        )
    if draw < 0.84:  # figures only
        listed = _listed([with_article(figure_words(f)) for f in figures])
        return listed if rng.random() < 0.7 else listed.split(" and ")[0]
    if draw < 0.92:  # some details left out
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


# --- drawing -------------------------------------------------------------------------------------


def shade(colour: RGB, amount: float) -> RGB:
    """Darker for ``amount`` < 0, lighter for > 0 (both at most 1 in size)."""
    target = 255 if amount > 0 else 0
    red, green, blue = (round(c + (target - c) * abs(amount)) for c in colour)
    return red, green, blue


class Canvas:
    """A supersampled picture and, of the same size, the number of the figure and part drawn."""

    def __init__(self, size: int) -> None:
        self.size = size * SUPERSAMPLING
        self.image = Image.new("RGB", (self.size, self.size))
        self.labels = Image.new("L", (self.size, self.size))
        self.label = 0
        self._draw = ImageDraw.Draw(self.image)
        self._draw_label = ImageDraw.Draw(self.labels)

    def polygon(self, points: list[tuple[float, float]], fill: RGB) -> None:
        """Fill a polygon; its corners in fractions of the frame."""
        scaled = [(x * self.size, y * self.size) for x, y in points]
        self._draw.polygon(scaled, fill=fill)
        self._draw_label.polygon(scaled, fill=self.label)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB) -> None:
        """Fill an ellipse around (x, y)."""
        box = [(x - rx) * self.size, (y - ry) * self.size]
        box += [(x + rx) * self.size, (y + ry) * self.size]
        self._draw.ellipse(box, fill=fill)
        self._draw_label.ellipse(box, fill=self.label)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """Fill an upright rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)


class Pen:
    """Draws in a figure's own coordinates: its height is 1, (0, 0) is between its feet, y up."""

    def __init__(self, canvas: Canvas, figure: Figure, number: int) -> None:
        self._canvas = canvas
        self._figure = figure
        self._number = number
        self.part("body")

    def part(self, name: str) -> None:
        """What is drawn from here on belongs to this part."""
        self._canvas.label = 1 + self._number * len(PARTS) + PARTS.index(name)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where that is, in fractions of the frame."""
        f = self._figure
        return f.x + f.facing * x * f.height, f.feet - y * f.height

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB) -> None:
        """Fill an ellipse around (x, y)."""
        cx, cy = self.place(x, y)
        self._canvas.ellipse(cx, cy, rx * self._figure.height, ry * self._figure.height, fill)

    def polygon(self, points: list[tuple[float, float]], fill: RGB) -> None:
        """Fill a polygon."""
        self._canvas.polygon([self.place(x, y) for x, y in points], fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """Fill a rectangle, upright in the figure's own coordinates."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)

    def limb(
        self, x: float, y: float, angle: float, length: float, width: float, fill: RGB
    ) -> tuple[float, float]:
        """A round-ended stroke from (x, y), ``angle`` from straight down; returns its far end."""
        dx, dy = math.sin(angle), -math.cos(angle)
        end = (x + dx * length, y + dy * length)
        half = width / 2
        self.polygon(
            [
                (x - dy * half, y + dx * half),
                (end[0] - dy * half, end[1] + dx * half),
                (end[0] + dy * half, end[1] - dx * half),
                (x + dy * half, y - dx * half),
            ],
            fill,
        )
        self.ellipse(x, y, half, half, fill)
        self.ellipse(*end, half, half, fill)
        return end


@dataclass(frozen=True, slots=True)
class _Face:
    """Where a kind wears things: eye height, half the distance of the eyes, the hat's rim."""

    eyes: float
    spread: float
    rim: float
    rim_width: float


_FACES = {
    "man": _Face(eyes=0.735, spread=0.075, rim=0.87, rim_width=0.19),
    "robot": _Face(eyes=0.755, spread=0.08, rim=0.90, rim_width=0.21),
    "bear": _Face(eyes=0.76, spread=0.08, rim=0.88, rim_width=0.18),
    "cat": _Face(eyes=0.73, spread=0.085, rim=0.86, rim_width=0.16),
    "alien": _Face(eyes=0.75, spread=0.085, rim=0.91, rim_width=0.18),
    "penguin": _Face(eyes=0.78, spread=0.065, rim=0.89, rim_width=0.17),
}


def _legs(pen: Pen, swing: float, colour: RGB, *, width: float, gap: float, foot: RGB) -> None:
    pen.part("legs")
    for side, angle in ((-1, swing), (1, -swing)):
        end = pen.limb(
            side * gap, 0.26, 0.55 * angle, 0.22, width, shade(colour, -0.1 * (side < 0))
        )
        pen.ellipse(end[0] + 0.025, end[1] - 0.005, width * 0.75, width * 0.45, foot)


def _man(pen: Pen, colour: RGB, swing: float) -> None:
    skin, trousers, hair = (245, 200, 160), (44, 46, 90), (74, 46, 30)
    pen.limb(-0.13, 0.50, -0.75 * swing - 0.25, 0.17, 0.08, shade(colour, -0.25))
    _legs(pen, swing, trousers, width=0.105, gap=0.065, foot=(60, 50, 50))
    pen.part("body")
    pen.ellipse(0, 0.50, 0.155, 0.08, colour)
    pen.box(-0.155, 0.26, 0.155, 0.50, colour)
    end = pen.limb(0.14, 0.50, 0.75 * swing + 0.25, 0.17, 0.085, shade(colour, -0.15))
    pen.ellipse(*end, 0.045, 0.045, skin)
    pen.part("head")
    pen.ellipse(0, 0.76, 0.19, 0.21, hair)
    pen.ellipse(0, 0.715, 0.172, 0.165, skin)
    pen.ellipse(0, 0.87, 0.15, 0.055, hair)
    for side in (-1, 1):
        pen.ellipse(side * 0.07, 0.735, 0.022, 0.03, _INK)
    pen.ellipse(0, 0.635, 0.05, 0.018, (190, 80, 70))


def _robot(pen: Pen, colour: RGB, swing: float) -> None:
    steel, dark = (150, 160, 172), (96, 104, 118)
    pen.limb(-0.18, 0.49, -0.6 * swing - 0.15, 0.2, 0.065, dark)
    _legs(pen, swing, steel, width=0.085, gap=0.085, foot=dark)
    pen.part("body")
    pen.box(-0.185, 0.23, 0.185, 0.55, colour)
    pen.box(-0.10, 0.34, 0.10, 0.47, shade(colour, -0.45))
    pen.ellipse(-0.045, 0.405, 0.028, 0.028, (250, 220, 80))
    pen.ellipse(0.045, 0.405, 0.028, 0.028, (90, 230, 120))
    pen.limb(0.185, 0.49, 0.6 * swing + 0.15, 0.2, 0.07, steel)
    pen.part("head")
    pen.box(-0.05, 0.53, 0.05, 0.61, dark)
    pen.box(-0.015, 0.88, 0.015, 0.97, dark)
    pen.ellipse(0, 0.97, 0.03, 0.03, (225, 50, 50))
    pen.box(-0.195, 0.59, 0.195, 0.90, steel)
    pen.box(-0.235, 0.70, -0.195, 0.80, dark)
    pen.box(0.195, 0.70, 0.235, 0.80, dark)
    for side in (-1, 1):
        pen.box(side * 0.085 - 0.04, 0.715, side * 0.085 + 0.04, 0.795, (70, 215, 235))
    pen.box(-0.10, 0.63, 0.10, 0.665, dark)


def _bear(pen: Pen, colour: RGB, swing: float) -> None:
    pale, deep = shade(colour, 0.5), shade(colour, -0.22)
    pen.limb(-0.19, 0.48, -0.5 * swing - 0.3, 0.15, 0.11, deep)
    _legs(pen, swing, deep, width=0.14, gap=0.10, foot=deep)
    pen.part("body")
    pen.ellipse(0, 0.38, 0.225, 0.20, colour)
    pen.ellipse(0, 0.36, 0.13, 0.13, pale)
    pen.limb(0.19, 0.48, 0.5 * swing + 0.3, 0.15, 0.115, deep)
    pen.part("head")
    for side in (-1, 1):
        pen.ellipse(side * 0.155, 0.90, 0.075, 0.075, colour)
        pen.ellipse(side * 0.155, 0.90, 0.038, 0.038, pale)
    pen.ellipse(0, 0.745, 0.215, 0.185, colour)
    pen.ellipse(0, 0.675, 0.095, 0.075, pale)
    pen.ellipse(0, 0.71, 0.035, 0.026, _INK)
    for side in (-1, 1):
        pen.ellipse(side * 0.08, 0.77, 0.024, 0.03, _INK)


def _cat(pen: Pen, colour: RGB, swing: float) -> None:
    pale, deep = shade(colour, 0.6), shade(colour, -0.25)
    tail = pen.limb(-0.10, 0.26, -1.9 - 0.15 * swing, 0.2, 0.06, deep)
    pen.limb(*tail, -2.9 + 0.3 * swing, 0.17, 0.06, deep)
    pen.limb(-0.10, 0.48, -0.8 * swing - 0.2, 0.15, 0.07, deep)
    _legs(pen, swing, deep, width=0.085, gap=0.07, foot=pale)
    pen.part("body")
    pen.ellipse(0, 0.37, 0.135, 0.18, colour)
    pen.ellipse(0, 0.38, 0.07, 0.12, pale)
    pen.limb(0.10, 0.48, 0.8 * swing + 0.2, 0.15, 0.075, deep)
    pen.part("head")
    for side in (-1, 1):
        pen.polygon([(side * 0.20, 0.98), (side * 0.045, 0.87), (side * 0.205, 0.76)], colour)
        pen.polygon(
            [(side * 0.178, 0.93), (side * 0.09, 0.87), (side * 0.18, 0.80)], (240, 150, 160)
        )
    pen.ellipse(0, 0.715, 0.215, 0.165, colour)
    for side in (-1, 1):
        pen.ellipse(side * 0.085, 0.735, 0.038, 0.042, (150, 235, 100))
        pen.ellipse(side * 0.085, 0.735, 0.014, 0.038, _INK)
        for rise in (0.02, -0.02):
            pen.polygon(
                [
                    (side * 0.09, 0.655),
                    (side * 0.27, 0.66 + rise + 0.008),
                    (side * 0.27, 0.66 + rise - 0.008),
                ],
                shade(colour, -0.55),
            )
    pen.ellipse(0, 0.655, 0.07, 0.045, pale)
    pen.polygon([(-0.028, 0.685), (0.028, 0.685), (0, 0.655)], (225, 95, 120))


def _alien(pen: Pen, colour: RGB, swing: float) -> None:
    deep = shade(colour, -0.25)
    pen.limb(-0.07, 0.47, -0.9 * swing - 0.35, 0.22, 0.045, deep)
    _legs(pen, swing, deep, width=0.055, gap=0.05, foot=deep)
    pen.part("body")
    pen.ellipse(0, 0.37, 0.095, 0.16, colour)
    pen.limb(0.07, 0.47, 0.9 * swing + 0.35, 0.22, 0.05, deep)
    pen.part("head")
    for side in (-1, 1):
        tip = pen.limb(side * 0.08, 0.88, side * 2.7, 0.12, 0.022, deep)
        pen.ellipse(*tip, 0.032, 0.032, shade(colour, 0.45))
    pen.ellipse(0, 0.785, 0.205, 0.15, colour)
    pen.polygon([(-0.195, 0.755), (0.195, 0.755), (0.055, 0.56), (-0.055, 0.56)], colour)
    pen.ellipse(0, 0.575, 0.06, 0.045, colour)
    for side in (-1, 1):
        pen.polygon(
            [
                (side * 0.035, 0.70),
                (side * 0.06, 0.785),
                (side * 0.135, 0.825),
                (side * 0.16, 0.79),
                (side * 0.12, 0.715),
            ],
            _INK,
        )
        pen.ellipse(side * 0.115, 0.785, 0.016, 0.016, (250, 250, 250))


def _penguin(pen: Pen, colour: RGB, swing: float) -> None:
    deep, beak = shade(colour, -0.25), (248, 160, 40)
    pen.part("legs")
    for side in (-1, 1):
        pen.ellipse(side * 0.10 + 0.02, 0.03 + 0.03 * max(0.0, side * swing), 0.085, 0.035, beak)
    pen.part("body")
    pen.limb(-0.20, 0.52, -0.4 * swing - 0.35, 0.20, 0.08, deep)
    pen.ellipse(0, 0.36, 0.235, 0.33, colour)
    pen.ellipse(0, 0.32, 0.15, 0.25, (250, 250, 250))
    pen.limb(0.20, 0.52, 0.4 * swing + 0.35, 0.20, 0.085, deep)
    pen.part("head")
    pen.ellipse(0, 0.76, 0.175, 0.16, colour)
    for side in (-1, 1):
        pen.ellipse(side * 0.065, 0.78, 0.05, 0.055, (250, 250, 250))
        pen.ellipse(side * 0.06, 0.775, 0.022, 0.028, _INK)
    pen.polygon([(-0.06, 0.72), (0.06, 0.72), (0.0, 0.64)], beak)


_DRAW_KIND = {
    "man": _man,
    "robot": _robot,
    "bear": _bear,
    "cat": _cat,
    "alien": _alien,
    "penguin": _penguin,
}


def lifted(figure: Figure) -> Figure:
    """The figure where its step has it: off its place by the height of a step."""
    return replace(figure, feet=figure.feet - 0.012 * abs(math.cos(figure.phase)))


def _draw_figure(canvas: Canvas, figure: Figure, number: int) -> None:
    swing = math.sin(figure.phase)
    pen = Pen(canvas, lifted(figure), number)
    _DRAW_KIND[figure.kind](pen, COLOURS[figure.colour], swing)
    face = _FACES[figure.kind]
    if figure.sunglasses:
        pen.part("eyes")
        pen.box(-face.spread * 2.3, face.eyes + 0.01, face.spread * 2.3, face.eyes + 0.04, _INK)
        for side in (-1, 1):
            pen.ellipse(side * face.spread, face.eyes, face.spread * 0.92, 0.062, _INK)
            pen.ellipse(side * face.spread - 0.02, face.eyes + 0.02, 0.02, 0.014, (120, 130, 150))
    if figure.hat:
        pen.part("hat")
        top = face.rim_width * 0.72
        pen.box(-top, face.rim, top, face.rim + 0.19, _INK)
        pen.box(-top, face.rim + 0.03, top, face.rim + 0.075, (200, 40, 50))
        pen.ellipse(0, face.rim + 0.012, face.rim_width * 1.25, 0.03, _INK)


def part_box(figure: Figure, part: str) -> tuple[float, float, float, float]:
    """Box (x0, y0, x1, y1), in fractions of the frame, where ``figure`` wears ``part``.

    ``part`` is ``'eyes'`` (where sunglasses go) or ``'hat'``; the box holds whether or not the
    figure wears anything there.
    """
    face = _FACES[figure.kind]
    if part == "eyes":
        half, low, high = face.spread * 2.4, face.eyes - 0.075, face.eyes + 0.075
    elif part == "hat":
        half, low, high = face.rim_width * 1.3, face.rim - 0.03, face.rim + 0.20
    else:
        raise ValueError(f"part is {part!r}; known are 'eyes' and 'hat'")
    h, feet = figure.height, lifted(figure).feet
    return figure.x - half * h, feet - high * h, figure.x + half * h, feet - low * h


def _tiled(period: float, scroll: float, speed: float) -> Iterator[tuple[int, float]]:
    """Positions, from left of the frame to right of it, of things a ``period`` apart."""
    shift = (scroll * speed) / period
    first = math.floor(shift)
    for step in range(-1, math.ceil(1 / period) + 2):
        yield step + first, (step - (shift - first)) * period


_TREES: dict[str, tuple[RGB, RGB, RGB]] = {  # crown, spots, sky
    "green trees": (((46, 140, 58)), (96, 180, 100), (135, 200, 245)),
    "cherry trees": (((246, 150, 190)), (252, 200, 220), (190, 215, 250)),
    "autumn trees": (((228, 110, 36)), (245, 160, 80), (215, 220, 232)),
}


def _draw_background(canvas: Canvas, scene: Scene) -> None:
    horizon, name = GROUND_LINE, scene.background
    if name in _TREES:
        crown, spot, sky = _TREES[name]
        canvas.rectangle(0, 0, 1, 1, sky)
        canvas.rectangle(0, 0.5, 1, 1, shade(sky, 0.45))
        for _, x in _tiled(0.26, scene.scroll, 1.0):
            canvas.rectangle(x - 0.018, 0.4, x + 0.018, horizon + 0.02, (110, 74, 48))
        for number, x in _tiled(0.26, scene.scroll, 1.0):
            y = 0.27 + 0.02 * (number % 2)
            canvas.ellipse(x, y, 0.15, 0.14, crown)
            canvas.ellipse(x - 0.08, y + 0.07, 0.09, 0.08, crown)
            canvas.ellipse(x + 0.08, y + 0.07, 0.09, 0.08, crown)
            for dx, dy in ((-0.06, -0.05), (0.05, -0.03), (0.0, 0.06)):
                canvas.ellipse(x + dx, y + dy, 0.022, 0.022, spot)
    elif name == "snowy trees":
        canvas.rectangle(0, 0, 1, 1, (170, 186, 208))
        canvas.rectangle(0, 0.5, 1, 1, (205, 214, 228))
        for _, x in _tiled(0.24, scene.scroll, 1.0):
            canvas.rectangle(x - 0.016, 0.5, x + 0.016, horizon + 0.02, (96, 72, 60))
            for top, wide in ((0.42, 0.12), (0.29, 0.1), (0.16, 0.075)):
                low = top + 0.18
                canvas.polygon([(x - wide, low), (x + wide, low), (x, top)], (52, 104, 84))
                snow = 0.5 * wide
                canvas.polygon(
                    [(x - snow, top + 0.09), (x + snow, top + 0.09), (x, top)], (246, 248, 252)
                )
    elif name == "a night city":
        canvas.rectangle(0, 0, 1, 1, (18, 18, 52))
        canvas.ellipse(0.84, 0.11, 0.06, 0.06, (250, 244, 205))
        for number, x in _tiled(0.17, scene.scroll, 1.0):
            top = 0.24 + 0.17 * ((number * 7) % 5) / 5
            canvas.rectangle(x, top, x + 0.145, horizon + 0.02, (46, 42, 88))
            for row in range(int((horizon - top) / 0.085)):
                for column in range(2):
                    if (number * 3 + row * 5 + column) % 4:
                        left, high = x + 0.028 + column * 0.058, top + 0.03 + row * 0.085
                        canvas.rectangle(left, high, left + 0.032, high + 0.042, (250, 214, 96))
    elif name == "mountains":
        canvas.rectangle(0, 0, 1, 1, (104, 172, 238))
        canvas.rectangle(0, 0.5, 1, 1, (160, 208, 246))
        for number, x in _tiled(0.42, scene.scroll, 0.5):
            peak, wide = 0.14 + 0.1 * (number % 2), 0.32
            rise = (horizon + 0.02 - peak) * 0.28
            tone = (128, 132, 158) if number % 2 else (108, 112, 140)
            canvas.polygon(
                [(x - wide, horizon + 0.02), (x + wide, horizon + 0.02), (x, peak)], tone
            )
            canvas.polygon(
                [(x - wide * 0.28, peak + rise), (x + wide * 0.28, peak + rise), (x, peak)],
                (248, 250, 252),
            )
    else:
        raise ValueError(f"background is {name!r}; known are {', '.join(BACKGROUNDS)}")


def _draw_ground(canvas: Canvas, scene: Scene) -> None:
    line, name = GROUND_LINE, scene.ground
    tones: dict[str, tuple[RGB, RGB]] = {
        "grass": ((104, 184, 76), (66, 140, 52)),
        "sand": ((232, 202, 142), (204, 166, 104)),
        "snow": ((240, 245, 252), (196, 210, 232)),
        "road": ((112, 112, 120), (238, 238, 238)),
    }
    if name not in tones:
        raise ValueError(f"ground is {name!r}; known are {', '.join(GROUNDS)}")
    plain, mark = tones[name]
    canvas.rectangle(0, line, 1, 1, plain)
    if name == "road":
        canvas.rectangle(0, line, 1, line + 0.025, shade(plain, -0.3))
        for _, x in _tiled(0.3, scene.scroll, 2.0):
            canvas.rectangle(x, 0.955, x + 0.16, 0.975, mark)
    else:
        for number, x in _tiled(0.16, scene.scroll, 2.0):
            y = line + 0.07 + 0.19 * ((number * 5) % 7) / 7
            if name == "grass":
                for lean in (-0.015, 0.015):
                    canvas.polygon(
                        [(x, y + 0.03), (x + 0.014, y + 0.03), (x + lean, y - 0.01)], mark
                    )
            else:
                canvas.ellipse(x, y, 0.024 if name == "snow" else 0.012, 0.01, mark)


def back_to_front(scene: Scene) -> list[int]:
    """The numbers of the figures in the order that they are drawn in."""
    return sorted(range(len(scene.figures)), key=lambda i: scene.figures[i].feet)


def draw_scene(canvas: Canvas, scene: Scene) -> None:
    """Draw the place, then the figures, back to front."""
    _draw_background(canvas, scene)
    _draw_ground(canvas, scene)
    for number in back_to_front(scene):
        _draw_figure(canvas, scene.figures[number], number)


def render(
    scene: Scene, size: int = 96, *, parts: bool = True
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw one frame.

    Returns the frame, uint8 ``[size, size, 3]`` RGB, and the masks, bool ``[size, size]``, of what
    is seen of each figure ``figure<i>`` and of each of its parts ``figure<i>.<part>``, numbered as
    in ``scene.figures``, and of ``ground`` and ``background``. Without ``parts``, which is quicker,
    only those of the figures.
    """
    canvas = Canvas(size)
    draw_scene(canvas, scene)
    frame = np.asarray(canvas.image.reduce(SUPERSAMPLING))

    def seen(first: int, last: int) -> np.ndarray:
        """Where at least half of a pixel's samples bear a label in first..last."""
        chosen = canvas.labels.point([255 * (first <= label <= last) for label in range(256)])
        return np.asarray(chosen.reduce(SUPERSAMPLING)) >= 128

    found: dict[str, np.ndarray] = {}
    for number in range(len(scene.figures)):
        first = 1 + number * len(PARTS)
        found[f"figure{number}"] = seen(first, first + len(PARTS) - 1)
        for index, part in enumerate(PARTS if parts else ()):
            found[f"figure{number}.{part}"] = seen(first + index, first + index)
    if not parts:
        return frame, found
    rows = np.arange(size)[:, None] + 0.5 >= GROUND_LINE * size
    anyone = seen(1, 255)
    found["ground"] = ~anyone & rows
    found["background"] = ~anyone & ~rows
    return frame, found
