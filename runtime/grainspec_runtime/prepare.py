"""Check and compile an edit before a model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grainspec.checking import checked
from grainspec.clip.crop import frame_numbers
from grainspec.diagnostics import Diagnostic
from grainspec.expect import expect_spec
from grainspec.model.settings.method import EditingName, OwnScope, own_scope
from grainspec.model.spec import BlendSpace, EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow, windows_of
from grainspec.regions.bind import Bound
from grainspec.regions.coverage import (
    edit_coverage,
    partly_hard_edges,
    soft_sources,
    without_soft_edges,
)
from grainspec.text.override import override
from grainspec.waiting import Waiting
from grainspec_runtime.known import Known, known
from grainspec_runtime.media.blend import Weights, faded
from grainspec_runtime.models.additions import Embedding, Lora
from grainspec_runtime.runs.tracked import UsedMasks
from grainspec_runtime.tracking.bake import TrackOptions, ensure_tracked


@dataclass(frozen=True)
class Prepared:
    """A spec and its clip, with bound regions, compiled plan, and warnings.

    ``variant`` is the name of the variant, if the spec is one. ``tracked`` are the masks of regions
    from clicks and words; None if there are no such regions.
    """

    spec: EditSpec
    base: Path
    model: Known
    bound: Bound
    plan: MaskPlan
    warnings: tuple[Diagnostic, ...]
    variant: str | None = None
    tracked: UsedMasks | None = None

    @property
    def backbone(self) -> Backbone:
        """The facts of the model that the compiler needs."""
        return self.model.backbone

    @property
    def windows(self) -> tuple[FrameWindow, ...]:
        """The windows in which the networks process the clip; one if they process all frames."""
        return windows_of(self.plan, self.spec.effective_context)

    @property
    def process(self) -> EditingName:
        """What makes the edit: the spec's method or process, or the default of the family."""
        if self.spec.method:
            return self.spec.method.name
        return self.spec.sampler.process or self.model.default_process

    @property
    def modulates(self) -> bool:
        """Whether attention is modulated by the plan."""
        return self.spec.method is None or self.spec.method.follows_plan

    @property
    def own_scope(self) -> OwnScope | None:
        """The frames that the method relates in attention, if it chooses them itself."""
        return own_scope(self.process, len(self.windows))

    @property
    def blend_space(self) -> BlendSpace:
        """How the source is restored outside the edited regions."""
        method = self.spec.method
        return self.spec.blend.space if method is None or method.blends else "none"

    @property
    def timesteps(self) -> list[float]:
        """The timesteps of the steps that the edit takes, the noisiest first."""
        return self.backbone.timesteps_taken(self.spec.sampler, self.process)

    @property
    def about(self) -> dict[str, str]:
        """The description of this run's cache entries."""
        clip = f"{len(self.plan.frames)} frames of {self.plan.width}x{self.plan.height}"
        about = {"clip": self.spec.video.path, "size": clip, "model": self.spec.model}
        return about | {"target": self.spec.target}

    def pixel_weights(self) -> Weights:
        """How much of each pixel is the edit's, float32 ``[F, H, W]``, if pixels are blended."""
        soft = self.spec.blend.edges == "soft"
        if soft and self.tracked and soft_sources(self.spec, self.tracked.state):
            coverage_FHW = edit_coverage(self.spec, self.bound, self.tracked.state)
            return (coverage_FHW / 255).astype(np.float32)
        return faded(self.bound.edits.bits_FHW != 0, self.feather)

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
    tracking: TrackOptions | None = None,
) -> Prepared:
    """Check a spec and its files, bind its regions, and compile its plan.

    Relative paths start at ``base``. Variants of the spec are ignored. ``sets`` are overrides, as
    for :func:`grainspec.override`; ``embeddings`` and ``loras`` are those that the model will be
    loaded with. Regions from clicks and words are tracked if they have no current masks;
    ``tracking`` says how. Raises GrainError with all errors.
    """
    spec = expect_spec(spec, "prepare")
    return _prepare(spec, base, sets, embeddings, loras, tracking, None, None)


def prepare_variants(
    spec: EditSpec,
    names: Sequence[str],
    base: Path,
    *,
    sets: Sequence[str] = (),
    embeddings: Sequence[Embedding] = (),
    loras: Sequence[Lora] = (),
    tracking: TrackOptions | None = None,
) -> list[Prepared]:
    """Prepare variants of a spec; files are checked and regions are bound once for all.

    The arguments are those of :func:`prepare`. Raises GrainError with the errors of the first
    variant that has any, KeyError if a variant does not exist.
    """
    spec = expect_spec(spec, "prepare_variants")
    prepared: list[Prepared] = []
    for name in names:
        sibling = prepared[0] if prepared else None
        prepared.append(_prepare(spec, base, sets, embeddings, loras, tracking, name, sibling))
    return prepared


def _prepare(
    whole: EditSpec,
    base: Path,
    sets: Sequence[str],
    embeddings: Sequence[Embedding],
    loras: Sequence[Lora],
    tracking: TrackOptions | None,
    variant: str | None,
    sibling: Prepared | None,
) -> Prepared:
    """Prepare a spec or one of its variants; ``sibling`` is a variant prepared before."""
    spec = override(whole.as_variant(variant) if variant else whole.without_variants(), sets)

    def model() -> Known:
        return sibling.model if sibling else known(spec, base, embeddings, loras)

    tracked = sibling.tracked if sibling else None

    def track() -> None:
        nonlocal tracked
        state = ensure_tracked(spec, base, tracking or waiting_for_tracks()).state
        if state.sources:
            tracked = UsedMasks.of(state, frame_numbers(spec.video, state.clip.facts))

    result = checked(
        spec,
        base,
        model,
        one_of_several=bool(whole.variants),
        bound=sibling.bound if sibling else None,
        progress=Waiting("reading frame"),
        track=track,
    )
    result.raise_errors()
    assert result.bound is not None
    assert result.plan is not None
    assert isinstance(result.model, Known)
    findings = result.findings
    masks = tracked.state if tracked else None
    if no_effect := without_soft_edges(spec, masks) or partly_hard_edges(spec, masks):
        findings = (*findings, no_effect)
    return Prepared(spec, base, result.model, result.bound, result.plan, findings, variant, tracked)


def waiting_for_tracks() -> TrackOptions:
    """How regions are tracked on first need: with a line of progress on a terminal."""
    waiting = Waiting("tracking frame")
    return TrackOptions(progress=lambda stage, done, total: waiting(done, total))
