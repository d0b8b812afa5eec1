"""What a crop takes from the regions of an edit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from grainspec.clip.crop import FrameCrop
from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import Diagnostic, Related
from grainspec.diagnostics.span import Span
from grainspec.model.expressions import All, Complement, Expression, Reference, Rest, children
from grainspec.model.spec import EditSpec
from grainspec.regions.layout import Layout

SLIVER = 0.03
"""The share of a frame's width or height that rounding to a model's size may cut; not looked at."""
_WORTH_SAYING = 0.05
"""The share of a region, over all frames, from which its loss is reported."""
_SIDE = 256


@dataclass(frozen=True, eq=False)
class Uncropped:
    """The regions of the whole frame, scaled to few pixels by ``frame``."""

    frame: FrameCrop
    regions: Layout


def whole_frame(crop: FrameCrop, facts: ClipFacts) -> FrameCrop | None:
    """The whole frame, small, to compare a crop with; None if the crop takes nothing much."""
    left, top, right, bottom = crop.box
    across, down = (right - left) / facts.width, (bottom - top) / facts.height
    if min(across, down) > 1 - SLIVER:
        return None
    scale = min(1.0, _SIDE / max(facts.width, facts.height))
    width, height = (max(1, round(side * scale)) for side in (facts.width, facts.height))
    return FrameCrop((0.0, 0.0, float(facts.width), float(facts.height)), width, height)


def cropped(spec: EditSpec, crop: FrameCrop, uncropped: Uncropped) -> list[Diagnostic]:
    """Find the regions of edits that a crop cuts.

    A region that is cut away is an error (G307), one that loses a part a warning (G335). Regions of
    the form of `rest` and `all` reach to the frame's border, wherever that is.
    """
    inside_HW, regions = _inside(crop, uncropped.frame), uncropped.regions
    findings = []
    for name in dict.fromkeys(claim.region for claim in spec.claims):
        if _reaches_the_border(spec, spec.region(name).expression):
            continue
        mask = regions.mask(name)
        total, kept = mask.sum(axis=(1, 2)), (mask & inside_HW).sum(axis=(1, 2))
        if not total.any():  # empty anyway
            continue
        loss = total - kept
        if loss.sum() < _WORTH_SAYING * total.sum():
            continue
        region = spec.region(name)
        related = (Related(region.span, "the region"),) if region.span else ()
        code, what = "G307", f"cuts all of `{name}` away"
        if kept.any():
            cut = (loss > 0) & (loss >= _WORTH_SAYING * total)
            frames = [regions.frames[i] for i in np.flatnonzero(cut)]
            share = f"{loss.sum() / total.sum():.0%}"
            code, what = "G335", f"cuts {share} of `{name}` away, on {_listed(frames)}"
        message = f"{_cause(spec, crop)} {what}"
        cure = _cure(spec, crop)
        findings.append(Diagnostic(code, message, cure, _place(spec), related=related))
    return findings


def _inside(crop: FrameCrop, whole: FrameCrop) -> np.ndarray:
    """Which pixels of the whole frame have their centre in the crop."""
    left, top, right, bottom = crop.box
    across, down = whole.scale
    columns = (np.arange(whole.width) + 0.5) / across
    rows = (np.arange(whole.height) + 0.5) / down
    in_rows = (rows >= top) & (rows < bottom)
    return np.asarray(in_rows[:, None] & (columns >= left) & (columns < right))


def _reaches_the_border(spec: EditSpec, expression: Expression) -> bool:
    if isinstance(expression, Reference):
        return _reaches_the_border(spec, spec.region(expression.name).expression)
    if isinstance(expression, All | Rest | Complement):
        return True
    return any(_reaches_the_border(spec, child) for child in children(expression))


def _cause(spec: EditSpec, crop: FrameCrop) -> str:
    if spec.video.crop is not None:
        return "`crop`"
    if spec.video.size is not None:
        return "`size`"
    return f"scaling the frame to {_size(crop)} for the model"


def _cure(spec: EditSpec, crop: FrameCrop) -> str:
    video = spec.video
    if video.crop is not None and (video.size is None or video.fit == "pad"):
        return "Enlarge the box of `crop`, or leave `crop` out."
    if video.size is None:
        return f"`size {_size(crop)} fit pad` keeps the whole frame."
    whole = "`fit pad` keeps the whole frame. Without `size`, the edit has the clip's aspect."
    return f"{whole} Or enlarge the box of `crop`." if video.crop is not None else whole


def _size(crop: FrameCrop) -> str:
    return f"{crop.size[0]}x{crop.size[1]}"


def _place(spec: EditSpec) -> Span | None:
    return spec.video.span_of("crop" if spec.video.crop is not None else "size")


def _listed(frames: Sequence[int]) -> str:
    """Frame numbers, runs of them by their ends: ``frames 0 to 7 and 12``."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    shown = list(map(_run, runs[:6]))
    if len(runs) > 6:
        shown.append("…")
    return f"frame{'s' * (len(frames) > 1)} {_and(shown)}"


def _run(run: Sequence[int]) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}"


def _and(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
