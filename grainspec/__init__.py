"""grainspec: describe which regions of a video become what, and compile attention mask plans.

    spec = grainspec.load("edit.grain")          # or grainspec.parse(text), or grainspec.Builder
    findings = grainspec.check(spec, base="…")   # names, words, files
    grainspec.dumps(spec)                        # back to text

Write a spec: :func:`load`, :func:`parse`, :func:`from_json`, or in Python :class:`Builder` with
:func:`region`, :func:`masks`, :func:`box`, :func:`ellipse`, :func:`polygon`, :func:`moving`,
:func:`track`, :func:`point`, :func:`find`, :func:`named`, ``ALL`` and ``REST``. Use it:
:func:`check`, :func:`bind`, :func:`compile`, :func:`save_plan`, :func:`load_plan`,
:func:`override`, :func:`dumps`, :func:`to_json`. Test with it: :mod:`grainspec.testing`. Run it:
:class:`grainspec_runtime.Editor`.

Each name is imported on first use, so that the command ``grain`` starts quickly. :func:`bind` and
:func:`compile` import NumPy; torch, diffusers and transformers are never imported.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grainspec import testing
    from grainspec.builder import Builder, Changes, region
    from grainspec.diagnostics import Diagnostic, GrainError
    from grainspec.json_format import from_json, to_json
    from grainspec.loading import load
    from grainspec.model.expressions import (
        ALL,
        REST,
        box,
        ellipse,
        find,
        masks,
        moving,
        named,
        point,
        polygon,
        track,
    )
    from grainspec.model.spec import EditSpec, Region
    from grainspec.plan.backbone import Backbone
    from grainspec.plan.mask_plan import MaskPlan
    from grainspec.plan.save import load_plan, save_plan
    from grainspec.regions.bind import Bound
    from grainspec.regions.layout import Layout
    from grainspec.text.override import override
    from grainspec.text.parse import parse, parse_all
    from grainspec.text.printer import dumps

__version__ = "0.1.0"

__all__ = [
    "ALL",
    "REST",
    "Builder",
    "Changes",
    "Diagnostic",
    "EditSpec",
    "GrainError",
    "Region",
    "bind",
    "box",
    "check",
    "compile",
    "dumps",
    "ellipse",
    "find",
    "from_json",
    "load",
    "load_plan",
    "masks",
    "moving",
    "named",
    "override",
    "parse",
    "parse_all",
    "point",
    "polygon",
    "region",
    "save_plan",
    "testing",
    "to_json",
    "track",
]

_HOMES = {
    "grainspec.builder": ("Builder", "Changes", "region"),
    "grainspec.diagnostics": ("Diagnostic", "GrainError"),
    "grainspec.json_format": ("from_json", "to_json"),
    "grainspec.loading": ("load",),
    "grainspec.model.expressions": (
        "ALL",
        "REST",
        "box",
        "ellipse",
        "find",
        "masks",
        "moving",
        "named",
        "point",
        "polygon",
        "track",
    ),
    "grainspec.model.spec": ("EditSpec", "Region"),
    "grainspec.plan.save": ("load_plan", "save_plan"),
    "grainspec.text.override": ("override",),
    "grainspec.text.parse": ("parse", "parse_all"),
    "grainspec.text.printer": ("dumps",),
}


def __getattr__(name: str) -> Any:
    if name == "testing":
        return import_module("grainspec.testing")
    for module, names in _HOMES.items():
        if name in names:
            if sys.modules.get("hypothesis"):  # in tests, where `from_type` knows grainspec's types
                import_module("grainspec.testing.hypothesis_types").register()
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def check(spec: EditSpec, *, base: str | Path | None = None) -> list[Diagnostic]:
    """Return all findings about a spec; with ``base``, the folder of its files, about these too.

    With ``base`` the regions are computed, and the findings are those of ``grain check``.

    >>> import grainspec
    >>> spec = grainspec.parse(
    ...     'grain 1 video "c.mp4" target "a bear" region r = all edit r -> "bear"'
    ... )
    >>> check(spec)
    []
    """
    from grainspec.checks.meaning import check_meaning
    from grainspec.expect import expect_spec

    findings = check_meaning(expect_spec(spec, "check"))
    if base is not None and not any(finding.is_error for finding in findings):
        from grainspec.checking import check_all

        findings += check_all(spec, Path(base)).findings
    return findings


def bind(spec: EditSpec, *, base: str | Path = ".") -> Bound:
    """Compute each region's pixels on all frames; see :func:`grainspec.regions.bind.bind_regions`.

    Relative paths in the spec start at ``base``.

    >>> import tempfile
    >>> from PIL import Image
    >>> import grainspec
    >>> spec = grainspec.parse(
    ...     'grain 1 video "clip" target "a bear" region r = box(0%, 0%, 50%, 99%) edit r -> "bear"'
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:  # a clip of one frame
    ...     (Path(folder) / "clip").mkdir()
    ...     Image.new("RGB", (64, 64)).save(f"{folder}/clip/00000.png")
    ...     bound = grainspec.bind(spec, base=folder)
    >>> bound.edits.mask("r").sum(axis=(1, 2))  # pixels on each frame
    array([2016])
    """
    from grainspec.expect import expect_spec
    from grainspec.regions.bind import bind_regions

    return bind_regions(expect_spec(spec, "bind"), Path(base))


def compile(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
    """Compile a spec to a plan for a backbone; see :func:`grainspec.plan.compile.compile_plan`.

    ``layout`` is ``bind(spec).edits``: one region per edit, with parts cut out of other edits.

    >>> import numpy as np
    >>> import grainspec
    >>> from grainspec.regions.layout import Layout
    >>> from grainspec.testing import word_backbone
    >>> spec = grainspec.parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> layout = Layout.of({"r": np.ones((1, 64, 64), bool)})
    >>> plan = grainspec.compile(spec, layout, word_backbone())
    >>> plan.edits[0].tokens  # position of “bear” after the start token and “a”
    ((2,),)
    """
    from grainspec.expect import expect_spec
    from grainspec.plan.compile import compile_plan

    return compile_plan(expect_spec(spec, "compile"), layout, backbone).plan
