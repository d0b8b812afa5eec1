"""Grounding DINO: find the objects on a frame that words name.

"Grounding DINO: Marrying DINO with Grounded Pre-Training for Open-Set Object Detection" (Liu et
al., ECCV 2024), through transformers' classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grainspec_runtime.tracking.engine import Detection, EngineRow, Finder, Frame
from grainspec_runtime.tracking.engines.detections import decoded_detections
from grainspec_runtime.tracking.engines.needs import engine_version, lacks, require

_REVISION = "1"


@dataclass(frozen=True)
class GroundingDino:
    """A loaded Grounding DINO; its processor resizes frames and splits words into tokens."""

    weights: str
    version: str
    model: Any
    processor: Any
    name: str = "grounding_dino"

    def find(self, frame: Frame, words: str) -> list[Detection]:
        """All objects, best score first; the score is that of the best matching token."""
        import torch
        from PIL import Image

        height, width = frame.shape[:2]
        # It was trained with phrases in lower case that end with a full stop.
        phrase = f"{words.strip().rstrip('.').lower()}."
        inputs = self.processor(images=Image.fromarray(frame), text=phrase, return_tensors="pt")
        with torch.inference_mode():
            outputs = self.model(**inputs.to(self.model.device))
        return decoded_detections(outputs, (width, height), (width, height))


def _why_not() -> str:
    return lacks((4, 48))


def _load(name: str, device: str | None) -> Finder:
    require("grounding_dino", _why_not())
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    from grainspec_runtime.tracking.engines.checkpoints import (
        find_checkpoint,
        load_network,
        load_processor,
    )

    checkpoint = find_checkpoint("grounding_dino", name, ["grounding-dino"])
    processor = load_processor(checkpoint, AutoProcessor)
    model = load_network(checkpoint, AutoModelForZeroShotObjectDetection, device)
    return GroundingDino(checkpoint.weights, engine_version(_REVISION), model, processor)


FINDER = EngineRow[Finder](
    name="grounding_dino",
    checkpoint="IDEA-Research/grounding-dino-tiny",
    licence="Apache-2.0",  # of its hub page, and github.com/IDEA-Research/GroundingDINO
    why_not=_why_not,
    load=_load,
    version=lambda: engine_version(_REVISION),
)
