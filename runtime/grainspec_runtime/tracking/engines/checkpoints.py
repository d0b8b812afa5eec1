"""Find, check and load the weights of the model engines: a folder, or a hub id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from grainspec.diagnostics import fail, reason_of
from grainspec.regions.tracked.weights import named
from grainspec_runtime.device import best_device
from grainspec_runtime.models.bars import without_bars
from grainspec_runtime.models.claims import check_folder
from grainspec_runtime.models.config import read_json
from grainspec_runtime.models.hub import download_cure, folder_of

_FILES = ["*.json", "*.txt", "model.safetensors", "model-*-of-*.safetensors"]
"""No pickles (.pt, .bin), which some of these repositories have too."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights that are on this machine, and whose configuration was checked.

    name: as the user wrote it. config: of the network.
    """

    name: str
    folder: Path
    config: dict[str, Any]

    @property
    def weights(self) -> str:
        """The name, and a fingerprint of the configuration and the weights."""
        return named(self.name, self.folder)

    @property
    def uses_timm(self) -> bool:
        """Whether the network's backbone is one of timm's."""
        vision = self.config.get("vision_config") or {}
        backbone = vision.get("backbone_config") or {}
        return bool(backbone.get("model_type") == "timm_wrapper")

    def normalization(
        self, mean: Sequence[float], std: Sequence[float]
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of RGB; the arguments are used if it does not say."""
        for name in ("preprocessor_config.json", "processor_config.json"):
            if (self.folder / name).is_file():
                settings = read_json(self.folder / name)
                settings = settings.get("image_processor") or settings
                if "image_mean" in settings and "image_std" in settings:
                    return tuple(settings["image_mean"]), tuple(settings["image_std"])
        return tuple(mean), tuple(std)


def find_checkpoint(engine: str, name: str, types: Sequence[str], *, gated: str = "") -> Checkpoint:
    """Find the weights of an engine; those of a hub id are downloaded, or come from its cache.

    ``types`` are the values of ``model_type`` that the engine loads; ``gated`` is the page where
    the licence of the default weights must be accepted before they can be downloaded. Raises
    GrainError: G502 if the folder is missing or incomplete, G503 if the download fails, G528 if
    the configuration is not accepted, G534 if the weights are for another engine.
    """
    example = '`{ weights "path/to/folder" }`'
    unreachable = download_cure(example)
    if gated:
        unreachable = f"Accept its licence at {gated}, then run `hf auth login`. {unreachable}"
    folder = folder_of(
        name,
        Path(),
        _FILES,
        what=f"the `{engine}` model",
        missing=f"Name an existing folder or a hub id: {example}.",
        unreachable=unreachable,
    )
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind not in types:
        expected = " or ".join(f"`{it}`" for it in types)
        message = f"{name} is of type `{kind}`, but `{engine}` loads {expected}"
        raise fail("G534", message, "Name weights for this engine, or the engine for them.")
    if not list(folder.glob("*.safetensors")):
        message = f"{folder} has no safetensors weights"
        cure = "Pickle files (.pt, .bin) are not loaded, because they can run any program."
        raise fail("G502", message, cure)
    check_folder(folder)
    return Checkpoint(name, folder, config)


def load_network(checkpoint: Checkpoint, network: Any, device: str | None) -> Any:
    """Load a network of one of transformers' classes in float32, for inference, on a device.

    Raises GrainError (G502) if a weight is missing or does not fit.
    """
    from safetensors import SafetensorError

    try:
        with without_bars():
            model, loading = network.from_pretrained(
                checkpoint.folder,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        missing = sorted(loading["missing_keys"])
        if missing:  # transformers would initialize them at random
            raise ValueError(f"it lacks {len(missing)} weights, such as {missing[0]}")
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError, ImportError) as error:
        message = f"cannot load {checkpoint.name}: {reason_of(error)}"
        raise fail("G502", message, "Check that the download is complete.") from error
    place = torch.device(device) if device else best_device()
    return torch.nn.Module.to(model, place, torch.float32).eval().requires_grad_(False)


def load_processor(checkpoint: Checkpoint, processor: Any) -> Any:
    """Load a processor or tokenizer of a checkpoint; raises GrainError (G502) if it cannot be."""
    try:
        return processor.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        message = f"cannot load {checkpoint.name}: {reason_of(error)}"
        raise fail("G502", message, "Check that the download is complete.") from error
