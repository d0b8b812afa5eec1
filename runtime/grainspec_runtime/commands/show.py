"""``grain show``: the regions of a spec drawn on its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from grainspec.checks.files import check_files
from grainspec.cli.output import Format, format_option, print_json
from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import EditSpec
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.bind import Bound, bind_regions
from grainspec.regions.layout import Layout
from grainspec.whole_file import whole_file
from grainspec_runtime.backbones.facts import native_size
from grainspec_runtime.commands.spec_file import SpecFile, set_option, variant_option, written
from grainspec_runtime.media.decode import Frames, decode_frames
from grainspec_runtime.media.encode import encode_video
from grainspec_runtime.views.levels import at_level, lost
from grainspec_runtime.views.overlay import legend, meanings, overlay
from grainspec_runtime.views.sheet import enlarged, sheet

_ANIMATED = frozenset({".gif", ".webp"})
_LEAST = 240


@click.command
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Picture (.png) or animation (.mp4, .gif, .webp) to write.",
)
@click.option("--levels", is_flag=True, help="Add a row for every level of the model.")
@click.option(
    "--columns",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Frames on the picture, at most.",
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
    """Draw a spec's regions on its frames, to see polarity and registration before any run.

    Parts are shown carved out of their owners, as the edit will have them; with --levels also what
    is left of each region on the model's token grids. Writes SPEC.regions.png unless -o names
    another file. No model is loaded.

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
        cure = "Name a .png, or for an animation a .mp4, .gif or .webp."
        raise fail("G310", f"{output} is of no kind that can be written", cure)
    with file.explained():
        chosen = file.chosen(variant)
        plan: MaskPlan | None = None
        if levels:
            prepared = file.prepared(variant)
            bound, plan, warnings = prepared.bound, prepared.plan, prepared.warnings
        else:
            bound = _bound(chosen, file.base)
            warnings = bound.warnings
        layout = _edited_and_kept(chosen, bound.edits, bound.regions)
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
                _picture(path, bound, rows, lines, columns).save(partial, format="PNG")
            else:
                frames = decode_frames(path, layout.frames, bound.crop)
                drawn = _animation(frames, rows, lines)
                fps = bound.facts.fps / chosen.video.step
                _save_animation(drawn, partial, kind, fps)
    file.report(warnings, format_)
    if format_ == "json":
        found = _facts(output, bound, layout, plan)
        print_json({**found, "diagnostics": [warning.as_json() for warning in warnings]})
    else:
        print(f"wrote {output}")


def _bound(spec: EditSpec, base: Path) -> Bound:
    findings = check_files(spec, base)
    if any(finding.is_error for finding in findings):
        raise GrainError(findings)
    size = None if spec.video.size else native_size(spec.model, base)
    return bind_regions(spec, base, default_size=size)


def _edited_and_kept(spec: EditSpec, edits: Layout, regions: Layout) -> Layout:
    """The edits' regions as carved, then those that are kept."""
    masks = {name: edits.mask(name) for name in edits.names}
    for edit in spec.edits:
        masks.setdefault(edit.region, regions.mask(edit.region))
    return Layout.of(masks, edits.frames)


def _picture(
    path: Path, bound: Bound, rows: dict[str, Layout], lines: list[str], columns: int
) -> Image.Image:
    """Some frames of the clip, one row a layout, and the legend below."""
    count = len(bound.edits.frames)
    chosen = np.linspace(0, count - 1, min(columns, count)).round().astype(int).tolist()
    frames = decode_frames(path, [bound.edits.frames[i] for i in chosen], bound.crop)
    drawn = {name: overlay(frames, layout.at(chosen)) for name, layout in rows.items()}
    table = np.asarray(sheet(drawn, columns=columns, least=_LEAST))
    return Image.fromarray(np.concatenate([table, np.asarray(legend(lines, table.shape[1]))]))


def _animation(frames: Frames, rows: dict[str, Layout], lines: list[str]) -> Frames:
    """Every frame, the layouts side by side, the legend below: uint8 ``[F, H, W, 3]``."""
    drawn = [enlarged(overlay(frames, layout), _LEAST) for layout in rows.values()]
    clips = np.concatenate(drawn, axis=2)
    strip = np.asarray(legend(lines, clips.shape[2]))
    return np.concatenate([clips, np.broadcast_to(strip, (len(clips), *strip.shape))], axis=1)


def _save_animation(frames: Frames, path: Path, kind: str, fps: float) -> None:
    if kind == ".mp4":
        encode_video(frames, path, fps=fps, container="mp4")
        return
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(
        path,
        format="GIF" if kind == ".gif" else "WEBP",
        save_all=True,
        append_images=others,
        duration=round(1000 / fps),
        loop=0,
    )


def _losses(plan: MaskPlan, index: int) -> str:
    """Which regions vanish at a level, and on how many frames, for a row's label."""
    gone = [(edit.region, lost(plan, plan.levels[index], i)) for i, edit in enumerate(plan.edits)]
    said = [
        f"{region} gone on {len(frames)} of {len(plan.frames)}" for region, frames in gone if frames
    ]
    return f" ({'; '.join(said)})" if said else ""


def _facts(output: Path, bound: Bound, layout: Layout, plan: MaskPlan | None) -> dict[str, Any]:
    areas = layout.areas() / layout.bits_FHW[0].size
    found: dict[str, Any] = {
        "picture": str(output),
        "frames": list(layout.frames),
        "size": [bound.crop.width, bound.crop.height],
        "regions": [
            {"name": name, "share_of_frame": [round(float(a), 5) for a in areas[:, i]]}
            for i, name in enumerate(layout.names)
        ],
    }
    if plan:
        found["levels"] = [
            {
                "level": level.index,
                "grid": list(level.labels_FHW.shape[:0:-1]),
                "vanished": {
                    edit.region: lost(plan, level, i) for i, edit in enumerate(plan.edits)
                },
            }
            for level in plan.levels
        ]
    return found
