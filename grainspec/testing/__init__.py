"""Tests of specs, regions and plans, for users' own suites: strategies and named invariants.

    from hypothesis import given
    from grainspec.testing import check_file, check_plan, plans, specs

    @given(specs())
    def test_my_tool_reads_every_spec(spec): ...

    def test_my_edits_hold():
        check_file("edit.grain")      # the same as `grain test edit.grain`

:data:`INVARIANTS` lists what must hold of any plan. Needs the extra ``grainspec[testing]``.
"""

from grainspec.testing.invariants import INVARIANTS, Broken, Case, check_plan
from grainspec.testing.strategies import (
    boxes,
    expressions,
    layouts,
    lengths,
    mask_files,
    names,
    plans,
    polygons,
    specs,
    texts,
    word_backbone,
)

__all__ = [
    "INVARIANTS",
    "Broken",
    "Case",
    "boxes",
    "check_plan",
    "expressions",
    "layouts",
    "lengths",
    "mask_files",
    "names",
    "plans",
    "polygons",
    "specs",
    "texts",
    "word_backbone",
]
