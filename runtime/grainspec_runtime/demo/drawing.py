"""The drawing primitives of the demo world: a canvas, and a pen in a figure's coordinates."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from grainspec_runtime.demo.world import PARTS, RGB, Figure

SUPERSAMPLING = 4
"""The number of canvas rows and columns per frame row and column."""


def shade(colour: RGB, amount: float) -> RGB:
    """Darken a colour for ``amount`` in [-1, 0), or lighten it for ``amount`` in (0, 1]."""
    target = 255 if amount > 0 else 0
    red, green, blue = (round(c + (target - c) * abs(amount)) for c in colour)
    return red, green, blue


class Canvas:
    """A supersampled image, and a label image of the same size that numbers figures and parts."""

    def __init__(self, size: int) -> None:
        self.size = size * SUPERSAMPLING
        self.image = Image.new("RGB", (self.size, self.size))
        self.labels = Image.new("L", (self.size, self.size))
        self.label = 0
        self._draw = ImageDraw.Draw(self.image)
        self._draw_label = ImageDraw.Draw(self.labels)

    def polygon(self, points: list[tuple[float, float]], fill: RGB) -> None:
        """Fill a polygon whose corners are in fractions of the frame."""
        scaled = [(x * self.size, y * self.size) for x, y in points]
        self._draw.polygon(scaled, fill=fill)
        self._draw_label.polygon(scaled, fill=self.label)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB) -> None:
        """Fill an ellipse centred at (x, y)."""
        box = [(x - rx) * self.size, (y - ry) * self.size]
        box += [(x + rx) * self.size, (y + ry) * self.size]
        self._draw.ellipse(box, fill=fill)
        self._draw_label.ellipse(box, fill=self.label)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """Fill an axis-aligned rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)


class Pen:
    """Draws in a figure's own coordinates: height 1, origin between the feet, y pointing up."""

    def __init__(self, canvas: Canvas, figure: Figure, number: int) -> None:
        self._canvas = canvas
        self._figure = figure
        self._number = number
        self.part("body")

    def part(self, name: str) -> None:
        """Assign everything drawn from now on to this part."""
        self._canvas.label = 1 + self._number * len(PARTS) + PARTS.index(name)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Convert a point to fractions of the frame."""
        f = self._figure
        return f.x + f.facing * x * f.height, f.feet - y * f.height

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: RGB) -> None:
        """Fill an ellipse centred at (x, y)."""
        cx, cy = self.place(x, y)
        height, width = self._figure.height, abs(self._figure.facing)
        self._canvas.ellipse(cx, cy, rx * height * width, ry * height, fill)

    def polygon(self, points: list[tuple[float, float]], fill: RGB) -> None:
        """Fill a polygon."""
        self._canvas.polygon([self.place(x, y) for x, y in points], fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        """Fill a rectangle that is axis-aligned in the figure's coordinates."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)

    def limb(
        self, x: float, y: float, angle: float, length: float, width: float, fill: RGB
    ) -> tuple[float, float]:
        """Draw a round-ended stroke from (x, y), ``angle`` from straight down; returns its end."""
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
