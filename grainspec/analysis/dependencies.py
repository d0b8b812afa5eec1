"""The files that the findings about a document depend on, and whether they changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from grainspec.analysis.document import Document
from grainspec.analysis.files import masks_of
from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec
from grainspec.regions.globs import is_glob, leads_deep, top_of
from grainspec.regions.tracked.place import tracked_folder
from grainspec.regions.tracked.sources import tracked_sources

MAX_PLACES = 500
"""Files and folders of one document that are looked at."""
MAX_LOOKED_AT = 20_000
"""Entries of one folder that are looked at."""

State = tuple[object, ...]
"""What is known of files; it differs if one of them was made, changed or removed."""


class Place(NamedTuple):
    """A file or folder, which may not exist; ``deep`` includes the folders below it."""

    path: Path
    deep: bool = False


def dependencies(document: Document) -> tuple[Place, ...]:
    """The clips, masks, tracked masks and weights on which a document's findings depend.

    Also those of a text with errors, as far as it can be read; none for a text of no file.

    >>> text = 'grain 1 video "c.mp4" region a = track(point(9%, 9%)) edit a ->'
    >>> [str(place.path) for place in dependencies(Document(text, Path("edit.grain")))]
    ['c.mp4', 'masks/tracked/edit', 'demo']
    """
    spec, path = document.draft, document.path
    if spec is None or path is None:
        return ()
    spec = spec.in_folder(path.parent, path.name)
    named = dict.fromkeys(islice(_named(spec, path.parent), MAX_PLACES))
    return tuple(place for place in named if _may_be_read(document, place.path))


def _named(spec: EditSpec, folder: Path) -> Iterator[Place]:
    if spec.span_of("video"):  # or there is no such statement yet
        yield Place(folder / spec.video.path)
    if tracked_sources(spec):
        yield Place(tracked_folder(spec, folder), deep=True)
    for control in spec.controls:
        if control.clip is not None:
            yield Place(folder / control.clip)
    for masks in masks_of(spec):
        if is_glob(masks.path):
            yield Place(top_of(masks.path, folder), deep=leads_deep(masks.path))
        else:
            yield Place(folder / masks.path)
    engines = (engine for engine in (spec.tracker, spec.finder) if engine is not None)
    for name in (spec.model, spec.motion_adapter, *(engine.weights for engine in engines)):
        if name:  # also that of a model on the hub, which is no folder here
            yield Place(folder / name)


def _may_be_read(document: Document, path: Path) -> bool:
    try:
        document.require(path)
    except (GrainError, OSError, ValueError):
        return False
    return True


def state_of(places: Iterable[Place]) -> State:
    """What is known of files now: sizes and times of the last change, of folders of all in them."""
    return tuple(entry for place in places for entry in _entries(place))


def _entries(place: Place) -> Iterator[object]:
    waiting = [place.path]
    left = MAX_LOOKED_AT
    while waiting:
        path = waiting.pop()
        with suppress(OSError, ValueError):
            yield str(path), _facts(os.stat(path))
            with os.scandir(path) as entries:
                found = sorted(islice(entries, left), key=lambda entry: entry.name)
            left -= len(found)
            for entry in found:
                with suppress(OSError):
                    yield entry.name, _facts(entry.stat())
                if place.deep and entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))


def _facts(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mtime_ns, found.st_size, found.st_ino
