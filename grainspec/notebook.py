"""Specs, plans and errors as self-contained HTML for notebooks.

All text is escaped, pictures are data URIs, styles are inline and there are no scripts, so the
output looks the same in Jupyter, in VS Code and in an exported notebook. A card has its own colours
and does not depend on the notebook's theme. If something cannot be shown, a note gives the reason.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from html import escape
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grainspec.diagnostics import Diagnostic, GrainError, visible
from grainspec.palette import NO_REGION, PALETTE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from grainspec.model.spec import EditSpec
    from grainspec.plan.mask_plan import MaskPlan, PlanLevel

MAX_TEXT = 20_000
"""Maximum number of characters of a spec's text."""

SHEET_WIDTH = 880
"""Maximum width of a picture in pixels."""

_CARD = (
    "max-width:920px;margin:4px 0;padding:10px 14px;border:1px solid #d0d7de;border-radius:6px;"
    "background:#ffffff;color:#1f2328;font:13px/1.5 system-ui,sans-serif;overflow-x:auto"
)
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px"
_MUTED = "color:#59636e"
_CELL = "padding:2px 14px 2px 0;text-align:left;vertical-align:top;background:#ffffff"
_LEVEL_FRAMES, _LEVEL_HEIGHT = 3, 96


def card(*parts: str) -> str:
    """Put parts of HTML into a frame."""
    return f'<div style="{_CARD}">{"".join(parts)}</div>'


def note(text: str) -> str:
    """Make a line of muted text."""
    return f'<div style="{_MUTED}">{escape(visible(text))}</div>'


def label(name: str) -> str:
    """Make the muted name of a fact."""
    return f'<span style="{_MUTED}">{name}</span>'


def table(rows: Sequence[Sequence[str]], *, head: Sequence[str] = ()) -> str:
    """Make a table whose cells are HTML."""
    lines = []
    if head:
        cells = "".join(f'<th style="{_CELL};{_MUTED};font-weight:500">{c}</th>' for c in head)
        lines.append(f"<tr>{cells}</tr>")
    for row in rows:
        cells = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in row)
        lines.append(f'<tr style="background:#ffffff">{cells}</tr>')
    style = "border-collapse:collapse;margin:4px 0;color:#1f2328;font-size:13px"
    return f'<table style="{style}">{"".join(lines)}</table>'


def picture(image: Image.Image, title: str, *, kind: str = "WEBP", **options: Any) -> str:
    """Make an inline picture of an image; wide images are scaled down."""
    if image.width > SHEET_WIDTH:
        image = image.resize((SHEET_WIDTH, round(image.height * SHEET_WIDTH / image.width)))
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return inline(data.getvalue(), f"image/{kind.lower()}", title)


def inline(data: bytes, media_type: str, title: str) -> str:
    """Make an inline picture of encoded image data."""
    url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    alt = escape(visible(title))
    return f'<img src="{url}" alt="{alt}" title="{alt}" style="max-width:100%;margin:4px 0">'


def findings(diagnostics: Sequence[Diagnostic]) -> str:
    """List findings, one line each."""
    colours = {"error": "#cf222e", "warning": "#9a6700"}
    return "".join(
        f'<div style="margin:2px 0"><b style="color:{colours[finding.severity]}">'
        f"{finding.severity}[{finding.code}]</b> {escape(visible(finding.message))}. "
        f'<span style="{_MUTED}">{escape(visible(finding.cure))}</span></div>'
        for finding in diagnostics
    )


# --- specs ---------------------------------------------------------------------------------------


def spec_html(spec: EditSpec) -> str:
    """Show a spec: its highlighted text, and its regions on frames of the clip if the clip exists.

    Relative paths start at the folder that the spec was read from, else at the working folder.
    """
    from grainspec.text.printer import dumps

    text = dumps(spec)
    cut = f"\n# … {len(text) - MAX_TEXT} more characters" if len(text) > MAX_TEXT else ""
    return card(highlighted(text[:MAX_TEXT] + cut), _regions(spec))


