"""Check a plan against invariants."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout, Mask
from grainspec.testing.broken import Broken, described
from grainspec.testing.case import Case, Compiler, compile_with, compiled
from grainspec.testing.invariants import INVARIANTS, Invariant

_FIRST = "structure"
"""Other invariants rely on the shapes that it checks."""


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

    Raises GrainError if the compiler refuses the spec, and Broken if it raises another error.

    >>> import grainspec, numpy as np
    >>> spec = grainspec.parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> from grainspec.testing import word_backbone
    >>> layout = Layout.of({"r": np.ones((2, 64, 64), bool)})
    >>> check_plan(spec, layout, word_backbone())
    """
    if plan is None:
        plan = compile_with(compiler, spec, layout, backbone)
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
    for broken in violations(case, invariants):
        raise broken


def violations(case: Case, invariants: Collection[str] | None = None) -> Iterator[Broken]:
    """The violated ones among these invariants, or among all, in the order of checking.

    ``structure`` is always checked; if it is violated, it is the only one, as the others rely on
    it. An invariant that raises another error is violated. Raises ValueError for unknown names.
    """
    for name, check in chosen(invariants).items():
        broken = _violation(name, check, case)
        if broken is not None:
            yield broken
            if name == _FIRST:
                return


def _violation(name: str, check: Invariant, case: Case) -> Broken | None:
    try:
        check(case)
    except Broken as broken:
        return broken
    except Exception as error:
        if type(error).__module__.startswith("hypothesis."):
            raise  # such as `assume` in an invariant of a user
        raised = Broken(name, f"the check raised {described(error)}")
        raised.__cause__ = error
        return raised
    return None


def chosen(names: Collection[str] | None) -> dict[str, Invariant]:
    """The invariants with these names and `structure`, in the order of checking; None means all."""
    unknown = set(names or ()) - set(INVARIANTS)
    if unknown:
        raise ValueError(f"unknown invariants {sorted(unknown)}; there are {[*INVARIANTS]}")
    wanted = INVARIANTS if names is None else {_FIRST, *names}
    return {name: check for name, check in INVARIANTS.items() if name in wanted}
