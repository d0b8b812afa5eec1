"""Layouts: regions that move, overlap, contain each other, and are sometimes absent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from grainspec.regions.layout import Layout, Mask
from grainspec.testing.strategies.values import BYTES, Rolls


@st.composite
def layouts(
    draw: st.DrawFn,
    names: Sequence[str],
    *,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    cell: int = 8,
) -> Layout:
    """Layouts with one region per name; none is empty on all frames.

    Regions are boxes, ellipses, corners, rings, lines, scattered pixels, the whole frame or all but
    a box. Each moves with its own velocity; it may lie inside another region, across its edge or on
    all of it, and be absent on some frames. ``size`` is the width and height in pixels; without it
    frames are oblong, with sides that are multiples of ``cell``, the side of a latent token. Sides
    and positions of regions are often multiples of it or of its half. Without ``frames`` there are
    one to five.

    >>> from hypothesis import find
    >>> find(layouts(["left"]), lambda layout: len(layout.frames) == 2).bits_FHW.shape
    (2, 8, 16)
    """
    canvas = read_canvas(Rolls(draw(BYTES)), cell, size=size, frames=frames)
    return layout_of(canvas, {name: Rolls(draw(BYTES)) for name in names})


@dataclass(frozen=True)
class Canvas:
    """The numbers of the source frames, their size in pixels, and the side of a latent token.

    ``together``: how many frames the first latent frame stands for.
    """

    frames: tuple[int, ...]
    width: int
    height: int
    cell: int
    together: int = 1


def read_canvas(
    rolls: Rolls,
    cell: int,
    *,
    size: tuple[int, int] | None = None,
    frames: int | None = None,
    frames_per_latent: int = 1,
    first_frames: int = 1,
) -> Canvas:
    """Read a frame size, unless it is given, and the numbers of one to five latent frames."""
    most = max(64 // cell, 3)
    rows, columns = 1 + rolls.upto(most - 1), 1 + rolls.upto(most - 1)
    if rows == columns:
        columns += 1
    width, height = size or (columns * cell, rows * cell)
    more = rolls.of((0, 1, 2, 2, 3, 4)[: 6 if cell < 16 else 4])
    count = first_frames + frames_per_latent * more
    first, step = rolls.of((0, 0, 3, 10)), rolls.of((1, 1, 2))
    chosen = range(first, first + (frames or count) * step, step)
    return Canvas(tuple(chosen), width, height, cell, first_frames)


def layout_of(
    canvas: Canvas,
    shapes: Mapping[str, Rolls],
    owners: Mapping[str, str] | None = None,
    kept: Collection[str] = (),
    edited: Collection[str] | None = None,
) -> Layout:
    """Draw a shape per region.

    Those with an owner lie on it, wherever it moves. ``kept`` regions leave room for others. The
    first of the ``edited`` regions, or of all, is nearly always large enough for a latent token.
    """
    owners = owners or {}
    wholes = [name for name in shapes if name not in owners and name not in kept]
    solid = next((name for name in wholes if edited is None or name in edited), None)
    tracks: dict[str, Track] = {}
    masks: dict[str, Mask] = {}
    for name in _owners_first(shapes, owners):
        rolls, owner = shapes[name], owners.get(name, "")
        kind = rolls.of(_SHAPES if name in wholes else _SMALL_SHAPES)
        track = _track(rolls, canvas, [*tracks.values()], tracks.get(owner))
        if name == solid and rolls.upto(11) < 11:
            kind, track = kind if kind in _SOLID_SHAPES else "box", _with_a_cell(track, canvas)
        if name in kept:
            track[:, 2:] = track[:, :2] + np.maximum((track[:, 2:] - track[:, :2]) // 2, 1)
        mask = _painted(kind, canvas, track)
        # The first latent frame has the solid region, but for its last frame.
        shown = min(canvas.together, len(mask)) - 1
        _hide(rolls, mask[shown:] if name == solid else mask)
        if owner in masks and not (mask & masks[owner]).any():
            mask |= masks[owner] & _every_second(canvas)
        if not mask.any():
            mask[0, : canvas.cell, : canvas.cell] = True
        tracks[name], masks[name] = track, mask
    return Layout.of({name: masks[name] for name in shapes}, canvas.frames)


def _every_second(canvas: Canvas) -> Mask:
    """Every second square of half a latent token's side, ``[H, W]``."""
    half = max(canvas.cell // 2, 1)
    rows, columns = np.arange(canvas.height) // half, np.arange(canvas.width) // half
    return np.asarray((rows[:, None] + columns) % 2 == 0)


def _owners_first(names: Iterable[str], owners: Mapping[str, str]) -> list[str]:
    def depth(name: str) -> int:
        return 1 + depth(owners[name]) if name in owners else 0

    return sorted(names, key=depth)


# --- where a region is ---

Track = npt.NDArray[np.int64]
"""Left, top, right and bottom of a region on every frame, ``[F, 4]``; outside the frame too."""


def _track(rolls: Rolls, canvas: Canvas, others: Sequence[Track], owner: Track | None) -> Track:
    """Read where a region starts, how large it is, and how it moves and grows."""
    wide, high = _side(rolls, canvas.width, canvas), _side(rolls, canvas.height, canvas)
    left, top = _place(rolls, canvas.width, canvas), _place(rolls, canvas.height, canvas)
    velocities = (1, -1, 2, -3, canvas.cell, -canvas.cell)
    # Another one for each region, so that even those that are read from equal bytes move apart.
    velocity = [
        velocities[(roll + len(others)) % len(velocities)] if (roll := rolls.upto(7)) else 0
        for _ in "xy"
    ]
    growth = rolls.of((0, 0, 0, 0, 1, -1))
    relation = rolls.of(("apart", "apart", "inside", "across", "same"))
    base = owner
    if base is None and others and relation != "apart":
        base = others[rolls.upto(len(others) - 1)]
    elif base is not None and relation in ("apart", "same"):
        relation = "inside"
    times = np.arange(len(canvas.frames))[:, None]
    moves = times * np.array([*velocity, *velocity]) + times * growth * np.array([0, 0, 1, 1])
    if base is None:
        return np.asarray(moves + np.array([left, top, left + wide, top + high]))
    if relation == "same":
        return base.copy()
    start, extent = base[:, :2], base[:, 2:] - base[:, :2]
    if relation == "across":  # its top left corner is the middle of the other
        corner, sides = start + extent // 2, np.minimum((wide, high), extent)
    else:
        sides = np.minimum((wide, high), np.maximum(extent // 2, 1))
        corner = start + np.minimum((left, top), np.maximum(extent - sides, 0))
    track = np.hstack([corner, corner + sides])
    return np.asarray(track if owner is not None else track + moves)


def _side(rolls: Rolls, extent: int, canvas: Canvas) -> int:
    """A side of a region, often a multiple of a latent token's side or of its half."""
    unit = rolls.of((canvas.cell, canvas.cell, max(canvas.cell // 2, 1), 1))
    return unit * (1 + rolls.upto(max(extent // unit - 1, 0)))


def _place(rolls: Rolls, extent: int, canvas: Canvas) -> int:
    """A region's left or top, which may lie outside the frame."""
    unit = rolls.of((canvas.cell, canvas.cell, max(canvas.cell // 2, 1), 1))
    return unit * (rolls.upto(max(extent // unit - 1, 0)) - rolls.of((0, 0, 0, 1)))


def _with_a_cell(track: Track, canvas: Canvas) -> Track:
    """The region moved into the frame, and enlarged to a latent token's size at least."""
    last = np.array([canvas.width - canvas.cell, canvas.height - canvas.cell])
    corner = np.clip(track[:, :2], 0, np.maximum(last, 0))
    return np.hstack([corner, np.maximum(track[:, 2:], corner + canvas.cell)])


def _hide(rolls: Rolls, mask: Mask) -> None:
    """Remove a region from some frames, but not from all."""
    last = len(mask) - 1
    hidden = rolls.of((None, None, None, None, "first", "last", "odd", "others"))
    if hidden == "odd":
        mask[1::2] = False
    elif hidden == "others" and last:
        shown = rolls.upto(last)
        mask[:shown], mask[shown + 1 :] = False, False
    elif hidden and last:
        mask[0 if hidden == "first" else last] = False


# --- its shape ---


def _painted(kind: str, canvas: Canvas, track: Track) -> Mask:
    """The pixels of a shape on every frame, bool ``[F, H, W]``."""
    left, top, right, bottom = track.T[..., None]
    x, y = np.arange(canvas.width), np.arange(canvas.height)
    columns, rows = (left <= x) & (x < right), (top <= y) & (y < bottom)
    box = rows[:, :, None] & columns[:, None, :]
    return _PAINTERS[kind](box, (x - left)[:, None, :], (y - top)[:, :, None], track)


_Offsets = npt.NDArray[np.int64]
"""Columns or rows of pixels, counted from the region's corner."""
_Painter = Callable[[Mask, _Offsets, _Offsets, Track], Mask]


def _ellipse(box: Mask, x: _Offsets, y: _Offsets, track: Track) -> Mask:
    wide, high = np.maximum(track[:, 2:] - track[:, :2], 1).T[..., None, None]
    across, down = (2 * x + 1 - wide) / wide, (2 * y + 1 - high) / high
    return np.asarray(box & (across**2 + down**2 <= 1))


def _quadrant(x: _Offsets, y: _Offsets, track: Track) -> Mask:
    wide, high = (track[:, 2:] - track[:, :2]).T[..., None, None]
    return np.asarray((2 * x >= wide) & (2 * y < high))


def _ring(box: Mask, x: _Offsets, y: _Offsets, track: Track) -> Mask:
    wide, high = (track[:, 2:] - track[:, :2]).T[..., None, None]
    across = (4 * x >= wide) & (4 * x < 3 * wide)
    return np.asarray(box & ~(across & (4 * y >= high) & (4 * y < 3 * high)))


_PAINTERS: dict[str, _Painter] = {
    "box": lambda box, x, y, track: box,
    "ellipse": _ellipse,
    "corner": lambda box, x, y, track: box & ~_quadrant(x, y, track),
    "ring": _ring,
    "all": lambda box, x, y, track: box | True,
    "outside": lambda box, x, y, track: ~box,
    "scattered": lambda box, x, y, track: box & ((x * 5 + y * 3) % 7 < 2),
    "chequered": lambda box, x, y, track: box & ((x + y) % 2 == 0),
    "row": lambda box, x, y, track: box & (y == 0),
    "column": lambda box, x, y, track: box & (x == 0),
    "diagonal": lambda box, x, y, track: box & (x == y),
}
_SHAPES = (
    "box", "box", "box", "ellipse", "ellipse", "corner", "ring", "all", "outside", "scattered",
    "chequered", "row", "column", "diagonal",
)  # fmt: skip
_SOLID_SHAPES = ("box", "ellipse", "corner", "all")
_SMALL_SHAPES = tuple(kind for kind in _SHAPES if kind not in ("all", "outside"))
