"""What can be wrong with tracked masks; no model is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from grainspec.checks.tracked_named import named_refusal
from grainspec.clip.crop import frame_numbers
from grainspec.clip.facts import probe
from grainspec.diagnostics import Diagnostic, GrainError, visible
from grainspec.diagnostics.span import Span
from grainspec.model.expressions import Find, Track
from grainspec.model.spec import EditSpec
from grainspec.regions.shade_findings import listed
from grainspec.regions.tracked.images import foreign_files
from grainspec.regions.tracked.labels import Labels, image_name, read_labels
from grainspec.regions.tracked.manifest import SourceRecord
from grainspec.regions.tracked.outdated import is_outdated
from grainspec.regions.tracked.place import how_to_track, track_command
from grainspec.regions.tracked.quality import Encounter, SourceQuality, encounters, qualities
from grainspec.regions.tracked.sources import Source, tracked_sources
from grainspec.regions.tracked.state import TrackedState, counted_frames, tracked_state

NOT_CURRENT = frozenset({"G357", "G358", "G363", "G365"})
"""The codes of masks that must be made or repaired before regions can be computed."""


def tracked_masks_of(
    spec: EditSpec, base: Path, *, compares_weights: bool = False
) -> TrackedState | None:
    """The tracked masks of a spec; None if it tracks nothing. Raises GrainError for the clip."""
    if not tracked_sources(spec):
        return None
    video = spec.video
    needed = video.frames.last if video.frames else None
    facts = probe(base / video.path, needed=needed, fps=video.fps, span=video.span_of("path"))
    return tracked_state(spec, base, facts, compares_weights=compares_weights)


def check_tracked_masks(
    spec: EditSpec, base: Path, *, compares_weights: bool = True
) -> list[Diagnostic]:
    """Find tracked masks that are missing or stale, and frames on which they are doubtful.

    Masks that the next run makes again by itself are warnings; those that it cannot make again
    without replacing what was repaired by hand are an error. With ``compares_weights``, masks are
    stale if the weights of their engine were replaced.
    """
    try:
        state = tracked_masks_of(spec, base, compares_weights=compares_weights)
    except GrainError as error:
        return list(error.diagnostics)
    if state is None:
        return []
    if not state.usable:
        return [_not_current(state)]
    if broken := unusable_images(state):
        return broken
    frames = frame_numbers(spec.video, state.clip.facts)
    found = [finding for one in qualities(state, frames) for finding in _doubts(one)]
    found += [_met(state, encounter) for encounter in encounters(state, frames)]
    return [*found, *_covers(state), *_without_a_region(state), *_outdated(state)]


def _not_current(state: TrackedState) -> Diagnostic:
    again = how_to_track(state.clip.spec)
    again += "; `grain show`, `grain plan` and `grain run` do so too."
    if state.status == "missing":
        return Diagnostic("G357", state.why, again, _span(state))
    message = f"the masks in {state.folder} are stale: {state.why}"
    if state.grows:
        again += f" {grown_text(state)}"
    stale = Diagnostic("G358", message, again, _span(state))
    refusal = repaired_refusal(state) or foreign_refusal(state) or named_refusal(state)
    refusal = refusal or outside_refusal(state)
    return refusal or stale


def grown_text(state: TrackedState) -> str:
    """What happens where a spec uses more frames than were tracked."""
    text = "All frames are tracked again, as masks depend on all frames that an object is followed "
    text += "through"
    if not state.repaired:
        return f"{text}."
    names = listed([image_name(frame) for frame in state.repaired])
    return f"{text}; {names} stay{'s' * (len(state.repaired) == 1)} as repaired by hand."


def _span(state: TrackedState) -> Span | None:
    """Where the first expression is written whose masks are not current."""
    concerned = {name for reason in state.reasons for name in reason.regions}
    spans = [source.span for source, names in state.sources.items() if concerned & {*names}]
    return next(iter(spans), None)


def repaired_refusal(state: TrackedState) -> Diagnostic | None:
    """The error about masks that new tracking would replace though they were repaired by hand.

    None if there are none, or if they can be kept: the clip is the same, and so are the objects.
    """
    causes = {reason.cause for reason in state.reasons}
    if not causes & {"clip", "damaged"} or ("clip" in causes and not state.repaired):
        return None
    cure = f"Move the folder away, or replace it: `{track_command(state.clip.spec)} --force`."
    if state.repaired:
        names = listed([image_name(frame) for frame in state.repaired])
        what = "is" if len(state.repaired) == 1 else "are"
        message = f"{state.why}, and {names} in {state.folder} {what} repaired by hand"
    else:
        message = f"{state.why}, so it is not known which masks were repaired by hand"
    return Diagnostic("G365", message, cure, _span(state))


def outside_refusal(state: TrackedState) -> Diagnostic | None:
    """The error about repaired images that new tracking would delete: the spec needs them no more.

    None if there are none among the frames that would not be tracked.
    """
    frames = state.clip.frames
    outside = [frame for frame in state.repaired if frame not in frames]
    if not outside:
        return None
    names = listed([image_name(frame) for frame in outside])
    what, them = ("is", "it") if len(outside) == 1 else ("are", "them")
    why = f"{state.why}, and " if state.why else ""
    message = f"{why}only frames {frames.start}..{frames.stop - 1} would be tracked: {names} in "
    message += f"{state.folder} {what} repaired by hand, and would be deleted"
    first = state.manifest.first if state.manifest else 0
    cure = f"Let the spec use {counted_frames(outside)} too, or name the frames of its prompts as "
    cure += f"they were, such as `point(…) @ {first}`. To give {them} up: "
    cure += f"`{track_command(state.clip.spec)} --force`."
    return Diagnostic("G365", message, cure, _span(state))


def foreign_refusal(state: TrackedState) -> Diagnostic | None:
    """The error about files that new tracking would delete though it did not write them."""
    if state.manifest is None or not (files := foreign_files(state.folder, state.manifest)):
        return None
    what, them = ("is", "it") if len(files) == 1 else ("are", "them")
    message = f"{listed([visible(str(file)) for file in files])} in {state.folder} {what} not from "
    message += "`grain track`, and would be deleted"
    cure = f"Move {them} to another folder. To give {them} up: "
    cure += f"`{track_command(state.clip.spec)} --force`."
    return Diagnostic("G365", message, cure, _span(state))


def unusable_images(state: TrackedState) -> list[Diagnostic]:
    """The errors (G363) about repaired images on frames in use that cannot be used."""
    span = next((source.span for source in state.sources), None)
    findings: list[Diagnostic] = []
    if state.manifest is None:
        return findings
    for frame in state.repaired:
        if frame in state.clip.used:
            path = state.folder / image_name(frame)
            try:
                read_labels(path, state.clip.size, state.manifest.numbers)
            except GrainError as error:
                findings += [replace(found, span=span) for found in error.diagnostics]
    return findings


def _doubts(quality: SourceQuality) -> Iterator[Diagnostic]:
    name, span = listed([f"`{region}`" for region in quality.regions]), quality.source.span
    verb = "are" if len(quality.regions) > 1 else "is"
    if quality.lost:
        first = quality.lost[0]
        where = f"on {counted_frames(quality.lost)}"
        if quality.lost_to_the_end and len(quality.lost) > 1:
            where = f"from frame {first} on"
        cure = f"If the object can be seen, {_shown(quality.source, first)}. If it is gone, say so "
        cure += "with `during`."
        yield Diagnostic("G361", f"{name} {verb} lost {where}", cure, span)
    if quality.doubtful:
        message = f"{name} {verb} doubtful on {counted_frames(quality.doubtful)}"
        cure = f"Look with `grain show`, and {_shown(quality.source, quality.worst)}."
        yield Diagnostic("G360", message, cure, span)


def _shown(source: Source, frame: int) -> str:
    """How an object is shown to the tracker on a frame; `find(…)` takes no points."""
    if isinstance(source, Find):
        how = f"find it on another frame, such as with `@ {frame}` inside the brackets of `find(…)`"
        return f"{how}, select it by `number`, or show it there with `track(box(…) @ {frame})`"
    return f"add a point there, such as `point(…) @ {frame}`"


def _met(state: TrackedState, met: Encounter) -> Diagnostic:
    """The warning about objects that touch and look alike."""
    source = next(one for one, names in state.sources.items() if met.region in names)
    where, used = counted_frames(met.frames), state.clip.used
    if met.by is None:
        message = f"`{met.region}` touches something that looks like it on {where}: "
        message += "it may be the other one"
    else:
        message = f"`{met.region}` and `{met.by}` touch on {where} and look alike: "
        message += "they may be swapped"
    if met.apart in used:
        message += f" {'before' if met.before else 'after'} frame {met.edge}"
    at = min(max(met.apart, used.start), used.stop - 1)
    cure = f"Look with `grain show`. If the masks are wrong, {_shown(source, at)}."
    return Diagnostic("G368", message, cure, source.span)


def _covers(state: TrackedState) -> Iterator[Diagnostic]:
    assert state.manifest is not None
    # Of several expressions of a region, the first that takes points: its cure can be pasted.
    ordered = sorted(state.sources.items(), key=lambda item: isinstance(item[0], Track))
    owners = {name: source for source, names in ordered for name in names}
    for cover in state.manifest.covers:
        if {cover.region, cover.by} <= owners.keys():
            message = (
                f"`{cover.by}` covers `{cover.region}` on frame {cover.frame}, where a prompt "
            )
            message += f"says that `{cover.region}` is"
            cure = f"Add a point outside `{cover.by}` there: `not point(…) @ {cover.frame}`."
            if isinstance(owners[cover.by], Find):
                cure = f"Find another object for `{cover.by}`, by `number` or another `@` inside "
                cure += f"the brackets, or show it: `track(box(…) @ {cover.frame})`."
            yield Diagnostic("G362", message, cure, owners[cover.by].span)


def _without_a_region(state: TrackedState) -> Iterator[Diagnostic]:
    """Repaired images that were kept when a region was tracked that they do not have."""
    assert state.manifest is not None
    for source, record in (state.records or {}).items():
        before = {*record.kept} & {*state.repaired} & {*state.clip.used}
        frames = [frame for frame in sorted(before) if not _shows(state, record, frame)]
        if frames:
            name = listed([f"`{region}`" for region in state.sources[source]])
            images = listed([image_name(frame) for frame in frames])
            message = f"{name} has no pixels in {images}: repaired before it was tracked"
            cure = f"Paint it there, with index {record.numbers[0]}, or delete the image"
            cure += f"{'s' * (len(frames) > 1)} and run `{track_command(state.clip.spec)}`."
            yield Diagnostic("G366", message, cure, source.span)


def _outdated(state: TrackedState) -> Iterator[Diagnostic]:
    """Repaired images that were kept when a region was tracked from other prompts."""
    for source, record in (state.records or {}).items():
        before = {one.frame for one in record.outdated} & {*state.repaired} & {*state.clip.used}
        frames = [f for f in sorted(before) if is_outdated(record, f, _labels(state, f))]
        if frames:
            names = state.sources[source]
            images, region = listed([image_name(frame) for frame in frames]), names[0]
            were = "were" if len(frames) > 1 else "was"
            message = f"{images} {were} repaired under other prompts of "
            message += f"{listed([f'`{name}`' for name in names])}, and may show another object"
            cure = f"Paint it anew there, with index {record.numbers[0]}, or replace what was "
            cure += f"repaired: `{track_command(state.clip.spec)} --only {region} --force`."
            yield Diagnostic("G366", message, cure, source.span)


def _shows(state: TrackedState, record: SourceRecord, frame: int) -> bool:
    """Whether an image has pixels of an expression's objects."""
    labels_HW = _labels(state, frame)
    return any((labels_HW == number).any() for number in record.numbers)


def _labels(state: TrackedState, frame: int) -> Labels:
    assert state.manifest is not None
    return read_labels(state.folder / image_name(frame), state.clip.size, state.manifest.numbers)
