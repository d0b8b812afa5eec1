"""The regions of an unsaved text on one frame, for the picture beside the text."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from grainspec.analysis.document import NOT_OF_REGIONS
from grainspec.clip.crop import FrameCrop, frame_crop, frame_numbers
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.loading import plain_lines
from grainspec.model.expressions import MaskFiles, Smoothed, walk
from grainspec.model.spec import Edit, EditSpec
from grainspec.palette import PALETTE
from grainspec.regions.bind import readable_regions
from grainspec.regions.carving import edited_masks
from grainspec.regions.layout import MAX_REGIONS
from grainspec.regions.tracked.manifest import MANIFEST
from grainspec.regions.tracked.place import tracked_folder
from grainspec.regions.tracked.quality import SourceQuality, qualities
from grainspec.regions.tracked.state import TrackedState, tracked_state
from grainspec.text.parse import Parsed, parse_all
from grainspec_runtime.backbones.registry import native_size
from grainspec_runtime.studio.frames import FrameStore, encoded, state_of
from grainspec_runtime.studio.kept import Kept
from grainspec_runtime.studio.limits import MAX_CACHED_BYTES
from grainspec_runtime.studio.readable import Readable

_OF_THE_WHOLE_CLIP = frozenset({"G307", "G320"})
"""What a single frame does not tell: a region that is empty there may be elsewhere."""
_MOST_PIXELS = 4_000_000
"""Pixels of a mask's picture, which is one of the whole source frame."""
_TEXTS = 16

_USES = {"edit": "edit", "add": "edit", "keep": "keep", "free": "free"}

MaskHW = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Shown:
    """The regions of a text on one frame, and their masks, of the size of the edit."""

    answer: dict[str, Any]
    frame: int = 0
    crop: FrameCrop | None = None
    size: tuple[int, int] = (0, 0)
    masks: dict[str, MaskHW] | None = None
    """What each edit changes: other regions may have a part of it."""
    whole: dict[str, MaskHW] | None = None
    """The regions of which others have a part, with it."""

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        every = [*(self.masks or {}).values(), *(self.whole or {}).values()]
        return 1000 + sum(mask.nbytes for mask in every)


class RegionViews:
    """Computes the regions of texts on frames; masks are kept to be sent, within a bound."""

    def __init__(self, readable: Readable, frames: FrameStore) -> None:
        self._readable, self._frames = readable, frames
        self._texts: Kept[Parsed] = Kept(_TEXTS)
        self._views: Kept[Shown] = Kept(MAX_CACHED_BYTES, lambda view: view.bytes)
        self._sizes: Kept[Any] = Kept(_TEXTS)
        self._changes = 0

    def forget(self) -> None:
        """Compute everything anew: masks may have changed."""
        self._changes += 1

    def parsed(self, text: str) -> Parsed:
        """A text as it was read, with its findings."""
        text = plain_lines(text)
        return self._texts.made(text, lambda: parse_all(text))

    def draft(self, text: str, name: str) -> EditSpec | None:
        """What could be read of a text, with or without mistakes; None if that is nothing."""
        draft = self.parsed(text).draft
        if draft is None:
            return None
        draft = draft.in_folder(self._readable.folder, name)
        self._readable.require_spec(draft)
        return draft

    def spec(self, text: str, name: str) -> EditSpec:
        """The spec of a text, for the file ``name``; raises GrainError with all findings."""
        parsed = self.parsed(text)
        if parsed.spec is None:
            raise GrainError(parsed.diagnostics, source=parsed.source)
        spec = parsed.spec.in_folder(self._readable.folder, name)
        self._readable.require_spec(spec)
        return spec

    def view(self, text: str, name: str, variant: str | None, frame: int) -> dict[str, Any]:
        """The answer to ``POST /api/regions``; raises GrainError for a clip that cannot be read."""
        parsed = self.parsed(text)
        whole = self.draft(text, name)
        wrong = {finding.code for finding in parsed.diagnostics if finding.is_error}
        if whole is None or wrong - NOT_OF_REGIONS:
            findings = [finding.as_json() for finding in parsed.diagnostics]
            return {"regions": [], "findings": findings, "mask": None, "frame": frame, "box": None}
        spec = chosen(whole, variant)
        facts = self._frames.facts(self._readable.folder / spec.video.path, spec.video.fps)
        used = frame_numbers(spec.video, facts)
        at = _nearest(used, frame)
        parts = [text, name, str(variant), str(used[at]), *self.dates(spec)]
        key = hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]
        shown = self._views.made(key, lambda: self._made(key, spec, used, at, parsed.diagnostics))
        return shown.answer

    def mask(self, key: str, region: str, frame: int, *, whole: bool = False) -> bytes:
        """The PNG of a region of an earlier answer; ``whole``: with what others have of it.

        Raises GrainError (G727).
        """
        shown = self._views.get(key)
        if shown is None or not shown.masks or region not in shown.masks or shown.frame != frame:
            raise fail("G727", "this mask is not kept any more", "Ask for the regions again.")
        assert shown.crop is not None
        mask = (shown.whole or {}).get(region) if whole else None
        return _png(shown.masks[region] if mask is None else mask, shown.crop, shown.size)

    def dates(self, spec: EditSpec) -> list[str]:
        """What tells whether the files of a spec's regions changed."""
        places = {spec.video.path, str(tracked_folder(spec, Path()) / MANIFEST)}
        for region in spec.regions:
            places |= {n.path for n in walk(region.expression) if isinstance(n, MaskFiles)}
        states = [state_of(self._readable.folder / place) for place in sorted(places)]
        return [str(self._changes), repr(states)]

    def _made(
        self, key: str, spec: EditSpec, used: list[int], at: int, found: Sequence[Diagnostic]
    ) -> Shown:
        base, frame = self._readable.folder, used[at]
        if len(spec.regions) > MAX_REGIONS:
            message = f"the spec has {len(spec.regions)} regions, more than {MAX_REGIONS}"
            raise fail("G203", message, "Remove or join regions.")
        facts = self._frames.facts(base / spec.video.path, spec.video.fps)
        size = None if spec.video.size else self._native(spec.model)
        crop = frame_crop(spec.video, facts, size)
        state = tracked_state(spec, base, facts)
        reach = _reach(spec)
        near = used[max(0, at - reach) : at + reach + 1]
        layout, errors = readable_regions(state, crop, near)
        one = layout.at([near.index(frame)])
        masks = {name: mask[0] for name, mask in edited_masks(spec, one).items()}
        for name in [*(edit.region for edit in spec.edits), *one.names]:
            masks.setdefault(name, one.mask(name)[0])
        findings = [*found]
        for region in errors.values():
            findings += [one for one in region if one.code not in _OF_THE_WHOLE_CLIP]
        answer = {
            "regions": _regions(spec, state, masks, frame),
            "findings": [finding.as_json() for finding in dict.fromkeys(findings)],
            "mask": key,
            "frame": frame,
            "box": box_of(crop, facts.width, facts.height),
        }
        inner = {name: mask[crop.inside] for name, mask in masks.items()}
        uncut = {name: one.mask(name)[0][crop.inside] for name in masks}
        whole = {name: mask for name, mask in uncut.items() if (mask != inner[name]).any()}
        return Shown(answer, frame, crop, (facts.width, facts.height), inner, whole)

    def _native(self, model: str) -> Any:
        base = self._readable.folder
        return self._sizes.made((model, self._changes), lambda: (native_size(model, base),))[0]


