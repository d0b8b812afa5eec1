"""Engines that know the answer: coloured squares that move over a grey clip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from grainspec import EditSpec, load
from grainspec_runtime.tracking import registry
from grainspec_runtime.tracking.engine import (
    Detection,
    EngineRow,
    Frame,
    FrameReader,
    TrackedFrame,
    TrackedObject,
)

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}
SIDE = 12


def square(name: str, frame: int) -> tuple[int, int]:
    """The left and top of a square: red goes right, blue goes left, green stays."""
    return {"red": (4 + 2 * frame, 6), "blue": (44 - 2 * frame, 26), "green": (30, 2)}[name]


def write_clip(folder: Path, frames: int = 8, names: Sequence[str] = ("red", "blue")) -> None:
    """Frames of 64x48 with these squares."""
    folder.mkdir()
    for number in range(frames):
        picture = np.full((48, 64, 3), 120, np.uint8)
        for name in names:
            left, top = square(name, number)
            picture[top : top + SIDE, left : left + SIDE] = COLOURS[name]
        Image.fromarray(picture).save(folder / f"{number:05}.png")


def spec_of(base: Path, regions: str, video: str = 'video "clip"', more: str = "") -> EditSpec:
    """Write `edit.grain` over the clip, which edits its first region, and load it."""
    name = regions.partition("region ")[2].partition(" ")[0]
    text = f'grain 1\n{video}\ntarget "a green robot"\n{regions}\n{more}\n'
    (base / "edit.grain").write_text(f'{text}edit {name} -> "green robot"\n')
    return load(base / "edit.grain")


def inside(name: str, frame: int) -> np.ndarray:
    """The exact mask of a square."""
    mask = np.zeros((48, 64), bool)
    left, top = square(name, frame)
    mask[top : top + SIDE, left : left + SIDE] = True
    return mask


@dataclass
class FakeTracker:
    """Follows the colour under the first point, the middle of the box, or most of the mask.

    ``doubted`` are frames of low confidence, ``blind`` those on which it sees nothing. It stops
    with KeyboardInterrupt after ``stops_after`` frames. ``calls`` are the finished frames that each
    call was given, ``yielded`` those that it made.
    """

    name: str = "colour"
    weights: str = ""
    version: str = "1"
    doubted: frozenset[int] = frozenset()
    blind: frozenset[int] = frozenset()
    stops_after: int | None = None
    calls: list[list[int]] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    yielded: list[int] = field(default_factory=list)

    def track(
        self,
        frames: FrameReader,
        objects: Sequence[TrackedObject],
        finished: Mapping[int, TrackedFrame],
    ) -> Iterator[TrackedFrame]:
        self.calls.append(sorted(finished))
        self.objects = [each.name for each in objects]
        colours = [self._colour(frames, each) for each in objects]
        prompted = objects[0].prompts[0].index
        order = [*range(prompted, len(frames)), *range(prompted - 1, -1, -1)]
        for index in order:
            if index in finished:
                continue
            if self.stops_after is not None and len(self.yielded) >= self.stops_after:
                raise KeyboardInterrupt
            labels = np.zeros(frames[index].shape[:2], np.uint8)
            for number, colour in enumerate(colours, start=1):
                if index not in self.blind:
                    labels[(frames[index] == colour).all(axis=2)] = number
            sure = 0.2 if index in self.doubted | self.blind else 0.9
            self.yielded.append(index)
            yield TrackedFrame(index, labels, np.full(len(colours), sure, np.float32))

    def _colour(self, frames: FrameReader, one: TrackedObject) -> np.ndarray:
        prompt = one.prompts[0]
        picture = frames[prompt.index]
        if prompt.mask_HW is not None:
            return picture[prompt.mask_HW][len(picture[prompt.mask_HW]) // 2]
        if prompt.box is not None:
            left, top, right, bottom = prompt.box
            return picture[int(top + bottom) // 2, int(left + right) // 2]
        x, y = prompt.points_N2[prompt.positive_N][0]
        return picture[int(y), int(x)]


@dataclass
class FakeFinder:
    """Finds squares by the names of their colours, and all of them as `square`."""

    name: str = "grounding_dino"
    weights: str = "nobody/finder"
    version: str = "1"
    score: float = 0.8

    def find(self, frame: Frame, words: str) -> list[Detection]:
        hits = []
        for name, colour in COLOURS.items():
            rows, columns = np.nonzero((frame == colour).all(axis=2))
            if len(rows) and words in (name, "square"):
                sides = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
                left, top, right, bottom = map(float, sides)
                hits.append(Detection((left, top, right, bottom), self.score))
        return hits


@dataclass
class Engines:
    """The engines of a test, in place of the real ones; ``loaded`` names those that were used."""

    tracker: FakeTracker = field(default_factory=FakeTracker)
    finder: FakeFinder = field(default_factory=FakeFinder)
    loaded: list[str] = field(default_factory=list)
    why_not: str = ""
    version: str = ""

    def load_tracker(self, checkpoint: str, device: str | None) -> FakeTracker:
        self.loaded.append(f"tracker {checkpoint}".strip())
        return self.tracker

    def load_finder(self, checkpoint: str, device: str | None) -> FakeFinder:
        self.loaded.append(f"finder {checkpoint}".strip())
        return self.finder

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def row(of: str, called: str, checkpoint: str) -> EngineRow:
            load = self.load_tracker if of == "tracker" else self.load_finder
            return EngineRow(
                called, checkpoint, "none", lambda: self.why_not, load, lambda: self.version
            )

        def rows(table: dict[str, str], kind: str, name: str) -> EngineRow:
            return row(kind, name, "" if name == "colour" else f"hub/{name}")

        monkeypatch.setattr(registry, "_row", rows)
