"""Find a model: the embedded demo, a folder, a single file, or a hub id.

Loads no weights; free of torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec.model.demo_models import DEMO, DemoModel, demo_model
from grainspec_runtime.models.claims import check_sizes
from grainspec_runtime.models.config import read_json
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.hub import download_cure, is_remote, place_of
from grainspec_runtime.models.motion_adapter import (
    check_local_motion,
    find_motion_weights,
    with_motion_adapter,
)
from grainspec_runtime.models.single_file import INDEX, locate_file
from grainspec_runtime.models.weights import SUFFIX

_DEMO = Path(__file__).parent.parent / "demo"
DEMO_FOLDER = _DEMO / "model"
"""The embedded image model."""
DEMO_CLIP = _DEMO / "clip"
"""The embedded CLIP of the demo world; missing in an installation without its weights."""
_ADDED: dict[DemoModel, tuple[Path, str]] = {
    "demo-motion": (_DEMO / "motion", "motion_training"),
    "demo-video": (_DEMO / "video", "video_training"),
}
"""Where the weights of the other embedded models are, and the program that trains them. Those of
``demo-motion`` are a motion adapter for the image model."""
REAL_MODEL_LINE = 'model "stable-diffusion-v1-5/stable-diffusion-v1-5"'
"""The statement that names a real checkpoint, for messages."""

_CONFIGURATION = (
    *(INDEX, "*/config.json", "scheduler/*.json", "tokenizer*/*", "image_processor/*.json"),
)


def locate(model: str, base: Path, *, span: Span | None = None, online: bool = True) -> ModelFolder:
    """Find a model with at least its configuration.

    ``model`` is ``demo`` or another name of an embedded model, the path of a folder in diffusers'
    format or of a checkpoint in one safetensors file, absolute or relative to ``base``, or a hub id
    ``owner/name``, whose configuration is downloaded.

    Raises GrainError: G502 if the folder does not exist or is incomplete, G503 if the download
    fails, G527 if a file is not a checkpoint, G528 if a configuration is not accepted, G552 if an
    embedded model is not installed; NotCached if something would have to be downloaded, unless
    ``online``.
    """
    place = _place(model, base, _CONFIGURATION, span, online)
    if place.is_file():
        return locate_file(model, place, _CONFIGURATION, span, online=online)
    if not (place / INDEX).is_file():
        message = f"{place} is not a model in diffusers' format: it has no {INDEX}"
        raise fail("G502", message, _what_to_name(place), span)
    found = ModelFolder(model, place, read_json(place / INDEX, span), span)
    adapter = embedded_adapter(model)
    return with_motion_adapter(found, adapter, base, span=span) if adapter else found


def embedded_adapter(model: str) -> str:
    """Return the folder of the motion adapter that a model's name implies; empty for none."""
    return str(_ADDED["demo-motion"][0]) if demo_model(model) == "demo-motion" else ""


def _embedded(demo: DemoModel, span: Span | None) -> Path:
    """Return the folder of an embedded model; raises GrainError (G552) if it is not installed."""
    if demo not in _ADDED:
        return DEMO_FOLDER
    weights, training = _ADDED[demo]
    if not list(weights.rglob(f"*{SUFFIX}")):
        message = f"this installation of grainspec does not include the weights of `{demo}`"
        cure = (
            f'Use `model "{DEMO}"`, or train the weights with `python -m '
            f"grainspec_runtime.demo.{training}`, whose `--help` tells how."
        )
        raise fail("G552", message, cure, span)
    return DEMO_FOLDER if demo == "demo-motion" else weights


def _what_to_name(folder: Path) -> str:
    """Return the cure for a folder that is not a checkpoint: what to name instead."""
    below = sorted(path.parent for path in folder.glob(f"snapshots/*/{INDEX}"))
    below += sorted(path.parent for path in folder.glob(f"*/{INDEX}"))
    if below:
        return f'The model is in a folder below: `model "{below[0].as_posix()}"`.'
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if (folder / "config.json").is_file():
        kind = read_json(folder / "config.json").get("_class_name", "component")
        if kind == "MotionAdapter":
            return f'Add it to an image model: `{REAL_MODEL_LINE}  motion_adapter "{folder}"`.'
        return f"It contains one {kind}; name the folder of the checkpoint that it belongs to."
    if files:
        return f'To load a checkpoint in one file, name the file: `model "{files[0].as_posix()}"`.'
    return (
        "Name a folder in diffusers' format, a checkpoint in one safetensors file, or a hub id: "
        f"`{REAL_MODEL_LINE}`."
    )


def find_weights(
    model: ModelFolder, base: Path, weighted: Sequence[str], parts: Iterable[str]
) -> ModelFolder:
    """Find the weights of a model; those of a hub id are downloaded.

    ``weighted`` are the components that may have weights, ``parts`` those that this model has.
    Raises GrainError: G502 for a component without safetensors weights, G528 if a configuration
    claims more than the weights have.
    """
    model = find_motion_weights(model, base)
    if model.file:
        return model
    folder = _place(model.name, base, [*_CONFIGURATION, *_weight_files(weighted)], model.span)
    present = sorted(set(weighted) & set(parts))
    _require_weights(folder, present, model.span)
    check_sizes(folder, present, model.span)
    return replace(model, folder=folder)


def check_local_weights(
    model: ModelFolder, base: Path, weighted: Sequence[str], parts: Iterable[str]
) -> None:
    """Raise GrainError (G502) if a folder lacks weights; those of a hub id may not be here yet.

    The arguments are those of :func:`find_weights`.
    """
    check_local_motion(model, base)
    if not model.file and not is_remote(model.name, base):
        _require_weights(model.folder, sorted(set(weighted) & set(parts)), model.span)


def _require_weights(folder: Path, parts: Iterable[str], span: Span | None) -> None:
    for part in parts:
        if not list((folder / part).glob(f"*{SUFFIX}")):
            message = f"{folder / part} has no safetensors weights"
            cure = "Pickle files (.bin) are not loaded, because they can run any program."
            raise fail("G502", message, cure, span)


def _weight_files(weighted: Sequence[str]) -> list[str]:
    """List file patterns of weights; other variants and formats would triple the download."""
    return [
        f"{part}/{'model' if part.startswith(_OF_TRANSFORMERS) else 'diffusion_pytorch_model'}{end}"
        for part in weighted
        for end in (".safetensors", ".safetensors.index.json", "-*-of-*.safetensors")
    ]


_OF_TRANSFORMERS = ("text_encoder", "image_encoder")
"""Components that transformers saves, under another name than diffusers."""


def _place(
    model: str, base: Path, patterns: Sequence[str], span: Span | None, online: bool = True
) -> Path:
    if demo := demo_model(model):
        return _embedded(demo, span)
    return place_of(
        model,
        base,
        patterns,
        what="the model",
        missing="Write a folder in diffusers' format, a checkpoint in one safetensors file, or a "
        f"hub id: `{REAL_MODEL_LINE}`.",
        unreachable=download_cure('`model "path/to/model"`'),
        span=span,
        online=online,
    )
