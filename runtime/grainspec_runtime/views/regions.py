"""A spec's regions drawn on frames of its clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from grainspec.checks.files import check_files
from grainspec.clip.crop import frame_numbers
from grainspec.clip.facts import probe
from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec
from grainspec.regions.bind import Bound, bind_regions
from grainspec.regions.layout import Layout
from grainspec.waiting import Waiting
from grainspec_runtime.backbones.registry import native_size
from grainspec_runtime.media.decode import Frames, decode_frames
from grainspec_runtime.tracking.bake import TrackOptions, ensure_tracked
from grainspec_runtime.views.doubts import Doubts, marked
from grainspec_runtime.views.overlay import legend, meanings, overlay
from grainspec_runtime.views.prompts import PromptMarks
from grainspec_runtime.views.sheet import enlarged, sheet

MAX_BOUND = 48
"""Maximum number of frames for :func:`region_sheet`; longer clips are sampled evenly."""


def region_sheet(spec: EditSpec, base: Path, *, columns: int = 4) -> Image.Image:
    """Up to ``columns`` frames of the clip, with the regions that are edited or kept.

    Of a spec that edits in its variants only, those of the first one. Raises GrainError for what is
    wrong with the clip or the masks.
    """
    if spec.variants and not spec.claims:
        spec = spec.as_variant(spec.variant_names[0])
    spec = _thinned(spec, base)
    bound = bound_regions(spec, base)
    layout = edited_and_kept(spec, bound)
    lines = meanings(spec, layout)
    path, prompts = base / spec.video.path, PromptMarks(spec, base, bound)
    rows = {"regions": layout}
    return regions_picture(path, bound, rows, lines, columns, 180, prompts=prompts, widest=216)


def _thinned(spec: EditSpec, base: Path) -> EditSpec:
    video = spec.video
    facts = probe(base / video.path, needed=video.frames.last if video.frames else None)
    every = -(-len(frame_numbers(video, facts)) // MAX_BOUND)
    return spec.replaced({}, video=video.replaced({}, step=video.step * every))


def bound_regions(spec: EditSpec, base: Path, tracking: TrackOptions | None = None) -> Bound:
    """Bind the regions, at the model's size if that is known; raises GrainError.

    With ``tracking``, regions from clicks and words are tracked if they have no current masks.
    """
    findings = check_files(spec, base, Waiting("reading frame"))
    if any(finding.is_error for finding in findings):
        raise GrainError(findings)
    if tracking is not None:
        ensure_tracked(spec, base, tracking)
    size = None if spec.video.size else native_size(spec.model, base)
    return bind_regions(spec, base, default_size=size)


def edited_and_kept(spec: EditSpec, bound: Bound) -> Layout:
    """The edits' regions with parts cut out of their owners, then the regions that are kept."""
    masks = {name: bound.edits.mask(name) for name in bound.edits.names}
    for edit in spec.edits:
        masks.setdefault(edit.region, bound.regions.mask(edit.region))
    return Layout.of(masks, bound.edits.frames)


def regions_picture(
    path: Path,
    bound: Bound,
    rows: dict[str, Layout],
    lines: list[str],
    columns: int,
    least: int = 240,
    *,
    prompts: PromptMarks,
    widest: int | None = None,
    doubts: Doubts | None = None,
) -> Image.Image:
    """Draw some frames of the clip, one row per layout, with the legend below.

    Frames less than ``least`` pixels high are enlarged, those wider than ``widest`` scaled down.
    Prompts are drawn on their frames, which have a row of their own if they are not among those
    that are shown. Frames that are doubtful by ``doubts`` have an amber border, and such a row.
    """
    numbers = bound.regions.frames
    first = next(iter(rows.values()))
    chosen = _spread(range(len(numbers)), columns)
    pictures = decode_frames(path, [numbers[i] for i in chosen], bound.crop)

    def draw(frames: Frames, layout: Layout, chosen: list[int]) -> Frames:
        sources = [numbers[i] for i in chosen]
        shown = prompts.on(enlarged(overlay(frames, layout.at(chosen)), least), sources)
        return marked(shown, doubts.at(sources)) if doubts else shown

    def draw_row(frames: set[int]) -> tuple[list[int], Frames]:
        some = _spread([i for i, number in enumerate(numbers) if number in frames], columns)
        sources = [numbers[i] for i in some]
        return sources, draw(decode_frames(path, sources, bound.crop), first, some)

    drawn = {name: draw(pictures, layout, chosen) for name, layout in rows.items()}
    unseen = (prompts.frames & {*numbers}) - {numbers[i] for i in chosen}
    if unseen:
        sources, shown = draw_row(unseen)
        what = f"frame{'s' * (len(sources) > 1)} {', '.join(map(str, sources))}"
        drawn[f"prompts on {what}"] = shown
    if doubts and doubts.frames:
        sources, shown = draw_row(doubts.frames)
        drawn[doubts.label(sources)] = shown
    if widest is not None and pictures.shape[2] > widest:
        drawn = {name: _narrowed(frames, widest) for name, frames in drawn.items()}
        least = 1
    table = np.asarray(sheet(drawn, columns=columns, least=least))
    return Image.fromarray(np.concatenate([table, np.asarray(legend(lines, table.shape[1]))]))


def _spread(places: Sequence[int], most: int) -> list[int]:
    """Up to ``most`` of some places, spread over all of them."""
    count = len(places)
    return [places[int(at)] for at in np.linspace(0, count - 1, min(most, count)).round()]


def _narrowed(frames: Frames, width: int) -> Frames:
    height = max(1, round(frames.shape[1] * width / frames.shape[2]))
    return np.stack([np.asarray(Image.fromarray(f).resize((width, height))) for f in frames])
