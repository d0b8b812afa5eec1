"""``grain show``: draw the regions of a spec on its frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from grainspec.checks.tracked_masks import check_tracked_masks, tracked_masks_of
from grainspec.cli.output import Format, format_option, print_json, say
from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.bind import Bound
from grainspec.regions.layout import Layout
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.spec_file import (
    SpecFile,
    set_option,
    tracking_on_need,
    variant_option,
    written,
)
from grainspec_runtime.media.decode import Frames, decode_frames
from grainspec_runtime.media.encode import encode_video
from grainspec_runtime.media.times import FrameTimes, clip_times
from grainspec_runtime.views.doubts import Doubts, marked
from grainspec_runtime.views.levels import at_level, vanished_frames
from grainspec_runtime.views.overlay import legend, meanings, overlay
from grainspec_runtime.views.prompts import PromptMarks
from grainspec_runtime.views.regions import bound_regions, edited_and_kept, regions_picture
from grainspec_runtime.views.sheet import enlarged

_ANIMATED = frozenset({".gif", ".webp"})
_LEAST = 240


@click.command
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Image (.png) or animation (.mp4, .gif, .webp) to write (default: SPEC.regions.png).",
)
@click.option("--levels", is_flag=True, help="Add a row for every attention level of the model.")
@click.option(
    "--columns",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Maximum number of frames in the image.",
)
@variant_option
@set_option
@format_option
def show(
    spec: Path,
    output: Path | None,
    levels: bool,
    columns: int,
    variant: str | None,
    sets: tuple[str, ...],
    format_: Format,
) -> None:
    """Draw a spec's regions on its frames, to check the masks before a run.

    Shows whether masks are inverted or misaligned. Parts are cut out of their owners, as in the
    edit. With --levels, the regions are also drawn at the resolution of each attention level of the
    model, where small ones may vanish. No model is loaded.

    Regions from clicks and words are tracked first if they have no current masks, as by
    `grain track`. Clicks are drawn on their frames: a point as a dot, `not point` as a cross, a box
    as its outline. Doubtful frames have an amber border, and a row of their own.

    \b
    Examples:
      grain show edit.grain
      grain show edit.grain --levels --columns 8
      grain show edit.grain -o regions.mp4
      grain show wolf.grain --variant husky
    """
    file = SpecFile.read(spec, sets)
    output = output or spec.with_suffix(".regions.png")
    kind = output.suffix.lower()
    if kind not in {".png", ".mp4", *_ANIMATED}:
        cure = "Name a .png file, or a .mp4, .gif or .webp file for an animation."
        raise fail("G310", f"unsupported file type `{output.suffix}` for {output}", cure)
    with file.explained():
        chosen = file.chosen(variant)
        plan: MaskPlan | None = None
        tracked_now: list[str] = []
        tracking = replace(tracking_on_need(format_), made=tracked_now.extend)
        if levels:
            prepared = file.prepared(variant, tracking=tracking)
            bound, plan, warnings = prepared.bound, prepared.plan, prepared.warnings
        else:
            bound = bound_regions(chosen, file.base, tracking)
            warnings = (*check_tracked_masks(chosen, file.base), *bound.warnings)
        doubts = Doubts(tracked_masks_of(chosen, file.base), bound.regions.frames)
        prompts = PromptMarks(chosen, file.base, bound)
        layout = edited_and_kept(chosen, bound)
        rows = {"regions": layout}
        if plan:
            for level in plan.levels:
                high, wide = level.labels_FHW.shape[1:]
                name = f"level {level.index}: {wide}x{high} tokens{_losses(plan, level.index)}"
                rows[name] = at_level(plan, level)
        path = file.base / chosen.video.path
        lines = meanings(chosen, layout)
        with written(output), whole_file(output) as partial:
            if kind == ".png":
                drawn = regions_picture(
                    path, bound, rows, lines, columns, _LEAST, prompts=prompts, doubts=doubts
                )
                drawn.save(partial, format="PNG")
            else:
                frames = decode_frames(path, layout.frames, bound.crop)
                step, fps = chosen.video.step, bound.facts.fps
                times = clip_times(path, layout.frames, step=step, fps=fps)
                _save_animation(
                    _animation(frames, rows, lines, prompts, doubts), partial, kind, times
                )
    file.print_findings(warnings, format_)
    if format_ == "json":
        shown = _facts(output, bound, layout, plan)
        if doubts.qualities:
            shown["tracked"] = doubts.as_json()
            shown["tracked_now"] = tracked_now
        print_json({**shown, "diagnostics": [warning.as_json() for warning in warnings]})
    else:
        say(f"wrote {output}")


def _animation(
    frames: Frames,
    rows: dict[str, Layout],
    lines: list[str],
    prompts: PromptMarks,
    doubts: Doubts,
) -> Frames:
    """Draw every frame, layouts side by side, with the legend below: uint8 ``[F, H, W, 3]``."""
    drawn = []
    for layout in rows.values():
        shown = prompts.on(enlarged(overlay(frames, layout), _LEAST), layout.frames)
        drawn.append(marked(shown, doubts.at(layout.frames)))
    clips = np.concatenate(drawn, axis=2)
    strip = np.asarray(legend(lines, clips.shape[2]))
    return np.concatenate([clips, np.broadcast_to(strip, (len(clips), *strip.shape))], axis=1)


def _save_animation(frames: Frames, path: Path, kind: str, times: FrameTimes) -> None:
    if kind == ".mp4":
        encode_video(frames, path, fps=times, container="mp4")
        return
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(
        path,
        format="GIF" if kind == ".gif" else "WEBP",
        save_all=True,
        append_images=others,
        duration=times.milliseconds(10 if kind == ".gif" else 1),
        loop=0,
    )


def _losses(plan: MaskPlan, index: int) -> str:
    """Which regions vanish at a level, and in how many frames, for a row's label."""
    gone = [
        (edit.region, vanished_frames(plan, plan.levels[index], i))
        for i, edit in enumerate(plan.edits)
    ]
    notes = [
        f"{region} vanishes in {len(frames)} of {len(plan.frames)} frames"
        for region, frames in gone
        if frames
    ]
    return f" ({'; '.join(notes)})" if notes else ""


def _facts(output: Path, bound: Bound, layout: Layout, plan: MaskPlan | None) -> dict[str, Any]:
    areas = layout.areas() / layout.bits_FHW[0].size
    facts: dict[str, Any] = {
        "picture": str(output),
        "frames": list(layout.frames),
        "size": list(bound.crop.size),
        "regions": [
            {"name": name, "share_of_frame": [round(float(a), 5) for a in areas[:, i]]}
            for i, name in enumerate(layout.names)
        ],
    }
    if plan:
        facts["levels"] = [
            {
                "level": level.index,
                "grid": list(level.labels_FHW.shape[:0:-1]),
                "vanished": {
                    edit.region: vanished_frames(plan, level, i)
                    for i, edit in enumerate(plan.edits)
                },
            }
            for level in plan.levels
        ]
    return facts
