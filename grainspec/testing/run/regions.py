"""The regions of a spec, and of changes of it, on its clip. Masks are read once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from grainspec.clip.crop import NativeSize, frame_crop, frame_numbers
from grainspec.clip.facts import probe
from grainspec.diagnostics import GrainError
from grainspec.model.algebra import Box, Difference, Intersection, Reference
from grainspec.model.spec import EditSpec, Keep, Region, Size
from grainspec.regions.bind import Bound, bind_regions
from grainspec.regions.layout import Layout, Mask
from grainspec.regions.shapes import fill_box

_MOST = 512
"""The longest side of a square with as many pixels as the frames may have, if no size is given."""


class ClipRegions:
    """Binds a spec, and specs that were made by changing it, reading as few files as possible.

    ``spec`` has no variants. ``native`` is the size of frames for which the spec gives none;
    without one it is the clip's, made a multiple of 8 pixels, and at most that of a usual model.
    """

    def __init__(self, spec: EditSpec, base: Path, native: NativeSize | None = None) -> None:
        self.base, self.spec, self.video, self.regions = base, spec, spec.video, spec.regions
        needed = spec.video.frames.last if spec.video.frames else None
        path = base / spec.video.path
        self.facts = probe(path, needed=needed, fps=spec.video.fps, span=spec.video.span_of("path"))
        self._native = native or _native(self.facts.width, self.facts.height)
        self._bound: dict[object, Bound | GrainError] = {}

    def layout(self, spec: EditSpec) -> Layout:
        """The layout of all regions; raises GrainError for what cannot be bound."""
        cuts = {
            region.name: _parts_of_cut(region)
            for region in spec.regions
            if region not in self.regions
        }
        if len(spec.regions) - len(cuts) < len(self.regions) or None in cuts.values():
            return self._read(spec).regions
        whole = self.video.replaced({}, crop=spec.video.crop, size=spec.video.size)
        bound = self._read(self.spec.replaced({}, video=whole))
        numbers = frame_numbers(spec.video, self.facts)
        layout = bound.regions
        if tuple(numbers) != layout.frames:
            layout = layout.at([layout.frames.index(number) for number in numbers])
        if not cuts:
            return layout
        masks = {name: layout.mask(name) for name in layout.names}
        for name, cut in cuts.items():
            assert cut is not None
            masks[name] = _cut(cut, masks, bound)
        return Layout.of(masks, layout.frames)

    def sized(self, spec: EditSpec) -> EditSpec:
        """The spec with the size of frames that :meth:`layout` binds it at.

        A spec whose size `video` cannot state, such as one of 8 pixels, stays as it is.
        """
        if self._native is None or spec.video.size is not None:
            return spec
        width, height = frame_crop(spec.video, self.facts, self._native).size
        try:
            size = Size(width=width, height=height)
        except ValidationError:
            return spec
        return spec.replaced({}, video=spec.video.replaced({}, size=size))

    def _read(self, spec: EditSpec) -> Bound:
        key = (spec.video, spec.regions, spec.edits)
        if key not in self._bound:
            try:
                self._bound[key] = bind_regions(spec, self.base, default_size=self._native)
            except GrainError as error:
                self._bound[key] = error
        bound = self._bound[key]
        if isinstance(bound, GrainError):
            raise bound
        return bound


def _parts_of_cut(region: Region) -> tuple[str, Box, bool] | None:
    """The region that is cut, the box, and whether the inside of the box is meant.

    None for all regions that :mod:`changes` does not make.
    """
    expression = region.expression
    if isinstance(expression, Intersection | Difference) and len(expression.items) == 2:
        of, by = expression.items
        still = isinstance(by, Box) and by.kind == "box" and len(by.keyframes) == 1
        if isinstance(of, Reference) and isinstance(by, Box) and still:
            return of.name, by, isinstance(expression, Intersection)
    return None


def kept_pixels(spec: EditSpec, regions: Layout) -> Mask:
    """The pixels of all kept regions."""
    kept = np.zeros(regions.bits_FHW.shape, np.bool_)
    for edit in spec.edits:
        if isinstance(edit, Keep):
            kept |= regions.mask(edit.region)
    return kept


def _cut(cut: tuple[str, Box, bool], masks: dict[str, Mask], bound: Bound) -> Mask:
    (name, by, meets), crop = cut, bound.crop
    sides = np.array(by.sides(0, bound.facts.width, bound.facts.height)).reshape(2, 2)
    scaled = ((sides - crop.box[:2]) * crop.scale).flatten().tolist()
    inside = np.zeros(masks[name].shape[1:], np.bool_)
    inside[crop.inside] = fill_box((crop.height, crop.width), *scaled)
    return masks[name] & (inside if meets else ~inside)


def _native(width: int, height: int) -> NativeSize | None:
    """The size of frames if a spec gives none; None for that of the clip."""
    area = width * height
    if width % 8 == height % 8 == 0 and area <= _MOST**2:
        return None
    side = min(_MOST, max(64, round(math.sqrt(area) / 8) * 8))
    return NativeSize(Size(width=side, height=side), 8)