def chosen(whole: EditSpec, variant: str | None) -> EditSpec:
    """A spec's variant; without a name the spec itself, or its first variant if all edit there."""
    names = whole.variant_names
    if variant is None and whole.variants and not whole.claims:
        variant = names[0]
    if variant is None:
        return whole.without_variants()
    if variant not in names:
        raise fail("G727", "the spec has no such variant", "Choose one of the text's variants.")
    return whole.as_variant(variant)


def box_of(crop: FrameCrop, width: int, height: int) -> list[float]:
    """The part of the frame that is edited, as fractions of its sides."""
    left, top, right, bottom = crop.box
    return [left / width, top / height, right / width, bottom / height]


def _nearest(used: Sequence[int], frame: int) -> int:
    """The index of the frame nearest to one, of those that the spec uses."""
    after = min(bisect_left(used, frame), len(used) - 1)
    before = max(0, after - 1)
    return before if abs(used[before] - frame) <= abs(used[after] - frame) else after


def _reach(spec: EditSpec) -> int:
    """How many frames before and after one its regions may depend on, because of smoothing."""
    nodes = (node for region in spec.regions for node in walk(region.expression))
    return sum(node.frames // 2 for node in nodes if isinstance(node, Smoothed))


def _regions(
    spec: EditSpec, state: TrackedState, masks: dict[str, MaskHW], frame: int
) -> list[dict[str, Any]]:
    edits = {edit.region: edit for edit in spec.edits}
    tracked = {name: source for source, names in state.sources.items() for name in names}
    quality: dict[str, SourceQuality] = {}
    for one in qualities(state, [frame]):
        quality |= dict.fromkeys(one.regions, one)
    answers = []
    for index, (name, mask) in enumerate(masks.items()):
        edit, judged = edits.get(name), quality.get(name)
        answers.append(
            {
                "name": name,
                "colour": "#{:02x}{:02x}{:02x}".format(*PALETTE[index % len(PALETTE)]),
                "share": round(float(mask.mean()), 5),
                "empty": not mask.any(),
                "tracked": state.is_current(tracked[name]) if name in tracked else None,
                "confidence": judged.confidence[0] if judged else None,
                "doubtful": bool(judged and judged.doubtful),
                "lost": bool(judged and judged.lost),
                "use": _USES[edit.verb] if edit else None,
                "phrase": edit.phrase if isinstance(edit, Edit) else None,
            }
        )
    return answers


def _png(mask_HW: MaskHW, crop: FrameCrop, size: tuple[int, int]) -> bytes:
    """A mask on the whole source frame: white, and transparent elsewhere; one bit a pixel."""
    across, down = crop.scale
    wide, high = size[0] * across, size[1] * down
    less = min(1.0, (_MOST_PIXELS / (wide * high)) ** 0.5)
    picture = Image.fromarray(mask_HW.astype(np.uint8))
    left, top = round(crop.box[0] * across * less), round(crop.box[1] * down * less)
    if less < 1:
        inner = max(1, round(picture.width * less)), max(1, round(picture.height * less))
        picture = picture.resize(inner, Image.Resampling.NEAREST)
    whole = Image.new("P", (max(1, round(wide * less)), max(1, round(high * less))))
    whole.putpalette([255, 255, 255, 255, 255, 255])
    whole.paste(picture, (left, top))
    return encoded(whole, "PNG", bits=1, transparency=0, compress_level=1)
