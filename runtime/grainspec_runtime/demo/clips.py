"""Random clips of the demo world: figures that walk, enter, leave, pass one another and turn.

A :class:`ClipScene` is the scene of the first frame, how each figure moves, and how the camera
pans. It gives a scene for every frame, so that frames, masks (:func:`render_clip`) and optical flow
(:func:`grainspec_runtime.demo.motion.exact_flow`) are exact. The same motion with other looks
(:meth:`ClipScene.with_looks`) is the exact target of an edit.

Per frame, everything moves less than in :func:`grainspec_runtime.demo.world.advance`: at 16 frames
per second, limbs swing as in a walk or a slow jog.

>>> clip = random_clip(1)
>>> len(clip.scenes()), render_clip(clip)[0].shape
(17, (17, 96, 96, 3))
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from grainspec_runtime.demo import world
from grainspec_runtime.demo.render import GROUND_SPEED, render
from grainspec_runtime.demo.world import Figure, Scene

ClipKind = Literal["walk", "enter", "leave", "cross", "turn"]
CLIP_KINDS: tuple[ClipKind, ...] = get_args(ClipKind)
"""What happens in a clip: every figure stays in the frame, one enters it, one leaves it, one passes
before another, or one turns round."""
FRAMES = 17
"""The default number of frames, which video VAEs with 4 x temporal compression can encode."""

FASTEST_SWING = 0.3
"""The largest change of a step's phase per frame, in radians; limbs turn by at most 0.9 of it."""
_SLOWEST_SWING = 0.06
_TURN_FRAMES = 5
_NARROWEST = 0.6
"""The width of a figure in the middle of its turn."""
_FASTEST_PAN: dict[ClipKind, float] = {
    "walk": 0.009,
    "enter": 0.004,
    "leave": 0.004,
    "cross": 0.004,
    "turn": 0.003,
}
"""How fast the camera pans: figures that cover much of the frame cannot also keep up with more."""
_STEP_LENGTH = 0.077
"""How far a step takes a figure of height 1 per radian of its phase, so that feet do not slide."""
_APART = 0.035
"""The least difference of the feet of two figures of which one passes before the other."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How a figure moves from frame to frame. All lengths are fractions of the frame.

    swing: change of the step's phase per frame, in radians. stride: how far the figure walks over
    the ground per frame, in the direction that it faces. down: change of ``feet`` per frame.
    growth: change of ``height`` per frame. turn: the frame in the middle of a turn, after which the
    figure walks in the other direction; None for no turn.
    """

    swing: float = 0.2
    stride: float = 0.0
    down: float = 0.0
    growth: float = 0.0
    turn: int | None = None

    def facing(self, figure: Figure, frame: int) -> float:
        """The figure's ``facing`` in a frame; its magnitude is below 1 in the middle of a turn."""
        if self.turn is None:
            return figure.facing
        done = min(1.0, max(0.0, (frame - self.turn) / _TURN_FRAMES + 0.5))
        turned = math.cos(math.pi * done)
        return figure.facing * math.copysign(max(abs(turned), _NARROWEST), turned)


@dataclass(frozen=True, slots=True)
class ClipScene:
    """A clip: the scene of its first frame, and the motion of each figure and of the camera.

    motions: one for each of ``first.figures``. pan: how far the camera moves right per frame; the
    background scrolls by this fraction of the frame, and the ground by twice as much. Figures that
    are outside the frame stay in ``figures``, so that their numbers are the same in all frames.
    """

    first: Scene
    motions: tuple[Motion, ...]
    pan: float = 0.0
    frames: int = FRAMES
    kind: ClipKind = "walk"

    def scene(self, frame: int) -> Scene:
        """The scene in a frame, counted from 0."""
        figures = tuple(
            self._moved(figure, motion, frame)
            for figure, motion in zip(self.first.figures, self.motions, strict=True)
        )
        return replace(self.first, figures=figures, scroll=self.first.scroll + self.pan * frame)

    def scenes(self) -> list[Scene]:
        """The scenes of all frames."""
        return [self.scene(frame) for frame in range(self.frames)]

    def with_looks(self, scene: Scene) -> ClipScene:
        """The same motion with the looks of another scene's figures and place.

        ``scene`` has as many figures; their kinds, colours and accessories are taken, in order.
        """
        figures = tuple(
            replace(
                figure,
                kind=looks.kind,
                colour=looks.colour,
                hat=looks.hat,
                sunglasses=looks.sunglasses,
            )
            for figure, looks in zip(self.first.figures, scene.figures, strict=True)
        )
        first = replace(self.first, background=scene.background, ground=scene.ground)
        return replace(self, first=replace(first, figures=figures))

    def _moved(self, figure: Figure, motion: Motion, frame: int) -> Figure:
        walked = motion.stride * sum(motion.facing(figure, i + 1) for i in range(frame))
        return replace(
            figure,
            x=figure.x + walked - GROUND_SPEED * self.pan * frame,
            feet=figure.feet + motion.down * frame,
            height=figure.height + motion.growth * frame,
            phase=figure.phase + motion.swing * frame,
            facing=motion.facing(figure, frame),
        )


