"""Depth of source frames, as control images in which near is bright.

Depth models of transformers predict one of two things. *Inverse* depth is large where the scene is
near, and has no unit (MiDaS, DPT, Depth Anything). *Metric* depth is a distance, large where the
scene is far (ZoeDepth, GLPN, the metric versions of Depth Anything and DPT).

``control depth`` shows inverse depth, which its ControlNets were trained on. ``control zoe`` shows
distances, from near (white) to far (black), as ControlNets for ZoeDepth expect.

Dimensions: F frames, H rows and W columns of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from grainspec.diagnostics import fail, reason_of
from grainspec.model.spec import Control, ControlKind
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.config import read_json
from grainspec_runtime.models.hub import download_cure, folder_of

Depths = npt.NDArray[np.float32]
Predicts = Literal["inverse", "metric"]

WEIGHTS: dict[ControlKind, str] = {
    "depth": "Intel/dpt-hybrid-midas",
    "zoe": "Intel/zoedepth-nyu-kitti",
}
"""The depth model of each kind of control, if a spec names none."""

_PREDICTS: dict[str, Predicts] = {
    "depth_pro": "inverse",  # only its post-processing, which is not used here, makes distances
    "glpn": "metric",
    "tipsv2_dpt": "metric",
    "zoedepth": "metric",
}
"""What models predict, by ``model_type``; others depend on more of their configuration."""

_NEAREST, _FARTHEST = 2, 85
"""The percentiles of distance that are drawn white and black, as in ControlNet's Zoe annotator."""
_LEAST_DISTANCE = 1e-3


def check_depth(control: Control, base: Path) -> Predicts:
    """Return what a control's depth model predicts, from its configuration.

    Raises GrainError: G502, G503 if it cannot be found or downloaded; G519 if it is not known what
    it predicts, or if `control zoe` has a model of inverse depth.
    """
    config = read_json(
        _folder(control, base, ["config.json"]) / "config.json", control.span_of("annotator")
    )
    name, span = _name(control), control.span_of("annotator") or control.span
    if control.depth_values != "auto":
        predicts: Predicts | None = control.depth_values
    else:
        predicts = predicts_of(config)
    if predicts is None:
        kind = config.get("model_type") or "unknown"
        message = f"cannot tell whether {name}, of type `{kind}`, predicts depth or its inverse"
        cure = "Write `depth_values metric` if its values grow with distance, else "
        raise fail("G519", message, cure + "`depth_values inverse`.", span)
    if control.kind == "zoe" and predicts == "inverse":
        message = f"`control zoe` requires metric depth, but {name} predicts inverse depth"
        cure = f'Write `control depth {{ annotator "{name}" }}`, or use "{WEIGHTS["zoe"]}".'
        raise fail("G519", message, cure, span)
    return predicts


def predicts_of(config: Mapping[str, Any]) -> Predicts | None:
    """Return what a depth model with this configuration predicts; None if that is not known.

    >>> predicts_of({"model_type": "zoedepth"}), predicts_of({"model_type": "dpt"})
    ('metric', 'inverse')
    """
    kind = config.get("model_type")
    if kind in ("depth_anything", "prompt_depth_anything"):
        return "metric" if config.get("depth_estimation_type") == "metric" else "inverse"
    if kind == "dpt":  # those on DINOv2 were trained on distances in metres (NYU, KITTI)
        backbone = config.get("backbone_config")
        is_dino = isinstance(backbone, Mapping) and backbone.get("model_type") == "dinov2"
        return "metric" if is_dino else "inverse"
    return _PREDICTS.get(kind) if isinstance(kind, str) else None


