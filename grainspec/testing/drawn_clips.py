"""Drawn clips of moving objects, whose true masks are known: for tests of region sources.

A clip is rendered by NumPy alone, and the same arguments always give the same pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from grainspec.regions.layout import Mask

Frames = npt.NDArray[np.uint8]

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (214, 46, 44),
    "green": (48, 186, 62),
    "blue": (50, 66, 218),
}
"""The objects of a drawn clip, by their colours; everything else is grey."""

EVENTS = ("hidden", "leaves", "late", "shrinks", "hollow", "divided")
"""What may happen to the subject: another object passes in front of it in the middle of the clip;
it leaves the frame; it enters after the first frame; it gets small; it has a hole; it has two
pieces."""

_NOISE, _CHROMA = 10, 4
"""By so much pixels differ from their object's colour; by so little the channels of a grey."""


@dataclass(frozen=True, eq=False, repr=False)
class DrawnClip:
    """A clip and the true masks of its objects.

    ``frames``: uint8 ``[F, H, W, 3]``, RGB. ``masks``: the visible pixels of each object, bool
    ``[F, H, W]``, by its colour. ``subject`` is the object that the events happen to.

    >>> clip = drawn_clip(3, frames=2)
    >>> clip
    drawn_clip(3, frames=2)
    >>> clip.frames.shape, sorted(clip.masks), clip.truth.shape
    ((2, 64, 96, 3), ['blue', 'green', 'red'], (2, 64, 96))
    """

    frames: Frames
    masks: Mapping[str, Mask]
    subject: str
    made_by: str = field(default="DrawnClip(…)")

    @property
    def truth(self) -> Mask:
        """The masks of the subject."""
        return self.masks[self.subject]

    @property
    def others(self) -> dict[str, Mask]:
        """The masks of the other objects, by their colours."""
        return {name: mask for name, mask in self.masks.items() if name != self.subject}

    def __repr__(self) -> str:
        return self.made_by


def drawn_clip(
    seed: int = 0,
    *,
    size: tuple[int, int] = (96, 64),
    frames: int = 8,
    subject: str = "red",
    events: Collection[str] = (),
    plain: bool = False,
) -> DrawnClip:
    """Draw a clip of three objects, a red, a green and a blue one, that move apart.

    ``size`` is width and height in pixels. ``events`` are some of ``EVENTS``, and happen to the
    ``subject``. ``plain`` draws a background of one grey, not a textured one. ``seed`` determines
    shades, texture, and which way the objects move.

    >>> clip = drawn_clip(0, events=["hidden"])
    >>> clip.truth.any(axis=(1, 2)).tolist()  # hidden on frame 4
    [True, True, True, True, False, True, True, True]
    >>> red = (clip.frames[..., 0] > 150) & (clip.frames[..., 1] < 90)
    >>> np.array_equal(red, clip.masks["red"])
    True
    """
    if unknown := {*events} - {*EVENTS}:
        raise ValueError(f"unknown events {sorted(unknown)}; expected some of {EVENTS}")
    if subject not in COLOURS:
        raise ValueError(f"unknown subject {subject!r}; expected one of {[*COLOURS]}")
    width, height = size
    if frames < 1 or min(size) < 8:
        raise ValueError(f"{frames} frames of {width}x{height} cannot be drawn: at least 1 of 8x8")
    rng = np.random.default_rng(seed)
    turned = rng.integers(0, 2, 2).astype(bool)
    paths = _paths(subject, frames, {*events}, size)
    picture = _background(rng, frames, size, plain)
    masks = {name: np.zeros((frames, height, width), np.bool_) for name in paths}
    for name, path in paths.items():  # the last is in front
        shape = _drawn(path, size, turned, {*events} if name == subject else set())
        for behind in masks.values():
            behind &= ~shape
        masks[name] = shape
        noise = rng.integers(-_NOISE, _NOISE + 1, (int(shape.sum()), 3))
        picture[shape] = np.array(COLOURS[name]) + noise
    made_by = _call(seed, size=size, frames=frames, subject=subject, events=events, plain=plain)
    return DrawnClip(picture, masks, subject, made_by)


def _call(seed: int, **options: object) -> str:
    """The call that draws a clip again, without options that are the defaults."""
    defaults = {**(drawn_clip.__kwdefaults__ or {})}
    if isinstance(options["events"], Collection):
        options["events"] = tuple(sorted(options["events"]))
    said = [f"{name}={value!r}" for name, value in options.items() if value != defaults[name]]
    return f"drawn_clip({', '.join([str(seed), *said])})"


@dataclass(frozen=True)
class _Path:
    """Where an object is on each frame: its middle and its radius, in pixels, ``[F]`` each."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float64]


def _paths(subject: str, frames: int, events: set[str], size: tuple[int, int]) -> dict[str, _Path]:
    """The paths of all objects, from back to front.

    The subject crosses one half of the frame from side to side; the others move apart in the other
    half. Whatever passes in front of the subject meets it in the middle of the clip.
    """
    width, height = size
    time = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
    radius = 0.15 * min(size)
    begin = -0.3 if "late" in events else 0.17
    end = 1.3 if "leaves" in events else 0.8
    still = np.full(frames, radius)
    shrunk = radius * (1 - 0.7 * time) if "shrinks" in events else still
    moving = _Path(
        width * (begin + (end - begin) * time), height * (0.2 + 0.14 * time), np.maximum(shrunk, 1)
    )
    one, other = (name for name in COLOURS if name != subject)
    left = _Path(width * (0.38 - 0.22 * time), height * (0.78 - 0.06 * time), 0.8 * still)
    right = _Path(width * (0.6 + 0.24 * time), height * (0.7 + 0.08 * time), 0.9 * still)
    if "hidden" in events:
        middle = frames // 2
        ahead = time - time[middle]
        front = _Path(
            moving.x[middle] - 0.5 * width * ahead, moving.y[middle] + 0.5 * height * ahead,
            1.7 * still,
        )  # fmt: skip
        return {subject: moving, one: left, other: front}
    return {one: left, other: right, subject: moving}


def _drawn(
    path: _Path, size: tuple[int, int], turned: npt.NDArray[np.bool_], events: set[str]
) -> Mask:
    """An object on each frame: an ellipse with a corner, so that no mirror image is the same."""
    width, height = size
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    x = (width - path.x if turned[0] else path.x)[:, None, None]
    y = (height - path.y if turned[1] else path.y)[:, None, None]
    radius = path.radius[:, None, None]
    across, down = (columns - x) / radius, (rows[:, None] - y) / (0.8 * radius)
    corner = (across >= 0) & (across < 1) & (down < 0) & (down >= -1)
    shape = (across**2 + down**2 <= 1) | corner
    if "hollow" in events:
        shape &= (across + 0.4) ** 2 + down**2 > 0.4**2
    if "divided" in events:
        shape &= abs(across - 0.3) > 0.2
    return np.asarray(shape)


def _background(
    rng: np.random.Generator, frames: int, size: tuple[int, int], plain: bool
) -> Frames:
    """Grey pixels that do not move, with some noise of a camera on each frame."""
    width, height = size
    if plain:
        return np.full((frames, height, width, 3), rng.integers(60, 180), np.uint8)
    coarse = rng.integers(60, 180, (height // 6 + 2, width // 6 + 2))
    grey = coarse.repeat(6, 0).repeat(6, 1)[:height, :width] + rng.integers(
        -15, 16, (height, width)
    )
    noise = rng.integers(-_CHROMA, _CHROMA + 1, (frames, height, width, 3))
    return np.asarray((grey[None, ..., None] + noise).astype(np.uint8))
