"""Folders of tracked masks, made by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from grainspec.clip.facts import probe
from grainspec.model.spec import EditSpec
from grainspec.regions.tracked.clip_hash import clip_hash
from grainspec.regions.tracked.labels import image_name, label_image
from grainspec.regions.tracked.manifest import (
    MANIFEST,
    ClipRecord,
    EngineRecord,
    ObjectRecord,
    SourceRecord,
    TrackedManifest,
)
from grainspec.regions.tracked.place import tracked_folder
from grainspec.regions.tracked.sources import TrackedClip


def write_tracked(spec: EditSpec, base: Path, labels_FHW: np.ndarray) -> TrackedManifest:
    """Write tracked masks as `grain track` does: one object an expression, in order, from 1."""
    clip = TrackedClip(spec, base, probe(base / spec.video.path, fps=spec.video.fps))
    folder = tracked_folder(spec, base)
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for frame, labels_HW in zip(clip.frames, labels_FHW, strict=True):
        label_image(labels_HW).save(folder / image_name(frame))
        images.append(hashlib.sha256((folder / image_name(frame)).read_bytes()).hexdigest())
    sources = [
        SourceRecord(
            key=clip.key(source),
            stated=clip.stated(source),
            regions=names,
            tracker=EngineRecord(name="by_hand"),
            objects=(
                ObjectRecord(
                    number=number,
                    confidence=(1.0,) * len(clip.frames),
                    pixels=tuple(int((labels == number).sum()) for labels in labels_FHW),
                ),
            ),
        )
        for number, (source, names) in enumerate(clip.sources.items(), start=1)
    ]
    manifest = TrackedManifest(
        clip=ClipRecord(
            path=spec.video.path,
            sha256=clip_hash(spec.video, base, clip.frames),
            width=clip.facts.width,
            height=clip.facts.height,
        ),
        first=clip.frames.start,
        last=clip.frames.stop - 1,
        sources=tuple(sources),
        images=tuple(images),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return manifest
