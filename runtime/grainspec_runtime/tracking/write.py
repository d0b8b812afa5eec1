"""Write the folder of tracked masks, whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt
from PIL import Image

from grainspec.regions.tracked.clip_hash import clip_hash
from grainspec.regions.tracked.images import alpha_name
from grainspec.regions.tracked.labels import image_name, label_image, read_labels
from grainspec.regions.tracked.manifest import (
    MANIFEST,
    MAX_MEETINGS,
    ClipRecord,
    CoverRecord,
    EngineRecord,
    MeetingRecord,
    ObjectRecord,
    SourceRecord,
    TrackedManifest,
)
from grainspec.regions.tracked.place import ALPHA, is_ours
from grainspec.regions.tracked.sources import Source
from grainspec.regions.tracked.state import TrackedState
from grainspec_runtime.tracking.engine import FrameReader, TrackedFrame
from grainspec_runtime.tracking.meetings import MeetingFinder
from grainspec_runtime.tracking.numbering import Numbering, numbered
from grainspec_runtime.tracking.outdated import OutdatedFinder
from grainspec_runtime.tracking.request import Request
from grainspec_runtime.whole_folder import whole_folder

_PACKAGES = (
    "grainspec",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Used:
    """The engines that were used; ``finder`` is None if none was needed."""

    tracker: EngineRecord
    finder: EngineRecord | None


@dataclass(frozen=True)
class Kept:
    """What stays of earlier masks: the entries of other regions, and images repaired by hand.

    Unless these stay ``whole``, only the objects of ``records`` stay in them.
    """

    records: tuple[SourceRecord, ...] = ()
    repaired: tuple[int, ...] = ()
    whole: bool = True

    @property
    def copied(self) -> tuple[int, ...]:
        """The frames whose image stays as it is."""
        return self.repaired if self.whole else ()


def write_masks(
    state: TrackedState,
    request: Request,
    pictures: FrameReader,
    frames: Mapping[int, TrackedFrame],
    used: Used,
    kept: Kept,
) -> None:
    """Write images and manifest in the place of those in the folder of ``state``.

    ``frames`` are all tracked frames by index, ``pictures`` the clip's. Files that are not from
    ``grain track`` stay.
    """
    numbering = numbered(request.clip, request.owners, state.manifest, kept.records)
    writer = _Writer(state, request, numbering, kept)
    regions = _regions(request, numbering, kept)
    finder = MeetingFinder({number: frames for number, (_, frames) in regions.items()})
    with whole_folder(state.folder, keeps=is_foreign, last=MANIFEST) as place:
        for index in sorted({prompt.index for one in request.objects for prompt in one.prompts}):
            finder.show(pictures[index], writer.labels(frames[index]))
        for index, frame in enumerate(request.clip.frames):
            labels_HW = writer.labels(frames[index])
            writer.write(place, frames[index], labels_HW)
            finder.add(frame, pictures[index], labels_HW)
        writer.keep_alpha(place)
        covers = _covers(state, request, frames, kept)
        covers += _covered_by_kept(writer, frames, regions)
        manifest = writer.manifest(used, covers, _meetings(finder, regions))
        (place / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")


def is_foreign(entry: Path) -> bool:
    """Whether an entry of the folder is not from ``grain track``, such as a paint program's."""
    return not is_ours(entry)


