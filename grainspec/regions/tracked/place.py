"""Where the tracked masks of a spec are."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path, PurePath

from grainspec.model.spec import EditSpec
from grainspec.regions.tracked.manifest import MANIFEST
from grainspec.regions.tracked.sources import tracked_sources

TRACKED = PurePath("masks", "tracked")
"""The folder of all tracked masks, beside the specs."""
ALPHA = "alpha"
"""In a spec's folder, the folder of all coverage images."""
_OURS = re.compile(rf"\d{{5,}}\.png|{ALPHA}|" + re.escape(MANIFEST))


def tracked_folder(spec: EditSpec, base: Path) -> Path:
    """The folder of a spec's tracked masks.

    It has the name of the spec's file, without its suffix. For a spec that was read from no file it
    has the name of the clip, and a hash of what is tracked.
    """
    return base / TRACKED / tracked_name(spec)


def tracked_name(spec: EditSpec) -> str:
    """The name of the folder of a spec's tracked masks."""
    if spec.file:
        return PurePath(spec.file).stem
    said = [source.model_dump(mode="json") for source in tracked_sources(spec)]
    text = json.dumps([said, spec.video.path], sort_keys=True)
    stem = PurePath(spec.video.path).stem or "clip"
    return f"{stem}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def is_ours(entry: Path) -> bool:
    """Whether an entry of the folder has a name that ``grain track`` gives, and replaces."""
    return _OURS.fullmatch(entry.name) is not None
