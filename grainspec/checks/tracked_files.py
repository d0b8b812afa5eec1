"""Checks of the prompts of tracked regions against the clip, and of their masks in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grainspec.checks.tracked import coordinates, is_nowhere, point_text, tracked_nodes
from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.algebra import Box, Polygon, Prompt, Track
from grainspec.model.shapes import Point
from grainspec.model.spec import EditSpec
from grainspec.regions.tracked.prompt_mask import prompt_area, prompt_mask


def check_tracked_files(spec: EditSpec, base: Path, facts: ClipFacts) -> Iterator[Diagnostic]:
    """Check prompts against the clip: their frames (G303), points (G351), shapes and masks."""
    first = spec.video.frames.first if spec.video.frames else 0
    for node in tracked_nodes(spec):
        for prompt in node.prompts if isinstance(node, Track) else (node,):
            frame = first if prompt.frame is None else prompt.frame
            span = prompt.span_of("frame") or node.span
            if frame >= facts.frames:
                message = f"frame {frame} is past the end of the video"
                cure = f"The video has frames 0 to {facts.frames - 1}."
                yield Diagnostic("G303", message, cure, span)
            elif isinstance(prompt, Prompt):
                yield from _shape_fits(prompt, frame, spec, base, facts)


def _shape_fits(
    prompt: Prompt, frame: int, spec: EditSpec, base: Path, facts: ClipFacts
) -> Iterator[Diagnostic]:
    shape = prompt.shape
    if isinstance(shape, Point):
        yield from _point_fits(prompt, shape, facts)
        return
    try:
        if isinstance(shape, Box | Polygon):
            prompt_area(shape, frame, (facts.width, facts.height))
        else:
            prompt_mask(shape, base, facts, frame, clip=base / spec.video.path)
    except GrainError as error:
        yield from error.diagnostics


def _point_fits(prompt: Prompt, point: Point, facts: ClipFacts) -> Iterator[Diagnostic]:
    if any(map(is_nowhere, coordinates(point))):
        return  # which is known without the clip
    width, height = facts.width, facts.height
    if point.x.pixels(width) < width and point.y.pixels(height) < height:
        return
    message = f"`{point_text(prompt)}` lies outside the frame"
    cure = f"The frames are {width}x{height} pixels."
    if point.y.pixels(width) < width and point.x.pixels(height) < height:
        sign = "not " if prompt.outside else ""
        cure += f" x comes before y: did you mean `{sign}point({point.y}, {point.x})`?"
    yield Diagnostic("G351", message, cure, prompt.span)
