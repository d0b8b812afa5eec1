"""What a property of binding looks at: a spec, its folder, and what binding makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from grainspec.clip.facts import ClipFacts, probe
from grainspec.diagnostics import GrainError
from grainspec.model.expressions import (
    ALL,
    REST,
    Complement,
    During,
    Expression,
    Find,
    FrameRange,
    Intersection,
    MaskFiles,
    Reference,
    Smoothed,
    Track,
    Union,
)
from grainspec.model.spec import EditSpec, Free, Region, Video
from grainspec.regions.bind import Bound
from grainspec.regions.layout import Layout, Mask
from grainspec.testing.broken import Broken
from grainspec.testing.regions.extent import Extent
from grainspec.testing.regions.grid import Grid, Placed, grid_of, placed
from grainspec.testing.regions.mask_pictures import pictures
from grainspec.testing.regions.reading import Reading, nodes_of, parts_of, without_rest

Binder = Callable[[EditSpec, Path], Bound]

_MOST_REGIONS = 64
_MOST_PIXELS = 1 << 22
"""Pixels of a clip that are read a second time; of a larger clip, some frames are."""
_DEEPEST = 48
"""The deepest expression that may still be wrapped."""


class Binding:
    """A spec without variants and its folder; ``bind`` computes its regions.

    ``bound`` is what it computes, or ``errors`` what it raises. ``regions`` are the regions without
    regard to the statements about them, which may be in error.
    """

    def __init__(self, spec: EditSpec, base: Path, bind: Binder) -> None:
        self.spec, self.base, self.bind = spec, base, bind

    @cached_property
    def facts(self) -> ClipFacts:
        """The clip's number of frames and size."""
        video = self.spec.video
        needed = video.frames.last if video.frames else None
        return probe(self.base / video.path, needed=needed, fps=video.fps)

    @cached_property
    def frames(self) -> list[int]:
        """The source frames that the spec selects."""
        video, last = self.spec.video, self.facts.frames - 1
        chosen = (
            range(video.frames.first, video.frames.last + 1) if video.frames else range(last + 1)
        )
        return [frame for frame in chosen if (frame - chosen[0]) % video.step == 0]

    @cached_property
    def outcome(self) -> Bound | GrainError:
        """What binding returns or raises."""
        try:
            return self._bound(self.spec)
        except GrainError as error:
            return error

    @property
    def bound(self) -> Bound | None:
        """The result of binding, None if it raises an error."""
        return self.outcome if isinstance(self.outcome, Bound) else None

    @cached_property
    def plain(self) -> Bound:
        """The spec as bound; without its statements if they are in error."""
        if isinstance(self.outcome, Bound):
            return self.outcome
        if not self.room:
            raise self.outcome
        return self._helped((), self.spec.video)

    @cached_property
    def regions(self) -> Layout:
        """All regions as bound."""
        known = [region.name for region in self.spec.regions]
        return _selected(self.plain.regions, known)

    @property
    def room(self) -> int:
        """How many regions can be added to the spec, with one for `all`."""
        return max(0, _MOST_REGIONS - 1 - len(self.spec.regions))

    # --- the second reading ---------------------------------------------------------------------

    @cached_property
    def indices(self) -> list[int]:
        """The indices of the frames that are read a second time."""
        if self.needs_all_frames:
            return list(range(len(self.frames)))
        few = max(1, _MOST_PIXELS // (self.facts.width * self.facts.height))
        return list(range(0, len(self.frames), -(-len(self.frames) // few)))

    @cached_property
    def needs_all_frames(self) -> bool:
        """Whether some frames alone would differ: masks may be missing, or frames be smoothed."""
        nodes = (node for region in self.spec.regions for node in nodes_of(region.expression))
        return any(
            isinstance(node, Smoothed) or (isinstance(node, MaskFiles) and node.missing == "empty")
            for node in nodes
        )

    @cached_property
    def some(self) -> list[int]:
        """The source frames that are read a second time."""
        return [self.frames[i] for i in self.indices]

    def around(self, frame: int, count: int) -> list[int]:
        """The edited frames around one, ``count`` of them unless the clip begins or ends there."""
        place = self.frames.index(frame)
        return self.frames[max(0, place - count // 2) : place + count // 2 + 1]

    @cached_property
    def placed(self) -> Placed:
        """Where the edited part of a frame lies, by the rules of `video`."""
        return placed(self.spec.video, self.facts, self.plain.crop.size)

    @cached_property
    def grid(self) -> Grid:
        """The centres of the edited frames' pixels."""
        return grid_of(self.placed, self.plain.crop.size, self.inner, self.facts)

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height without padding: as bound if they are as near as rounding allows."""
        wide, high = self.placed.inner
        crop = self.plain.crop
        near = abs(crop.width - wide) < 0.5 + 1e-9 and abs(crop.height - high) < 0.5 + 1e-9
        return (crop.width, crop.height) if near else (max(1, round(wide)), max(1, round(high)))

    @cached_property
    def reading(self) -> Reading:
        """The second reading of the regions, on ``some`` frames of the crop."""
        return Reading(self.spec, self.facts, self.some, self.grid, self.masks)

    @cached_property
    def source_grid(self) -> Grid:
        """The centres of source pixels."""
        size = self.facts.width, self.facts.height
        return grid_of(placed(self.whole_video, self.facts, size), size, size, self.facts)

    def extent(self, name: str) -> Extent:
        """The pixels of a region on the edited frames, by the second reading."""
        return self.grid.cropped(self.reading.region(name))

    def masks(self, source: MaskFiles | Track | Find, frames: Sequence[int]) -> Mask:
        """The pixels of masks on source frames; of all but plain pictures, as bound."""
        read = None
        if isinstance(source, MaskFiles) and self.facts.first == 0:
            read = pictures(source, self.base, frames)
        if read is not None:
            return read
        during = FrameRange(first=min(frames), last=max(frames))
        regions = (
            Region(name="masks", expression=During(of=source, frames=during)),
            Region(name="everywhere", expression=ALL),
        )
        update = {"video": self.whole_video, "regions": regions, "variants": ()}
        update["edits"] = (Free(region="everywhere"),)
        layout = self._bound(self.spec.model_copy(update=update)).regions
        return layout.mask("masks")[[self.some.index(frame) for frame in frames]]

    # --- other expressions beside the spec's regions --------------------------------------------

    @cached_property
    def whole_video(self) -> Video:
        """The clip neither cropped nor scaled, on ``some`` frames."""
        step = self.some[1] - self.some[0] if len(self.some) > 1 else 1
        frames = FrameRange(first=self.some[0], last=self.some[-1])
        plain = {"crop": None, "size": None, "fit": "crop", "step": step, "frames": frames}
        return self.spec.video.model_copy(update=plain)

    @cached_property
    def whole(self) -> Layout:
        """The regions bound on whole frames, neither cropped nor scaled."""
        return self._layout((), self.whole_video)

    def values(self, nodes: Sequence[Expression], video: Video) -> Iterator[Mask]:
        """The pixels of expressions that use the spec's regions, as bound on a clip.

        They do not change what `rest` is. There is none if the spec has 63 regions or more.
        """
        for start in range(0, len(nodes) if self.room else 0, self.room or 1):
            extra = nodes[start : start + self.room]
            layout = self._layout(extra, video)
            if video is self.whole_video:  # saves binding it again
                self.__dict__.setdefault("whole", layout)
            for name in layout.names[len(self.spec.regions) : -1]:
                yield layout.mask(name)

    def evaluated(
        self, nodes: Sequence[Expression], frames: Sequence[int]
    ) -> dict[Expression, Mask]:
        """The pixels of different expressions on the first edited frames."""
        span = FrameRange(first=frames[0], last=frames[-1])
        video = self.spec.video.model_copy(update={"frames": span})
        named = {Reference(name=region.name) for region in self.spec.regions}
        different = [node for node in dict.fromkeys(nodes) if node not in named]
        masks: dict[Expression, Mask] = dict(
            zip(different, self.values(different, video), strict=False)
        )
        for node in named & {*nodes}:
            masks[node] = self.regions.mask(node.name)[: len(frames)]
        return masks

    def _layout(self, nodes: Sequence[Expression], video: Video) -> Layout:
        return self._helped(nodes, video).regions

    def _helped(self, nodes: Sequence[Expression], video: Video) -> Bound:
        """Bind the spec with more regions, and without its own statements."""
        try:
            return self._bound(self._with(nodes, video))
        except GrainError as error:
            if {finding.code for finding in error.diagnostics} <= {"G307", "G313", "G203"}:
                message = f"the spec with `all` as the only edit is refused: {error}"
                raise Broken("binding", message) from error
            raise

    def _bound(self, spec: EditSpec) -> Bound:
        try:
            return self.bind(spec, self.base)
        except (GrainError, Broken):
            raise
        except Exception as error:
            kind = type(error).__name__
            raise Broken("binding", f"binding raises {kind}: {error}") from error

    def _with(self, nodes: Sequence[Expression], video: Video) -> EditSpec:
        """The spec with more regions, and with `all` as the only thing that is edited.

        Without room for `all`, any region that is not empty is edited instead.
        """
        if not nodes and len(self.spec.regions) == _MOST_REGIONS:
            layout = self.plain.regions
            name = next(name for name in layout.names if layout.mask(name).any())
            return self.spec.model_copy(
                update={"video": video, "edits": (Free(region=name),), "variants": ()}
            )
        taken = {region.name for region in self.spec.regions}
        names = (name for n in range(2 * _MOST_REGIONS) if (name := f"x{n}") not in taken)
        counted = not self._uses_rest and not any(REST in nodes_of(node) for node in nodes)
        everywhere = Region(name=next(names), expression=ALL if counted else _EVERYWHERE)
        if not counted:  # `rest` counts no region that uses it, also through another
            nodes = [Intersection(items=(node, Reference(name=everywhere.name))) for node in nodes]
        more = [Region(name=next(names), expression=node) for node in nodes]
        more.append(everywhere)
        regions = (*self.spec.regions, *more)
        edits = (Free(region=more[-1].name),)
        return self.spec.model_copy(
            update={"video": video, "regions": regions, "edits": edits, "variants": ()}
        )

    @cached_property
    def _uses_rest(self) -> bool:
        return len(without_rest(self.spec)) < len(self.spec.regions)


_EVERYWHERE = Union(items=(REST, Complement(of=REST)))
"""All pixels, by an expression that uses `rest`."""


def is_shallow(node: Expression, least: int = 0) -> bool:
    """Whether an expression can be wrapped without becoming too deep."""

    def height(inner: Expression) -> int:
        return 1 + max(map(height, parts_of(inner)), default=0)

    return height(node) + least <= _DEEPEST


def _selected(layout: Layout, names: Sequence[str]) -> Layout:
    """A layout without the regions that were added after these."""
    bits = layout.bits_FHW.dtype.type((1 << len(names)) - 1)
    return Layout(tuple(names), layout.bits_FHW & bits, layout.frames)
