"""Where the tracked masks of a spec are."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path, PurePath

from grainspec.model.spec import EditSpec
from grainspec.regions.tracked.manifest import MANIFEST
from grainspec.regions.tracked.sources import tracked_sources
from grainspec.shell import shell_path

TRACKED = PurePath("masks", "tracked")
"""The folder of all tracked masks, beside the specs."""
ALPHA = "alpha"
"""In a spec's folder, the folder of all coverage images."""
_WHOLE = (".grain", ".json")
"""Suffixes of files that are specs, of which the folder of a file may have the whole name."""
_TEXT = ".text"
"""What the folder of a file with any other suffix, or none, has after its name."""
_OURS = re.compile(rf"\d{{5,}}\.png|{ALPHA}|" + re.escape(MANIFEST))


def tracked_folder(spec: EditSpec, base: Path) -> Path:
    """The folder of a spec's tracked masks.

    It has the name of the spec's file: that of ``edit.grain`` is ``edit``, that of ``edit.json``
    beside it ``edit.json``, and that of any other file, such as ``edit``, ends in ``.text``, as
    ``edit.text`` does. So no two specs share their masks. For a spec that was read from no file it
    has the name of the clip, and a hash of what is tracked.
    """
    return base / TRACKED / tracked_name(spec)


def track_command(spec: EditSpec) -> str:
    """The command that tracks a spec's regions, with the path that it was read from.

    >>> from grainspec import parse
    >>> spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> track_command(spec.in_folder(Path("../my clips"), "edit.grain"))
    "grain track '../my clips/edit.grain'"
    """
    path = (spec.folder or Path()) / spec.file if spec.file else Path("SPEC")
    return f"grain track {shell_path(path)}"


def how_to_track(spec: EditSpec) -> str:
    """What to do to track a spec's regions: without a file, their masks would have no name."""
    if spec.file:
        return f"Run `{track_command(spec)}`"
    where = "Write the spec to a file, as its masks are kept by the file's name"
    return f"{where}, and run `{track_command(spec)}`"


def tracked_name(spec: EditSpec) -> str:
    """The name of the folder of a spec's tracked masks."""
    if spec.file:
        return _file_name(spec.file)
    said = [source.model_dump(mode="json") for source in tracked_sources(spec)]
    text = json.dumps([said, spec.video.path], sort_keys=True)
    stem = PurePath(spec.video.path).stem or "clip"
    return f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _file_name(file: str) -> str:
    """The name of the folder of a file's masks; no other file has the same."""
    if not file.endswith(_WHOLE):
        return f"{file}{_TEXT}"
    stem = file.removesuffix(".grain")
    # `..grain` has no name for a folder but the whole one, and the stem of `edit.json.grain` is
    # the name of another file's folder.
    return stem if stem.strip(".") and not stem.endswith((*_WHOLE, _TEXT)) else file


def is_ours(entry: Path) -> bool:
    """Whether an entry of the folder has a name that ``grain track`` gives, and replaces."""
    return _OURS.fullmatch(entry.name) is not None
