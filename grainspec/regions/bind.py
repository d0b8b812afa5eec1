"""Convert region expressions to pixels: read masks, draw shapes, apply operators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np

from grainspec.clip.crop import FrameCrop, NativeSize, frame_crop, frame_numbers
from grainspec.clip.facts import ClipFacts, probe
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.expressions import (
    All,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    Find,
    Grown,
    Intersection,
    MaskFiles,
    Polygon,
    Reference,
    Rest,
    Smoothed,
    Track,
    children,
    references,
    uses_rest,
)
from grainspec.model.expressions import Union as UnionOf
from grainspec.model.spec import EditSpec, Size
from grainspec.regions.absent import MaskNotes
from grainspec.regions.carving import carve
from grainspec.regions.cropped import Uncropped, cropped, whole_frame
from grainspec.regions.layout import MAX_REGIONS, Layout, Mask, bits_dtype
from grainspec.regions.masks import open_masks
from grainspec.regions.shapes import fill_box, fill_ellipse, fill_polygon, grow
from grainspec.regions.smoothing import counted, smoothed
from grainspec.regions.tracked.masks import tracked_masks
from grainspec.regions.tracked.named import masks_of_other_clips
from grainspec.regions.tracked.place import how_to_track
from grainspec.regions.tracked.quality import qualities
from grainspec.regions.tracked.state import TrackedState, tracked_state

_DIGITS = 9
"""Of a pixel's coordinates: far more than matter, and fewer than rounding leaves alone."""


class Bound:
    """The pixels of a spec's regions on its clip.

    ``regions`` has every named region as written; ``edits`` has one region per edit, in the order
    of ``spec.claims``, with parts cut to their owners and subtracted from what they cover.
    ``uncropped`` has the regions of the whole frame, if ``crop`` takes much of it, and ``notes``
    what was noticed about mask files.
    """

    def __init__(
        self,
        spec: EditSpec,
        facts: ClipFacts,
        crop: FrameCrop,
        regions: Layout,
        uncropped: Uncropped | None,
        notes: MaskNotes,
    ) -> None:
        self.facts = facts
        self.crop = crop
        self.regions = regions
        self.uncropped = uncropped
        findings = cropped(spec, crop, uncropped) if uncropped else []
        if any(finding.is_error for finding in findings):
            raise GrainError(findings)
        self.edits, warnings = carve(spec, regions, notes.absent)
        self.notes = notes
        self.warnings = (*notes.warnings, *findings, *warnings)

    @property
    def shown(self) -> Layout:
        """The regions of the edits without the padding of ``fit pad``: those of the result."""
        return self.edits.inside(self.crop.inside)

    def carved(self, spec: EditSpec) -> Bound:
        """Bind another spec of the same clip and regions, such as a variant."""
        return Bound(spec, self.facts, self.crop, self.regions, self.uncropped, self.notes)


def bind_regions(
    spec: EditSpec, base: Path, *, default_size: Size | NativeSize | None = None
) -> Bound:
    """Compute the pixels of every region on the frames of the clip, cropped and scaled.

    Relative paths start at ``base``. ``default_size`` is the size if the spec gives none, as in
    :func:`grainspec.clip.crop.frame_crop`. Raises GrainError with all errors of masks and regions;
    the result has the warnings. Regions from clicks and words need their tracked masks: G354 if
    they are missing or stale.
    """
    video = spec.video
    facts = probe(
        base / video.path,
        needed=video.frames.last if video.frames else None,
        fps=video.fps,
        span=video.span_of("path"),
    )
    frames = frame_numbers(video, facts)
    if len(spec.regions) > MAX_REGIONS:
        message = f"the spec has {len(spec.regions)} regions, more than the {MAX_REGIONS} allowed"
        raise fail("G203", message, "Remove or join regions.")
    crop = frame_crop(video, facts, default_size)
    tracked = tracked_state(spec, base, facts)
    if not tracked.usable:
        raise _untracked(tracked)
    binder = _Binder(tracked, crop, frames)
    binder.notes.warnings += masks_of_other_clips(spec, base)
    regions = binder.bind_all()
    whole = whole_frame(crop, facts)
    uncropped = None
    if whole is not None:
        uncropped = Uncropped(whole, _Binder(tracked, whole, frames).bind_all())
    return Bound(spec, facts, crop, regions, uncropped, binder.notes)


