"""One case of a file: a spec, changed or not, compiled for a backbone and checked."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from grainspec.checks.meaning import check_meaning
from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.regions.carving import carve
from grainspec.regions.layout import Layout
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case, Compiler, compile_with, compiled
from grainspec.testing.check import violations
from grainspec.testing.regions import check_regions
from grainspec.testing.run.properties import Properties, properties
from grainspec.testing.run.regions import ClipRegions, kept_pixels
from grainspec.testing.run.stand_in import StandIn, stand_in


@dataclass(frozen=True)
class Trial:
    """A spec without variants, and the stand-in that it is compiled for.

    None is the stand-in that suits the spec, or the backbone that was given.
    """

    spec: EditSpec
    stand_in: StandIn | None = None


class Checker:
    """Compiles the trials of one file and checks their plans."""

    def __init__(
        self,
        spec: EditSpec,
        base: Path,
        *,
        compiler: Compiler = compiled,
        backbone: Backbone | None = None,
        names: Properties | None = None,
    ) -> None:
        self.base, self.compiler, self.given = base, compiler, backbone
        self.names = names or properties()
        self.clip = ClipRegions(spec, base, backbone.native if backbone else None)

    def again(self, spec: EditSpec) -> Checker:
        """A checker of another spec in the same folder, which reads all files anew."""
        return Checker(
            spec,
            self.base,
            compiler=self.compiler,
            backbone=self.given,
            names=self.names,
        )

    def layouts(self, trial: Trial) -> tuple[Layout, Layout]:
        """The layout of all regions and that of the edits; raises GrainError for either."""
        regions = self.clip.layout(trial.spec)
        return regions, carve(trial.spec, regions)[0]

    def backbone(self, trial: Trial, layout: Layout) -> Backbone:
        """The backbone that a trial is compiled for."""
        if self.given is not None:
            return self.given
        _, height, width = layout.bits_FHW.shape
        return (trial.stand_in or stand_in(trial.spec, width, height)).backbone()

    def violations(
        self, trial: Trial, invariants: Collection[str] | None = None, *, valid: bool = True
    ) -> Iterator[Broken]:
        """The invariants that a trial violates; `compiling` if the compiler fails.

        Raises GrainError for regions that cannot be bound. If the compiler raises a GrainError, it
        is raised unless the trial is known to be ``valid``, or grainspec's own compiles it.
        """
        regions, layout = self.layouts(trial)
        backbone = self.backbone(trial, layout)
        try:
            plan = compile_with(self.compiler, trial.spec, layout, backbone)
        except GrainError as error:
            if not valid:
                if self.compiler is compiled:
                    raise
                compiled(trial.spec, layout, backbone)  # which raises for a mistake in the spec
            yield Broken("compiling", f"the compiler refuses a valid spec: {error}")
            return
        except Broken as broken:
            yield broken
            return
        kept = kept_pixels(trial.spec, regions)
        case = Case(trial.spec, layout, backbone, plan, kept, regions, self.compiler)
        yield from violations(case, self.names.plans if invariants is None else invariants)

    def regions_broken(self, spec: EditSpec, names: Collection[str]) -> Broken | None:
        """The first violated one of these properties of regions.

        Raises GrainError for mistakes in the spec or its files.
        """
        try:
            check_regions(self.clip.sized(spec), self.base, properties=names)
        except GrainError:
            raise
        except Broken as broken:
            return broken
        except Exception as error:
            message = f"binding the regions raised {type(error).__name__}: {error}"
            crash = Broken("binding", message)
            crash.__cause__ = error
            return crash
        return None

    def region_broken(self, spec: EditSpec, name: str) -> Broken | None:
        """How a spec violates a property of regions; None if it does not, or is not valid."""
        names = self.names.regions if name == "binding" else [name]
        try:
            broken = self.regions_broken(spec, names)
        except GrainError:
            return None
        return broken if broken and broken.invariant == name else None

    def broken(self, trial: Trial, invariant: str) -> Broken | None:
        """How a trial violates an invariant; None if it does not, or is no valid trial."""
        if any(finding.is_error for finding in check_meaning(trial.spec)):
            return None
        names = self.names.plans if invariant == "compiling" else [invariant]
        try:
            for broken in self.violations(trial, names):
                if broken.invariant == invariant:
                    return broken
        except GrainError:
            pass
        return None
