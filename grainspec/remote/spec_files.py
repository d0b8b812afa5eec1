"""A spec behind a URL, and the files that it names, copied to this machine.

The copies lie as the files lie in the store, so the spec is used as it is written: its paths start
at its own folder, and may lead to others of the same store by ``..`` or by a URL. Those who run a
spec need not be its authors, so it names files of no other store. Absolute paths are this
machine's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec.limits import MAX_FILES, MAX_SPEC_BYTES
from grainspec.loading import read_content, read_text, spec_of
from grainspec.model.expressions import MaskFiles, Track, walk
from grainspec.model.spec import EditSpec
from grainspec.regions.globs import is_glob
from grainspec.regions.tracked.place import tracked_folder
from grainspec.regions.tracked.sources import tracked_sources
from grainspec.remote.address import (
    has_credentials,
    is_url,
    joined,
    parent_of,
    path_of,
    root_of,
    shown,
)
from grainspec.remote.files import fetched_file, version_of
from grainspec.remote.folders import listed, snapshot
from grainspec.remote.store import is_missing, tried

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class _Named:
    """A path in a spec; ``needed`` if the spec is of no use without it."""

    path: str
    span: Span | None = None
    needed: bool = True


def fetched_spec(url: str, folder: Path, *, files: bool = True) -> Path:
    """Copy a spec into ``folder`` with the files that it names, and return the path of its copy.

    The copy is that of all their versions: it appears when it is whole, and is kept. Of a text with
    errors, and without ``files``, only the spec is copied. Raises GrainError: G746, G757, G006, and
    G760 for a path that cannot be fetched.
    """
    _refuse_large(url)
    copy = fetched_file(url, folder)
    if not files:
        return copy
    text = read_text(copy)
    try:
        spec = spec_of(text, copy)
    except GrainError:
        return copy
    try:
        base = fetched_base(spec, parent_of(url), folder, {copy.name: copy})
    except GrainError as error:
        raise GrainError(error.diagnostics, source=text, path=shown(url)) from error
    return base / copy.name


def spec_content(url: str, folder: Path) -> bytes:
    """Return the bytes of a spec behind a URL; raises GrainError (G746, G757, G006)."""
    _refuse_large(url)
    return read_content(fetched_file(url, folder))


def fetched_base(
    spec: EditSpec, url: str, folder: Path, beside: Mapping[str, Path] | None = None
) -> Path:
    """Copy what a spec names into ``folder``; return the folder in it where the paths start.

    ``url`` is the folder where they start in the store, ``beside`` are files of this machine to put
    there. Raises GrainError: G746, G757, and G760 for a path that cannot be fetched.
    """
    start = path_of(url).as_posix()
    start = "" if start == "." else start
    files: dict[str, str] = {}
    facts: list[object] = [root_of(url), start]
    for named in _named(spec):
        if PurePath(named.path).is_absolute() or (is_url(named.path) and not named.needed):
            continue
        for name, place, version in _found(named, url, start):
            files[name] = place
            facts.append((name, place, version))
    local = {posixpath.join(start, name): path for name, path in (beside or {}).items()}
    facts += [(name, path.parent.name) for name, path in local.items()]
    base = snapshot(folder, facts, files, local).joinpath(*PurePosixPath(start).parts)
    base.mkdir(parents=True, exist_ok=True)
    return base


def _named(spec: EditSpec) -> Iterator[_Named]:
    """Give the paths of a spec; models may also be of the hub, so they need not exist."""
    yield _Named(spec.video.path, spec.video.span_of("path"))
    for control in spec.controls:
        if control.clip is not None:
            yield _Named(control.clip, control.span_of("clip"))
        for weights in (control.net, control.annotator):
            if weights:
                yield _Named(weights, needed=False)
    for region in spec.regions:
        for node in walk(region.expression):
            shapes = [prompt.shape for prompt in node.prompts] if isinstance(node, Track) else []
            for masks in (node, *shapes):
                if isinstance(masks, MaskFiles):
                    yield _Named(masks.path, masks.span)
    engines: list[Any] = [it for it in (spec.tracker, spec.finder, spec.flow) if it is not None]
    for name in (spec.model, spec.motion_adapter, *(engine.weights for engine in engines)):
        if name:
            yield _Named(name, needed=False)
    if tracked_sources(spec):
        yield _Named(tracked_folder(spec, Path()).as_posix(), needed=False)


def _found(
    named: _Named, url: str, start: str
) -> Iterator[tuple[str, str, tuple[str, ...] | list[str]]]:
    """Give the files at a path: their names in the copy, their URLs and their versions."""
    name, place = _located(named, url, start)
    if is_glob(named.path) and not is_url(named.path):
        pattern = name
        name = name[: _WILD.search(name).start()].rpartition("/")[0]  # type: ignore[union-attr]
        place = joined(root_of(url), name) if name else root_of(url)
        kind: tuple[str, list[str]] | None = ("directory", [])
    else:
        pattern, kind = "", _kind(place)
    if kind is None:
        if named.needed:
            message = f"{shown(place)} cannot be read: there is no such file"
            raise fail("G746", message, "Check the path in the spec.", named.span)
        return
    if kind[0] != "directory":
        yield name, place, kind[1]
        return
    files = listed(place)
    if len(files) > MAX_FILES:
        message = f"{shown(place)} has more than {MAX_FILES} files"
        raise fail("G760", message, "Name a folder with the frames or masks alone.", named.span)
    for file in files:
        inside = posixpath.join(name, file.name)
        if not pattern or PurePosixPath(inside).match(pattern) or "**" in pattern:
            yield inside, joined(place, file.name), file.version


def _located(named: _Named, url: str, start: str) -> tuple[str, str]:
    """Return the name of a path in the copy, and its URL; raises GrainError (G760)."""
    if is_url(named.path):
        if root_of(named.path) != shown(root_of(url)) or has_credentials(named.path):
            message = f"the spec names {shown(named.path)}, which is not in its own store"
            cure = f"Put the file into {shown(root_of(url))}, and write its path."
            raise fail("G760", message, cure, named.span)
        name = posixpath.join(start, PurePosixPath(named.path).as_posix())
        return name, joined(root_of(url), path_of(named.path).as_posix())
    name = posixpath.normpath(posixpath.join(start, PurePath(named.path).as_posix()))
    if name.startswith("../") or name == "..":
        message = f"`{named.path}` leads out of {shown(root_of(url))}"
        raise fail("G760", message, "Put the file into the same store.", named.span)
    name = "" if name == "." else name
    return name, joined(root_of(url), name) if name else root_of(url)


def _kind(url: str) -> tuple[str, list[str]] | None:
    """Return what a URL is, ``file`` or ``directory``, and its version; None if it is nothing."""

    def ask(fs: Any, path: str) -> tuple[str, list[str]] | None:
        fs.invalidate_cache()
        try:
            facts = fs.info(path)
        except FileNotFoundError as error:
            if not is_missing(error):
                raise
            return None
        is_page = facts.get("mimetype") == "text/html"  # a web server's list of a folder
        return "directory" if is_page else str(facts["type"]), version_of(facts)

    return tried(url, "read", ask)


def _refuse_large(url: str) -> None:
    def ask(fs: Any, path: str) -> int:
        fs.invalidate_cache()
        return int(fs.info(path).get("size") or 0)

    if tried(url, "read", ask) > MAX_SPEC_BYTES:
        message = f"{shown(url)} is too large: it has more than {MAX_SPEC_BYTES / 1e6:.0f} MB"
        raise fail("G006", message, "Is this the spec?")
