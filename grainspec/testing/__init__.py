"""Test specs, regions and plans in your own test suite: strategies and named invariants.

    from hypothesis import given
    from grainspec.testing import check_file, check_plan, plans, specs

    @given(specs())
    def test_my_tool_reads_every_spec(spec): ...

    def test_my_edit():
        check_file("edit.grain")      # the same as `grain test edit.grain`

:data:`INVARIANTS` has the properties that every plan must have, by name. The strategies require
Hypothesis, which ``pip install 'grainspec[testing]'`` installs; the other functions do not.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grainspec.testing.backbone import word_backbone
    from grainspec.testing.broken import Broken
    from grainspec.testing.case import Case, Compiler
    from grainspec.testing.check import check_case, check_plan
    from grainspec.testing.drawn_clips import DrawnClip, drawn_clip
    from grainspec.testing.invariants import INVARIANTS, Invariant, invariant
    from grainspec.testing.masks import check_mask_findings, check_masks
    from grainspec.testing.reading.check import check_words
    from grainspec.testing.reading.phrases import read_phrases
    from grainspec.testing.regions import REGION_PROPERTIES, check_regions
    from grainspec.testing.run import FileResult, check_file, try_file
    from grainspec.testing.sources import check_region_source
    from grainspec.testing.strategies.backbones import backbones
    from grainspec.testing.strategies.clips import clips
    from grainspec.testing.strategies.faults import faulty_specs, faulty_texts
    from grainspec.testing.strategies.grain_texts import grain_texts
    from grainspec.testing.strategies.layouts import layouts
    from grainspec.testing.strategies.plans import plans
    from grainspec.testing.strategies.regions import (
        boxes,
        expressions,
        lengths,
        mask_files,
        polygons,
    )
    from grainspec.testing.strategies.scenes import Scene, scenes
    from grainspec.testing.strategies.specs import specs
    from grainspec.testing.strategies.words import names, prompts, texts

__all__ = [
    "INVARIANTS",
    "REGION_PROPERTIES",
    "Broken",
    "Case",
    "Compiler",
    "DrawnClip",
    "FileResult",
    "Invariant",
    "Scene",
    "backbones",
    "boxes",
    "check_case",
    "check_file",
    "check_mask_findings",
    "check_masks",
    "check_plan",
    "check_region_source",
    "check_regions",
    "check_words",
    "clips",
    "drawn_clip",
    "expressions",
    "faulty_specs",
    "faulty_texts",
    "grain_texts",
    "invariant",
    "layouts",
    "lengths",
    "mask_files",
    "names",
    "plans",
    "polygons",
    "prompts",
    "read_phrases",
    "scenes",
    "specs",
    "texts",
    "try_file",
    "word_backbone",
]

_HOMES = {
    "backbone": ("word_backbone",),
    "broken": ("Broken",),
    "case": ("Case", "Compiler"),
    "check": ("check_case", "check_plan"),
    "drawn_clips": ("DrawnClip", "drawn_clip"),
    "invariants": ("INVARIANTS", "Invariant", "invariant"),
    "reading.check": ("check_words",),
    "reading.phrases": ("read_phrases",),
    "regions": ("REGION_PROPERTIES", "check_regions"),
    "run": ("FileResult", "check_file", "try_file"),
    "masks": ("check_mask_findings", "check_masks"),
    "sources": ("check_region_source",),
    "strategies.clips": ("clips",),
    "strategies.faults": ("faulty_texts", "faulty_specs"),
    "strategies.backbones": ("backbones",),
    "strategies.layouts": ("layouts",),
    "strategies.plans": ("plans",),
    "strategies.regions": ("boxes", "expressions", "lengths", "mask_files", "polygons"),
    "strategies.grain_texts": ("grain_texts",),
    "strategies.scenes": ("Scene", "scenes"),
    "strategies.specs": ("specs",),
    "strategies.words": ("names", "prompts", "texts"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            if sys.modules.get("hypothesis"):
                import_module("grainspec.testing.hypothesis_types").register()
            return getattr(import_module(f"grainspec.testing.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
