"""Many rendered clips on disk, with masks, captions and attributes, for training and measuring."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from grainspec.whole_file import whole_file
from grainspec_runtime.demo import world
from grainspec_runtime.demo.clips import CLIP_KINDS, FRAMES, ClipKind, random_clip, render_clip
from grainspec_runtime.demo.dataset import MAX_FIGURES, attributes_of, mask_box
from grainspec_runtime.demo.figures import full_area
from grainspec_runtime.demo.render import back_to_front

VERSION = 1
"""Increase when the same seed gives other clips, so that old and new clips do not mix."""
CHUNK = 100
"""A worker renders this many clips at a time; an interrupted run resumes with the next chunk."""
_FACTS = "facts.json"
_CAPTIONS = "captions"
_DTYPES = {
    "frames": np.uint8,
    "figures": np.uint8,
    "boxes": np.float32,
    "visible": np.float32,
    "attributes": np.uint8,
    "places": np.uint8,
}


@dataclass(frozen=True, slots=True)
class Clips:
    """``n`` rendered clips of ``F`` frames, memory-mapped, with their labels.

    frames: uint8 ``[n, F, size, size, 3]`` RGB. figures: uint8 ``[n, F, size, size]``, 1 + the
    number of the figure that is visible at a pixel, 0 for none. boxes: float32
    ``[n, F, MAX_FIGURES, 4]``, the bounding box (x0, y0, x1, y1 in [0, 1]) of a figure's visible
    pixels, NaN if there are none. visible: float32 ``[n, F, MAX_FIGURES]``, the share of a figure
    that is neither hidden nor outside the frame. attributes: uint8 ``[n, MAX_FIGURES, 4]``, indices
    in the order of :data:`grainspec_runtime.demo.dataset.ATTRIBUTES`. places: uint8 ``[n, 2]``,
    indices of ground and background. captions: per clip, a list of alternatives.
    """

    frames: np.ndarray
    figures: np.ndarray
    boxes: np.ndarray
    visible: np.ndarray
    attributes: np.ndarray
    places: np.ndarray
    captions: list[list[str]]

    @classmethod
    def load(cls, folder: Path) -> Clips:
        """Open the clips that :func:`render_clips` wrote. Raises ValueError if it has not finished.

        Large arrays are read from the disk as they are used.
        """
        facts = json.loads((folder / _FACTS).read_text())
        missing = _missing(folder, facts["count"])
        if missing:
            raise ValueError(f"{folder} lacks {len(missing)} chunks: run render_clips again")
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _DTYPES}
        captions: list[list[str]] = []
        for first in range(0, facts["count"], CHUNK):
            captions += json.loads(_captions_path(folder, first).read_text())
        return cls(captions=captions, **arrays)


def render_clips(
    folder: Path,
    count: int,
    *,
    seed: int,
    size: int = 96,
    frames: int = FRAMES,
    kinds: Sequence[ClipKind] = CLIP_KINDS,
    captions: int = 4,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Clips:
    """Render ``count`` random clips into ``folder``; clip ``i`` depends only on ``seed + i``.

    A run that was interrupted resumes where it was. 16,000 clips of 17 frames of 96 pixels take
    10 GB. ``progress`` receives the number of finished clips and the total. Raises ValueError if
    the folder contains clips with other settings.
    """
    facts = {
        "version": VERSION,
        "count": count,
        "seed": seed,
        "size": size,
        "frames": frames,
        "kinds": list(kinds),
        "captions": captions,
    }
    _begin(folder, facts)
    missing = _missing(folder, count)
    done = count - sum(min(CHUNK, count - first) for first in missing)
    progress(done, count)
    job = partial(_render_chunk, folder=folder, facts=facts)
    for rendered in _map(job, missing, workers):
        done += rendered
        progress(done, count)
    return Clips.load(folder)


def _begin(folder: Path, facts: dict[str, Any]) -> None:
    """Make the folder and its empty arrays, or compare its facts."""
    path = folder / _FACTS
    if path.exists():
        if json.loads(path.read_text()) != facts:
            raise ValueError(f"{folder} contains clips with other settings; delete it first")
        return
    (folder / _CAPTIONS).mkdir(parents=True, exist_ok=True)
    for name, shape in _shapes(facts).items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", _DTYPES[name], shape).flush()
    with whole_file(path) as partial_file:
        partial_file.write_text(json.dumps(facts))


def _shapes(facts: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    count, frames, size = facts["count"], facts["frames"], facts["size"]
    return {
        "frames": (count, frames, size, size, 3),
        "figures": (count, frames, size, size),
        "boxes": (count, frames, MAX_FIGURES, 4),
        "visible": (count, frames, MAX_FIGURES),
        "attributes": (count, MAX_FIGURES, 4),
        "places": (count, 2),
    }


def _captions_path(folder: Path, first: int) -> Path:
    """The captions of a chunk, written last: their file says that the chunk is finished."""
    return folder / _CAPTIONS / f"{first:06d}.json"


def _missing(folder: Path, count: int) -> list[int]:
    """The first clip of every chunk that is not finished."""
    return [i for i in range(0, count, CHUNK) if not _captions_path(folder, i).exists()]


def _map(job: Callable[[int], int], chunks: list[int], workers: int) -> Any:
    if workers <= 1 or len(chunks) <= 1:
        yield from map(job, chunks)
        return
    with ProcessPoolExecutor(min(workers, len(chunks))) as pool:
        yield from pool.map(job, chunks)


def _render_chunk(first: int, *, folder: Path, facts: dict[str, Any]) -> int:
    """Render a chunk into the arrays on disk; return its number of clips."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in _DTYPES}
    words = []
    last = min(first + CHUNK, int(facts["count"]))
    for index in range(first, last):
        rng = random.Random(facts["seed"] + index)
        clip = random_clip(rng, facts["kinds"], frames=facts["frames"])
        words.append([world.random_caption(clip.first, rng) for _ in range(facts["captions"])])
        arrays["frames"][index], masks = render_clip(clip, facts["size"], parts=False)
        figures = np.zeros(arrays["figures"].shape[1:], np.uint8)
        boxes = np.full(arrays["boxes"].shape[1:], np.nan, np.float32)
        for number in back_to_front(clip.first):  # a pixel that two share is the front one's
            figures[masks[f"figure{number}"]] = number + 1
            arrays["attributes"][index, number] = attributes_of(clip.first.figures[number])
        for frame, scene in enumerate(clip.scenes()):
            for number, figure in enumerate(scene.figures):
                mask = masks[f"figure{number}"][frame]
                if mask.any():
                    boxes[frame, number] = mask_box(mask)
                arrays["visible"][index, frame, number] = visible_share(mask, figure)
        arrays["figures"][index], arrays["boxes"][index] = figures, boxes
        arrays["places"][index] = (
            world.GROUNDS.index(clip.first.ground),
            world.BACKGROUNDS.index(clip.first.background),
        )
    for array in arrays.values():
        array.flush()
    with whole_file(_captions_path(folder, first)) as partial_file:
        partial_file.write_text(json.dumps(words))
    return last - first


def visible_share(mask: np.ndarray, figure: world.Figure) -> float:
    """The share of a figure that is visible, in [0, 1], from its mask in a frame, bool ``[H, W]``.

    Off by at most 0.06, as the limbs move.
    """
    return min(1.0, float(mask.mean()) / full_area(figure))
