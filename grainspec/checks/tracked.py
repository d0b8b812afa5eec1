"""Checks of regions from clicks and words: their prompts and words, and their engines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from grainspec.diagnostics import Diagnostic, Related
from grainspec.model.algebra import Find, Prompt, PromptShape, Track, walk
from grainspec.model.numbers import percent_text
from grainspec.model.settings.tracking import Tracking
from grainspec.model.shapes import Length, Point
from grainspec.model.spec import EditSpec


def check_tracked(spec: EditSpec, absent: frozenset[str]) -> Iterator[Diagnostic]:
    """Check tracked and found regions by themselves: their prompts (G350, G351), words (G353).

    And that their engine takes the prompts (G535); that statements about engines have an effect
    (G111), and their weights a meaning (G530). There is nothing about engines if something is
    ``absent``, which could not be read.
    """
    nodes = tracked_nodes(spec)
    for node in nodes:
        if isinstance(node, Track):
            yield from _prompts_fit(node)
            yield from _points_are_inside(node)
            yield from _points_differ(node)
        else:
            yield from _one_name(node)
    if not absent:
        yield from _engines(spec, nodes)
        yield from check_engine_prompts(spec, (spec.tracker or Tracking()).engine)


def check_engine_prompts(spec: EditSpec, engine: str) -> Iterator[Diagnostic]:
    """Check that a tracker takes the prompts of a spec (G535): with weights, a mask or points."""
    if engine == "colour":
        return
    for track in tracked_nodes(spec):
        for frame, prompts in _by_frame(track).items() if isinstance(track, Track) else ():
            points = [prompt for prompt in prompts if isinstance(prompt.shape, Point)]
            masks = [prompt for prompt in prompts if _is_mask(prompt.shape)]
            if points and masks:
                kind = getattr(masks[0].shape, "kind", "")
                where = "one frame" if frame is None else f"frame {frame}"
                message = (
                    f"`{engine}` takes `{kind}(…)` or points of an object on {where}, not both"
                )
                cure = "Give the points on another frame, or a `box(…)` with them, or no points."
                yield Diagnostic("G535", message, cure, points[0].span or track.span)


def _is_mask(shape: PromptShape) -> bool:
    """Whether an engine gets the shape as a mask."""
    return not isinstance(shape, Point) and shape.kind != "box"


def _by_frame(track: Track) -> dict[int | None, list[Prompt]]:
    frames: dict[int | None, list[Prompt]] = {}
    for prompt in track.prompts:
        frames.setdefault(prompt.frame, []).append(prompt)
    return frames


def tracked_nodes(spec: EditSpec) -> list[Track | Find]:
    """The tracked and found objects of a spec, each once."""
    nodes = (node for region in spec.regions for node in walk(region.expression))
    return list(dict.fromkeys(node for node in nodes if isinstance(node, Track | Find)))


def _prompts_fit(track: Track) -> Iterator[Diagnostic]:
    if all(prompt.outside for prompt in track.prompts):
        message = "`track(…)` has no point on the object, only points outside it"
        cure = "Add a point on the object: `track(point(30%, 55%), not point(80%, 80%) @ 0)`."
        yield Diagnostic("G350", message, cure, track.span)
        return
    for frame, prompts in _by_frame(track).items():
        if all(prompt.outside for prompt in prompts):
            message = f"the only points on frame {frame} are outside the object"
            cure = (
                f"Add a point on the object: `point(30%, 55%), {point_text(prompts[0])} @ {frame}`."
            )
            yield Diagnostic("G350", message, cure, prompts[0].span or track.span)
        shapes = [prompt for prompt in prompts if not isinstance(prompt.shape, Point)]
        if len(shapes) > 1:
            where = "one frame" if frame is None else f"frame {frame}"
            kinds = [f"`{getattr(prompt.shape, 'kind', '')}(…)`" for prompt in shapes[:2]]
            message = f"{' and '.join(kinds)} show one object on {where}"
            cure = "Keep one of them. Two objects are two regions, or `track(…) | track(…)`."
            first = shapes[0].span
            related = (Related(first, "the first one"),) if first else ()
            yield Diagnostic("G350", message, cure, shapes[1].span or track.span, related=related)


def _points_differ(track: Track) -> Iterator[Diagnostic]:
    """Points that are both inside and outside the object."""
    for prompts in _by_frame(track).values():
        inside = {prompt.shape: prompt for prompt in prompts if not prompt.outside}
        for prompt in prompts:
            if prompt.outside and prompt.shape in inside:
                other = inside[prompt.shape]
                message = f"`{point_text(other)}` and `{point_text(prompt)}` are at one place"
                related = (Related(other.span, "inside the object here"),) if other.span else ()
                cure = "Remove the wrong one, or move it."
                span = prompt.span or track.span
                yield Diagnostic("G350", message, cure, span, related=related)


def point_text(prompt: Prompt) -> str:
    """A point as it is written."""
    assert isinstance(prompt.shape, Point)
    return f"{'not ' if prompt.outside else ''}point({prompt.shape.x}, {prompt.shape.y})"


def _points_are_inside(track: Track) -> Iterator[Diagnostic]:
    """Points whose coordinates are in no frame, whatever its size: below 0, or from 100% on."""
    for prompt in track.prompts:
        if isinstance(prompt.shape, Point) and any(map(is_nowhere, coordinates(prompt.shape))):
            message = f"`{point_text(prompt)}` lies outside the frame"
            cure = "Coordinates are from 0% to less than 100% of the frame's width and height."
            yield Diagnostic("G351", message, cure, prompt.span or track.span)


def coordinates(point: Point) -> tuple[Length, Length]:
    """Its x and y."""
    return point.x, point.y


def is_nowhere(length: Length) -> bool:
    """Whether a coordinate lies outside every frame, whatever its size."""
    return length.value < 0 or (length.unit == "%" and length.value >= 100)


_COLOURS = "black blue brown golden gray green grey orange pink purple red silver white yellow"
_COLOURED = re.compile(
    rf"\b(?:{'|'.join(_COLOURS.split())}) and (?:{'|'.join(_COLOURS.split())})\b"
)
_SEPARATOR = re.compile(r"\s+(?:and|or|plus)\s+|\s*[,;/&|+]\s*|\s*\.\s+", re.IGNORECASE)


def _one_name(find: Find) -> Iterator[Diagnostic]:
    """Words that name several kinds of objects, as some finders take them."""
    words = find.words.strip(" .")
    if _COLOURED.search(words):
        return
    names = [name for name in _SEPARATOR.split(words) if name]
    if len(names) > 1:
        cure = " | ".join(_named(find, name) for name in names)
        message = f'`find("{find.words}")` seems to name {len(names)} kinds of objects'
        yield Diagnostic("G353", message, f"Write `{cure}`.", find.span_of("words"))


def _named(find: Find, name: str) -> str:
    """The same as another ``find(…)``, but for its words."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    options = [f'"{quoted}"', *([find.choice] if find.choice != "all" else [])]
    options += [f"number {find.number}"] if find.number is not None else []
    options += [f"score {percent_text(find.score)}"] if "score" in find.model_fields_set else []
    frame = "" if find.frame is None else f" @ {find.frame}"
    return f"find({', '.join(options)}{frame})"


def _engines(spec: EditSpec, nodes: Sequence[Track | Find]) -> Iterator[Diagnostic]:
    if spec.tracker is not None and not nodes:
        message = "`tracker` has no effect: no region is tracked"
        cure = "Remove it, or write a region such as `track(point(30%, 55%) @ 0)`."
        yield Diagnostic("G111", message, cure, spec.span_of("tracker"))
    elif spec.tracker is not None and spec.tracker.engine == "colour" and spec.tracker.weights:
        message = "the tracker `colour` has no weights"
        named = f'tracker sam2 {{ weights "{spec.tracker.weights}" }}'
        cure = f"Remove `weights`, or name their engine: `{named}`."
        yield Diagnostic("G530", message, cure, spec.tracker.span_of("weights"))
    if spec.finder is not None and not any(isinstance(node, Find) for node in nodes):
        message = "`finder` has no effect: no region is found by words"
        cure = 'Remove it, or write a region such as `find("man")`.'
        yield Diagnostic("G111", message, cure, spec.span_of("finder"))
