"""What a spec asks a tracker for: objects with prompts in source pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from grainspec.diagnostics import fail
from grainspec.model.expressions import Box, Find, MaskFiles, Point, Polygon, Prompt, Track
from grainspec.regions.tracked.manifest import MAX_OBJECTS, CoverRecord, FoundRecord
from grainspec.regions.tracked.prompt_mask import prompt_area
from grainspec.regions.tracked.sources import Source, TrackedClip
from grainspec_runtime.tracking.choose import chosen, overlap
from grainspec_runtime.tracking.engine import Finder, FramePrompt, FrameReader, TrackedObject

_SAME = 0.8
"""The share of their union that two found boxes have in common, from which they are one object."""


@dataclass
class Request:
    """The objects to track, in the order of an engine's labels, and whose they are.

    ``owners`` has the expression of each object, ``found`` what a finder found for an expression.
    """

    clip: TrackedClip
    objects: list[TrackedObject] = field(default_factory=list)
    owners: list[Source] = field(default_factory=list)
    found: dict[Source, tuple[FoundRecord, ...]] = field(default_factory=dict)

    def key(self, facts: Iterable[str]) -> str:
        """The hash of all that the tracked frames depend on; ``facts`` are clip and engine."""
        whole = hashlib.sha256()
        for text in [*facts, repr(self.clip.frames), repr(self.clip.size)]:
            whole.update(f"{text}\n".encode())
        for one in self.objects:
            for prompt in one.prompts:
                mask = prompt.mask_HW
                whole.update(f"{one.name} {prompt.index} {prompt.box}\n".encode())
                whole.update(prompt.points_N2.tobytes() + prompt.positive_N.tobytes())
                whole.update(b"" if mask is None else np.packbits(mask).tobytes())
        return whole.hexdigest()

    def same_objects(self) -> list[CoverRecord]:
        """The objects that two expressions both found."""
        places = [
            (self.clip.frame_of(source), record, source)
            for source, records in self.found.items()
            if isinstance(source, Find)
            for record in records
        ]
        return [
            CoverRecord(frame=frame, region=self.region_of(source), by=self.region_of(earlier))
            for index, (frame, record, source) in enumerate(places)
            for before, known, earlier in places[:index]
            if before == frame and earlier != source and overlap(record.box, known.box) > _SAME
        ]

    def covered(self, labels_of: Mapping[int, npt.NDArray[np.uint8]]) -> list[CoverRecord]:
        """The objects that have a point on another object's pixels.

        ``labels_of`` gives the labels of a frame that has prompts, by its index.
        """
        covers = []
        wide, high = self.clip.size
        for number, (one, owner) in enumerate(zip(self.objects, self.owners, strict=True), 1):
            for prompt in one.prompts:
                labels_HW = labels_of[prompt.index]
                for x, y in prompt.points_N2[prompt.positive_N]:
                    column, row = min(int(x), wide - 1), min(int(y), high - 1)
                    label = int(labels_HW[max(0, row), max(0, column)])
                    if label not in (0, number):
                        by = self.region_of(self.owners[label - 1])
                        frame = self.clip.frames[prompt.index]
                        region = self.region_of(owner)
                        covers.append(CoverRecord(frame=frame, region=region, by=by))
        return covers

    def region_of(self, source: Source) -> str:
        """The first region that uses an expression."""
        return self.clip.sources[source][0]


def request_of(
    clip: TrackedClip, sources: Sequence[Source], frames: FrameReader, finder: Finder | None
) -> Request:
    """Make the objects of some of a spec's expressions; ``finder`` is needed for ``find(…)``.

    Raises GrainError: G359 for words that nothing fits, and what prompts' shapes and masks raise.
    """
    request = Request(clip)
    for source in sources:
        name = clip.sources[source][0]
        if isinstance(source, Track):
            request.objects.append(TrackedObject(name, tuple(_prompts(clip, source))))
            request.owners.append(source)
            continue
        assert finder is not None
        frame = clip.frame_of(source)
        index = frame - clip.frames.start
        hits = chosen(source, finder.find(frames[index], source.words), frame)
        for number, hit in enumerate(hits, start=1):
            box = None if hit.mask_HW is not None else hit.box
            prompt = FramePrompt(index, *_no_points(), box=box, mask_HW=hit.mask_HW)
            several = f"{name} {number}" if len(hits) > 1 else name
            request.objects.append(TrackedObject(several, (prompt,)))
            request.owners.append(source)
        request.found[source] = tuple(
            FoundRecord(box=_rounded(hit.box), score=round(min(1.0, max(0.0, hit.score)), 4))
            for hit in hits
        )
    if len(request.objects) > MAX_OBJECTS:
        message = f"the spec has {len(request.objects)} tracked objects, more than {MAX_OBJECTS}"
        cure = "Find fewer: with a higher `score`, or one of them with `leftmost` or `number`."
        raise fail("G203", message, cure, sources[0].span)
    return request


def _rounded(box: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (round(float(side), 2) for side in box)
    return left, top, right, bottom


def _no_points() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    return np.zeros((0, 2), np.float32), np.zeros(0, np.bool_)


def _prompts(clip: TrackedClip, source: Track) -> list[FramePrompt]:
    """The prompts of one object, one for each frame, in order of frames."""
    ordered = sorted(source.prompts, key=clip.frame_of)
    return [_prompt(clip, frame, [*group]) for frame, group in groupby(ordered, key=clip.frame_of)]


def _prompt(clip: TrackedClip, frame: int, prompts: Sequence[Prompt]) -> FramePrompt:
    """All prompts of one frame as one: several areas are one mask. A box ends at the frame."""
    wide, high = clip.size
    points, positive, areas = [], [], []
    for prompt in prompts:
        if isinstance(prompt.shape, Point):
            points.append((prompt.shape.x.pixels(wide), prompt.shape.y.pixels(high)))
            positive.append(not prompt.outside)
        else:
            areas.append(prompt.shape)
    box, mask_HW = None, None
    if len(areas) == 1 and isinstance(areas[0], Box) and areas[0].kind == "box":
        prompt_area(areas[0], frame, clip.size)  # which is refused without a pixel
        left, top, right, bottom = areas[0].sides(frame, wide, high)
        box = max(0.0, left), max(0.0, top), min(float(wide), right), min(float(high), bottom)
    elif areas:
        mask_HW = np.zeros((high, wide), np.bool_)
        for area in areas:
            mask_HW |= _area(clip, area, frame)
    return FramePrompt(
        frame - clip.frames.start,
        np.array(points, np.float32).reshape(-1, 2),
        np.array(positive, np.bool_),
        box,
        mask_HW,
    )


def _area(clip: TrackedClip, area: Box | Polygon | MaskFiles, frame: int) -> npt.NDArray[np.bool_]:
    """The pixels of an area, bool ``[H, W]``."""
    if isinstance(area, MaskFiles):
        return clip.mask_of(area, frame)
    return prompt_area(area, frame, clip.size)
