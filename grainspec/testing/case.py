"""What an invariant looks at: a spec, the regions of its edits, a backbone, and the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout, Mask

Compiler = Callable[[EditSpec, Layout, Backbone], MaskPlan]


def compiled(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
    """Compile with grainspec's own compiler."""
    return compile_plan(spec, layout, backbone).plan


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
        """Compile the case again, with another spec or layout."""
        return self.compiler(spec or self.spec, layout or self.layout, self.backbone)
