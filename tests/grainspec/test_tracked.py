"""Tracked masks on disk: whether they are current, and how their images are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clips import ClipFolder
from PIL import Image
from tracked import write_tracked

from grainspec import EditSpec, GrainError, find, parse, point, track
from grainspec.clip.facts import probe
from grainspec.model.expressions import MaskFiles, Track
from grainspec.regions.tracked.labels import label_image, palette, read_labels
from grainspec.regions.tracked.manifest import MANIFEST, read_manifest
from grainspec.regions.tracked.masks import tracked_masks
from grainspec.regions.tracked.place import tracked_folder
from grainspec.regions.tracked.sources import TrackedClip
from grainspec.regions.tracked.state import TrackedState, frame_spans, tracked_state

LEFT = track(point("30%", "50%") @ 0)
RIGHT = track(point("70%", "50%") @ 0, ~point("10%", "10%") @ 2)


def spec_of(clip: ClipFolder, name: str = "edit", **regions: object) -> EditSpec:
    """A spec with these regions over the clip, as if it were read from a file."""
    from grainspec import Builder

    builder = Builder(video="clip")
    for region, expression in (regions or {"left": LEFT, "right": RIGHT}).items():
        builder.region(region, expression)  # type: ignore[arg-type]
    return builder.draft().in_folder(clip.root, name) if hasattr(builder, "draft") else None


def labels(clip: ClipFolder, frames: int | None = None) -> np.ndarray:
    """Object 1 in the left half, object 2 in the right half."""
    wide, high = clip.size
    found = np.ones((frames or clip.frames, high, wide), np.uint8)
    found[:, :, wide // 2 :] = 2
    return found
