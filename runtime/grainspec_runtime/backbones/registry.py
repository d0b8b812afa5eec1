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
from grainspec_runtime.backbones.family import Checkpoint, Family, present_parts
from grainspec_runtime.models.additions import Embedding
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.locate import find_weights, locate
from grainspec_runtime.models.motion_adapter import with_motion_adapter
from grainspec_runtime.models.options import LoadOptions


@cache
def families() -> tuple[Family, ...]:
    """Return all families, sorted by the names of their modules."""
    names = sorted(module.name for module in iter_modules(package.__path__))
    return tuple(import_module(f"{package.__name__}.{name}").FAMILY for name in names)


def pipelines() -> dict[str, Family]:
    """Map the names of pipeline classes to their families.

    >>> [name for name in pipelines() if name.startswith("Stable")]
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
        *names, last = known
        message = f"{model.name} is a {model.pipeline}; this release supports "
        message += f"{', '.join(names)} and {last}"
        raise fail("G504", message, f"Use a checkpoint of {_kin_of(model.pipeline)}.", model.span)
    for part, wanted in family.parts[model.pipeline].items():
        library, actual = model.class_of(part)
        if actual is None and part in family.optional:
            continue
        right = actual == wanted or (actual and _is_alike(part, actual, wanted))
        if not right or library not in _LIBRARIES:
            has = f"is a {actual}" if actual else "is missing"
            message = f"the {part} of {model.name} {has}; this release supports {wanted}"
            cure = f"Use a checkpoint with the components of {family.name}."
            raise fail("G504", message, cure, model.span)
    return family


_LIBRARIES = ("diffusers", "transformers")


def _is_alike(part: str, actual: str, wanted: str) -> bool:
    """Return whether a class reads the same files, and is used alike."""
    if part.startswith(("tokenizer", "image_processor")):
        return True
    return part == "image_encoder" and actual == f"{wanted}WithProjection"


def _kin_of(pipeline: str) -> str:
    """Return the families to name for a pipeline that none has, with a statement for each."""
    kin = [family for family in families() if pipeline.startswith(tuple(family.kin))]
    return " or ".join(f"{one.name}: `{one.example}`" for one in kin or families())


def find_model(
    model: str,
    base: Path,
    span: Span | None = None,
    *,
    motion_adapter: str = "",
    motion_span: Span | None = None,
    online: bool = True,
) -> tuple[ModelFolder, Family]:
    """Find a model's folder and family from its configuration.

    ``motion_adapter`` is the folder or hub id of a motion adapter that is added to it; empty for
    none. Raises GrainError as :func:`grainspec_runtime.models.locate.locate`, :func:`family_of` and
    :func:`grainspec_runtime.models.motion_adapter.with_motion_adapter` do.
    """
    located = locate(model, base, span=span, online=online)
    if motion_adapter:
        located = with_motion_adapter(
            located, motion_adapter, base, span=motion_span, online=online
        )
    return located, family_of(located)


def describe(
    model: str,
    base: Path,
    *,
    embeddings: Sequence[Embedding] = (),
    motion_adapter: str = "",
    span: Span | None = None,
) -> Backbone:
    """Read what the compiler needs to know about a model: a folder, a hub id, or ``demo``.

    Raises GrainError as :func:`find_model` and :meth:`Family.describe` do.
    """
    located, family = find_model(model, base, span, motion_adapter=motion_adapter)
    return family.describe(located, embeddings)


def native_size(model: str, base: Path) -> NativeSize | None:
    """Return the frame size that a model was trained on; None if the model is not available."""
    try:
        located, family = find_model(model, base)
        return family.native_size(located)
    except (GrainError, ImportError):
        return None


def load_checkpoint(
    model: str,
    base: Path,
    options: LoadOptions | None = None,
    *,
    motion_adapter: str = "",
    span: Span | None = None,
) -> Checkpoint:
    """Load ``demo``, a folder in diffusers' format, a single file or a hub id.

    ``motion_adapter`` is one that is added to it; empty for none.

    Only safetensors weights are loaded.

    Raises GrainError as :func:`find_model` and :meth:`Family.load` do.
    """
    located, family = find_model(model, base, span, motion_adapter=motion_adapter)
    located = find_weights(located, base, family.weighted, present_parts(family, located))
    return family.load(located, options or LoadOptions())
