"""OWLv2: find the objects on a frame that words name.

"Scaling Open-Vocabulary Object Detection" (Minderer et al., NeurIPS 2023), through transformers'
classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from grainspec_runtime.tracking.engine import Detection, EngineRow, Finder, Frame
from grainspec_runtime.tracking.engines.detections import decoded_detections
from grainspec_runtime.tracking.engines.needs import engine_version, lacks, require

_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of RGB."""
_REVISION = "1"


@dataclass(frozen=True)
class Owlv2:
    """A loaded OWLv2, its tokenizer, and the mean and standard deviation of its pixels."""

    weights: str
    version: str
    model: Any
    tokenizer: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str = "owlv2"

    def find(self, frame: Frame, words: str) -> list[Detection]:
        """All objects, best score first.

        The network sees the frame in the upper left corner of a square, whose rest is black, so
        that a box's unit is the longer side of the frame in both directions.
        """
        import torch

        from grainspec_runtime.tracking.engines.pixels import network_pixels

        height, width = frame.shape[:2]
        longer, side = max(height, width), int(self.model.config.vision_config.image_size)
        square = np.zeros((longer, longer, 3), np.uint8)
        square[:height, :width] = frame
        pixels = network_pixels(square, (side, side), self.mean, self.std)
        most = int(self.model.config.text_config.max_position_embeddings)
        tokens = self.tokenizer(
            [words.strip()],
            padding="max_length",
            max_length=most,
            truncation=True,
            return_tensors="pt",
        ).to(self.model.device)
        with torch.inference_mode():
            outputs = self.model(
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                pixel_values=pixels[None].to(self.model.device),
            )
        return decoded_detections(outputs, (longer, longer), (width, height))


def _why_not() -> str:
    return lacks((4, 48))


def _load(name: str, device: str | None) -> Finder:
    require("owlv2", _why_not())
    from transformers import AutoModelForZeroShotObjectDetection, AutoTokenizer

    from grainspec_runtime.tracking.engines.checkpoints import (
        find_checkpoint,
        load_network,
        load_processor,
    )

    checkpoint = find_checkpoint("owlv2", name, ["owlv2"])
    tokenizer = load_processor(checkpoint, AutoTokenizer)
    model = load_network(checkpoint, AutoModelForZeroShotObjectDetection, device)
    return Owlv2(
        checkpoint.weights,
        engine_version(_REVISION),
        model,
        tokenizer,
        *checkpoint.normalization(*_CLIP),
    )


FINDER = EngineRow[Finder](
    name="owlv2",
    checkpoint="google/owlv2-base-patch16-ensemble",
    licence="Apache-2.0",  # of its hub page, and github.com/google-research/scenic
    why_not=_why_not,
    load=_load,
    version=lambda: engine_version(_REVISION),
)
