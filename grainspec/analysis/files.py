"""The files that a spec shows pixels of, as they are really read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from grainspec.limits import MAX_FILES
from grainspec.model.expressions import MaskFiles, Track, walk
from grainspec.model.spec import EditSpec
from grainspec.regions.globs import Astray, files_of, is_glob, top_of
from grainspec.regions.tracked.place import tracked_folder
from grainspec.regions.tracked.sources import tracked_sources

Require = Callable[[Path], None]
"""Raises GrainError for a file that must not be read."""


def any_file(path: Path) -> None:
    """Every file may be read: what a text names is its author's, as in an editor."""


def files_shown(spec: EditSpec, folder: Path) -> Iterator[Path]:
    """The files of a spec's clips and masks, tracked ones too; relative paths start at ``folder``.

    Each place comes before it is looked into, so that the reader can refuse it.
    """
    for control in spec.controls:
        if control.clip is not None:
            yield from files_at(folder / control.clip)
    yield from files_at(folder / spec.video.path)
    if tracked_sources(spec):
        tracked = tracked_folder(spec, folder)
        yield tracked
        for below, _, _ in os.walk(tracked):  # which follows no links
            yield from files_at(Path(below))
    for source in masks_of(spec):
        place = folder / source.path
        if is_glob(source.path) and not (place.is_dir() or place.is_file()):
            yield top_of(source.path, folder)
            yield from _matched(source.path, folder)
        else:
            yield from files_at(place)


def files_at(path: Path) -> Iterator[Path]:
    """A path, and of a folder the links in it: all else in it is where the folder is."""
    yield path
    try:
        with os.scandir(path) as entries:
            for entry in islice(entries, MAX_FILES + 1):
                if entry.is_symlink():
                    yield Path(entry.path)
    except (OSError, ValueError):  # no folder; what is wrong with it is told by those who read it
        return


def _matched(written: str, folder: Path) -> Iterator[Path]:
    """The folders of what a glob matches, and the links among the files."""
    try:
        found = files_of(written, folder)
    except (Astray, OSError, ValueError):  # told by those who read it; they read nothing then
        return
    yield from {path.parent for path in found}
    yield from (path for path in found if path.is_symlink())


def masks_of(spec: EditSpec) -> Iterator[MaskFiles]:
    """The masks that a spec names, also those that show an object to a tracker."""
    for region in spec.regions:
        for node in walk(region.expression):
            if isinstance(node, MaskFiles):
                yield node
            for prompt in node.prompts if isinstance(node, Track) else ():
                if isinstance(prompt.shape, MaskFiles):
                    yield prompt.shape
