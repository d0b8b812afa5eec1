"""Render scenes of the demo world, with the exact mask of every figure, part and place.

Because scenes are rendered, every edit of the demo world has an exact target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from grainspec_runtime.demo.drawing import SUPERSAMPLING, Canvas, shade
from grainspec_runtime.demo.figures import draw_figure
from grainspec_runtime.demo.world import BACKGROUNDS, GROUND_LINE, GROUNDS, PARTS, RGB, Scene

GROUND_SPEED = 2.0
"""How fast the ground scrolls, as a multiple of the background's speed."""


def _tiled(period: float, scroll: float, speed: float) -> Iterator[tuple[int, float]]:
    """Indices and positions of objects that repeat every ``period``, across the whole frame."""
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
        raise ValueError(f"unknown background {name!r}; choose from {', '.join(BACKGROUNDS)}")


def _draw_ground(canvas: Canvas, scene: Scene) -> None:
    line, name = GROUND_LINE, scene.ground
    tones: dict[str, tuple[RGB, RGB]] = {
        "grass": ((104, 184, 76), (66, 140, 52)),
        "sand": ((232, 202, 142), (204, 166, 104)),
        "snow": ((240, 245, 252), (196, 210, 232)),
        "road": ((112, 112, 120), (238, 238, 238)),
    }
    if name not in tones:
        raise ValueError(f"unknown ground {name!r}; choose from {', '.join(GROUNDS)}")
    plain, mark = tones[name]
    canvas.rectangle(0, line, 1, 1, plain)
    if name == "road":
        canvas.rectangle(0, line, 1, line + 0.025, shade(plain, -0.3))
        for _, x in _tiled(0.3, scene.scroll, GROUND_SPEED):
            canvas.rectangle(x, 0.955, x + 0.16, 0.975, mark)
    else:
        for number, x in _tiled(0.16, scene.scroll, GROUND_SPEED):
            y = line + 0.07 + 0.19 * ((number * 5) % 7) / 7
            if name == "grass":
                for lean in (-0.015, 0.015):
                    canvas.polygon(
                        [(x, y + 0.03), (x + 0.014, y + 0.03), (x + lean, y - 0.01)], mark
                    )
            else:
                canvas.ellipse(x, y, 0.024 if name == "snow" else 0.012, 0.01, mark)


def back_to_front(scene: Scene) -> list[int]:
    """The indices of the figures in drawing order."""
    return sorted(range(len(scene.figures)), key=lambda i: scene.figures[i].feet)


def draw_scene(canvas: Canvas, scene: Scene) -> None:
    """Draw the place, then the figures, back to front."""
    _draw_background(canvas, scene)
    _draw_ground(canvas, scene)
    for number in back_to_front(scene):
        draw_figure(canvas, scene.figures[number], number)


def render(
    scene: Scene, size: int = 96, *, parts: bool = True
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Render one frame and its masks.

    >>> from grainspec_runtime.demo.world import Figure
    >>> frame, masks = render(Scene((Figure("man", "red"),)), size=96)
    >>> frame.shape, frame.dtype, sorted(masks)[:3]
    ((96, 96, 3), dtype('uint8'), ['background', 'figure0', 'figure0.body'])

    Returns the frame, uint8 ``[size, size, 3]`` RGB, and masks of visible pixels, bool
    ``[size, size]``: ``figure<i>`` and ``figure<i>.<part>``, numbered as in ``scene.figures``,
    ``ground`` and ``background``. With ``parts=False``, which is faster, only the masks
    ``figure<i>``.
    """
    canvas = Canvas(size)
    draw_scene(canvas, scene)
    frame = np.asarray(canvas.image.reduce(SUPERSAMPLING))

    def visible(first: int, last: int) -> np.ndarray:
        """Pixels of which at least half of the samples have a label in first..last."""
        chosen = canvas.labels.point([255 * (first <= label <= last) for label in range(256)])
        return np.asarray(chosen.reduce(SUPERSAMPLING)) >= 128

    masks: dict[str, np.ndarray] = {}
    for number in range(len(scene.figures)):
        first = 1 + number * len(PARTS)
        masks[f"figure{number}"] = visible(first, first + len(PARTS) - 1)
        for index, part in enumerate(PARTS if parts else ()):
            masks[f"figure{number}.{part}"] = visible(first + index, first + index)
    if not parts:
        return frame, masks
    below_horizon = np.arange(size)[:, None] + 0.5 >= GROUND_LINE * size
    any_figure = visible(1, 255)
    masks["ground"] = ~any_figure & below_horizon
    masks["background"] = ~any_figure & ~below_horizon
    return frame, masks
