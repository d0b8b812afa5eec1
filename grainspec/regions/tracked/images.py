"""The files of tracked masks as they are now: which are there, and their hashes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath

from grainspec.regions.tracked.labels import image_name
from grainspec.regions.tracked.manifest import TrackedManifest
from grainspec.regions.tracked.place import ALPHA, is_ours
from grainspec.regular_file import read_bytes

_COVERAGE = re.compile(rf"{ALPHA}/\d+/\d{{5,}}\.png")
"""The path of coverage, that of objects included which have soft edges no more."""
_LARGEST = 1 << 28
"""Bytes of the largest image that is hashed."""


def alpha_name(number: int, frame: int) -> PurePath:
    """The path of an object's coverage on a frame, in the folder of tracked masks."""
    return PurePath(ALPHA, str(number), image_name(frame))


def foreign_files(folder: Path, manifest: TrackedManifest) -> tuple[PurePath, ...]:
    """The files, by their paths in the folder, that lie among tracked masks and are none.

    They have the name of an image on a frame that was not tracked, or lie in the folder of coverage
    and are no coverage. Files with other names, which no command touches, and hidden ones are left
    out.
    """
    known = {image_name(frame) for frame in manifest.frames}
    images = [path for path in folder.iterdir() if is_ours(path) and path.suffix == ".png"]
    found = [path for path in images if path.name not in known]
    found += [path for path in (folder / ALPHA).rglob("*") if not path.is_dir()]
    inside = [PurePath(path.relative_to(folder)) for path in found]
    shown = [path for path in inside if not _COVERAGE.fullmatch(path.as_posix())]
    return tuple(sorted(path for path in shown if not path.name.startswith(".")))


def image_hashes(folder: Path, manifest: TrackedManifest) -> dict[int, str]:
    """The SHA-256 of each frame's image; without those that cannot be read."""
    images = {}
    for frame in manifest.frames:
        with suppress(OSError, ValueError):
            content = read_bytes(folder / image_name(frame), _LARGEST)
            images[frame] = hashlib.sha256(content).hexdigest()
    return images


def absent_frames(
    folder: Path, manifest: TrackedManifest, images: Mapping[int, str]
) -> tuple[int, ...]:
    """The frames whose image, or the coverage of an object on them, is not there.

    ``images`` are the hashes of those that are. A repaired image needs no coverage.
    """
    soft = [number for source in manifest.sources if source.soft for number in source.numbers]
    absent = []
    for frame, written in zip(manifest.frames, manifest.images, strict=True):
        repaired = images.get(frame, written) != written
        paths = [] if repaired else [folder / alpha_name(number, frame) for number in soft]
        if frame not in images or not all(path.is_file() for path in paths):
            absent.append(frame)
    return tuple(absent)
