"""Make the masks of a spec's tracked regions, once, and keep them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from grainspec.checks.tracked_masks import (
    foreign_refusal,
    grown_text,
    outside_refusal,
    repaired_refusal,
    unusable_images,
)
from grainspec.checks.tracked_named import named_refusal
from grainspec.clip.facts import probe
from grainspec.diagnostics import GrainError, fail
from grainspec.model.expressions import Find
from grainspec.model.spec import EditSpec
from grainspec.regions.shade_findings import listed
from grainspec.regions.tracked.clip_hash import clip_hash
from grainspec.regions.tracked.manifest import (
    MANIFEST,
    EngineRecord,
    SourceRecord,
    TrackedManifest,
)
from grainspec.regions.tracked.place import track_command
from grainspec.regions.tracked.sources import Source, TrackedClip
from grainspec.regions.tracked.state import OF_ALL, TrackedState, tracked_state
from grainspec.shell import shell_path
from grainspec_runtime.tracking.choices import EngineChoice
from grainspec_runtime.tracking.engine import Finder, Tracker
from grainspec_runtime.tracking.frames import ClipFrames
from grainspec_runtime.tracking.partial import PartialFrames, left_over
from grainspec_runtime.tracking.request import Request, request_of
from grainspec_runtime.tracking.write import Kept, Used, is_foreign, write_masks
from grainspec_runtime.whole_folder import claimed

StageProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, its number of finished steps, and its total number."""


