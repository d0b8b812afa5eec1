"""Check a plan against invariants."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout, Mask
from grainspec.testing.case import Case, Compiler, compiled
from grainspec.testing.invariants import INVARIANTS, Invariant


def check_plan(
    spec: EditSpec,
    layout: Layout,
    backbone: Backbone,
    *,
    plan: MaskPlan | None = None,
    kept: Mask | None = None,
    regions: Layout | None = None,
    compiler: Compiler = compiled,
    invariants: Collection[str] | None = None,
) -> None:
    """Check a plan against all invariants; raise :class:`Broken` for the first violated one.

    ``layout`` has one region per edit, like ``edits`` of :func:`grainspec.bind`. Without ``plan``,
    the spec is compiled. ``compiler`` replaces grainspec's own. ``kept`` and ``regions`` are
    those of :class:`Case`. ``invariants`` are the names of those to check, or None for all.

    >>> import grainspec, numpy as np
    >>> spec = grainspec.parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> from grainspec.testing import word_backbone
    >>> layout = Layout.of({"r": np.ones((2, 64, 64), bool)})
    >>> check_plan(spec, layout, word_backbone())
    """
    plan = plan or compiler(spec, layout, backbone)
    check_case(Case(spec, layout, backbone, plan, kept, regions, compiler), invariants)


def check_case(case: Case, invariants: Collection[str] | None = None) -> None:
    """Check a case against these invariants, or against all; raise Broken for the first violated.

    Raises ValueError for names that are not in ``INVARIANTS``.

    >>> from hypothesis import given, settings
    >>> from grainspec.testing import plans
    >>> @settings(max_examples=5)
    ... @given(plans())
    ... def pairs_are_right(case):
    ...     check_case(case, ["pairs", "words"])
    >>> pairs_are_right()
    """
    for check in chosen(invariants):
        check(case)


def chosen(names: Collection[str] | None) -> Iterable[Invariant]:
    """The invariants with these names, in the order of checking; None means all."""
    unknown = set(names or ()) - set(INVARIANTS)
    if unknown:
        raise ValueError(f"unknown invariants {sorted(unknown)}; there are {[*INVARIANTS]}")
    return [check for name, check in INVARIANTS.items() if names is None or name in names]
