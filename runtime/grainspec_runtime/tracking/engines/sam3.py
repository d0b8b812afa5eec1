"""SAM 3: a tracker from points, boxes and masks, and a finder of what words name.

"SAM 3: Segment Anything with Concepts" (Carion et al., 2025). Its tracker works as SAM 2 does; its
detector finds every object that a short phrase names, with boxes and masks. One checkpoint has
both. Through transformers' classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec_runtime.tracking.engine import Detection, EngineRow, Finder, Frame, Tracker
from grainspec_runtime.tracking.engines.detections import best_detections
from grainspec_runtime.tracking.engines.needs import (
    engine_version,
    installed_transformers,
    lacks,
    require,
)
from grainspec_runtime.tracking.engines.sam2 import session_tracker, session_version

_CHECKPOINT = "facebook/sam3"
_PAGE = "https://huggingface.co/facebook/sam3"
# LICENSE of github.com/facebookresearch/sam3, of 19 November 2025, for code and weights: free of
# charge, also in products, but with prohibited uses in its section 1.b.
_LICENCE = f"SAM License, not for military and some other uses; gated: request access at {_PAGE}"
_NORMALIZATION = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
"""Mean and standard deviation of RGB."""
_REVISION = "1"
_TOKENS = 32
"""The length of a phrase in tokens, to which shorter ones are padded."""


_NO_TORCHVISION = (5, 23)
"""The first version known to load the tracker without torchvision; 5.3 did not."""


def _tracker_lacks() -> str:
    old = (installed_transformers() or (0, 0)) < _NO_TORCHVISION
    return lacks((5, 1), *(("torchvision",) if old else ()))


def _finder_lacks() -> str:
    return lacks((5, 1), "torchvision")  # the detector pools features with its operators


def _load_tracker(name: str, device: str | None) -> Tracker:
    require("sam3", _tracker_lacks())
    from transformers import Sam3TrackerVideoModel

    from grainspec_runtime.tracking.engines.checkpoints import find_checkpoint, load_network

    types = ["sam3_video", "sam3_tracker_video"]
    checkpoint = find_checkpoint("sam3", name, types, gated=_PAGE)
    model = load_network(checkpoint, Sam3TrackerVideoModel, device)
    return session_tracker("sam3", checkpoint, model, _NORMALIZATION)


@dataclass(frozen=True)
class Sam3Finder:
    """A loaded detector, its tokenizer, and the mean and standard deviation of its pixels."""

    weights: str
    version: str
    model: Any
    tokenizer: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str = "sam3"

    def find(self, frame: Frame, words: str) -> list[Detection]:
        """All objects, best score first, with masks.

        The score is the probability that the box matches the words, times that of anything on the
        frame matching them.
        """
        import torch

        from grainspec_runtime.tracking.engines.pixels import network_pixels, upscaled

        height, width = frame.shape[:2]
        side, device = int(self.model.config.image_size), self.model.device
        pixels = network_pixels(frame, (side, side), self.mean, self.std)
        tokens = self.tokenizer(
            [words.strip()],
            padding="max_length",
            max_length=_TOKENS,
            truncation=True,
            return_tensors="pt",
        ).to(device)
        with torch.inference_mode():
            outputs = self.model(
                pixel_values=pixels[None].to(device),
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
            )
        scores_N = outputs.pred_logits[0].float().sigmoid()
        if outputs.presence_logits is not None:
            scores_N = scores_N * outputs.presence_logits[0].float().sigmoid()
        boxes_N4 = outputs.pred_boxes[0].float().cpu().numpy()

        def mask_of(number: int) -> npt.NDArray[np.bool_]:
            logits_HW = upscaled(outputs.pred_masks[0, number], (width, height))
            mask_HW: npt.NDArray[np.bool_] = (logits_HW > 0).cpu().numpy()
            return mask_HW

        return best_detections(
            boxes_N4 * np.array([width, height] * 2, np.float32),
            scores_N.cpu().numpy(),
            (width, height),
            mask_of,
        )


def _load_finder(name: str, device: str | None) -> Finder:
    require("sam3", _finder_lacks())
    from transformers import AutoTokenizer, Sam3Model

    from grainspec_runtime.tracking.engines.checkpoints import (
        find_checkpoint,
        load_network,
        load_processor,
    )

    checkpoint = find_checkpoint("sam3", name, ["sam3_video", "sam3"], gated=_PAGE)
    tokenizer = load_processor(checkpoint, AutoTokenizer)
    model = load_network(checkpoint, Sam3Model, device)
    pixels = checkpoint.normalization(*_NORMALIZATION)
    return Sam3Finder(checkpoint.weights, engine_version(_REVISION), model, tokenizer, *pixels)


TRACKER = EngineRow[Tracker](
    name="sam3",
    checkpoint=_CHECKPOINT,
    licence=_LICENCE,
    why_not=_tracker_lacks,
    load=_load_tracker,
    version=session_version,
)
FINDER = EngineRow[Finder](
    name="sam3",
    checkpoint=_CHECKPOINT,
    licence=_LICENCE,
    why_not=_finder_lacks,
    load=_load_finder,
    version=lambda: engine_version(_REVISION),
)
