"""How much of each pixel the edited regions cover, where tracked regions have soft edges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from grainspec.diagnostics import Diagnostic
from grainspec.model.expressions import (
    Complement,
    Difference,
    Expression,
    Find,
    Intersection,
    Reference,
    Track,
    walk,
)
from grainspec.model.expressions import Union as UnionOf
from grainspec.model.settings.tracking import Tracking
from grainspec.model.spec import EditSpec, Keep
from grainspec.regions.bind import Bound
from grainspec.regions.shade_findings import listed
from grainspec.regions.tracked.alpha import has_alpha, tracked_coverage
from grainspec.regions.tracked.place import track_command
from grainspec.regions.tracked.sources import Source
from grainspec.regions.tracked.state import TrackedState

Coverage = npt.NDArray[np.uint8]

_SOFT = Track | Find | Reference | UnionOf | Intersection | Difference | Complement
"""Expressions whose coverage follows from that of their parts; all others have hard edges."""


def soft_sources(spec: EditSpec, tracked: TrackedState) -> tuple[Source, ...]:
    """The tracked expressions of edited regions that have soft edges there.

    Without usable masks, those that the spec's tracker will give soft edges.
    """
    coverage = _RegionCoverage(spec, tracked)
    names = [edit.region for edit in spec.claims]
    return tuple(dict.fromkeys(source for name in names for source in coverage.sources(name)))


def without_soft_edges(spec: EditSpec, tracked: TrackedState | None) -> Diagnostic | None:
    """The warning (G111) about ``blend { edges soft }`` if no edited region has soft edges."""
    blend = spec.blend
    if blend.edges == "hard" or (tracked is not None and soft_sources(spec, tracked)):
        return None
    message = "`edges soft` has no effect: no edited region has soft edges"
    cure = "Remove `edges soft`; it is for regions from `track(…)` and `find(…)` alone, joined by "
    cure += "`|`, `&`, `-` and `~`."
    if any(True for edit in spec.claims for _ in _tracked_in(spec, edit.region)):
        cure = "Remove `edges soft`, or track with a model: `tracker sam2`."
    return Diagnostic("G111", message, cure, blend.span_of("edges") or blend.span)


def partly_hard_edges(spec: EditSpec, tracked: TrackedState | None) -> Diagnostic | None:
    """The warning (G111) about ``blend { edges soft }`` if only some tracked regions have them."""
    if spec.blend.edges == "hard" or tracked is None or not tracked.usable:
        return None
    sources = [one for edit in spec.claims for one in _tracked_in(spec, edit.region)]
    hard = [source for source in sources if not has_alpha(tracked, source)]
    if not hard or len(hard) == len(sources):
        return None  # of none, :func:`without_soft_edges` tells
    names = list(dict.fromkeys(name for one in hard for name in tracked.sources[one]))
    which = "s of" if len(names) > 1 else " of"
    message = f"`edges soft` has no effect on the object{which} "
    message += f"{listed([f'`{name}`' for name in names])}: the masks have hard edges"
    only = " ".join(f"--only {name}" for name in names)
    model = "" if (spec.tracker or Tracking()).engine != "colour" else " --tracker sam2"
    cure = f"Track with a model: `{track_command(spec)} {only}{model} --force`."
    return Diagnostic("G111", message, cure, spec.blend.span_of("edges") or spec.blend.span)


def edit_coverage(spec: EditSpec, bound: Bound, tracked: TrackedState) -> Coverage:
    """How much of each pixel the edited regions cover, uint8 ``[F, H, W]`` of the edited frames.

    A region is as soft as its tracked objects if it is made of them with ``|``, ``&``, ``-`` and
    ``~``; other regions are 0 or 255. Where an edit lost pixels to its owner or a kept region, the
    coverage is 0. ``tracked`` must be fresh. Raises GrainError (G363) for images that cannot be
    used.
    """
    coverage = _RegionCoverage(spec, tracked)
    total = np.zeros(bound.edits.bits_FHW.shape, np.uint16)
    claimed = np.zeros(total.shape, np.bool_)
    for edit in spec.claims:
        total += coverage.of_region(edit.region, bound)
        np.minimum(total, 255, out=total)
        claimed |= bound.regions.mask(edit.region)
    total[claimed & (bound.edits.bits_FHW == 0)] = 0
    for statement in spec.edits:
        if isinstance(statement, Keep):
            total[bound.regions.mask(statement.region)] = 0
    return total.astype(np.uint8)


def _tracked_in(spec: EditSpec, name: str) -> Iterator[Source]:
    """The tracked expressions from which the edges of a region come; none if they are hard."""
    nodes = list(walk(spec.region(name).expression))
    if not all(isinstance(node, _SOFT) for node in nodes):
        return
    for node in nodes:
        if isinstance(node, Track | Find):
            yield node
        elif isinstance(node, Reference):
            yield from _tracked_in(spec, node.name)


class _RegionCoverage:
    def __init__(self, spec: EditSpec, tracked: TrackedState) -> None:
        self.spec, self.tracked = spec, tracked

    def sources(self, name: str) -> Iterator[Source]:
        """The tracked expressions that give a region soft edges."""
        return filter(self._is_soft, _tracked_in(self.spec, name))

    def _is_soft(self, source: Source) -> bool:
        if self.tracked.usable:
            return has_alpha(self.tracked, source)
        return (self.spec.tracker or Tracking()).engine != "colour"

    def of_region(self, name: str, bound: Bound) -> npt.NDArray[np.uint16]:
        """The coverage of a region as written, from 0 to 255."""
        if next(self.sources(name), None) is not None:
            return self._of(self.spec.region(name).expression, bound)
        return bound.regions.mask(name).astype(np.uint16) * 255

    def _of(self, expression: Expression, bound: Bound) -> npt.NDArray[np.uint16]:
        if isinstance(expression, Track | Find):
            return self._tracked(expression, bound)
        if isinstance(expression, Reference):
            return self.of_region(expression.name, bound)
        if isinstance(expression, Complement):
            return 255 - self._of(expression.of, bound)
        assert isinstance(expression, UnionOf | Intersection | Difference)
        result = self._of(expression.items[0], bound)
        for item in expression.items[1:]:
            other = self._of(item, bound)
            if isinstance(expression, UnionOf):
                result = np.minimum(result + other, 255)
            elif isinstance(expression, Intersection):
                result = np.minimum(result, other)
            else:
                result = np.minimum(result, 255 - other)
        return result

    def _tracked(self, source: Source, bound: Bound) -> npt.NDArray[np.uint16]:
        result = np.zeros(bound.regions.bits_FHW.shape, np.uint16)
        images = tracked_coverage(self.tracked, source, bound.regions.frames)
        rows, columns = bound.crop.inside
        for number, image in enumerate(images):
            result[number, rows, columns] = np.asarray(bound.crop.grey(image))
        return result