def readable_regions(
    tracked: TrackedState, crop: FrameCrop, frames: Sequence[int]
) -> tuple[Layout, dict[str, tuple[Diagnostic, ...]]]:
    """The regions on some source frames, as far as they can be computed, for a spec in the making.

    ``frames`` are some of those that the spec uses, without gaps between them. A region that cannot
    be computed is empty, for the others too, and has its errors in the second value, by name.
    """
    binder = _Binder(tracked, crop, frames)
    errors = binder.evaluate(skip_broken=False)
    return binder.layout(), errors


def _untracked(tracked: TrackedState) -> GrainError:
    """The error about a spec whose tracked masks are missing or stale."""
    concerned = tracked.reasons[0].regions
    sources = (source for source, names in tracked.sources.items() if {*names} & {*concerned})
    span = next((source.span for source in sources), None)
    return fail("G354", tracked.why, f"{how_to_track(tracked.clip.spec)}.", span)


class _Binder:
    def __init__(self, tracked: TrackedState, crop: FrameCrop, frames: Sequence[int]) -> None:
        self.tracked = tracked
        self.spec = spec = tracked.clip.spec
        self.base = tracked.clip.base
        self.facts = facts = tracked.clip.facts
        self.frames = frames
        self.notes = MaskNotes()
        for quality in qualities(tracked, frames):
            self.notes.missing[quality.source] = {*quality.lost}
        self.index = {region.name: i for i, region in enumerate(spec.regions)}
        self.dtype = bits_dtype(max(1, len(spec.regions)))
        self.not_rest: list[str] = []
        self.order = self._order()
        self.crop = crop
        # Growing and shrinking depend on pixels beside the crop too.
        self.wider, self.inside = crop.widened(self._reach(), facts)
        self.shape = (len(frames), self.wider.height, self.wider.width)
        self.bits = np.zeros(self.shape, self.dtype)

    def bind_all(self) -> Layout:
        """Evaluate every region; those that others refer to come first."""
        errors = self.evaluate(skip_broken=True)
        if errors:
            raise GrainError(finding for found in errors.values() for finding in found)
        return self.layout()

    def evaluate(self, *, skip_broken: bool) -> dict[str, tuple[Diagnostic, ...]]:
        """Evaluate every region; returns the errors of those that cannot be, by name.

        With ``skip_broken``, regions that refer to a broken one are left out, without an error.
        """
        errors: dict[str, tuple[Diagnostic, ...]] = {}
        broken: set[str] = set()
        for name in self.order:
            expression = self.spec.region(name).expression
            if skip_broken and {reference.name for reference in references(expression)} & broken:
                broken.add(name)
                continue
            try:
                mask = self._evaluate(expression, range(len(self.frames)))
            except GrainError as error:
                errors[name] = error.diagnostics
                broken.add(name)
                continue
            self.notes.note(name, expression, self.frames)
            self.bits |= mask.astype(self.dtype) << self.dtype(self.index[name])
        return errors

    def layout(self) -> Layout:
        """The regions that were evaluated, inside the crop, with its padding."""
        bits = self.bits[(slice(None), *self.inside)]
        if any(self.crop.padding):  # padding belongs to no region
            left, above, right, below = self.crop.padding
            bits = np.pad(bits, ((0, 0), (above, below), (left, right)))
        return Layout(tuple(self.index), bits, tuple(self.frames))

    def _reach(self) -> int:
        """How far beside the crop pixels matter, because regions grow and shrink; in its pixels."""
        reaches: dict[str, float] = {}

        def reach(expression: Expression) -> float:
            if isinstance(expression, Reference):
                return reaches[expression.name]
            if isinstance(expression, Rest):
                return max((reaches[name] for name in self.not_rest), default=0)
            inner = max(map(reach, children(expression)), default=0)
            return inner + (self._radius(expression) if isinstance(expression, Grown) else 0)

        for name in self.order:
            reaches[name] = reach(self.spec.region(name).expression)
        return math.ceil(max(reaches.values(), default=0))

    def _order(self) -> list[str]:
        """Region names in order of evaluation: each after those it refers to.

        ``rest`` refers to all regions that do not use ``rest``, directly or through others.
        """
        uses = {
            region.name: {reference.name for reference in references(region.expression)}
            for region in self.spec.regions
        }
        order = list(TopologicalSorter(uses).static_order())
        of_rest: set[str] = set()
        for name in order:
            if uses_rest(self.spec.region(name).expression) or uses[name] & of_rest:
                of_rest.add(name)
        self.not_rest = [name for name in order if name not in of_rest]
        return self.not_rest + [name for name in order if name in of_rest]

    def _named(self, name: str, at: Sequence[int]) -> Mask:
        bits = self.bits if len(at) == len(self.frames) else self.bits[list(at)]
        return np.asarray((bits >> self.dtype(self.index[name])) & self.dtype(1) != 0)

    def _evaluate(self, expression: Expression, at: Sequence[int]) -> Mask:
        """Evaluate an expression on the frames with these indices, bool ``[len(at), H, W]``."""
        shape = (len(at), *self.shape[1:])
        if isinstance(expression, MaskFiles):
            return self._masks(expression, at)
        if isinstance(expression, Box | Polygon):
            return self._shape(expression, at)
        if isinstance(expression, Track | Find):
            return self._tracked(expression, at)
        if isinstance(expression, Grown):
            return self._grown(expression, at)
        if isinstance(expression, Smoothed):
            return self._smoothed(expression, at)
        if isinstance(expression, During):
            during = [i for i, index in enumerate(at) if self.frames[index] in expression.frames]
            result = np.zeros(shape, np.bool_)
            if during:
                result[during] = self._evaluate(expression.of, [at[i] for i in during])
            return result
        if isinstance(expression, All):
            return np.ones(shape, np.bool_)
        if isinstance(expression, Rest):
            covered = np.zeros(shape, np.bool_)
            for name in self.not_rest:
                covered |= self._named(name, at)
            return ~covered
        if isinstance(expression, Reference):
            return self._named(expression.name, at)
        if isinstance(expression, Complement):
            return ~self._evaluate(expression.of, at)
        result = self._evaluate(expression.items[0], at)
        for item in expression.items[1:]:
            other = self._evaluate(item, at)
            if isinstance(expression, UnionOf):
                result = result | other
            elif isinstance(expression, Intersection):
                result = result & other
            else:
                assert isinstance(expression, Difference)
                result = result & ~other
        return result

    def _masks(self, source: MaskFiles, at: Sequence[int]) -> Mask:
        result = np.empty((len(at), *self.shape[1:]), np.bool_)
        images = open_masks(
            source,
            self.base,
            self.facts,
            [self.frames[i] for i in at],
            clip=self.base / self.spec.video.path,
            report=self.notes.warnings,
            missing=self.notes.missing.setdefault(source, set()),
        )
        for number, image in enumerate(images):
            result[number] = np.asarray(self.wider.mask(image, source.resize)) >= 128
        return result

    def _tracked(self, source: Track | Find, at: Sequence[int]) -> Mask:
        if not self.tracked.is_current(source):
            raise _untracked(self.tracked)
        result = np.empty((len(at), *self.shape[1:]), np.bool_)
        images = tracked_masks(self.tracked, source, [self.frames[i] for i in at])
        for number, image in enumerate(images):
            result[number] = np.asarray(self.wider.mask(image, "nearest")) >= 128
        return result

    def _shape(self, shape: Box | Polygon, at: Sequence[int]) -> Mask:
        """The pixels whose centres lie in a shape; its keyframes are interpolated."""
        size = self.facts.width, self.facts.height
        grid = self.shape[1], self.shape[2]
        result = np.empty((len(at), *grid), np.bool_)
        for number, index in enumerate(at):
            numbers = np.array(shape.numbers(self.frames[index], *size)).reshape(-1, 2)
            # Rounded, so that a side through the centre of a pixel is there in any crop.
            points = np.round((numbers - self.wider.box[:2]) * self.wider.scale, _DIGITS)
            if isinstance(shape, Polygon):
                result[number] = fill_polygon(grid, [(float(x), float(y)) for x, y in points])
            else:
                fill = fill_ellipse if shape.kind == "ellipse" else fill_box
                result[number] = fill(grid, *points.flatten().tolist())
        return result

    def _grown(self, expression: Grown, at: Sequence[int]) -> Mask:
        """A region grown or shrunk by a disc; the distance is in source pixels."""
        radius = self._radius(expression)
        return grow(
            self._evaluate(expression.of, at), radius if expression.kind == "grow" else -radius
        )

    def _smoothed(self, expression: Smoothed, at: Sequence[int]) -> Mask:
        """A region by majority over the frames around each, of those that the spec uses."""
        known = counted(at, len(self.frames), expression.frames)
        inner = self._evaluate(expression.of, known)
        result = np.empty((len(at), *self.shape[1:]), np.bool_)
        for number, mask in enumerate(smoothed(inner, known, at, expression.frames)):
            result[number] = mask
        return result

    def _radius(self, expression: Grown) -> float:
        """How far a region grows or shrinks, in pixels of the crop."""
        distance = expression.by.pixels(min(self.facts.width, self.facts.height))
        return distance * sum(self.crop.scale) / 2
