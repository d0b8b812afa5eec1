"""The engine ``colour``: needs no weights.

An object is learnt from its prompts (:mod:`.prompt`) and followed by optical flow, colours and
place (:mod:`.sweep`), forwards from each prompt and backwards from each. Between two prompts, both
results are weighted by their confidence and by how near their prompt is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np

from grainspec_runtime.tracking.engine import FrameReader, TrackedFrame, TrackedObject
from grainspec_runtime.tracking.engines.colour.motion import Flow, dense_flow, displacements
from grainspec_runtime.tracking.engines.colour.picture import Floats, Picture, picture
from grainspec_runtime.tracking.engines.colour.prompt import segmented, wanted
from grainspec_runtime.tracking.engines.colour.sweep import Sweep

VERSION = "2"
MOST_PIXELS = 160_000
"""Larger frames are tracked at a smaller size."""
HORIZON, NEARBY, STRIDE = 16, 8, 2
"""Over how many frames motion is measured at a prompt, and in which steps."""
KEPT = 40
"""Prepared frames in memory."""


class ColourTracker:
    """Follows objects by colours and optical flow; all objects together, all frames again alike."""

    name = "colour"
    weights = ""
    version = VERSION

    def track(
        self,
        frames: FrameReader,
        objects: Sequence[TrackedObject],
        finished: Mapping[int, TrackedFrame],
    ) -> Iterator[TrackedFrame]:
        """See :class:`grainspec_runtime.tracking.engine.Tracker`.

        The last frames come first, in order, then the others backwards. What a frame looks like
        depends on the frames between it and the prompts, so these are computed again if a call was
        interrupted, but frames beyond the last unfinished one are not.
        """
        return _Tracking(frames, objects, finished).run()


class _Tracking:
    def __init__(
        self,
        frames: FrameReader,
        objects: Sequence[TrackedObject],
        finished: Mapping[int, TrackedFrame],
    ) -> None:
        self.frames, self.objects, self.finished = frames, objects, finished
        self.flow: Flow = dense_flow()
        width, height = frames.size
        shrink = min(1.0, (MOST_PIXELS / (width * height)) ** 0.5)
        self.size = max(1, round(height * shrink)), max(1, round(width * shrink))
        self.scale = self.size[1] / width, self.size[0] / height
        self.pictures: OrderedDict[int, Picture] = OrderedDict()
        self.first = [o.prompts[0].index for o in objects]
        self.last = [o.prompts[-1].index for o in objects]
        self.anchors: dict[int, tuple[list[int], Floats]] = {}

    def picture(self, index: int) -> Picture:
        if index not in self.pictures:
            while len(self.pictures) >= KEPT:
                self.pictures.popitem(last=False)
            self.pictures[index] = picture(self.frames[index], self.size)
        self.pictures.move_to_end(index)
        return self.pictures[index]

    def run(self) -> Iterator[TrackedFrame]:
        count = len(self.frames)
        missing = [i for i in range(count) if i not in self.finished]
        if not missing:
            return
        if not self.objects:
            yield from (self.rendered_empty(index) for index in missing)
            return
        latest = max(self.last)
        forwards: dict[int, tuple[Floats, Floats]] = {}
        sweep = Sweep(self.flow, len(self.objects))
        for index in range(min(self.first), max(missing[-1], latest) + 1):
            chance, confidence = self.stepped(sweep, index)
            if index < latest:
                forwards[index] = chance.astype(np.float16), confidence
            elif index not in self.finished:
                yield self.rendered(index, chance, confidence)
        if missing[0] >= latest:
            return
        sweep = Sweep(self.flow, len(self.objects))
        for index in range(latest, missing[0] - 1, -1):
            chance, confidence = self.stepped(sweep, index)
            if index < latest and index not in self.finished:
                yield self.rendered(
                    index, *self.fused(index, forwards.pop(index, None), chance, confidence)
                )

    def stepped(self, sweep: Sweep, index: int) -> tuple[Floats, Floats]:
        pic = self.picture(index)
        chance, confidence = sweep.step(pic)
        which = [k for k, o in enumerate(self.objects) if any(p.index == index for p in o.prompts)]
        if not which:
            return chance, confidence
        if index not in self.anchors:
            taken = chance[:, 1:].sum(1) - chance[:, [k + 1 for k in which]].sum(1)
            prompts = [next(p for p in self.objects[k].prompts if p.index == index) for k in which]
            inside = [wanted(p, pic, self.scale) for p in prompts]
            motion, others = self.motion(index)
            anchor = segmented(pic, inside, motion, others, taken)
            self.anchors[index] = which, anchor
        _, anchor = self.anchors[index]
        chance = chance.copy()
        chance[:, [k + 1 for k in which]] = 0
        rest = chance / np.maximum(chance.sum(1, keepdims=True), 1e-9)
        chance = rest * anchor[:, :1]
        chance[:, [k + 1 for k in which]] = anchor[:, 1:]
        chance[:, 0] += 1 - chance.sum(1)
        return chance, sweep.prompted(pic, chance, which, confidence)

    def motion(self, index: int) -> tuple[Floats, list[tuple[Picture, Floats]]]:
        """How the regions of a frame move over the next frames and over those before."""
        sides: list[Floats] = []
        others: list[tuple[Picture, Floats]] = []
        for step in (STRIDE, -STRIDE):
            places = [index + i * step for i in range(HORIZON // STRIDE + 1)]
            chain = [self.picture(i) for i in places if 0 <= i < len(self.frames)]
            moved = displacements(self.flow, chain)
            others += list(zip(chain[1:], moved, strict=True))[1::2]
            moved = moved[: NEARBY // STRIDE]
            sides.append(moved[-1] if moved else np.zeros((*self.size, 2), np.float32))
        return np.concatenate(sides, -1), others

    def fused(
        self,
        index: int,
        forward: tuple[Floats, Floats] | None,
        backward_SK: Floats,
        backward_K: Floats,
    ) -> tuple[Floats, Floats]:
        if forward is None:
            return backward_SK, backward_K
        chance, confidence = np.zeros_like(backward_SK), np.zeros_like(backward_K)
        for k, tracked in enumerate(self.objects):
            before = [p.index for p in tracked.prompts if p.index <= index]
            after = [p.index for p in tracked.prompts if p.index >= index]
            if not before or not after:
                source, conf = forward if not after else (backward_SK, backward_K)
                chance[:, k + 1], confidence[k] = source[:, k + 1], conf[k]
                continue
            since, until = index - before[-1], after[0] - index
            share = until / max(since + until, 1)
            weight = np.array([share * forward[1][k], (1 - share) * backward_K[k]]) + 1e-6
            weight /= weight.sum()
            chance[:, k + 1] = weight[0] * forward[0][:, k + 1] + weight[1] * backward_SK[:, k + 1]
            confidence[k] = weight @ [forward[1][k], backward_K[k]]
        chance[:, 0] = np.maximum(0, 1 - chance[:, 1:].sum(1))
        return chance, confidence

    def rendered(self, index: int, chance_SK: Floats, confidence_K: Floats) -> TrackedFrame:
        pic = self.picture(index)
        labels = chance_SK.argmax(1).astype(np.uint8)[pic.regions.index_HW]
        width, height = self.frames.size
        if labels.shape != (height, width):
            labels = np.asarray(
                cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
            )
        labels = labels.astype(np.uint8)
        for k, tracked in enumerate(self.objects, 1):
            for prompt in tracked.prompts:
                if prompt.index == index and prompt.mask_HW is not None:
                    labels[labels == k] = 0
                    labels[prompt.mask_HW] = k
        return TrackedFrame(index, labels, confidence_K.astype(np.float32))

    def rendered_empty(self, index: int) -> TrackedFrame:
        width, height = self.frames.size
        return TrackedFrame(index, np.zeros((height, width), np.uint8), np.zeros(0, np.float32))
