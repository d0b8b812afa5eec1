"""Render a report: one self-contained HTML page that loads nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from grainspec.palette import PALETTE
from grainspec_runtime.report.contents import ReportedRun


def report_page(runs: Sequence[ReportedRun]) -> str:
    """Render the report of one run, or of several, such as a spec's variants, one below the other.

    All user text is escaped. As a second line of defence, the page's Content-Security-Policy allows
    no connections and no scripts except the page's own.
    """
    style = _read("page.css") + "".join(
        f".colour-{index} {{ background: rgb({', '.join(map(str, colour))}); }}\n"
        for index, colour in enumerate(PALETTE)
    )
    script = _read("page.js")
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            "media-src data:",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    title = runs[0].name if len(runs) == 1 else ", ".join(run.variant or run.name for run in runs)
    return _template().render(
        title=title, runs=runs, policy=policy, style=Markup(style), script=Markup(script)
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _read(name: str) -> str:
    return files("grainspec_runtime.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read("page.html.jinja"))
