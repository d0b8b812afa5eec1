"""What an invariant looks at: a spec, the regions of its edits, a backbone, and the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec, Keep
from grainspec.pasted import ShownByRepr, pasted
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.carving import carve
from grainspec.regions.layout import Layout, Mask
from grainspec.testing.broken import Broken, described
from grainspec.text.parse import parse
from grainspec.text.printer import dumps

Compiler = Callable[[EditSpec, Layout, Backbone], MaskPlan]


def compiled(spec: EditSpec, layout: Layout, backbone: Backbone) -> MaskPlan:
    """Compile with grainspec's own compiler."""
    return compile_plan(spec, layout, backbone).plan


def compile_with(
    compiler: Compiler, spec: EditSpec, layout: Layout, backbone: Backbone
) -> MaskPlan:
    """Compile; raise Broken("compiling", …) for errors of the compiler other than GrainError."""
    try:
        return compiler(spec, layout, backbone)
    except (GrainError, Broken):
        raise
    except Exception as error:
        message = f"the compiler raised {described(error)}"
        raise Broken("compiling", message) from error


def kept_pixels(spec: EditSpec, regions: Layout) -> Mask:
    """The pixels of all kept regions, bool ``[F, H, W]``."""
    kept = np.zeros(regions.bits_FHW.shape, np.bool_)
    for edit in spec.edits:
        if isinstance(edit, Keep):
            kept |= regions.mask(edit.region)
    return kept


@dataclass(frozen=True)
class Case(ShownByRepr):
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

    def __post_init__(self) -> None:
        """Choose the profile that ``auto`` is for the backbone, as the compiler does."""
        object.__setattr__(self, "spec", self.spec.for_profile(self.backbone.profile))

    @classmethod
    def of(
        cls,
        spec: EditSpec | str,
        layout: Layout,
        backbone: Backbone,
        *,
        carved: bool = False,
        compiler: Compiler = compiled,
    ) -> Case:
        """Compile a spec, or its text, for the regions in a layout.

        With ``carved``, the layout is that of the edits. Raises GrainError if parts or kept regions
        leave an edit without pixels, and for what ``compiler`` refuses.

        >>> from grainspec.testing import word_backbone
        >>> case = Case.of(
        ...     'grain 1 video "c" target "a bear" region r = all edit r -> "bear"',
        ...     Layout.of({"r": np.ones((1, 16, 16), bool)}),
        ...     word_backbone(levels=1),
        ... )
        >>> case
        Case.of('''
        grain 1
        <BLANKLINE>
        video "c"
        <BLANKLINE>
        target "a bear"
        <BLANKLINE>
        region r = all
        <BLANKLINE>
        edit r -> "bear"
        ''', Layout.parse('''
        regions r
        frames 0
        block 16 16
        a r
        <BLANKLINE>
        a
        '''), word_backbone(levels=1))
        """
        spec = parse(spec) if isinstance(spec, str) else spec
        regions, kept = (None, None) if carved else (layout, kept_pixels(spec, layout))
        edits = layout if carved else carve(spec, layout)[0]
        plan = compile_with(compiler, spec, edits, backbone)
        return cls(spec, edits, backbone, plan, kept, regions, compiler)

    def __repr__(self) -> str:
        """The call that makes the case, if its layout is small."""
        given = [
            pasted(dumps(self.spec)),
            repr(self.layout if self.regions is None else self.regions),
            repr(self.backbone),
        ]
        if self.regions is None:
            given.append("carved=True")
        if self.compiler is not compiled:
            given.append(f"compiler={getattr(self.compiler, '__qualname__', self.compiler)}")
        return f"Case.of({', '.join(given)})"

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
