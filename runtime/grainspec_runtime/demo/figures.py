"""Draw the figures of the demo world, and locate their accessories."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from grainspec_runtime.demo.drawing import Canvas, Pen, shade
from grainspec_runtime.demo.world import COLOURS, RGB, Figure

_INK: RGB = (28, 26, 32)


@dataclass(frozen=True, slots=True)
class _Face:
    """The face of a kind: eye height, half the distance between the eyes, position of the hat."""

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
    """The figure at the current phase of its step, raised by the height of the step."""
    return replace(figure, feet=figure.feet - 0.012 * abs(math.cos(figure.phase)))


def draw_figure(canvas: Canvas, figure: Figure, number: int) -> None:
    """Draw a figure with its accessories; its parts are labelled as those of figure ``number``."""
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
    """The box (x0, y0, x1, y1), in fractions of the frame, of a figure's ``part``.

    ``part`` is ``'eyes'``, where sunglasses are worn, or ``'hat'``. The box does not depend on
    whether the figure wears anything there.
    """
    face = _FACES[figure.kind]
    if part == "eyes":
        half, low, high = face.spread * 2.4, face.eyes - 0.075, face.eyes + 0.075
    elif part == "hat":
        half, low, high = face.rim_width * 1.3, face.rim - 0.03, face.rim + 0.20
    else:
        raise ValueError(f"unknown part {part!r}; choose 'eyes' or 'hat'")
    h, feet = figure.height, lifted(figure).feet
    half *= abs(figure.facing)
    return figure.x - half * h, feet - high * h, figure.x + half * h, feet - low * h


_AREAS = {
    "man": (0.298, 0.037),
    "robot": (0.329, 0.063),
    "bear": (0.392, 0.036),
    "cat": (0.302, 0.040),
    "alien": (0.217, 0.047),
    "penguin": (0.362, 0.051),
}
"""The area of a figure of height 1, on average over its step, and what a hat adds to it."""


def full_area(figure: Figure) -> float:
    """The area of a whole figure, as a share of the frame: measured, right to 6 %."""
    bare, hat = _AREAS[figure.kind]
    return (bare + hat * figure.hat) * figure.height**2 * abs(figure.facing)