def silent(stage: str, done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class TrackOptions:
    """How masks are made.

    ``only`` are the regions to track, all if empty; others are kept as they are. ``force`` tracks
    them even if they are current, and replaces what was repaired by hand of them. Without
    ``replaces`` masks are made only where there are none. With ``compares``, masks are made again
    if their engine has another version now. ``say`` is called
    with a sentence before tracking begins, ``progress`` during it, ``made`` with the names of the
    regions after it.
    """

    engines: EngineChoice = field(default_factory=EngineChoice)
    only: tuple[str, ...] = ()
    force: bool = False
    replaces: bool = True
    compares: bool = False
    say: Callable[[str], None] = field(default=lambda text: None)
    progress: StageProgress = silent
    made: Callable[[tuple[str, ...]], None] = field(default=lambda regions: None)


@dataclass(frozen=True)
class Tracked:
    """The masks of a spec. ``regions`` were tracked now, none if all were current.

    ``resumed`` is the number of frames that an interrupted command had finished; ``kept`` are the
    frames whose image was repaired by hand, and was not replaced, or only where ``regions`` are.
    """

    state: TrackedState
    regions: tuple[str, ...] = ()
    resumed: int = 0
    kept: tuple[int, ...] = ()
    seconds: float = 0.0


def ensure_tracked(spec: EditSpec, base: Path, options: TrackOptions = TrackOptions()) -> Tracked:
    """Make the masks of a spec's tracked regions, unless they are current.

    The spec's meaning and files must be in order. Relative paths start at ``base``. What an
    interrupted call had finished is taken over, if it asked for the same.

    Raises GrainError: G359 for words that nothing fits, G363 for repaired images that cannot be
    used, G364 if another process is tracking the same spec, G365 if masks would be replaced that
    are to be kept, G533 for an engine that cannot run here, G310 if the folder cannot be written,
    and what clip, prompts and weights raise.
    """
    state = _state(spec, base, options)
    if not _wanted(state, options):
        _require_usable(state)
        _tidy(state)
        return Tracked(state)
    with _alone(state):
        state = _state(spec, base, options)  # another command may have tracked it in the meantime
        wanted = _wanted(state, options)
        if not wanted:
            return Tracked(state)
        made = _track(state, wanted, options)
    options.made(made.regions)
    return made


def _require_usable(state: TrackedState) -> None:
    """Raise GrainError (G363) if an image that was repaired by hand cannot be used."""
    if broken := unusable_images(state):
        raise GrainError(broken)


def _tidy(state: TrackedState) -> None:
    """Delete what a killed command left, unless another one is at work."""
    if left_over(state.folder):
        with suppress(GrainError), _alone(state):
            for folder in left_over(state.folder):
                shutil.rmtree(folder, ignore_errors=True)


def _state(spec: EditSpec, base: Path, options: TrackOptions) -> TrackedState:
    video = spec.video
    needed = video.frames.last if video.frames else None
    facts = probe(base / video.path, needed=needed, fps=video.fps, span=video.span_of("path"))
    # Masks of an earlier run are those of the weights that it had.
    return tracked_state(spec, base, facts, compares_weights=options.replaces)


def _wanted(state: TrackedState, options: TrackOptions) -> list[Source]:
    """The expressions to track: those that are not current, with all others unless ``only``."""
    chosen = [
        source
        for source, names in state.sources.items()
        if not options.only or {*names} & {*options.only}
    ]
    records = state.records or {}
    current = state.usable
    if options.only:
        lost = {reason.cause for reason in state.reasons} & OF_ALL
        current = not lost and all(source in records for source in chosen)
    known = [records[source] for source in chosen if source in records]
    current = current and all(map(options.engines.made, known))
    current = current and not _changes(state, known, options)
    return [] if current and not options.force else chosen


def _changes(
    state: TrackedState, records: Iterable[SourceRecord], options: TrackOptions
) -> list[str]:
    """What changed of the engines that made the masks, if that is compared."""
    if not options.compares:
        return []
    clip = state.clip
    found = [options.engines.changed(record, clip.spec, clip.base) for record in records]
    return list(dict.fromkeys(filter(None, found)))


@contextmanager
def _alone(state: TrackedState) -> Iterator[None]:
    """Keep other processes from tracking the same spec."""
    with ExitStack() as held:
        try:
            held.enter_context(claimed(state.folder, keeps=is_foreign, last=MANIFEST))
        except GrainError as error:
            if error.diagnostics[0].code == "G310":  # the folder cannot be chosen
                cure = f"Tracked masks are kept in {state.folder}: move away what is in its place, "
                cure += "or make it writable."
                raise fail("G310", error.diagnostics[0].message, cure) from error
            if error.diagnostics[0].code != "G340":
                raise
            who = error.diagnostics[0].message.partition(": ")[2]
            message = f"another command is tracking the regions of {state.folder.name}"
            message += f": {who}" if who else ""
            raise fail("G364", message, "Wait until it has finished.") from error
        yield


def _track(state: TrackedState, wanted: list[Source], options: TrackOptions) -> Tracked:
    start = time.perf_counter()
    kept = _kept(state, wanted, options)
    also = state.manifest.frames if kept.records and state.manifest else None
    clip = TrackedClip(state.clip.spec, state.clip.base, state.clip.facts, also)
    finds = any(isinstance(source, Find) for source in wanted)
    options.engines.require(clip.spec, finder=finds)
    names = tuple(dict.fromkeys(name for source in wanted for name in state.sources[source]))
    frames = ClipFrames(clip)
    for line in options.engines.downloads(clip.spec, clip.base, finder=finds):
        options.say(line)
    finder = options.engines.load_finder(clip.spec, clip.base) if finds else None
    request = request_of(clip, wanted, frames, finder)
    used_finder = _record(finder) if finder else None
    del finder  # its memory is the tracker's
    tracker = options.engines.load_tracker(clip.spec, clip.base)
    known = state.records or {}
    for reason in state.reasons:
        if reason.cause == "weights":
            options.say(reason.message)
    if state.grows and not options.force:
        options.say(f"{state.why}. {grown_text(state)}")
    for line in _changes(state, [known[one] for one in wanted if one in known], options):
        options.say(line)
    shown = listed([f"`{name}`" for name in names])
    place = f"frames {clip.frames.start}..{clip.frames.stop - 1}, to {state.folder}"
    options.say(f"tracking {shown} by {tracker.name}: {place}")
    partial = _open_partial(state, request, tracker)
    resumed = len(partial)
    _run(tracker, frames, request, partial, options.progress)
    write_masks(state, request, frames, partial, Used(_record(tracker), used_finder), kept)
    partial.delete()
    seconds = time.perf_counter() - start
    again = _state(clip.spec, clip.base, options)
    still = tuple(frame for frame in kept.repaired if frame in again.repaired)
    return Tracked(again, names, resumed, still, round(seconds, 3))


def _kept(state: TrackedState, wanted: list[Source], options: TrackOptions) -> Kept:
    """What stays of earlier masks; raises GrainError (G365) if that is not possible."""
    manifest, causes = state.manifest, {reason.cause for reason in state.reasons}
    if not options.replaces and state.status != "missing":
        message = f"the masks in {state.folder} are not those of the run: {state.why}"
        cure = "Move the folder away to repeat the run with masks of its own, or run the spec as "
        cure += f"it is now: `grain run {shell_path(state.clip.spec.file or 'SPEC')}`."
        raise fail("G365", message, cure)
    refusal = None if options.force else repaired_refusal(state) or foreign_refusal(state)
    if refusal is None and not options.force and (not options.only or "clip" in causes):
        refusal = named_refusal(state)  # `--only` keeps all other objects
    if refusal is not None:
        raise GrainError([refusal])
    if manifest is None or "clip" in causes:
        return Kept()
    records = _of_others(state, manifest, wanted) if options.only else ()
    if records and causes & OF_ALL:
        message = f"`--only` keeps the masks of other regions, but {state.why}"
        raise fail("G365", message, f"Track all regions: `{track_command(state.clip.spec)}`.")
    outside = None if options.force or records else outside_refusal(state)
    if outside is not None:  # with `records`, all earlier frames are tracked
        raise GrainError([outside])
    if options.force and not records:
        return Kept()
    _require_usable(state)
    return Kept(records, state.repaired, whole=not options.force)


def _of_others(
    state: TrackedState, manifest: TrackedManifest, wanted: list[Source]
) -> tuple[SourceRecord, ...]:
    """The entries that ``wanted`` do not replace, with the names that their regions have now."""
    replaced = {state.clip.key(source) for source in wanted}
    changed = {name for source in wanted for name in state.sources[source]}
    regions = {state.clip.key(source): names for source, names in state.sources.items()}
    return tuple(
        record.model_copy(update={"regions": regions.get(record.key, record.regions)})
        for record in manifest.sources
        if record.key not in replaced and (record.key in regions or not {*record.regions} & changed)
    )


def _open_partial(state: TrackedState, request: Request, tracker: Tracker) -> PartialFrames:
    clip = request.clip
    content = clip_hash(clip.spec.video, clip.base, clip.frames)
    key = request.key([content, tracker.name, tracker.weights, tracker.version])
    count = len(clip.frames)
    return PartialFrames.of(state.folder, key, count, clip.size, len(request.objects))


def _run(
    tracker: Tracker,
    frames: ClipFrames,
    request: Request,
    partial: PartialFrames,
    progress: StageProgress,
) -> None:
    """Track what is not finished, and keep each frame."""
    total = len(frames)
    if len(partial) < total:
        progress("track", len(partial), total)
        for frame in tracker.track(frames, request.objects, partial.until_now()):
            partial.add(frame)
            progress("track", len(partial), total)
    missing = [index for index in range(total) if index not in partial]
    if missing:
        raise RuntimeError(f"the tracker {tracker.name} left out frame {missing[0]}")


def _record(engine: Tracker | Finder) -> EngineRecord:
    return EngineRecord(name=engine.name, weights=engine.weights, version=engine.version)
