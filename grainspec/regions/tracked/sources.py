"""The tracked objects of a spec: its ``track(…)`` and ``find(…)`` expressions, and their hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grainspec.clip.facts import ClipFacts
from grainspec.model.expressions import Find, MaskFiles, Prompt, Track, walk
from grainspec.model.settings.tracking import Finding, Tracking
from grainspec.model.spec import EditSpec
from grainspec.regions.tracked.prompt_mask import prompt_mask

Source = Track | Find


def tracked_sources(spec: EditSpec) -> dict[Source, tuple[str, ...]]:
    """The expressions of a spec that are tracked, with the regions that use them.

    Equal expressions are one object, and stand once.
    """
    sources: dict[Source, list[str]] = {}
    for region in spec.regions:
        for node in walk(region.expression):
            if isinstance(node, Track | Find):
                names = sources.setdefault(node, [])
                if region.name not in names:
                    names.append(region.name)
    return {source: tuple(names) for source, names in sources.items()}


@dataclass(frozen=True)
class TrackedClip:
    """The clip of a spec, and the frames of it that are tracked, whatever its ``step`` is.

    ``also`` are frames that are tracked even if the spec needs them no more.
    """

    spec: EditSpec
    base: Path
    facts: ClipFacts
    also: range | None = None
    sources: dict[Source, tuple[str, ...]] = field(init=False)
    used: range = field(init=False)
    """The source frames from the first to the last that the spec uses."""
    frames: range = field(init=False)
    """The same, and those that prompts name and that lie before or after."""

    def __post_init__(self) -> None:
        frames = self.spec.video.frames
        last = self.facts.frames - 1
        used = range(frames.first, min(frames.last, last) + 1) if frames else range(last + 1)
        object.__setattr__(self, "sources", tracked_sources(self.spec))
        object.__setattr__(self, "used", used)
        named = [frame for source in self.sources for frame in self.named_frames(source)]
        also = used if self.also is None else self.also
        first = min([used.start, also.start, *named])
        stop = max([used.stop, also.stop, *(frame + 1 for frame in named)])
        object.__setattr__(self, "frames", range(first, stop))

    @property
    def path(self) -> Path:
        """The clip's file or folder."""
        return self.base / self.spec.video.path

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of a frame, in pixels."""
        return self.facts.width, self.facts.height

    def frame_of(self, node: Prompt | Find) -> int:
        """The source frame of a prompt, or of a ``find``; the first in use if it states none."""
        return self.used.start if node.frame is None else node.frame

    def is_made_from(self, start: int, source: Source, key: str) -> bool:
        """Whether a hash is that of an expression if another frame is the first in use.

        False for masks as prompts: those of another frame would have to be read.
        """
        nodes = source.prompts if isinstance(source, Track) else (source,)
        if any(isinstance(node, Prompt) and isinstance(node.shape, MaskFiles) for node in nodes):
            return False
        return key == self._key(source, start)

    def named_frames(self, source: Source) -> Iterator[int]:
        """The source frames of an expression's prompts."""
        nodes = source.prompts if isinstance(source, Track) else (source,)
        for node in nodes:
            yield self.frame_of(node)

    def key(self, source: Source) -> str:
        """The hash of all that an expression says about its objects, as 64 hex digits.

        Masks are hashed by their pixels. Raises GrainError if one of them cannot be read.
        """
        return self._key(source, self.used.start)

    def _key(self, source: Source, start: int) -> str:
        """The same, with ``start`` as the first frame in use."""
        said: dict[str, Any] = source.model_dump(mode="json", by_alias=True)
        if isinstance(source, Find):
            return _hash({**said, "frame": start if source.frame is None else source.frame})
        for node, prompt in zip(source.prompts, said["prompts"], strict=True):
            prompt["frame"] = start if node.frame is None else node.frame
            if isinstance(node.shape, MaskFiles):
                pixels_HW = self.mask_of(node.shape, prompt["frame"])
                prompt["shape"] = hashlib.sha256(np.packbits(pixels_HW).tobytes()).hexdigest()
        return _hash(said)

    def mask_of(self, masks: MaskFiles, frame: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """The mask of a prompt, bool ``[H, W]``; raises GrainError if it cannot be read."""
        return prompt_mask(masks, self.base, self.facts, frame, clip=self.path)

    def stated(self, source: Source) -> str:
        """The hash of what the spec says about the engines of an expression."""
        tracker = self.spec.tracker or Tracking()
        said: list[Any] = [tracker.model_dump(mode="json", exclude={"confidence"})]
        if isinstance(source, Find):
            said.append((self.spec.finder or Finding()).model_dump(mode="json"))
        return _hash(said)


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
