"""The training data of the demo model: renders with captions and attributes."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from grainspec_runtime.demo import world
from grainspec_runtime.demo.render import render

T = TypeVar("T")

MAX_FIGURES = 3
ATTRIBUTES = ("kind", "colour", "hat", "sunglasses")
_COLOUR_NAMES = tuple(world.COLOURS)
_ARRAYS = ("frames", "boxes", "attributes", "places")


@dataclass(frozen=True, slots=True)
class Renders:
    """``n`` rendered frames with their labels.

    frames: uint8 ``[n, size, size, 3]``. captions: per frame, a list of ``k`` alternatives.
    boxes: float32 ``[n, MAX_FIGURES, 4]``, the bounding box (x0, y0, x1, y1 in [0, 1]) of a
    figure's visible pixels; NaN if there is no figure or if more than a third of it is hidden.
    attributes: int64 ``[n, MAX_FIGURES, 4]``, indices in the order of ``ATTRIBUTES``. places: int64
    ``[n, 2]``, indices of ground and background.
    """

    frames: np.ndarray
    captions: list[list[str]]
    boxes: np.ndarray
    attributes: np.ndarray
    places: np.ndarray

    def save(self, folder: Path) -> None:
        """Write the renders to a new folder, completely or not at all."""
        partial = folder.with_suffix(".part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name in _ARRAYS:
            np.save(partial / f"{name}.npy", getattr(self, name), allow_pickle=False)
        (partial / "captions.json").write_text(json.dumps(self.captions))
        partial.rename(folder)

    @classmethod
    def load(cls, folder: Path) -> Renders:
        """Read renders that :meth:`save` wrote."""
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _ARRAYS}
        return cls(captions=json.loads((folder / "captions.json").read_text()), **arrays)


def attributes_of(figure: world.Figure) -> tuple[int, int, int, int]:
    """The label of a figure: indices of kind and colour, then hat and sunglasses as 0 or 1."""
    return (
        world.KINDS.index(figure.kind),
        _COLOUR_NAMES.index(figure.colour),
        int(figure.hat),
        int(figure.sunglasses),
    )


def mask_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The bounding box (x0, y0, x1, y1 in [0, 1]) of a bool ``[H, W]`` mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return (
        columns[0] / width,
        rows[0] / height,
        (columns[-1] + 1) / width,
        (rows[-1] + 1) / height,
    )


def _render_chunk(seeds: range, *, size: int, captions: int) -> dict[str, Any]:
    count = len(seeds)
    frames = np.empty((count, size, size, 3), np.uint8)
    boxes = np.full((count, MAX_FIGURES, 4), np.nan, np.float32)
    attributes = np.zeros((count, MAX_FIGURES, 4), np.int64)
    places = np.zeros((count, 2), np.int64)
    words: list[list[str]] = []
    for row, seed in enumerate(seeds):
        rng = random.Random(seed)
        scene = world.random_scene(rng)
        words.append([world.random_caption(scene, rng) for _ in range(captions)])
        frames[row], masks = render(scene, size, parts=False)
        for index, figure in enumerate(scene.figures):
            visible = masks[f"figure{index}"]
            attributes[row, index] = attributes_of(figure)
            # An unoccluded figure covers about 0.2 of the square of its height.
            if visible.mean() > 0.12 * figure.height**2:
                boxes[row, index] = mask_box(visible)
        places[row] = (
            world.GROUNDS.index(scene.ground),
            world.BACKGROUNDS.index(scene.background),
        )
    return {
        "frames": frames,
        "captions": words,
        "boxes": boxes,
        "attributes": attributes,
        "places": places,
    }


def map_chunks(job: Callable[[range], T], seeds: range, workers: int) -> list[T]:
    """Run ``job`` on chunks of 500 seeds in ``workers`` processes; results are in order."""
    chunks = [seeds[start : start + 500] for start in range(0, len(seeds), 500)]
    if workers <= 1:
        return [job(chunk) for chunk in chunks]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(job, chunks))


def render_many(
    count: int, *, size: int, seed: int, captions: int = 4, workers: int = 1
) -> Renders:
    """Render ``count`` random scenes; scene ``i`` depends only on ``seed + i``."""
    job = partial(_render_chunk, size=size, captions=captions)
    parts = map_chunks(job, range(seed, seed + count), workers)
    joined = {key: np.concatenate([part[key] for part in parts]) for key in _ARRAYS}
    return Renders(captions=[c for part in parts for c in part["captions"]], **joined)
