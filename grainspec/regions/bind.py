"""Convert region expressions to pixels: read masks, draw shapes, apply operators, cut out parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from graphlib import TopologicalSorter
from itertools import combinations
from pathlib import Path
from types import MappingProxyType

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
from grainspec.model.spec import Edit, EditSpec, Free, Keep, Size
from grainspec.regions.absent import MaskNotes
from grainspec.regions.cropped import Uncropped, cropped, whole_frame
from grainspec.regions.layout import MAX_REGIONS, Layout, Mask, bits_dtype
from grainspec.regions.masks import open_masks
from grainspec.regions.parts import covered
from grainspec.regions.polarity import explained, inversion, inverted_masks, surrounds
from grainspec.regions.shapes import fill_box, fill_ellipse, fill_polygon, grow
from grainspec.regions.smoothing import counted, smoothed
from grainspec.regions.tracked.masks import tracked_masks
from grainspec.regions.tracked.state import TrackedState, tracked_state


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
    regions = binder.bind_all()
    whole = whole_frame(crop, facts)
    uncropped = None
    if whole is not None:
        uncropped = Uncropped(whole, _Binder(tracked, whole, frames).bind_all())
    return Bound(spec, facts, crop, regions, uncropped, binder.notes)


def _untracked(tracked: TrackedState) -> GrainError:
    """The error about a spec whose tracked masks are missing or stale."""
    concerned = tracked.reasons[0].regions
    sources = (source for source, names in tracked.sources.items() if {*names} & {*concerned})
    span = next((source.span for source in sources), None)
    again = "again " if tracked.status == "stale" else ""
    cure = f"Make their masks {again}with `grain track {tracked.clip.spec.file or 'SPEC'}`."
    return fail("G354", tracked.why, cure, span)


class _Binder:
    def __init__(self, tracked: TrackedState, crop: FrameCrop, frames: Sequence[int]) -> None:
        self.tracked = tracked
        self.spec = spec = tracked.clip.spec
        self.base = tracked.clip.base
        self.facts = facts = tracked.clip.facts
        self.frames = frames
        self.notes = MaskNotes()
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
        errors: list[Diagnostic] = []
        broken: set[str] = set()
        for name in self.order:
            expression = self.spec.region(name).expression
            if {reference.name for reference in references(expression)} & broken:
                broken.add(name)
                continue
            try:
                mask = self._evaluate(expression, range(len(self.frames)))
            except GrainError as error:
                errors += error.diagnostics
                broken.add(name)
                continue
            self.notes.note(name, expression, self.frames)
            self.bits |= mask.astype(self.dtype) << self.dtype(self.index[name])
        if errors:
            raise GrainError(errors)
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
            points = (numbers - self.wider.box[:2]) * self.wider.scale
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


def carve(
    spec: EditSpec, regions: Layout, absent: Mapping[str, Set[int]] = MappingProxyType({})
) -> tuple[Layout, list[Diagnostic]]:
    """Compute one region per edit, in which a part has its pixels to itself.

    A changed part is cut to its owner; an added part may extend beyond it, as a hat does. Both take
    their pixels from every edit that is not a part, whether it is the owner or not, and from the
    parts that they belong to. Kept regions are then subtracted from all. Returns the layout of the
    edits, and warnings, but none about the frames in ``absent``, on which the spec says that a
    region is empty. Raises GrainError for empty regions, and for parts far from their owner.
    """
    errors: list[Diagnostic] = []
    warnings: list[Diagnostic] = []
    changes = spec.claims
    masks: dict[str, Mask] = {}
    for edit in changes:
        mask = regions.mask(edit.region)
        if not mask.any():
            errors.append(_empty(edit, _NOWHERE))
            continue
        if edit.owner:
            owner = regions.mask(edit.owner)
            if not owner.any():
                errors.append(_empty(edit, _NOWHERE, "owner"))
                continue
            inside = mask & owner
            if edit.verb == "edit":
                if not inside.any():
                    errors.append(_outside(edit))
                    continue
                share = 1 - inside.sum() / mask.sum()
                if share > 0.25:
                    message = f"{share:.0%} of `{edit.region}` lies outside `{edit.owner}`"
                    cure = f"Only the pixels inside `{edit.owner}` are edited."
                    warnings.append(Diagnostic("G316", message, cure, edit.span_of("region")))
                mask = inside
            elif not _near(mask, owner):
                errors.append(_outside(edit))
                continue
        masks[edit.region] = mask
        stated = {*absent.get(edit.region, ()), *absent.get(edit.owner or "", ())}
        empty = [regions.frames[i] for i in np.flatnonzero(~mask.any(axis=(1, 2)))]
        if empty := [frame for frame in empty if frame not in stated]:
            shown = ", ".join(map(str, empty[:8])) + ", …" * (len(empty) > 8)
            message = f"`{edit.region}` is empty on frame{'s' * (len(empty) > 1)} {shown}"
            cure = "Nothing is edited there. This is correct if the object is not visible."
            warnings.append(Diagnostic("G315", message, cure, edit.span_of("region")))
    if errors:
        raise GrainError(explained(spec, regions, errors))
    whole = dict(masks)
    for part, behind in covered((edit.region, edit.grain, edit.owner) for edit in changes).items():
        for other in behind:
            masks[other] = masks[other] & ~whole[part]
    for edit in changes:
        if not masks[edit.region].any():
            errors.append(_empty(edit, "parts cover all of the region `{}`"))
    if errors:
        raise GrainError(errors)
    inverted = inverted_masks(spec, changes, masks)
    warnings += [inversion(spec, inverted)] if inverted else []
    warnings += _overlaps(spec, changes, masks, {edit.region for edit in inverted})
    for keep in spec.edits:
        if isinstance(keep, Keep):
            kept = regions.mask(keep.region)
            if not kept.any():
                errors.append(_empty(keep, _NOWHERE))
            masks = {name: mask & ~kept for name, mask in masks.items()}
    for edit in changes:
        if not masks[edit.region].any():
            errors.append(_empty(edit, "kept regions cover all of the region `{}`"))
    if errors:
        raise GrainError(explained(spec, regions, errors))
    return Layout.of(masks, regions.frames), warnings


def _near(part: Mask, owner: Mask) -> bool:
    """Whether the part's bounding box, grown by its own size, meets the owner's on some frame."""
    for piece, whole in zip(part, owner, strict=True):
        if not piece.any() or not whole.any():
            continue
        (y0, y1), (x0, x1) = (_extent(piece.any(axis=axis)) for axis in (1, 0))
        (oy0, oy1), (ox0, ox1) = (_extent(whole.any(axis=axis)) for axis in (1, 0))
        wide, high = x1 - x0, y1 - y0
        if x0 - wide <= ox1 and ox0 <= x1 + wide and y0 - high <= oy1 and oy0 <= y1 + high:
            return True
    return False


def _extent(line: Mask) -> tuple[int, int]:
    at = np.flatnonzero(line)
    return int(at[0]), int(at[-1]) + 1


def _overlaps(
    spec: EditSpec, changes: Sequence[Edit | Free], masks: dict[str, Mask], inverted: set[str]
) -> list[Diagnostic]:
    findings = []
    areas = {name: int(mask.sum()) for name, mask in masks.items()}
    for pair in combinations(changes, 2):
        one, other = (edit.region for edit in pair)
        if {one, other} <= inverted:
            continue
        shared = int((masks[one] & masks[other]).sum())
        smaller, larger = sorted((one, other), key=lambda name: areas[name])
        if shared > 0.02 * areas[smaller]:
            share = shared / areas[smaller]
            if shared == areas[larger]:
                message, cure = _same(spec, one, other)
            else:
                message = f"`{one}` and `{other}` overlap in {share:.0%} of the smaller one"
                behind, front = (one, other) if share < 1 else (larger, smaller)
                cure = surrounds(spec, larger, masks[larger], share)
                cure += "Both edits act there. If one object is in front, subtract it: "
                cure += f"`region {behind} = … - {front}`."
            findings.append(Diagnostic("G312", message, cure, pair[1].span_of("region")))
    return findings


def _same(spec: EditSpec, one: str, other: str) -> tuple[str, str]:
    """The message and the cure for two regions of the same pixels."""
    sources = [spec.region(name).expression for name in (one, other)]
    if not all(isinstance(source, MaskFiles) for source in sources):
        cure = "Both edits act there. Give each its own region, or remove one of them."
        return f"`{one}` and `{other}` are the same pixels", cure
    cure = f"Both edits act there. Write the masks of its own object in `region {other}`, "
    cure += "such as another folder, or another `index` of the same masks; or remove one edit."
    return f"`{one}` and `{other}` have the same masks", cure


_NOWHERE = "the region `{}` is empty on every frame"


def _empty(edit: Edit | Keep | Free, message: str, field: str = "region") -> Diagnostic:
    cure = "Look at the regions with `grain show`."
    return Diagnostic("G307", message.format(getattr(edit, field)), cure, edit.span_of(field))


def _outside(edit: Edit | Free) -> Diagnostic:
    message = f"the part `{edit.region}` lies outside its owner `{edit.owner}`"
    cure = "Look at both with `grain show`."
    return Diagnostic("G313", message, cure, edit.span_of("region"))
