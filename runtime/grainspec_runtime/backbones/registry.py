"""The model families, found by the class names that checkpoints give themselves.

A family is a module of :mod:`grainspec_runtime.backbones.families` that has a ``FAMILY``; that it
lies there is all the registration there is. Looking one up loads no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec.model.spec import EditSpec, Size
from grainspec.plan.backbone import Backbone
from grainspec_runtime.backbones import families as package
from grainspec_runtime.backbones.additions import Embedding
from grainspec_runtime.backbones.family import Checkpoint, Family, ModelFolder
from grainspec_runtime.backbones.locate import find_weights, locate
from grainspec_runtime.backbones.options import LoadOptions


@cache
def families() -> tuple[Family, ...]:
    """All families, by the names of their modules."""
    names = sorted(module.name for module in iter_modules(package.__path__))
    return tuple(import_module(f"{package.__name__}.{name}").FAMILY for name in names)


def pipelines() -> dict[str, Family]:
    """The families by the pipeline class names that they run.

    >>> sorted(pipelines())
    ['StableDiffusionPipeline', 'StableDiffusionXLPipeline']
    """
    return {name: family for family in families() for name in family.parts}


def family_of(model: ModelFolder) -> Family:
    """The family of a checkpoint, whose parts are of the classes that the family runs.

    Raises GrainError (G504), naming the class that was found and those that are supported.
    """
    known = pipelines()
    family = known.get(model.pipeline)
    if family is None:
        message = f"{model.name} is a {model.pipeline}; this release runs {' and '.join(known)}"
        raise fail("G504", message, f"Choose a {families()[0].name} checkpoint.", model.span)
    for part, wanted in family.parts[model.pipeline].items():
        entry = model.index.get(part)
        actual = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        # tokenizers have classes by many names that read the same files
        if actual != wanted and not (actual and part.startswith("tokenizer")):
            has = f"is a {actual}" if actual else "is missing"
            message = f"the {part} of {model.name} {has}; this release runs {wanted} there"
            cure = f"Choose a checkpoint with the parts of {family.name}."
            raise fail("G504", message, cure, model.span)
    return family


def find_model(model: str, base: Path, span: Span | None = None) -> tuple[ModelFolder, Family]:
    """A model's folder and family, from its configuration alone.

    Raises GrainError: what :func:`grainspec_runtime.backbones.locate.locate` and :func:`family_of`
    raise.
    """
    found = locate(model, base, span=span)
    return found, family_of(found)


def describe(
    model: str, base: Path, *, embeddings: Sequence[Embedding] = (), span: Span | None = None
) -> Backbone:
    """What the compiler needs to know of a model: a folder, a hub id, or ``demo``.

    Raises GrainError as :func:`find_model` and :meth:`Family.describe` do.
    """
    found, family = find_model(model, base, span)
    return family.describe(found, embeddings)


def native_size(model: str, base: Path) -> Size | None:
    """The frame size that a model was trained on; None where the model is not at hand."""
    try:
        found, family = find_model(model, base)
        return family.native_size(found)
    except (GrainError, ImportError):
        return None


def check_model(spec: EditSpec, base: Path) -> None:
    """Raise GrainError for what a spec asks for that its model cannot do."""
    found, family = find_model(spec.model, base, spec.span_of("model"))
    family.check(spec, base, found)


def load_checkpoint(
    model: str, base: Path, options: LoadOptions | None = None, *, span: Span | None = None
) -> Checkpoint:
    """Load ``demo``, a folder in diffusers' format or a hub id, from safetensors weights alone.

    Raises GrainError as :func:`find_model` and :meth:`Family.load` do.
    """
    found, family = find_model(model, base, span)
    found = find_weights(found, base, family.weighted, family.parts[found.pipeline])
    return family.load(found, options or LoadOptions())
