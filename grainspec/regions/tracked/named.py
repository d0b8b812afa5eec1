"""Tracked masks that a spec names like other masks: whether they are those of its clip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from grainspec.diagnostics import Diagnostic, GrainError, visible
from grainspec.model.algebra import MaskFiles, shapes_of_prompts, walk
from grainspec.model.spec import EditSpec
from grainspec.regions.tracked.clip_hash import clip_hash
from grainspec.regions.tracked.manifest import MANIFEST, ClipRecord, read_manifest
from grainspec.regions.tracked.place import ALPHA


def masks_of_other_clips(spec: EditSpec, base: Path) -> list[Diagnostic]:
    """Warn (G369) about masks that ``grain track`` made of another clip, once for each folder.

    The manifest beside them has the hash of their clip. Masks without a manifest are not compared,
    and nothing is hashed for them. Relative paths start at ``base``.
    """
    folders: dict[Path, MaskFiles] = {}
    for _, source in named_masks(spec):
        folders.setdefault(folder_of(base / source.path), source)
    findings = []
    for folder, source in folders.items():
        other = _other_clip(spec, base, folder)
        if other is not None:
            message = f"the masks in {folder} were tracked in another clip"
            if other.path != spec.video.path:
                message += f", {visible(other.path)}"
            cure = "Name masks of this clip, or track it: `track(point(…) @ 0)`. If they do fit, "
            cure += f"copy the images to a folder without {MANIFEST}."
            findings.append(Diagnostic("G369", message, cure, source.span))
    return findings


def named_masks(spec: EditSpec) -> Iterator[tuple[str, MaskFiles]]:
    """The mask files of a spec, those of prompts too, each with the name of its region."""
    for region in spec.regions:
        for node in walk(region.expression):
            for source in (node, *shapes_of_prompts(node)):
                if isinstance(source, MaskFiles):
                    yield region.name, source


def folder_of(place: Path) -> Path:
    """The folder whose manifest tells about masks: theirs, or of coverage images that of all."""
    folder = place if os.path.isdir(place) else place.parent
    return folder.parent.parent if folder.parent.name == ALPHA else folder


def _other_clip(spec: EditSpec, base: Path, folder: Path) -> ClipRecord | None:
    """The clip that the masks of a folder were made of; None if it is the spec's or not known.

    The colour behind transparent frames, which is hashed too, may differ: it moves no object.
    """
    try:
        manifest = read_manifest(folder)
        video = spec.video.replaced({}, alpha=manifest.clip.alpha)
        same = clip_hash(video, base, manifest.frames) == manifest.clip.sha256
    except (OSError, ValueError, GrainError):  # no manifest of ours, or a clip that has an error
        return None
    return None if same else manifest.clip
