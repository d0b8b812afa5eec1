"""Checks of the files that a spec names: the clip, masks and control clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from grainspec.checks.clip_frames import (
    Progress,
    broken_frame,
    check_frames,
    check_numbering,
    no_progress,
)
from grainspec.checks.sound import check_sound
from grainspec.checks.tracked_files import check_tracked_files
from grainspec.clip.crop import frame_crop, frame_numbers
from grainspec.clip.facts import ClipFacts, probe
from grainspec.clip.matching import match_frames, rates
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.expressions import (
    Box,
    During,
    Expression,
    MaskFiles,
    Polygon,
    Sides,
    Smoothed,
    children,
)
from grainspec.model.spec import Control, EditSpec
from grainspec.regions.masks import check_masks
from grainspec.regions.tracked.named import masks_of_other_clips


def check_files(spec: EditSpec, base: Path, progress: Progress = no_progress) -> list[Diagnostic]:
    """Check the files that ``spec`` names; relative paths start at ``base``.

    ``progress`` is called while the clip's frames are decoded.
    """
    video = spec.video
    clip = base / video.path
    try:
        facts = probe(
            clip,
            needed=video.frames.last if video.frames else None,
            fps=video.fps,
            span=video.span_of("path"),
        )
        frame_crop(video, facts)
    except GrainError as error:
        return list(error.diagnostics)
    findings: list[Diagnostic] = []
    try:
        frames = frame_numbers(video, facts)
    except GrainError as error:
        findings += error.diagnostics
        frames = list(range(facts.frames))
    findings += check_frames(video, clip, facts, frames, progress)
    findings += check_sound(video, clip)
    findings += check_numbering(spec, clip, facts)
    for region in spec.regions:
        for source, wanted in _sources(region.expression, frames, frames):
            if isinstance(source, MaskFiles) and wanted:
                findings += check_masks(source, base, facts, wanted, clip=clip)
            elif isinstance(source, Box | Polygon):
                findings += _check_shape(source, facts, wanted)
            elif isinstance(source, During) and source.frames.first >= facts.frames:
                message = f"frame {source.frames.first} is past the end of the video"
                cure = f"The video has frames 0 to {facts.frames - 1}."
                findings.append(Diagnostic("G303", message, cure, source.span))
    findings += masks_of_other_clips(spec, base)
    findings += check_tracked_files(spec, base, facts)
    findings += [
        finding
        for control in spec.controls
        for finding in _control(control, base, clip, facts, frames)
    ]
    return findings


def _control(
    control: Control, base: Path, clip: Path, facts: ClipFacts, frames: Sequence[int]
) -> Iterator[Diagnostic]:
    """Check that a control's own clip has the source's frames, rate and aspect ratio."""
    if control.clip is None:
        return
    span = control.span_of("clip")
    try:
        own = probe(base / control.clip, span=span)
    except GrainError as error:
        yield from error.diagnostics
        return
    match = match_frames(clip, facts, base / control.clip, own, frames)
    if match is None:
        message = f"{control.clip} has {rates(facts, own)}: they do not match"
        cure = f"Export it again with {facts.frames} frames, as the clip has."
        yield Diagnostic("G326", message, cure, span)
        return
    if own.frames <= match.numbers[-1]:
        message = f"{control.clip} has {own.frames} frames; the edit needs frame {frames[-1]}"
        yield Diagnostic("G303", message, "It needs one frame per frame of the clip.", span)
        return
    if match.how != "number":
        how = "its frames are used by time"
        how = how if match.how == "time" else "its frame k is used for frame k"
        message = f"{control.clip} has {rates(facts, own)}: {how}"
        cure = "If that is wrong, export it again with the frames of the clip."
        yield Diagnostic("G324", message, cure, span)
    if abs(own.width * facts.height - own.height * facts.width) > 0.02 * own.width * facts.height:
        message = (
            f"{control.clip} is {own.width}x{own.height}, the clip {facts.width}x{facts.height}"
        )
        yield Diagnostic("G306", message, "Both must have the same aspect ratio.", span)
    else:
        yield from broken_frame(base / control.clip, sorted({*match.numbers}), span)


def _sources(
    expression: Expression, frames: Sequence[int], used: Sequence[int]
) -> Iterator[tuple[Expression, Sequence[int]]]:
    """The expression and all its operands, each with those of the ``used`` frames for it."""
    yield expression, frames
    if isinstance(expression, During):
        frames = [frame for frame in frames if frame in expression.frames]
    if isinstance(expression, Smoothed) and frames:
        places = [used.index(frame) for frame in (frames[0], frames[-1])]
        half = expression.frames // 2
        frames = used[max(0, places[0] - half) : places[1] + half + 1]
    for child in children(expression):
        yield from _sources(child, frames, used)


def _check_shape(box: Box | Polygon, facts: ClipFacts, frames: Sequence[int]) -> list[Diagnostic]:
    findings = []
    size = facts.width, facts.height
    cure = f"The frames are {facts.width}x{facts.height} pixels."
    for key in box.keyframes:
        span = key.span or box.span
        x0, y0, x1, y1 = key.sides(*size)
        if x0 >= x1 or y0 >= y1:
            findings.append(Diagnostic("G309", f"the {box.kind} has no area", cure, span))
        if key.frame is not None and key.frame >= facts.frames:
            message = f"keyframe {key.frame} is past the end of the video"
            last = f"The video has frames 0 to {facts.frames - 1}."
            findings.append(Diagnostic("G303", message, last, span))
    places = chain(
        (key.sides(*size) for key in box.keyframes), (box.sides(at, *size) for at in frames)
    )
    if frames and not findings and not any(_meets(place, *size) for place in places):
        message = f"the {box.kind} lies outside the frame on every frame"
        findings.append(Diagnostic("G309", message, cure, box.keyframes[0].span or box.span))
    return findings


def _meets(sides: Sides, width: int, height: int) -> bool:
    x0, y0, x1, y1 = sides
    return x0 < width and y0 < height and x1 > 0 and y1 > 0
