"""What a spec says about files: the clip and the masks, looked at without decoding the clip."""

from __future__ import annotations

from pathlib import Path

from grainspec.clip import frame_numbers, probe, window
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.regions.expressions import Box, MaskFiles, walk
from grainspec.regions.masks import check_masks
from grainspec.spec import EditSpec


def check_files(spec: EditSpec, base: Path) -> list[Diagnostic]:
    """Every finding about the files that ``spec`` names; relative paths start at ``base``."""
    video = spec.video
    try:
        facts = probe(
            base / video.path,
            needed=video.frames.last if video.frames else None,
            span=video.span_of("path"),
        )
        window(video, facts)
    except GrainError as error:
        return list(error.diagnostics)
    findings: list[Diagnostic] = []
    try:
        frames = frame_numbers(video, facts)
    except GrainError as error:
        findings += error.diagnostics
        frames = list(range(facts.frames))
    for region in spec.regions:
        for source in walk(region.expression):
            if isinstance(source, MaskFiles):
                findings += check_masks(source, base, facts, frames)
            elif isinstance(source, Box):
                findings += _check_box(source, facts.width, facts.height, facts.frames)
    return findings


def _check_box(box: Box, width: int, height: int, count: int) -> list[Diagnostic]:
    findings = []
    for key in box.keyframes:
        span = key.span or box.span
        x0, x1 = key.x0.pixels(width), key.x1.pixels(width)
        y0, y1 = key.y0.pixels(height), key.y1.pixels(height)
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height or x0 >= x1 or y0 >= y1:
            message = "the box lies outside the frame, or has no area"
            cure = f"The frames are {width}x{height} pixels."
            findings.append(Diagnostic("G309", message, cure, span))
        if key.frame is not None and key.frame >= count:
            message = f"the keyframe {key.frame} is past the end of the video"
            cure = f"It has frames 0 to {count - 1}."
            findings.append(Diagnostic("G303", message, cure, span))
    return findings