def highlighted(text: str) -> str:
    """Convert a spec's text to HTML with syntax highlighting."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter

    from grainspec.text.highlight import GrainLexer

    style = f"margin:0;white-space:pre-wrap;line-height:1.45;{_MONO}"
    form = HtmlFormatter(noclasses=True, nobackground=True, style="default", prestyles=style)
    return str(highlight(text, GrainLexer(), form))


def _regions(spec: EditSpec) -> str:
    """Draw the regions on the clip with the runtime, or say why this is not possible."""
    base = spec.folder or Path()
    drawing = next(iter(entry_points(group="grainspec.notebook", name="region_sheet")), None)
    if drawing is None:
        return note("To see the regions here, install the extra: pip install 'grainspec[runtime]'")
    try:
        if not os.path.exists(base / spec.video.path):
            return note(
                f"The regions are not shown: the clip {base / spec.video.path} does not exist."
            )
        sheet = drawing.load()(spec, base)
    except GrainError as error:
        return note("The regions are not shown:") + findings(error.diagnostics[:3])
    except (ImportError, OSError, ValueError) as error:
        return note(f"The regions are not shown: {error}")
    return picture(sheet, "the regions on frames of the clip", quality=85)


# --- plans ---------------------------------------------------------------------------------------


def plan_html(plan: MaskPlan) -> str:
    """Show a plan: its facts, its edits, and for each level a map of latent tokens by edit."""
    attention = plan.attention
    decay = f"(t / T)<sup>{attention.decay:g}</sup>" if attention.decay else "1"
    until = f"the first {attention.until:.0%} of the steps"
    if attention.until_timestep:
        until += f", down to timestep {attention.until_timestep:g}"
    rows = [
        ("plan", f'<span style="{_MONO}">{plan.digest[:12]}</span> for {escape(plan.backbone)}'),
        ("target", escape(visible(plan.target))),
        ("clip", f"{len(plan.frames)} frames of {plan.width}×{plan.height}"),
        ("modulated", f"{until}; strengths × {decay}"),
        ("size", f"{len(plan.members_CE)} classes, {plan.nbytes() / 1000:.0f} kB"),
    ]
    facts = table([(label(name), value) for name, value in rows])
    return card(facts, _edits(plan), _levels(plan))


def _edits(plan: MaskPlan) -> str:
    areas = plan.areas(plan.levels[0]).mean(axis=0)
    rows = []
    for index, edit in enumerate(plan.edits):
        words = [edit.verb, edit.grain, edit.region, f"of {edit.owner}" if edit.owner else None]
        tokens = ", ".join("+".join(map(str, span)) for span in edit.tokens)
        rows.append(
            (
                _swatch(PALETTE[index % len(PALETTE)]) + escape(" ".join(filter(None, words))),
                escape(visible(edit.phrase)),
                tokens,
                f"{edit.weight:g} / {edit.repel:g}",
                f"{areas[index]:.1%}",
            )
        )
    head = ("edit", "phrase", "tokens", "weight / repel", "share of the frame")
    return table(rows, head=head)


def _swatch(colour: tuple[int, int, int]) -> str:
    style = f"display:inline-block;width:10px;height:10px;margin-right:6px;background:rgb{colour}"
    return f'<span style="{style}"></span>'


def _levels(plan: MaskPlan) -> str:
    """Draw a strip of label maps for each level, side by side."""
    from PIL import Image

    shown = []
    for level in plan.levels:
        rows, columns = level.labels_FHW.shape[1:]
        title = f"level {level.index}: {columns}×{rows} latent tokens"
        if not level.modulated:
            title += ", not modulated"
        strip = picture(Image.fromarray(_label_strip(plan, level)), title, kind="PNG")
        style = "display:inline-block;margin:4px 16px 0 0;vertical-align:top"
        shown.append(f'<div style="{style}">{note(title)}{strip}</div>')
    return "".join(shown)


def _label_strip(plan: MaskPlan, level: PlanLevel) -> npt.NDArray[np.uint8]:
    """Draw some frames of a level, each latent token in the mean colour of its edits."""
    import numpy as np

    palette = np.array([PALETTE[i % len(PALETTE)] for i in range(plan.members_CE.shape[1])])
    members = plan.members_CE
    totals = members @ palette.reshape(-1, 3)
    colours = totals / np.maximum(members.sum(axis=1, keepdims=True), 1)
    colours[~members.any(axis=1)] = NO_REGION
    count = len(level.labels_FHW)
    chosen = np.linspace(0, count - 1, min(_LEVEL_FRAMES, count)).round().astype(int)
    factor = max(1, _LEVEL_HEIGHT // level.labels_FHW.shape[1])
    frames = colours.round().astype(np.uint8)[level.labels_FHW[chosen]]
    frames = frames.repeat(factor, axis=1).repeat(factor, axis=2)
    gaps = np.pad(frames, ((0, 0), (0, 0), (0, 3), (0, 0)), constant_values=255)
    return np.concatenate(list(gaps), axis=1)[:, :-3]


# --- errors --------------------------------------------------------------------------------------


def error_lines(error: GrainError) -> list[str]:
    """Show a raised error as in a terminal, in lines with ANSI colours."""
    from rich.console import Console

    from grainspec.diagnostics.render import render

    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system="standard")
    with console.capture() as shown:
        text = render(error.diagnostics, source=error.source, path=error.path)
        console.print(text, soft_wrap=True)
    return shown.get().rstrip("\n").split("\n")


def error_html(error: GrainError) -> str:
    """Show an error as in a terminal: the source line, a caret and the cure."""
    from rich.console import Console

    from grainspec.diagnostics.render import render

    console = Console(record=True, file=io.StringIO(), width=100, color_system="truecolor")
    console.print(render(error.diagnostics, source=error.source, path=error.path), soft_wrap=True)
    style = f"margin:0;white-space:pre-wrap;color:#1f2328;background:#ffffff;{_MONO}"
    text = console.export_html(inline_styles=True, code_format="{code}")
    return card(f'<pre style="{style}">{text.rstrip()}</pre>')
