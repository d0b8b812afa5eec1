"""Whether the tracked masks of a spec are there, and were made of what the spec says now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from grainspec.clip.facts import ClipFacts
from grainspec.model.settings.tracking import Finding, Tracking
from grainspec.model.spec import EditSpec
from grainspec.regions.tracked.clip_hash import clip_hash
from grainspec.regions.tracked.images import absent_frames, image_hashes
from grainspec.regions.tracked.manifest import (
    MANIFEST,
    SourceRecord,
    TrackedManifest,
    read_manifest,
)
from grainspec.regions.tracked.place import is_ours, tracked_folder
from grainspec.regions.tracked.sources import Source, TrackedClip
from grainspec.regions.tracked.weights import changed_weights

Status = Literal["unused", "missing", "stale", "fresh"]
Cause = Literal[
    "missing",
    "damaged",
    "clip",
    "background",
    "prompts",
    "new",
    "engine",
    "weights",
    "frames",
    "images",
]

OF_ALL: frozenset[Cause] = frozenset({"clip", "background", "damaged", "frames", "images"})
"""Causes for which the masks of all regions are not current."""


@dataclass(frozen=True)
class Reason:
    """Why masks are not current: a cause, the regions that it concerns, and a clause that says it.

    The clause goes on after "because": "the prompts of `left` changed".
    """

    cause: Cause
    message: str
    regions: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrackedState:
    """The tracked masks of a spec.

    ``status`` is ``unused`` if the spec tracks nothing, ``missing`` if nothing was tracked yet,
    ``stale`` for ``reasons``, and otherwise ``fresh``. ``records`` are the current entries of the
    manifest by expression, ``images`` the SHA-256 of each source frame's image as it is now.
    """

    clip: TrackedClip
    folder: Path
    status: Status
    reasons: tuple[Reason, ...] = ()
    manifest: TrackedManifest | None = None
    records: dict[Source, SourceRecord] | None = None
    images: Mapping[int, str] = field(default_factory=dict)

    @property
    def repaired(self) -> tuple[int, ...]:
        """The source frames whose image was changed since it was written."""
        if self.manifest is None:
            return ()
        written = zip(self.manifest.frames, self.manifest.images, strict=True)
        return tuple(frame for frame, sha in written if self.images.get(frame, sha) != sha)

    def masks_hash(self, frames: Iterable[int]) -> str:
        """The hash of the masks of all tracked expressions on source frames, if it is fresh."""
        records = self.records or {}
        said = [[records[source].numbers for source in self.sources]]
        text = repr([said, [(frame, self.images[frame]) for frame in frames]])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def sources(self) -> dict[Source, tuple[str, ...]]:
        """The tracked expressions of the spec, with the regions that use them."""
        return self.clip.sources

    @property
    def regions(self) -> tuple[str, ...]:
        """The names of the regions with tracked objects, in the order of the spec."""
        return tuple(dict.fromkeys(name for names in self.sources.values() for name in names))

    @property
    def usable(self) -> bool:
        """Whether the regions can be computed: the masks are current, or none are needed."""
        return self.status in ("unused", "fresh")

    def is_current(self, source: Source) -> bool:
        """Whether the masks of one expression are current, whatever those of others are."""
        whole = not any(reason.cause in OF_ALL for reason in self.reasons)
        return self.usable or (whole and source in (self.records or {}))

    @property
    def grows(self) -> bool:
        """Whether nothing is wrong with the masks but that the spec uses more frames."""
        return bool(self.reasons) and all(reason.cause == "frames" for reason in self.reasons)

    @property
    def why(self) -> str:
        """The reasons as one clause; empty if the masks are current."""
        return ", and ".join(reason.message for reason in self.reasons)


def tracked_state(
    spec: EditSpec, base: Path, facts: ClipFacts, *, compares_weights: bool = False
) -> TrackedState:
    """Compare the tracked masks of a spec with its clip, its prompts and its engines.

    Reads the manifest, and hashes the clip and the images; decodes nothing. With
    ``compares_weights``, masks are stale if the files of their engine's weights changed since;
    these are hashed, not loaded. Relative paths start at ``base``, ``facts`` are the clip's. Raises
    GrainError if the clip, or the mask of a prompt, cannot be read.
    """
    clip = TrackedClip(spec, base, facts)
    folder = tracked_folder(spec, base)
    state = TrackedState(clip, folder, "unused")
    if not clip.sources:
        return state
    if not (folder / MANIFEST).is_file() and (names := _without_manifest(folder)):
        message = f"{folder} has {names} but no {MANIFEST}"
        return replace(state, status="stale", reasons=(Reason("damaged", message, state.regions),))
    if not (folder / MANIFEST).is_file():
        message = f"{_names(state.regions)} {_are(state.regions)} not tracked yet"
        reason = Reason("missing", message, state.regions)
        return replace(state, status="missing", reasons=(reason,))
    try:
        manifest = read_manifest(folder)
    except (OSError, ValueError) as error:
        message = f"{folder / MANIFEST} cannot be read: {getattr(error, 'strerror', None) or error}"
        return replace(state, status="stale", reasons=(Reason("damaged", message, state.regions),))
    images = image_hashes(folder, manifest)
    absent = absent_frames(folder, manifest, images)
    records, reasons = _compared(clip, manifest)
    if compares_weights:
        reasons += _changed_weights(clip, records)
    if (change := _clip_change(clip, manifest)) is not None:
        reasons = [change, *(reasons if change.cause == "background" else [])]
    outside = [frame for frame in clip.frames if frame not in manifest.frames]
    if outside and (change is None or change.cause == "background"):
        message = f"{counted_frames(outside)} {'are' if len(outside) > 1 else 'is'} not tracked"
        reasons.append(Reason("frames", message, state.regions))
    if absent and (change is None or change.cause == "background"):
        plural = "s" * (len(absent) > 1)
        message = f"the image{plural} of {counted_frames(absent)} "
        message += f"{'are' if plural else 'is'} missing"
        reasons.append(Reason("images", message, state.regions))
    return replace(
        state,
        status="stale" if reasons else "fresh",
        reasons=tuple(reasons),
        manifest=manifest,
        records=records,
        images=images,
    )


def _without_manifest(folder: Path) -> str:
    """The first names in a folder without a manifest that tracking would replace, as text."""
    with suppress(OSError):
        names = sorted(entry.name for entry in folder.iterdir() if is_ours(entry))
        return ", ".join([*names[:2], *["…"] * (len(names) > 2)])
    return ""


def _compared(
    clip: TrackedClip, manifest: TrackedManifest
) -> tuple[dict[Source, SourceRecord], list[Reason]]:
    """The entries that a manifest has for a spec's expressions, and why others are not current."""
    known = {record.key: record for record in manifest.sources}
    tracked = {name for record in manifest.sources for name in record.regions}
    records, reasons = {}, []
    for source, names in clip.sources.items():
        record = known.get(clip.key(source))
        if record is None:
            earlier = tracked & {*names}
            message = f"{_names(names)} {_are(names)} not tracked yet"
            if earlier:
                message = _change(clip, manifest, source, names)
            reasons.append(Reason("prompts" if earlier else "new", message, names))
        elif record.stated != clip.stated(source):
            message = f"{_names(names)} {_are(names)} to be tracked by other engines or weights"
            reasons.append(Reason("engine", message, names))
        else:
            records[source] = record
    return records, reasons


