"""Everything that can be found out about an edit before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grainspec.check_files import check_files
from grainspec.checks import check_meaning
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.bind import Bound, bind_regions
from grainspec.spec import EditSpec
from grainspec_runtime.backbones.facts import backbone_facts
from grainspec_runtime.backbones.locate import DEMO
from grainspec_runtime.demo.checks import unknown_words


@dataclass(frozen=True)
class Prepared:
    """A spec on its clip: regions bound, plan compiled, and what is doubtful about them."""

    spec: EditSpec
    base: Path
    backbone: Backbone
    bound: Bound
    plan: MaskPlan
    warnings: tuple[Diagnostic, ...]


def prepare(spec: EditSpec, base: Path) -> Prepared:
    """Check a spec and its files, bind its regions, compile its plan.

    Relative paths start at ``base``. Raises GrainError with every error that can be found.
    """
    findings = check_meaning(spec)
    _raise_errors(findings)
    findings += check_files(spec, base)
    _raise_errors(findings)
    backbone = backbone_facts(spec.model, base, span=spec.span_of("model"))
    if spec.sampler.steps >= backbone.training_steps:
        message = f"`steps` is {spec.sampler.steps}"
        cure = f"It must be less than the {backbone.training_steps} that the model was trained on."
        raise fail("G203", message, cure, spec.sampler.span_of("steps"))
    bound = bind_regions(spec, base, default_size=backbone.native_size)
    compiled = compile_plan(spec, bound.edits, backbone)
    findings += [*bound.warnings, *compiled.warnings]
    if spec.model == DEMO:
        findings += unknown_words(spec)
    return Prepared(spec, base, backbone, bound, compiled.plan, tuple(findings))


def _raise_errors(findings: list[Diagnostic]) -> None:
    if any(finding.is_error for finding in findings):
        raise GrainError(findings)
