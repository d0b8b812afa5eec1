"""Two regions of the clip of moving squares, tracked, and repaired by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fake_tracker import spec_of

from grainspec.regions.tracked.labels import image_name, label_image
from grainspec.regions.tracked.masks import tracked_masks
from grainspec_runtime.tracking.bake import Tracked, TrackOptions, ensure_tracked

LEFT = "region left = track(point(10px, 12px) @ 0)"
RIGHT = "region right = track(point(46px, 30px))"
BOTH = f"{LEFT}\n{RIGHT}"


def track(base: Path, regions: str = BOTH, **named: object) -> Tracked:
    options = {key: named.pop(key) for key in ("only", "force", "engines") if key in named}
    return ensure_tracked(spec_of(base, regions, **named), base, TrackOptions(**options))


def masks_of(tracked: Tracked, region: str) -> dict[int, np.ndarray]:
    [source] = [s for s, names in tracked.state.sources.items() if region in names]
    frames = tracked.state.manifest.frames
    images = tracked_masks(tracked.state, source, frames)
    return {frame: np.asarray(image) == 255 for frame, image in zip(frames, images, strict=True)}


def repair(folder: Path, frame: int, number: int, labels: np.ndarray | None = None) -> bytes:
    """Paint over the first rows of an image; returns the new file's bytes."""
    path = folder / image_name(frame)
    painted = np.zeros((48, 64), np.uint8) if labels is None else labels
    painted[:4] = number
    label_image(painted).save(path)
    return path.read_bytes()
