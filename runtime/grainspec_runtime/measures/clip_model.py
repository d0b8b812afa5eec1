"""CLIP, with transformers' own classes: frames and words to one common space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from PIL import Image
from safetensors import SafetensorError
from transformers import CLIPModel, CLIPTokenizerFast

from grainspec.diagnostics import fail, reason_of
from grainspec_runtime.backbones.hub import folder_of
from grainspec_runtime.device import best_device
from grainspec_runtime.media.decode import Frames

DEFAULT = "openai/clip-vit-large-patch14"
"""The CLIP to measure with unless another is named. Numbers of different CLIPs do not compare."""

_FILES = ["*.json", "merges.txt", "model.safetensors", "model-*.safetensors"]
_CURE = (
    "Download it elsewhere and name its folder, `--clip path/to/clip`, or leave CLIP out with "
    "`--clip none`."
)


@dataclass(frozen=True)
class Clip:
    """A CLIP model on a device, with its tokenizer and its way to prepare pictures."""

    name: str
    model: CLIPModel
    tokenizer: CLIPTokenizerFast
    pictures: Any
    device: torch.device

    @torch.inference_mode()
    def of_frames(self, frames_FHW3: Frames) -> npt.NDArray[np.float32]:
        """Embeddings ``[F, D]`` of frames, not yet of unit length."""
        found = []
        for start in range(0, len(frames_FHW3), 8):
            images = [Image.fromarray(frame) for frame in frames_FHW3[start : start + 8]]
            pixels = self.pictures(images=images, return_tensors="pt").pixel_values
            seen = self.model.vision_model(pixel_values=pixels.to(self.device)).pooler_output
            found.append(self.model.visual_projection(seen).float().cpu().numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def of_text(self, text: str) -> npt.NDArray[np.float32]:
        """The embedding ``[D]`` of a text; what is beyond CLIP's window of tokens is cut off."""
        most = self.model.config.text_config.max_position_embeddings
        words = self.tokenizer([text], truncation=True, max_length=most, return_tensors="pt")
        read = self.model.text_model(**words.to(self.device)).pooler_output
        embedding: npt.NDArray[np.float32] = (
            self.model.text_projection(read)[0].float().cpu().numpy()
        )
        return embedding


def load_clip(name: str = DEFAULT, *, device: str | None = None) -> Clip:
    """Load CLIP from a folder or a hub id, from safetensors alone.

    Raises GrainError: G502 for a folder that is missing, broken or no CLIP, G503 if it cannot be
    fetched.
    """
    folder = folder_of(name, Path(), _FILES, what="CLIP", missing=_CURE, unreachable=_CURE)
    place = torch.device(device) if device else best_device()
    try:
        model, found = CLIPModel.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True
        )
        missing = sorted(found["missing_keys"])
        if missing:  # transformers would make them up
            raise ValueError(f"it lacks {len(missing)} weights, such as {missing[0]}")
        tokenizer = CLIPTokenizerFast.from_pretrained(folder)
        pictures = _picture_class().from_pretrained(folder)
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError) as error:
        reason = reason_of(error)
        raise fail("G502", f"CLIP {name} cannot be loaded: {reason}", _CURE) from error
    torch.nn.Module.to(model, place).eval().requires_grad_(False)
    return Clip(name, model, tokenizer, pictures, place)


def _picture_class() -> Any:
    """The class that works on Pillow's images: transformers' other one needs torchvision."""
    return getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
