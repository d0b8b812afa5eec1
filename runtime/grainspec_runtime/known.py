"""What is known of a model before it is loaded, and what can be wrong with a spec because of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import DEMO, EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.family import Family
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.models.additions import Embedding
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.locate import local_folder


@dataclass(frozen=True)
class Known:
    """A model that is located and described, but not loaded."""

    folder: ModelFolder
    family: Family
    backbone: Backbone
    outlined: bool = False
    """Whether nothing but JSON was read, and nothing else may be."""

    def check(self, spec: EditSpec, base: Path) -> None:
        """Raise GrainError if a spec uses something that the model does not support."""
        if self.outlined:  # networks of controls are found with their own libraries
            spec = spec.replaced({}, controls=())
        self.family.check(spec, base, self.folder)

    def check_plan(self, spec: EditSpec, base: Path, plan: MaskPlan) -> Iterable[Diagnostic]:
        """Check optical flow and, for the demo model, words; raises GrainError for errors."""
        if spec.flow:
            from grainspec_runtime.flow.guide import check_flow

            check_flow(spec.flow, base, plan)
        if spec.model == DEMO:
            from grainspec_runtime.demo.checks import unknown_words

            return unknown_words(spec)
        return []


def known(spec: EditSpec, base: Path, embeddings: Sequence[Embedding] = ()) -> Known:
    """Find and describe the model of a spec, and its tokenizer."""
    folder, family = find_model(spec.model, base, spec.span_of("model"))
    return Known(folder, family, family.describe(folder, embeddings))


def outlined(spec: EditSpec, base: Path) -> Known | None:
    """Describe the model of a spec by JSON only; None if it is not in a local folder.

    ``grain check`` finds this function by the entry point in ``grainspec.models``.
    """
    if not local_folder(spec.model, base):
        return None
    folder, family = find_model(spec.model, base, spec.span_of("model"))
    return Known(folder, family, family.describe(folder, outlined=True), outlined=True)
