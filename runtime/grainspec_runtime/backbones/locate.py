"""Find a model: the embedded demo, a folder, or a hub id. Nothing is loaded yet; no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec.model.spec import DEMO
from grainspec_runtime.backbones.hub import folder_of, or_elsewhere

DEMO_FOLDER = Path(__file__).parent.parent / "demo" / "model"
REAL_MODEL_LINE = 'model "stable-diffusion-v1-5/stable-diffusion-v1-5"'
"""The statement that names a real checkpoint, for messages."""

SUPPORTED = {
    "StableDiffusionPipeline": {
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
        "text_encoder": "CLIPTextModel",
        "tokenizer": "CLIPTokenizer",
    },
    "StableDiffusionXLPipeline": {
        "unet": "UNet2DConditionModel",
        "vae": "AutoencoderKL",
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "tokenizer": "CLIPTokenizer",
        "tokenizer_2": "CLIPTokenizer",
    },
}
"""diffusers' pipelines whose checkpoints are run, and the classes of the parts that are used."""

WEIGHTED = ("unet", "vae", "text_encoder", "text_encoder_2")
"""The parts with weights."""

_FACTS_ONLY = ["model_index.json", "*/config.json", "scheduler/*.json", "tokenizer*/*"]
_WEIGHTS = _FACTS_ONLY + [
    f"{part}/{'model' if part.startswith('text') else 'diffusion_pytorch_model'}{end}"
    for part in WEIGHTED
    for end in (".safetensors", ".safetensors.index.json", "-*-of-*.safetensors")
]
"""No variants, no other formats, no safety checker: they would treble the download."""


def locate(model: str, base: Path, *, weights: bool, span: Span | None = None) -> Path:
    """The folder of a model in diffusers' format.

    ``demo`` is the embedded model; a path relative to ``base`` or absolute is a folder; anything
    of the form ``owner/name`` is a hub id and fetched: configuration only, unless ``weights``.

    Raises GrainError: G502 no such folder or not a whole model, G503 cannot be fetched, G504 not a
    supported architecture.
    """
    if model == DEMO:
        folder = DEMO_FOLDER
    else:
        folder = folder_of(
            model,
            base,
            _WEIGHTS if weights else _FACTS_ONLY,
            what="the model",
            missing=f"Name a folder in diffusers' format or a hub id: `{REAL_MODEL_LINE}`.",
            unreachable=or_elsewhere('`model "path/to/model"`'),
            span=span,
        )
    _check_folder(folder, model, weights=weights, span=span)
    return folder


def read_json(path: Path, span: Span | None = None) -> dict[str, Any]:
    """A JSON object from a model's folder; raises GrainError (G502) if it is missing or broken."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{path} is missing or broken"
        raise fail("G502", message, "Was the model downloaded in full?", span) from error
    if not isinstance(found, dict):
        raise fail("G502", f"{path} holds no JSON object", "", span)
    return found


def _check_folder(folder: Path, model: str, *, weights: bool, span: Span | None) -> None:
    if not (folder / "model_index.json").is_file():
        message = f"{folder} is no model in diffusers' format: it has no model_index.json"
        cure = "Single-file checkpoints can be converted with diffusers' `from_single_file`."
        raise fail("G502", message, cure, span)
    parts = model_parts(folder, model, span)
    if weights:
        for part in set(WEIGHTED) & set(parts):
            if not list((folder / part).glob("*.safetensors")):
                message = f"{folder / part} holds no safetensors weights"
                cure = "Pickled weights (.bin) are not loaded, because they can run any code."
                raise fail("G502", message, cure, span)


def model_parts(folder: Path, model: str, span: Span | None = None) -> dict[str, str]:
    """The parts of a model that are used, and the class of each, as its index names them.

    Raises GrainError (G504), naming the class that was found and those that are supported.
    """
    index = read_json(folder / "model_index.json", span)
    wanted = SUPPORTED.get(str(index.get("_class_name")))
    if wanted is None:
        message = f"{model} is a {index.get('_class_name')}; this release runs {_listed(SUPPORTED)}"
        raise fail("G504", message, "Choose a Stable Diffusion 1.x, 2.x or XL checkpoint.", span)
    for part, right in wanted.items():
        entry = index.get(part)
        found = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        # of tokenizers there are classes by many names that read the same files
        if found != right and not (found and part.startswith("tokenizer")):
            has = f"is a {found}" if found else "is left out"
            message = f"the {part} of {model} {has}; this release runs {right} there"
            cure = "Choose a checkpoint with the parts of Stable Diffusion 1.x, 2.x or XL."
            raise fail("G504", message, cure, span)
    return wanted


def _listed(names: Iterable[str]) -> str:
    return " and ".join(names)
