"""Find a model: the embedded demo, a folder, or a hub id. Loads nothing; free of torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec.model.spec import DEMO
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.hub import download_cure, folder_of

DEMO_FOLDER = Path(__file__).parent.parent / "demo" / "model"
REAL_MODEL_LINE = 'model "stable-diffusion-v1-5/stable-diffusion-v1-5"'
"""The statement that names a real checkpoint, for messages."""

_CONFIGURATION = ("model_index.json", "*/config.json", "scheduler/*.json", "tokenizer*/*")


def locate(model: str, base: Path, *, span: Span | None = None) -> ModelFolder:
    """Find a model in diffusers' format, with at least its configuration.

    ``model`` is ``demo`` for the embedded model, the path of a folder, absolute or relative to
    ``base``, or a hub id ``owner/name``, whose configuration is downloaded.

    Raises GrainError: G502 if the folder does not exist or is incomplete, G503 if the download
    fails.
    """
    folder = _folder(model, base, _CONFIGURATION, span)
    if not (folder / "model_index.json").is_file():
        message = f"{folder} is not a model in diffusers' format: it has no model_index.json"
        cure = "Convert single-file checkpoints with diffusers' `from_single_file`."
        raise fail("G502", message, cure, span)
    return ModelFolder(model, folder, read_json(folder / "model_index.json", span), span)


def local_folder(model: str, base: Path) -> Path | None:
    """Return the folder of a model that can be read without a download; None if there is none.

    >>> local_folder("owner/name", Path("/"))
    """
    if model == DEMO:
        return DEMO_FOLDER
    try:
        folder = base / Path(model).expanduser()
        return folder if folder.is_dir() else None
    except (RuntimeError, OSError):  # no such user; a name longer than file names can be
        return None


def find_weights(
    model: ModelFolder, base: Path, weighted: Sequence[str], parts: Iterable[str]
) -> ModelFolder:
    """Find the weights of a model; those of a hub id are downloaded.

    ``weighted`` are the components that may have weights, ``parts`` those that this model has.
    Raises GrainError (G502) for a component without safetensors weights.
    """
    folder = _folder(model.name, base, [*_CONFIGURATION, *_weight_files(weighted)], model.span)
    for part in set(weighted) & set(parts):
        if not list((folder / part).glob("*.safetensors")):
            message = f"{folder / part} has no safetensors weights"
            cure = "Pickle files (.bin) are not loaded, because they can run any program."
            raise fail("G502", message, cure, model.span)
    return replace(model, folder=folder)


def _weight_files(weighted: Sequence[str]) -> list[str]:
    """List file patterns of weights; other variants and formats would triple the download."""
    return [
        f"{part}/{'model' if part.startswith('text') else 'diffusion_pytorch_model'}{end}"
        for part in weighted
        for end in (".safetensors", ".safetensors.index.json", "-*-of-*.safetensors")
    ]


def _folder(model: str, base: Path, patterns: Sequence[str], span: Span | None) -> Path:
    if model == DEMO:
        return DEMO_FOLDER
    return folder_of(
        model,
        base,
        patterns,
        what="the model",
        missing=f"Write a folder in diffusers' format or a hub id: `{REAL_MODEL_LINE}`.",
        unreachable=download_cure('`model "path/to/model"`'),
        span=span,
    )


def read_json(path: Path, span: Span | None = None) -> dict[str, Any]:
    """Read a JSON object from a model's folder; raises G502 if the file is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path} is missing or broken"
        raise fail("G502", message, "Check that the model's download is complete.", span) from error
    if not isinstance(value, dict):
        message = f"{path} does not contain a JSON object"
        raise fail("G502", message, "Check that the model's download is complete.", span)
    return value
