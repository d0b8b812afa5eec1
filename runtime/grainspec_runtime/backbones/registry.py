"""The model families, found by the class names in a checkpoint's configuration.

A family is a module in :mod:`grainspec_runtime.backbones.families` with a value ``FAMILY``; it
needs no other registration. Finding a family loads no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from grainspec.clip.crop import NativeSize
from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec.plan.backbone import Backbone
from grainspec_runtime.backbones import families as package
from grainspec_runtime.backbones.family import Checkpoint, Family
from grainspec_runtime.models.additions import Embedding
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.locate import REAL_MODEL_LINE, find_weights, locate
from grainspec_runtime.models.options import LoadOptions


@cache
def families() -> tuple[Family, ...]:
    """Return all families, sorted by the names of their modules."""
    names = sorted(module.name for module in iter_modules(package.__path__))
    return tuple(import_module(f"{package.__name__}.{name}").FAMILY for name in names)


def pipelines() -> dict[str, Family]:
    """Map the names of pipeline classes to their families.

    >>> sorted(pipelines())
    ['StableDiffusionPipeline', 'StableDiffusionXLPipeline']
    """
    return {name: family for family in families() for name in family.parts}


def family_of(model: ModelFolder) -> Family:
    """Return the family of a checkpoint, after checking the classes of its components.

    Raises GrainError (G504) with the class in the checkpoint and those that are supported.
    """
    known = pipelines()
    family = known.get(model.pipeline)
    if family is None:
        supported = " and ".join(known)
        message = f"{model.name} is a {model.pipeline}; this release supports {supported}"
        cure = f"Use a checkpoint of {families()[0].name}: `{REAL_MODEL_LINE}`."
        raise fail("G504", message, cure, model.span)
    for part, wanted in family.parts[model.pipeline].items():
        library, actual = _class_of(model.index.get(part))
        # several tokenizer classes read the same files
        right = actual == wanted or (actual and part.startswith("tokenizer"))
        if not right or library not in _LIBRARIES:
            has = f"is a {actual}" if actual else "is missing"
            message = f"the {part} of {model.name} {has}; this release supports {wanted}"
            cure = f"Use a checkpoint with the components of {family.name}."
            raise fail("G504", message, cure, model.span)
    return family


_LIBRARIES = ("diffusers", "transformers")


def _class_of(entry: object) -> tuple[str | None, str | None]:
    """Return library and class of a component, as an index names them: ``["diffusers", "…"]``."""
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(it, str) for it in entry):
        return entry[0], entry[1]
    return None, None


def find_model(
    model: str, base: Path, span: Span | None = None, *, online: bool = True
) -> tuple[ModelFolder, Family]:
    """Find a model's folder and family from its configuration.

    Raises GrainError as :func:`grainspec_runtime.models.locate.locate` and :func:`family_of` do.
    """
    located = locate(model, base, span=span, online=online)
    return located, family_of(located)


def describe(
    model: str, base: Path, *, embeddings: Sequence[Embedding] = (), span: Span | None = None
) -> Backbone:
    """Read what the compiler needs to know about a model: a folder, a hub id, or ``demo``.

    Raises GrainError as :func:`find_model` and :meth:`Family.describe` do.
    """
    located, family = find_model(model, base, span)
    return family.describe(located, embeddings)


def native_size(model: str, base: Path) -> NativeSize | None:
    """Return the frame size that a model was trained on; None if the model is not available."""
    try:
        located, family = find_model(model, base)
        return family.native_size(located)
    except (GrainError, ImportError):
        return None


def load_checkpoint(
    model: str, base: Path, options: LoadOptions | None = None, *, span: Span | None = None
) -> Checkpoint:
    """Load ``demo``, a folder in diffusers' format, a single file or a hub id.

    Only safetensors weights are loaded.

    Raises GrainError as :func:`find_model` and :meth:`Family.load` do.
    """
    located, family = find_model(model, base, span)
    located = find_weights(located, base, family.weighted, family.parts[located.pipeline])
    return family.load(located, options or LoadOptions())
