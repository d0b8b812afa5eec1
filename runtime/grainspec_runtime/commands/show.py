"""``grain show``: the regions of a spec drawn on its frames."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from PIL import Image

from grainspec.check_files import check_files
from grainspec.cli.output import Format, format_option, print_json
from grainspec.diagnostics import GrainError
from grainspec.regions.bind import bind_regions
from grainspec.regions.layout import Layout
from grainspec.spec import EditSpec, Size
from grainspec_runtime.backbones.locate import locate, read_json
from grainspec_runtime.commands.spec_file import SpecFile, whole_file
from grainspec_runtime.media.decode import decode_frames
from grainspec_runtime.views.overlay import legend, meanings, overlay
from grainspec_runtime.views.sheet import enlarged


@click.command
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Picture to write (PNG).")
@click.option(
    "--columns",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Frames on the picture, at most.",
)
@format_option
def show(spec: Path, output: Path | None, columns: int, format_: Format) -> None:
    """Draw a spec's regions on its frames, to see polarity and registration before any run.

    Parts are shown carved out of their owners, as the edit will have them. Writes SPEC.regions.png
    unless -o names another file. No model is loaded.

    \b
    Examples:
      grain show edit.grain
      grain show edit.grain -o regions.png --columns 8
    """
    file = SpecFile.read(spec)
    output = output or spec.with_suffix(".regions.png")
    with file.explained():
        findings = check_files(file.spec, file.base)
        if any(finding.is_error for finding in findings):
            raise GrainError(findings)
        bound = bind_regions(file.spec, file.base, default_size=_native_size(file.spec, file.base))
        layout = _edited_and_kept(file.spec, bound.edits, bound.regions)
        chosen = np.linspace(0, len(layout.frames) - 1, min(columns, len(layout.frames)))
        shown = layout.at(chosen.round().astype(int).tolist())
        frames = decode_frames(file.base / file.spec.video.path, shown.frames, bound.window)
    strip = np.concatenate(list(enlarged(overlay(frames, shown), 240)), axis=1)
    picture = np.concatenate(
        [strip, np.asarray(legend(meanings(file.spec, layout), strip.shape[1]))]
    )
    with whole_file(output) as partial:
        Image.fromarray(picture).save(partial, format="PNG")
    file.report(bound.warnings, format_)
    if format_ == "json":
        areas = layout.areas() / layout.bits_FHW[0].size
        print_json(
            {
                "picture": str(output),
                "frames": list(layout.frames),
                "size": [bound.window.width, bound.window.height],
                "regions": [
                    {"name": name, "share_of_frame": [round(float(a), 5) for a in areas[:, i]]}
                    for i, name in enumerate(layout.names)
                ],
                "diagnostics": [warning.as_json() for warning in bound.warnings],
            }
        )
    else:
        print(f"wrote {output}")


def _native_size(spec: EditSpec, base: Path) -> Size | None:
    """The model's own frame size, where its configuration is at hand."""
    if spec.video.size:
        return None
    try:
        folder = locate(spec.model, base, weights=False)
        unet, vae = (read_json(folder / part / "config.json") for part in ("unet", "vae"))
    except (GrainError, ImportError):
        return None
    side = int(unet.get("sample_size") or 64) * 2 ** (len(vae["block_out_channels"]) - 1)
    return Size(width=side, height=side)


def _edited_and_kept(spec: EditSpec, edits: Layout, regions: Layout) -> Layout:
    """The edits' regions as carved, then those that are kept."""
    masks = {name: edits.mask(name) for name in edits.names}
    for edit in spec.edits:
        masks.setdefault(edit.region, regions.mask(edit.region))
    return Layout.of(masks, edits.frames)