def render_clip(
    clip: ClipScene, size: int = 96, *, parts: bool = True
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Render a clip and its masks.

    Returns the frames, uint8 ``[F, size, size, 3]`` RGB, and the masks of
    :func:`grainspec_runtime.demo.render.render` by name, bool ``[F, size, size]``.
    """
    drawn = [render(scene, size, parts=parts) for scene in clip.scenes()]
    names = drawn[0][1]
    return (
        np.stack([frame for frame, _ in drawn]),
        {name: np.stack([masks[name] for _, masks in drawn]) for name in names},
    )


def random_clip(
    seed: int | random.Random,
    kinds: Sequence[ClipKind] = CLIP_KINDS,
    *,
    frames: int = FRAMES,
    figures: int | None = None,
) -> ClipScene:
    """Draw a random clip of one of ``kinds``, with one to three figures or exactly ``figures``.

    The same seed always gives the same clip.
    """
    rng = random.Random(seed) if isinstance(seed, int) else seed
    kind = rng.choice(kinds)
    count = figures or rng.choices((1, 2, 3), weights=(20, 60, 20))[0]
    if kind == "cross":
        count = max(count, 2)
    scene = world.random_scene(rng, figures=count)
    if kind == "cross":
        scene = with_depths(scene, rng)
    return set_in_motion(scene, kind, rng, frames=frames)


def with_depths(scene: Scene, rng: random.Random) -> Scene:
    """Give the figures feet that are clearly apart, in random order: it is seen who is in front."""
    highest = rng.uniform(0.84, 0.87)
    feet = [highest + number * rng.uniform(_APART, 0.05) for number in range(len(scene.figures))]
    rng.shuffle(feet)
    figures = tuple(replace(f, feet=y) for f, y in zip(scene.figures, feet, strict=True))
    return replace(scene, figures=figures)


def set_in_motion(
    scene: Scene, kind: ClipKind, rng: random.Random, *, frames: int = FRAMES
) -> ClipScene:
    """Give the figures of a scene and the camera random motions, as ``kind`` says.

    Figures start and end elsewhere than in ``scene`` where ``kind`` needs it.
    """
    pan = 0.0
    if rng.random() < 0.65:
        pan = rng.uniform(0.001, _FASTEST_PAN[kind]) * rng.choice((1, -1))
    paths = [_stay(figure, rng) for figure in scene.figures]
    chosen = rng.randrange(len(paths))
    if kind == "enter":
        paths[chosen] = _enter(scene.figures[chosen], paths[chosen][1], rng)
    elif kind == "leave":
        end, start = _enter(scene.figures[chosen], paths[chosen][0], rng)
        paths[chosen] = (start, end)
    elif kind == "cross":
        paths = _cross(paths, rng)
    turn = rng.randint(frames // 3, frames - frames // 3) if kind == "turn" else None
    figures, motions = [], []
    for number, (figure, path) in enumerate(zip(scene.figures, paths, strict=True)):
        if kind == "turn" and number == chosen:
            moved, motion = _turning(figure, turn, pan, rng)
        else:
            moved, motion = _walking(figure, path, pan, frames, rng)
        figures.append(moved)
        motions.append(_nearer(moved, motion, frames, rng) if kind == "walk" else motion)
    first = replace(scene, figures=tuple(figures))
    if not _same_order(figures, motions, frames):
        motions = [replace(motion, down=0.0, growth=0.0) for motion in motions]
    return ClipScene(first, tuple(motions), pan, frames, kind)


Path = tuple[float, float]
"""The ``x`` of a figure in the first and in the last frame."""


def _stay(figure: Figure, rng: random.Random) -> Path:
    """Somewhere in the frame near the figure's place, or marching on the spot."""
    if rng.random() < 0.2:
        return figure.x, figure.x
    half = 0.2 * figure.height
    end = figure.x + rng.uniform(-0.16, 0.16)
    return figure.x, min(1 - half, max(half, end))


def _enter(figure: Figure, inside: float, rng: random.Random) -> Path:
    """From outside the frame, or half outside, at the side that is nearer, to ``inside``."""
    outside = rng.uniform(0.0, 0.3) * figure.height
    inside = min(0.68, max(0.32, inside))
    return (-outside, inside - 0.1) if inside < 0.5 else (1 + outside, inside + 0.1)


def _cross(paths: list[Path], rng: random.Random) -> list[Path]:
    """Let two neighbours change places, or one pass the other, which stays where it is."""
    order = sorted(range(len(paths)), key=lambda i: paths[i][0])
    at = rng.randrange(len(order) - 1)
    left, right = order[at], order[at + 1]
    crossed = list(paths)
    if rng.random() < 0.6:
        low, high = rng.uniform(0.2, 0.34), rng.uniform(0.66, 0.8)
        crossed[left], crossed[right] = (low, high), (high, low)
    else:
        walker, other = (left, right) if rng.random() < 0.5 else (right, left)
        middle = rng.uniform(0.42, 0.58)
        low, high = middle - rng.uniform(0.22, 0.3), middle + rng.uniform(0.22, 0.3)
        crossed[walker] = (low, high) if walker == left else (high, low)
        crossed[other] = (middle, middle)
    return crossed


def _walking(
    figure: Figure, path: Path, pan: float, frames: int, rng: random.Random
) -> tuple[Figure, Motion]:
    """Walk straight from one ``x`` to the other, while the camera pans."""
    start, end = path
    speed = (end - start) / max(1, frames - 1) + GROUND_SPEED * pan
    facing = figure.facing if speed == 0 else int(math.copysign(1, speed))
    motion = Motion(_swing(figure, abs(speed), rng), abs(speed))
    return replace(figure, x=start, facing=facing), motion


def _turning(
    figure: Figure, turn: int | None, pan: float, rng: random.Random
) -> tuple[Figure, Motion]:
    """Walk, turn round, and walk back, away from the frame's borders."""
    speed = rng.uniform(0.004, 0.012)
    motion = Motion(_swing(figure, speed, rng), speed, turn=turn)
    inward = 1 if figure.x < 0.5 else -1
    return replace(figure, facing=inward), motion


def _swing(figure: Figure, speed: float, rng: random.Random) -> float:
    """The swing of a step that walks about this fast; a figure without speed jogs on the spot."""
    if speed < 0.001:
        return rng.uniform(_SLOWEST_SWING, FASTEST_SWING)
    swing = speed / (_STEP_LENGTH * figure.height) * rng.uniform(0.7, 1.2)
    slow, fast = rng.uniform(1, 2) * _SLOWEST_SWING, rng.uniform(0.7, 1) * FASTEST_SWING
    return min(fast, max(slow, swing))


def _nearer(figure: Figure, motion: Motion, frames: int, rng: random.Random) -> Motion:
    """Let some figures come nearer or go away, without leaving the ground or the frame."""
    if rng.random() > 0.3:
        return motion
    feet = min(0.97, max(0.84, figure.feet + rng.uniform(-0.07, 0.07)))
    down = (feet - figure.feet) / max(1, frames - 1)
    return replace(motion, down=down, growth=1.4 * down * figure.height)


def _same_order(figures: list[Figure], motions: list[Motion], frames: int) -> bool:
    """Whether the drawing order, which follows from the feet, never changes."""
    before = [figure.feet for figure in figures]
    after = [y + m.down * (frames - 1) for y, m in zip(before, motions, strict=True)]
    numbers = range(len(figures))
    return sorted(numbers, key=lambda i: before[i]) == sorted(numbers, key=lambda i: after[i])
