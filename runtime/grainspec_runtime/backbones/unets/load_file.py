"""Load the components of a checkpoint in one file, with diffusers' ``from_single_file``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils import logging
from torch import nn

from grainspec_runtime.models.folder import ModelFolder

_PIPELINES: dict[str, Any] = {
    "StableDiffusionPipeline": StableDiffusionPipeline,
    "StableDiffusionXLPipeline": StableDiffusionXLPipeline,
}
_LEFT_OUT: dict[str, dict[str, Any]] = {
    "StableDiffusionPipeline": {
        "safety_checker": None,
        "feature_extractor": None,
        "image_encoder": None,
        "requires_safety_checker": False,
    },
    "StableDiffusionXLPipeline": {
        "feature_extractor": None,
        "image_encoder": None,
        "add_watermarker": False,
    },
}
"""Arguments that leave out the components that a plan does not use, for each pipeline."""


def parts_of_file(
    model: ModelFolder, file: Path, tokenizers: Mapping[str, Any], scheduler: Any
) -> dict[str, Any]:
    """Load the components of a checkpoint in one file; its configuration is ``model.folder``.

    Raises ValueError if weights are missing, and as diffusers does.
    """
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # it warns about tensors that only training needs
    logging.disable_progress_bar()
    try:
        pipe = _PIPELINES[model.saved_pipeline].from_single_file(
            str(file),
            config=str(model.folder),
            local_files_only=True,
            scheduler=scheduler,
            **tokenizers,
            **_LEFT_OUT[model.saved_pipeline],
        )
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    parts = {name: part for name, part in pipe.components.items() if part is not None}
    for name, part in parts.items():
        weights = part.named_parameters() if isinstance(part, nn.Module) else ()
        missing = [key for key, weight in weights if weight.is_meta]
        if missing:
            raise ValueError(f"the {name} lacks {len(missing)} weights, such as {missing[0]}")
    return parts
