"""What an invariant looks at: a spec, the regions of its edits, a backbone, and the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout, Mask
from grainspec.testing.broken import Broken

Compiler = Callable[[EditSpec, Layout, Backbone], MaskPlan]


def compiled(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
    """Compile with grainspec's own compiler."""
    return compile_plan(spec, layout, backbone).plan


def compile_with(
    compiler: Compiler, spec: EditSpec, layout: Layout, backbone: Backbone
) -> MaskPlan:
    """Compile; raise Broken("compiling", …) if the compiler raises another error than GrainError."""
    try:
        return compiler(spec, layout, backbone)
    except (GrainError, Broken):
        raise
    except Exception as error:
        message = f"the compiler raised {type(error).__name__}: {error}"
        raise Broken("compiling", message) from error


@dataclass(frozen=True)
class Case:
    """A spec without variants, the layout of its edits (``Bound.edits``), a backbone and the plan.

    ``regions``: the layout of all regions before parts and kept regions are cut out
    (``Bound.regions``), if it is known. ``kept``: bool ``[F, H, W]``, the pixels of the kept
    regions, if they are known. Invariants that compile again use ``compiler``.
    """

    spec: EditSpec
    layout: Layout
    backbone: Backbone
    plan: MaskPlan
    kept: Mask | None = None
    regions: Layout | None = None
    compiler: Compiler = compiled

    def again(self, spec: EditSpec | None = None, layout: Layout | None = None) -> MaskPlan:
        """Compile the case again, with another spec or layout.

        Raises Broken if the compiler raises an error: it has compiled the case before.
        """
        try:
            return compile_with(
                self.compiler, spec or self.spec, layout or self.layout, self.backbone
            )
        except GrainError as error:
            message = f"the compiler refuses a change of the case that is valid: {error}"
            raise Broken("compiling", message) from error