class DepthAnnotator:
    """Turns frames into depth images, uint8 ``[F, H, W, 3]``, with one scale for the whole clip."""

    def __init__(self, control: Control, base: Path, device: torch.device) -> None:
        """Load the model; raises GrainError as :func:`check_depth` does."""
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        self.predicts = check_depth(control, base)
        self.kind = control.kind
        folder = _folder(control, base, ["*.json", "*.safetensors"])
        try:
            model: Any = AutoModelForDepthEstimation.from_pretrained(
                folder, use_safetensors=True, trust_remote_code=False
            )
            self.processor: Any = AutoImageProcessor.from_pretrained(
                folder, trust_remote_code=False
            )
        except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
            message = f"cannot load the depth model `{_name(control)}`: {reason_of(error)}"
            cure = "Check the folder or your network connection, or provide your own control "
            cure += f'images: `control {control.kind} {{ clip "control.mp4" }}`.'
            span = control.span_of("annotator") or control.span
            raise fail("G502", message, cure, span) from error
        self.model = torch.nn.Module.to(model, device).eval().requires_grad_(False)
        self.device = device

    @torch.inference_mode()
    def __call__(self, frames: Frames) -> Frames:
        """Estimate and draw the depth of frames, uint8 ``[F, H, W, 3]``."""
        depths_FHW = np.stack([self._predict(frame) for frame in frames])
        grey_FHW = depth_pictures(depths_FHW, self.predicts, self.kind)
        return grey_FHW[..., None].repeat(3, axis=3)

    def _predict(self, frame: npt.NDArray[np.uint8]) -> Depths:
        size = frame.shape[:2]
        inputs = self.processor(images=Image.fromarray(frame), return_tensors="pt").to(self.device)
        outputs: Any = self.model(**inputs)
        depth_1hw = outputs.predicted_depth.float()
        # ZoeDepth's processor pads frames by this much, on each side.
        is_padded = self.model.config.model_type == "zoedepth" and self.processor.do_pad
        y, x = (int(3 * math.sqrt(side / 2)) if is_padded else 0 for side in size)
        padded = (size[0] + 2 * y, size[1] + 2 * x)
        full_11HW = torch.nn.functional.interpolate(depth_1hw[None], size=padded, mode="bicubic")
        depth_HW: Depths = full_11HW[0, 0, y : y + size[0], x : x + size[1]].cpu().numpy()
        return depth_HW


def depth_pictures(
    depths_FHW: Depths, predicts: Predicts, kind: ControlKind = "depth"
) -> npt.NDArray[np.uint8]:
    """Draw predicted depths as grey values, the nearest point of the clip brightest.

    One scale for the whole clip prevents flicker.

    >>> depths = np.array([[[1, 2, 4]]], np.float32)
    >>> depth_pictures(depths, "inverse").tolist(), depth_pictures(depths, "metric").tolist()
    ([[[0, 85, 255]]], [[[255, 90, 0]]])
    """
    if kind == "zoe":
        white, black = (float(np.percentile(depths_FHW, share)) for share in (_NEAREST, _FARTHEST))
        nearness = 1 - (depths_FHW - np.float32(white)) / np.float32(black - white or 1)
        return (255 * nearness).clip(0, 255).round().astype(np.uint8)
    if predicts == "metric":
        near = max(float(np.percentile(depths_FHW, _NEAREST)), _LEAST_DISTANCE)
        depths_FHW = (1 / np.maximum(depths_FHW, near)).astype(np.float32)
    low, high = float(depths_FHW.min()), float(depths_FHW.max())
    scaled = (depths_FHW - np.float32(low)) * np.float32(255 / (high - low or 1))
    return scaled.round().astype(np.uint8)


def _name(control: Control) -> str:
    return control.annotator or WEIGHTS[control.kind]


def _folder(control: Control, base: Path, patterns: list[str]) -> Path:
    example = f'`control {control.kind} {{ annotator "{WEIGHTS[control.kind]}" }}`'
    return folder_of(
        _name(control),
        base,
        patterns,
        what="the depth model",
        missing=f"Name an existing folder or a hub id: {example}.",
        unreachable=download_cure(example),
        span=control.span_of("annotator") or control.span,
    )
