"""CLIP embeddings of frames and text, computed with the classes of transformers.

Dimensions: F frames, D the dimension of the embedding space, N patches, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from safetensors import SafetensorError
from transformers import CLIPModel, CLIPTokenizerFast

from grainspec.diagnostics import fail, reason_of
from grainspec_runtime.device import best_device
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.claims import check_folder
from grainspec_runtime.models.hub import folder_of, is_remote

DEFAULT = "openai/clip-vit-large-patch14"
"""The default CLIP model. Scores from different CLIP models are not comparable."""

_FILES = ["*.json", "merges.txt", "model.safetensors", "model-*.safetensors"]
_CURE = (
    "Download it elsewhere and name its folder with `--clip path/to/clip`, or skip CLIP with "
    "`--clip none`."
)


@dataclass(frozen=True)
class Clip:
    """A CLIP model on a device, with its tokenizer and image processor."""

    name: str
    model: CLIPModel
    tokenizer: CLIPTokenizerFast
    image_processor: Any
    device: torch.device

    @torch.inference_mode()
    def of_frames(self, frames_FHW3: Frames) -> npt.NDArray[np.float32]:
        """Embed frames: ``[F, D]``, not normalized."""
        batches = []
        for start in range(0, len(frames_FHW3), 8):
            images = [Image.fromarray(frame) for frame in frames_FHW3[start : start + 8]]
            pixels = self.image_processor(images=images, return_tensors="pt").pixel_values
            pooled = self.model.vision_model(pixel_values=pixels.to(self.device)).pooler_output
            batches.append(self.model.visual_projection(pooled).float().cpu().numpy())
        return np.concatenate(batches)

    @property
    def grid(self) -> int:
        """The number of patches on each side of a frame."""
        vision = self.model.config.vision_config
        return int(vision.image_size // vision.patch_size)

    @torch.inference_mode()
    def patch_features(self, frames_FHW3: Frames) -> list[npt.NDArray[np.float32]]:
        """The patches' features after each layer, of length 1: one ``[F, N, C]`` a layer.

        Frames are resized to the model's square, whatever their shape, so that every pixel counts.
        """
        side = self.model.config.vision_config.image_size
        x = torch.from_numpy(np.ascontiguousarray(frames_FHW3)).to(self.device)
        x = x.permute(0, 3, 1, 2).float() / 255
        if x.shape[-2:] != (side, side):
            x = F.interpolate(x, (side, side), mode="bicubic", align_corners=False, antialias=True)
        mean, deviation = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (self.image_processor.image_mean, self.image_processor.image_std)
        )
        encoded = self.model.vision_model(
            pixel_values=(x - mean) / deviation, output_hidden_states=True
        )
        layers = encoded.hidden_states[1:]  # the first entry are the patches' embeddings
        return [F.normalize(layer[:, 1:].float(), dim=-1).cpu().numpy() for layer in layers]

    @torch.inference_mode()
    def of_text(self, text: str) -> npt.NDArray[np.float32]:
        """Embed a text: ``[D]``, not normalized; text beyond CLIP's maximum length is truncated."""
        most = self.model.config.text_config.max_position_embeddings
        words = self.tokenizer([text], truncation=True, max_length=most, return_tensors="pt")
        pooled = self.model.text_model(**words.to(self.device)).pooler_output
        embedding: npt.NDArray[np.float32] = (
            self.model.text_projection(pooled)[0].float().cpu().numpy()
        )
        return embedding


def load_clip(name: str = DEFAULT, *, device: str | None = None) -> Clip:
    """Load CLIP from a folder or a hub id; only safetensors are read.

    Raises GrainError: G502 if the folder is missing, damaged or not a CLIP model, G503 if the
    download fails, G528 if its configuration is not accepted.
    """
    folder = _folder(name)
    place = torch.device(device) if device else best_device()
    try:
        model, loading_info = CLIPModel.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, attn_implementation="sdpa"
        )
        missing = sorted(loading_info["missing_keys"])
        if missing:  # transformers would initialize them at random
            raise ValueError(f"it lacks {len(missing)} weights, such as {missing[0]}")
        tokenizer = CLIPTokenizerFast.from_pretrained(folder)
        image_processor = _image_processor_class().from_pretrained(folder)
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError) as error:
        reason = reason_of(error)
        raise fail("G502", f"cannot load CLIP {name}: {reason}", _CURE) from error
    # float32, whatever the weights are stored in: scores are compared to the second decimal
    torch.nn.Module.to(model, place, torch.float32).eval().requires_grad_(False)
    return Clip(name, model, tokenizer, image_processor, place)


def check_clip(name: str) -> None:
    """Raise what :func:`load_clip` raises for a folder that is missing or not accepted.

    No weights are read, and a hub id is accepted: nothing is downloaded.
    """
    if not is_remote(name, Path()):
        _folder(name)


def _folder(name: str) -> Path:
    folder = folder_of(name, Path(), _FILES, what="CLIP", missing=_CURE, unreachable=_CURE)
    check_folder(folder)
    return folder


def _image_processor_class() -> Any:
    """The image processor class that works on Pillow images; the other one needs torchvision."""
    return getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
