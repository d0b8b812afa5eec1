"""What is known of a model before it is loaded, and what can be wrong with a spec because of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from grainspec.checks.method import flow_of
from grainspec.checks.smoothing import smoothing_of
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.demo_models import DemoModel, demo_model
from grainspec.model.settings.sampler import ProcessName
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.family import Family, present_parts
from grainspec_runtime.backbones.registry import families, find_model
from grainspec_runtime.backbones.unsupported import (
    check_method_supported,
    check_noise_supported,
    check_process_supported,
)
from grainspec_runtime.models.additions import Embedding, Lora
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.hub import NotCached, is_remote
from grainspec_runtime.models.locate import check_local_weights


@dataclass(frozen=True)
class Known:
    """A model that is located and described, but not loaded."""

    folder: ModelFolder
    family: Family
    backbone: Backbone
    warnings: tuple[Diagnostic, ...] = ()
    outlined: bool = False
    """Whether nothing but JSON was read, and nothing else may be."""

    @property
    def default_process(self) -> ProcessName:
        """The process of specs that state none."""
        return self.family.processes[0]

    def check(self, spec: EditSpec, base: Path) -> None:
        """Raise GrainError if a spec uses something that the model does not support."""
        check_process_supported(spec, self.family)
        siblings = _embedded if demo_model(spec.model) else dict[str, Family]
        check_method_supported(spec, self.family, families(), siblings)
        check_noise_supported(spec, self.family, self.backbone)
        self.family.check(spec, base, self.folder, outlined=self.outlined)

    def check_plan(self, spec: EditSpec, base: Path, plan: MaskPlan) -> Iterator[Diagnostic]:
        """Check smoothing, optical flow and, for the demo models, words.

        Raises GrainError for errors.
        """
        if owner := smoothing_of(spec, spec.sampler.process or self.default_process):
            from grainspec_runtime.flow.guide import check_interpolation

            yield from check_interpolation(owner, frames=len(plan.frames), steps=spec.sampler.steps)
        if flow := flow_of(spec):
            from grainspec_runtime.flow.guide import check_flow

            check_flow(flow, base, plan)
        if demo_model(spec.model):
            from grainspec_runtime.demo.checks import unknown_words

            yield from unknown_words(spec)


def known(
    spec: EditSpec,
    base: Path,
    embeddings: Sequence[Embedding] = (),
    loras: Sequence[Lora] = (),
) -> Known:
    """Find and describe the model of a spec, and its tokenizer.

    ``embeddings`` and ``loras`` are those that it will be loaded with.
    """
    folder, family = _found(spec, base)
    warnings = tuple(family.review(folder, loras, spec.sampler))
    check_local_weights(folder, base, family.weighted, present_parts(family, folder))
    return Known(folder, family, family.describe(folder, embeddings), warnings)


def _embedded() -> dict[str, Family]:
    """The embedded models that are installed, and the family of each."""
    siblings: dict[str, Family] = {}
    for name in get_args(DemoModel):
        with suppress(GrainError):  # G552: its weights are not installed
            siblings[name] = find_model(name, Path(), online=False)[1]
    return siblings


def _found(spec: EditSpec, base: Path, *, online: bool = True) -> tuple[ModelFolder, Family]:
    return find_model(
        spec.model,
        base,
        spec.span_of("model"),
        motion_adapter=spec.motion_adapter,
        motion_span=spec.span_of("motion_adapter"),
        online=online,
    )


def outlined(spec: EditSpec, base: Path) -> Known | None:
    """Describe the model of a spec by JSON only; None if it is not on this machine.

    ``grain check`` finds this function by the entry point in ``grainspec.models``.
    """
    remote = is_remote(spec.model, base) or is_remote(spec.motion_adapter or ".", base)
    try:
        folder, family = _found(spec, base, online=False)
        remote = remote or folder.assumed
        shipped = demo_model(spec.model) is not None
        warnings = () if shipped else tuple(family.review(folder, sampler=spec.sampler))
        check_local_weights(folder, base, family.weighted, present_parts(family, folder))
        backbone = family.describe(folder, outlined=True)
    except (ImportError, NotCached):
        return None
    except GrainError as error:
        if remote and error.diagnostics[0].code == "G502":
            return None  # the cache has only a part of the configuration
        raise
    return Known(folder, family, backbone, warnings, outlined=True)
