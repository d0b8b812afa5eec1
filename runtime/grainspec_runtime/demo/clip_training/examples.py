"""The training data: pairs of frames that differ in one thing, with captions of both.

Frames are renders of random scenes and frames of random clips; of some, only the surroundings of
one figure are shown, as when a measure looks at one instance.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np

from grainspec_runtime.demo import world
from grainspec_runtime.demo.clip_data import visible_share
from grainspec_runtime.demo.clip_training.statements import (
    CHANGES,
    MOST_FACTS,
    Change,
    Facts,
    Statement,
    changed,
    changed_figure,
    complete,
    facts_of,
    one_figure,
    random_statement,
)
from grainspec_runtime.demo.clips import FRAMES, random_clip
from grainspec_runtime.demo.dataset import map_chunks, mask_box
from grainspec_runtime.demo.render import render
from grainspec_runtime.demo.world import Scene

SIZE = 96
CAPTIONS = 3
"""Captions of each frame; each has one that is false because one word is changed."""
_FROM_CLIPS, _CLOSE_UPS = 0.5, 0.25
_NAMED, _UNSEEN = 0.35, 0.03
"""A figure is named if at least this share of it is visible; frames that show less of a figure,
but not as little as the second, are not used."""
_WHOLE = (0.0, 0.0, 1.0, 1.0)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Examples:
    """``n`` frames and their captions; frames 2 i and 2 i + 1 differ in one thing.

    frames: uint8 ``[n, SIZE, SIZE, 3]``. boxes: float32 ``[n, 4]``, the part that is shown (x0, y0,
    x1, y1 in [0, 1]). truths: int16 ``[n, MOST_FACTS]``, facts of a frame, then -1. words: ``n``
    lists of captions. facts: int16 ``[n, captions, MOST_FACTS]``, what each caption states.
    false_words, false_facts: the same for captions of which one word is changed, so that they are
    not true of the frame. changes: what differs within each pair of frames, ``n / 2`` of
    :data:`CHANGES`.
    """

    frames: np.ndarray
    boxes: np.ndarray
    truths: np.ndarray
    words: list[list[str]]
    facts: np.ndarray
    false_words: list[list[str]]
    false_facts: np.ndarray
    changes: list[Change]


def training_examples(pairs: int, *, seed: int, workers: int = 1) -> Examples:
    """Draw random pairs of frames; pair ``i`` depends only on ``seed + i``."""
    return _joined(map_chunks(_training_chunk, range(seed, seed + pairs), workers))


def held_out_examples(
    scenes: int, *, changed_ways: int, seed: int, from_clips: bool, workers: int = 1
) -> Examples:
    """Draw random scenes and render each as it is and with one thing changed, in several ways.

    Each scene has ``1 + changed_ways`` consecutive frames, all with one complete caption. The
    changes go through all of :data:`CHANGES` in order.
    """
    job = partial(_held_out_chunk, ways=changed_ways, from_clips=from_clips)
    return _joined(map_chunks(job, range(seed, seed + scenes), workers))


@dataclass(frozen=True, slots=True)
class _Example:
    scene: Scene
    box: Box
    truth: Facts
    captions: list[Statement]
    false: list[Statement]


def _training_chunk(seeds: range) -> Examples:
    examples: list[_Example] = []
    changes: list[Change] = []
    for seed in seeds:
        rng = random.Random(seed)
        scene, boxes = _seen(_random_scene(rng, from_clips=rng.random() < _FROM_CLIPS), rng)
        close_up = rng.random() < _CLOSE_UPS
        change = rng.choice(CHANGES[:3] if close_up else CHANGES)
        if close_up:
            number = rng.randrange(len(scene.figures))
            figure = scene.figures[number]
            other = changed_figure(figure, change, rng)
            figures = [other if i == number else f for i, f in enumerate(scene.figures)]
            box = _around(boxes[number], rng)
            pair = [scene, replace(scene, figures=tuple(figures))]
            examples += [_close_up(one, number, box, rng) for one in pair]
        else:
            pair = [scene, _really_changed(scene, change, rng)]
            examples += [_whole(one, rng) for one in pair]
        changes.append(change)
    return _rendered(examples, changes)


def _held_out_chunk(seeds: range, *, ways: int, from_clips: bool) -> Examples:
    examples: list[_Example] = []
    changes: list[Change] = []
    for seed in seeds:
        rng = random.Random(seed)
        scene, _ = _seen(_random_scene(rng, from_clips=from_clips), rng)
        chosen = [CHANGES[way % len(CHANGES)] for way in range(ways)]
        scenes = [scene, *(_really_changed(scene, change, rng) for change in chosen)]
        state = rng.getstate()
        for one in scenes:
            rng.setstate(state)  # so that the captions name the figures in the same order
            caption = complete(one, rng)
            examples.append(_Example(one, _WHOLE, caption.facts, [caption], []))
        changes += chosen
    return _rendered(examples, changes)


def _random_scene(rng: random.Random, *, from_clips: bool) -> Scene:
    if not from_clips:
        return world.random_scene(rng)
    return random_clip(rng).scene(rng.randrange(FRAMES))


def _seen(scene: Scene, rng: random.Random) -> tuple[Scene, list[Box]]:
    """A scene without the figures that are out of sight, and the boxes of those that are seen.

    If one is hardly visible, or none is, another scene is drawn.
    """
    while True:
        _, masks = render(scene, SIZE, parts=False)
        visible = [masks[f"figure{number}"] for number in range(len(scene.figures))]
        shares = [visible_share(m, f) for m, f in zip(visible, scene.figures, strict=True)]
        if max(shares) >= _NAMED and not any(_UNSEEN < share < _NAMED for share in shares):
            kept = [number for number, share in enumerate(shares) if share >= _NAMED]
            figures = tuple(scene.figures[number] for number in kept)
            return replace(scene, figures=figures), [mask_box(visible[number]) for number in kept]
        scene = _random_scene(rng, from_clips=True)


def _really_changed(scene: Scene, change: Change, rng: random.Random) -> Scene:
    """Change a scene so that its facts differ: colours that only change places do not count."""
    before = _truth(scene)
    while True:
        other = changed(scene, change, rng)
        if _truth(other) != before:
            return other


def _truth(scene: Scene) -> Facts:
    return facts_of(scene.figures, scene.ground, scene.background)


def _whole(scene: Scene, rng: random.Random) -> _Example:
    captions, false = [], []
    for _ in range(CAPTIONS):
        again = random.Random()
        again.setstate(rng.getstate())
        captions.append(random_statement(scene, rng))
        false.append(_false(scene, captions[-1], again, rng))
    return _Example(scene, _WHOLE, _truth(scene), captions, false)


def _false(scene: Scene, caption: Statement, again: random.Random, rng: random.Random) -> Statement:
    """The caption of a scene in which one thing differs that ``caption`` names, worded alike.

    ``again`` draws what ``caption`` was drawn with.
    """
    truth, drawn = set(_truth(scene)), again.getstate()
    while True:
        again.setstate(drawn)
        statement = random_statement(changed(scene, rng.choice(CHANGES), rng), again)
        if not set(statement.facts) <= truth and statement.words != caption.words:
            return statement


def _close_up(scene: Scene, number: int, box: Box, rng: random.Random) -> _Example:
    figure = scene.figures[number]
    captions = [one_figure(figure, rng) for _ in range(CAPTIONS)]
    false = [
        one_figure(changed_figure(figure, rng.choice(CHANGES[:3]), rng), rng)
        for _ in range(CAPTIONS)
    ]
    return _Example(scene, box, facts_of([figure], scene.ground, scene.background), captions, false)


def _around(box: Box, rng: random.Random) -> Box:
    """A square around a box, widened at random, inside the frame."""
    x0, y0, x1, y1 = box
    side = min(1.0, max(x1 - x0, y1 - y0) * rng.uniform(1.05, 1.35))
    left = min(1 - side, max(0.0, (x0 + x1 - side) / 2))
    top = min(1 - side, max(0.0, (y0 + y1 - side) / 2))
    return left, top, left + side, top + side


def _rendered(examples: list[_Example], changes: list[Change]) -> Examples:
    return Examples(
        frames=np.stack([render(e.scene, SIZE, parts=False)[0] for e in examples]),
        boxes=np.array([e.box for e in examples], np.float32),
        truths=np.array([_padded(e.truth) for e in examples], np.int16),
        words=[[caption.words for caption in e.captions] for e in examples],
        facts=_facts([e.captions for e in examples]),
        false_words=[[caption.words for caption in e.false] for e in examples],
        false_facts=_facts([e.false for e in examples]),
        changes=changes,
    )


def _facts(statements: list[list[Statement]]) -> np.ndarray:
    rows = [[_padded(statement.facts) for statement in some] for some in statements]
    return np.array(rows, np.int16).reshape(len(rows), -1, MOST_FACTS)


def _padded(facts: Facts) -> list[int]:
    return [*facts, *[-1] * (MOST_FACTS - len(facts))]


def _joined(parts: Sequence[Examples]) -> Examples:
    joined: dict[str, Any] = {}
    for name in (field.name for field in fields(Examples)):
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], np.ndarray):
            joined[name] = np.concatenate(values)
        else:
            joined[name] = [row for rows in values for row in rows]
    return Examples(**joined)
