"""Check and compile an edit before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grainspec.checks.files import check_files
from grainspec.checks.meaning import check_meaning
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.expect import expect_spec
from grainspec.model.spec import DEMO, EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow, frame_windows
from grainspec.regions.bind import Bound, bind_regions
from grainspec.text.override import override
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.demo.checks import unknown_words
from grainspec_runtime.flow.guide import check_flow
from grainspec_runtime.models.additions import Embedding, Lora


@dataclass(frozen=True)
class Prepared:
    """A spec and its clip, with bound regions, compiled plan, and warnings.

    ``variant`` is the name of the variant, if the spec is one.
    """

    spec: EditSpec
    base: Path
    backbone: Backbone
    bound: Bound
    plan: MaskPlan
    warnings: tuple[Diagnostic, ...]
    variant: str | None = None

    @property
    def windows(self) -> tuple[FrameWindow, ...]:
        """The windows in which the networks process the clip; one if they process all frames."""
        return frame_windows(len(self.plan.groups), self.spec.context)

    @property
    def timesteps(self) -> list[float]:
        """The diffusion timesteps of the sampling run, the noisiest first."""
        return self.backbone.timesteps(self.spec.sampler.steps, self.spec.sampler.method)

    @property
    def about(self) -> dict[str, str]:
        """The description of this run's cache entries."""
        clip = f"{len(self.plan.frames)} frames of {self.plan.width}x{self.plan.height}"
        about = {"clip": self.spec.video.path, "size": clip, "model": self.spec.model}
        return about | {"target": self.spec.target}

    @property
    def feather(self) -> float:
        """Width of the blend outside the edited regions, in pixels of the edited frames."""
        length, facts = self.spec.blend.feather, self.bound.facts
        if length is None:
            return 0.0
        return length.pixels(min(facts.width, facts.height)) * sum(self.bound.crop.scale) / 2


def prepare(
    spec: EditSpec,
    base: Path,
    *,
    sets: Sequence[str] = (),
    embeddings: Sequence[Embedding] = (),
    loras: Sequence[Lora] = (),
) -> Prepared:
    """Check a spec and its files, bind its regions, and compile its plan.

    Relative paths start at ``base``. Variants of the spec are ignored. ``sets`` are overrides, as
    for :func:`grainspec.override`; ``embeddings`` and ``loras`` are those that the model will be
    loaded with. Raises GrainError with all errors.
    """
    spec = expect_spec(spec, "prepare")
    return _prepare(spec, base, sets, embeddings, loras, None, None)


def prepare_variants(
    spec: EditSpec,
    names: Sequence[str],
    base: Path,
    *,
    sets: Sequence[str] = (),
    embeddings: Sequence[Embedding] = (),
    loras: Sequence[Lora] = (),
) -> list[Prepared]:
    """Prepare variants of a spec; files are checked and regions are bound once for all.

    Raises GrainError with the errors of the first variant that has any, KeyError if a variant does
    not exist.
    """
    spec = expect_spec(spec, "prepare_variants")
    prepared: list[Prepared] = []
    for name in names:
        sibling = prepared[0] if prepared else None
        prepared.append(_prepare(spec, base, sets, embeddings, loras, name, sibling))
    return prepared


def _prepare(
    whole: EditSpec,
    base: Path,
    sets: Sequence[str],
    embeddings: Sequence[Embedding],
    loras: Sequence[Lora],
    variant: str | None,
    sibling: Prepared | None,
) -> Prepared:
    """Prepare a spec or one of its variants; ``sibling`` is a variant prepared before."""
    spec = override(whole.as_variant(variant) if variant else whole.without_variants(), sets)
    findings = check_meaning(spec, one_of_several=bool(whole.variants))
    _raise_errors(findings)
    if sibling is None:
        findings += check_files(spec, base)
        _raise_errors(findings)
        model, family = find_model(spec.model, base, spec.span_of("model"))
        findings += family.review(model, loras)
        backbone = family.describe(model, embeddings)
        family.check(spec, base, model)
    else:
        backbone = sibling.backbone
    if spec.sampler.steps >= backbone.training_steps:
        most = backbone.training_steps - 1
        message = (
            f"invalid value `{spec.sampler.steps}` for `steps`: "
            f"the model was trained with {backbone.training_steps} timesteps"
        )
        cure = f"Use at most `steps {most}`; 50 is usual."
        raise fail("G203", message, cure, spec.sampler.span_of("steps"))
    if sibling is None:
        bound = bind_regions(spec, base, default_size=backbone.native)
    else:
        bound = sibling.bound.carved(spec)
    compiled = compile_plan(spec, bound.edits, backbone)
    if spec.flow:
        check_flow(spec.flow, base, compiled.plan)
    # Warnings about masks are found by both, the check of files and binding.
    more = (*bound.warnings, *compiled.warnings)
    findings += [finding for finding in more if finding not in findings]
    if spec.model == DEMO:
        findings += unknown_words(spec)
    return Prepared(spec, base, backbone, bound, compiled.plan, tuple(findings), variant)


def _raise_errors(findings: list[Diagnostic]) -> None:
    if any(finding.is_error for finding in findings):
        raise GrainError(findings)