def _changed_weights(clip: TrackedClip, records: dict[Source, SourceRecord]) -> list[Reason]:
    """Why masks are not current whose engine has other weights now; takes away their records."""
    tracker, finder = clip.spec.tracker or Tracking(), clip.spec.finder or Finding()
    regions: dict[str, list[str]] = {}
    for source, record in [*records.items()]:
        change = changed_weights(record.tracker, tracker.engine, tracker.weights, clip.base)
        if not change and record.finder is not None:
            change = changed_weights(record.finder, finder.engine, finder.weights, clip.base)
        if change:
            regions.setdefault(change, []).extend(clip.sources[source])
            del records[source]
    return [
        Reason("weights", change, (*dict.fromkeys(names),)) for change, names in regions.items()
    ]


def _change(
    clip: TrackedClip, manifest: TrackedManifest, source: Source, names: Sequence[str]
) -> str:
    """What of an expression changed: what it says, or the frame that it does not name."""
    first, now = manifest.first, clip.used.start
    keys = [record.key for record in manifest.sources if {*names} & {*record.regions}]
    if first != now and any(clip.is_made_from(first, source, key) for key in keys):
        how = "found" if source.kind == "find" else "shown"
        where = f"on which {_names(names)} {_are(names)} {how}"
        return f"the first frame, {where}, is {now} now, not {first}"
    if source.kind == "find":
        return f"the words or the choice of {_names(names)} changed"
    return f"the prompts of {_names(names)} changed"


def _clip_change(clip: TrackedClip, manifest: TrackedManifest) -> Reason | None:
    """Why the frames are not those that were tracked, if they are not."""
    video, recorded = clip.spec.video, manifest.clip
    regions = tuple(dict.fromkeys(name for names in clip.sources.values() for name in names))
    if (recorded.width, recorded.height) == clip.size:
        if clip_hash(video, clip.base, manifest.frames) == recorded.sha256:
            return None
        before = video.replaced({}, alpha=recorded.alpha)
        if clip_hash(before, clip.base, manifest.frames) == recorded.sha256:
            message = "`alpha`, the colour behind transparent frames, changed"
            return Reason("background", message, regions)
    message = f"the clip {video.path} is not the one that was tracked"
    return Reason("clip", message, regions)


def counted_frames(frames: Iterable[int]) -> str:
    """Frames as spans, after their noun.

    >>> counted_frames([3]), counted_frames([3, 4])
    ('frame 3', 'frames 3..4')
    """
    numbers = {*frames}
    return f"frame{'s' * (len(numbers) > 1)} {frame_spans(numbers)}"


def frame_spans(frames: Iterable[int], most: int = 8) -> str:
    """Frames as spans.

    >>> frame_spans([3, 31, 32, 33, 40])
    '3, 31..33, 40'
    """
    spans = list(_spans(sorted({*frames})))
    shown = [str(low) if low == high else f"{low}..{high}" for low, high in spans[:most]]
    return ", ".join([*shown, *["…"] * (len(spans) > most)])


def _spans(frames: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for index in range(1, len(frames) + 1):
        if index == len(frames) or frames[index] != frames[index - 1] + 1:
            yield frames[start], frames[index - 1]
            start = index


def _names(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"