class _Writer:
    """Writes the images, and counts what the manifest says of them."""

    def __init__(
        self, state: TrackedState, request: Request, numbering: Numbering, kept: Kept
    ) -> None:
        self.state, self.request, self.numbering, self.kept = state, request, numbering, kept
        self.kept_numbers = [number for record in kept.records for number in record.numbers]
        self.images: list[str] = []
        self.confidence: list[npt.NDArray[np.float32]] = []
        self.pixels: list[npt.NDArray[np.int64]] = []
        self.outdated = OutdatedFinder(state, request, numbering)
        self.soft = True
        """Whether every frame has the coverage of its objects."""

    def labels(self, frame: TrackedFrame) -> npt.NDArray[np.uint8]:
        """The numbers of the objects on a frame, uint8 ``[H, W]``, with those that are kept."""
        labels_HW = np.array([0, *self.numbering.numbers], np.uint8)[frame.labels_HW]
        if not self.kept_numbers:
            return labels_HW
        name = image_name(self.request.clip.frames[frame.index])
        return self._with_kept(labels_HW, self.state.folder / name)

    def write(self, place: Path, frame: TrackedFrame, labels_HW: npt.NDArray[np.uint8]) -> None:
        """Write one frame's image, or copy the one that was repaired.

        An image in which only some objects stay as repaired keeps its earlier hash too: it is
        known as repaired until it is the one that was written first.
        """
        clip, numbers = self.request.clip, self.numbering.numbers
        source_frame = clip.frames[frame.index]
        name = image_name(source_frame)
        counts = np.bincount(labels_HW.ravel(), minlength=256)
        self.pixels.append(counts[list(numbers)])
        self.confidence.append(np.nan_to_num(frame.confidence_K).clip(0, 1))
        if source_frame in self.kept.copied:
            shutil.copyfile(self.state.folder / name, place / name)
            self.outdated.add(source_frame, labels_HW)
        else:
            label_image(labels_HW).save(place / name, format="PNG")
        manifest = self.state.manifest
        if manifest is not None and source_frame in self.kept.repaired:
            self.images.append(manifest.images[source_frame - manifest.first])
        else:
            self.images.append(hashlib.sha256((place / name).read_bytes()).hexdigest())
        self.soft = self.soft and frame.soft_KHW is not None
        if self.soft and frame.soft_KHW is not None:
            for number, coverage_HW in zip(numbers, frame.soft_KHW, strict=True):
                path = place / alpha_name(number, source_frame)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(coverage_HW).save(path, format="PNG")

    def keep_alpha(self, place: Path) -> None:
        """Copy the coverage of the objects that are kept."""
        for record in self.kept.records:
            for number in record.numbers if record.soft else ():
                folder = PurePath(ALPHA, str(number))
                shutil.copytree(self.state.folder / folder, place / folder)

    def _with_kept(self, labels_HW: npt.NDArray[np.uint8], path: Path) -> npt.NDArray[np.uint8]:
        """Labels below the pixels of the objects that are kept."""
        assert self.state.manifest is not None
        before_HW = read_labels(path, self.request.clip.size, self.state.manifest.numbers)
        return np.where(np.isin(before_HW, self.kept_numbers), before_HW, labels_HW)

    def manifest(
        self, used: Used, covers: Sequence[CoverRecord], meetings: Sequence[MeetingRecord]
    ) -> TrackedManifest:
        """The manifest of the images that were written."""
        clip, request = self.request.clip, self.request
        video = clip.spec.video
        records = [self._record(source, used) for source in dict.fromkeys(request.owners)]
        return TrackedManifest(
            clip=ClipRecord(
                path=video.path,
                sha256=clip_hash(video, clip.base, clip.frames),
                width=clip.size[0],
                height=clip.size[1],
                alpha=video.alpha,
            ),
            first=clip.frames.start,
            last=clip.frames.stop - 1,
            sources=(*self.kept.records, *records),
            covers=tuple(covers),
            meetings=tuple(meetings),
            images=tuple(self.images),
            retired=self.numbering.retired if self.kept.copied else (),
            versions=_versions(),
        )

    def _record(self, source: Source, used: Used) -> SourceRecord:
        request = self.request
        objects = [
            ObjectRecord(
                number=self.numbering.numbers[k],
                confidence=tuple(round(float(frame[k]), 3) for frame in self.confidence),
                pixels=tuple(int(frame[k]) for frame in self.pixels),
            )
            for k, owner in enumerate(request.owners)
            if owner == source
        ]
        return SourceRecord(
            key=request.clip.key(source),
            stated=request.clip.stated(source),
            regions=request.clip.sources[source],
            tracker=used.tracker,
            finder=used.finder if source.kind == "find" else None,
            found=request.found.get(source, ()),
            objects=tuple(objects),
            soft=self.soft,
            kept=self.numbering.lacking(source, self.kept.copied),
            outdated=self.outdated.of(source),
        )


def _regions(
    request: Request, numbering: Numbering, kept: Kept
) -> dict[int, tuple[str, frozenset[int]]]:
    """By number, the region of an object that the spec uses, and the frames that show it."""
    sources = dict(zip(numbering.numbers, request.owners, strict=True))
    by_key = {request.clip.key(source): source for source in request.clip.sources}
    for record in kept.records:
        if record.key in by_key:
            sources |= dict.fromkeys(record.numbers, by_key[record.key])
    return {
        number: (request.region_of(source), frozenset(request.clip.named_frames(source)))
        for number, source in sources.items()
    }


def _meetings(
    finder: MeetingFinder, regions: Mapping[int, tuple[str, frozenset[int]]]
) -> list[MeetingRecord]:
    """The meetings of objects of different regions, in the order of their frames."""
    found = [
        MeetingRecord(
            region=regions[one.number][0],
            by=None if one.other is None else regions[one.other][0],
            first=one.first,
            last=one.last,
            before=one.before,
        )
        for one in finder.meetings()
    ]
    apart = [one for one in found if one.region != one.by]
    return sorted(dict.fromkeys(apart), key=lambda one: one.first)[:MAX_MEETINGS]


def _covers(
    state: TrackedState, request: Request, frames: Mapping[int, TrackedFrame], kept: Kept
) -> list[CoverRecord]:
    """The objects that cover another, those of earlier masks that are kept included."""
    prompted = {prompt.index for one in request.objects for prompt in one.prompts}
    labels_of = {index: frames[index].labels_HW for index in prompted}
    names = {name for record in kept.records for name in record.regions}
    before = state.manifest.covers if state.manifest else ()
    stay = [cover for cover in before if {cover.region, cover.by} <= names]
    found = [*stay, *request.same_objects(), *request.covered(labels_of)]
    return [cover for cover in dict.fromkeys(found) if cover.region != cover.by]


def _covered_by_kept(
    writer: _Writer,
    frames: Mapping[int, TrackedFrame],
    regions: Mapping[int, tuple[str, frozenset[int]]],
) -> list[CoverRecord]:
    """The objects most of which, on a frame with prompts, is that of a region that is kept."""
    covers, request = [], writer.request
    for place, (one, owner) in enumerate(zip(request.objects, request.owners, strict=True), 1):
        for prompt in one.prompts if writer.kept_numbers else ():
            own_HW = frames[prompt.index].labels_HW == place
            counts = np.bincount(writer.labels(frames[prompt.index])[own_HW], minlength=256)
            most = max(writer.kept_numbers, key=lambda number: int(counts[number]))
            if most in regions and 2 * counts[most] > np.count_nonzero(own_HW):
                frame, by = request.clip.frames[prompt.index], regions[most][0]
                covers.append(CoverRecord(frame=frame, region=request.region_of(owner), by=by))
    return list(dict.fromkeys(covers))


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
