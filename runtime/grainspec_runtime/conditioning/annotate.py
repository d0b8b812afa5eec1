"""Source frames to what is looked for in them: the pictures that ControlNets read.

All are uint8 ``[F, H, W, 3]`` RGB, as the ControlNets for Stable Diffusion were trained on them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from grainspec.diagnostics import fail, reason_of
from grainspec.model.spec import DEMO, Control
from grainspec_runtime.backbones.hub import folder_of, or_elsewhere
from grainspec_runtime.backbones.locate import DEMO_FOLDER
from grainspec_runtime.demo.pose import PoseDetector
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.tensors import to_frames, to_tensor

Annotator = Callable[[Frames], Frames]

_AUX = {
    "pose": "OpenposeDetector",
    "lineart": "LineartDetector",
    "softedge": "HEDdetector",
    "normal": "NormalBaeDetector",
}
"""The classes of controlnet_aux that look for things."""
_AUX_WEIGHTS = "lllyasviel/Annotators"
_DEPTH_WEIGHTS = "Intel/dpt-hybrid-midas"
_CANNY_LOW, _CANNY_HIGH = 100, 200
"""The thresholds that the ControlNets for canny are used with."""

_CURE = 'make the pictures elsewhere and name them: `control {} {{ clip "pictures.mp4" }}`.'


def check_annotator(control: Control, model: str) -> None:
    """Raise GrainError (G501) if a package is missing that a control's kind needs."""
    if control.clip is None and not _is_demo(control, model):
        if control.kind == "canny":
            _opencv(control)
        elif control.kind in _AUX:
            _controlnet_aux(control)


def annotator(control: Control, base: Path, model: str, *, device: torch.device) -> Annotator:
    """What looks for a control's kind in frames; networks are loaded here, onto ``device``.

    Canny edges are OpenCV's; depth is read by a depth model of transformers, and all else by
    controlnet_aux; poses of the demo world by its own detector. Raises GrainError: G501 for a
    package that is missing, G502 and G503 for weights that are.
    """
    if _is_demo(control, model):
        return _demo_pose(device)
    if control.kind == "canny":
        return _canny(control)
    if control.kind == "depth":
        return _depth(control, base, device)
    return _with_controlnet_aux(control, base, device)


def _is_demo(control: Control, model: str) -> bool:
    return control.kind == "pose" and model == DEMO and control.annotator is None


def _demo_pose(device: torch.device) -> Annotator:
    detector = PoseDetector.from_pretrained(DEMO_FOLDER).to(device)

    def look(frames: Frames) -> Frames:
        return to_frames(detector.pictures(to_tensor(frames).to(device)) * 2 - 1)

    return look


def _canny(control: Control) -> Annotator:
    cv2 = _opencv(control)

    def look(frames: Frames) -> Frames:
        edges = [
            cv2.Canny(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), _CANNY_LOW, _CANNY_HIGH)
            for frame in frames
        ]
        return np.repeat(np.stack(edges)[..., None], 3, axis=3)

    return look


def _depth(control: Control, base: Path, device: torch.device) -> Annotator:
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    name = control.annotator or _DEPTH_WEIGHTS
    example = f'`control depth {{ annotator "{_DEPTH_WEIGHTS}" }}`'
    folder = folder_of(
        name,
        base,
        ["*.json", "*.safetensors"],
        what="the depth model",
        missing=f"Name a folder or a hub id: {example}.",
        unreachable=or_elsewhere(example),
        span=control.span_of("annotator") or control.span,
    )
    try:
        model: Any = AutoModelForDepthEstimation.from_pretrained(folder, use_safetensors=True)
        processor: Any = AutoImageProcessor.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise _broken("the depth model", name, error, control) from error
    torch.nn.Module.to(model, device).eval().requires_grad_(False)

    @torch.inference_mode()
    def look(frames: Frames) -> Frames:
        found = []
        for frame in frames:
            given = processor(images=Image.fromarray(frame), return_tensors="pt").to(device)
            depth_1hw = model(**given).predicted_depth.float()
            size = frame.shape[:2]
            wide = torch.nn.functional.interpolate(depth_1hw[None], size=size, mode="bicubic")
            found.append(wide[0, 0].cpu())
        depth_FHW = torch.stack(found)
        # One scale for the whole clip, or depth would flicker; these models give what is near the
        # larger values, and near is white.
        low, high = float(depth_FHW.amin()), float(depth_FHW.amax())
        grey = ((depth_FHW - low) * (255 / (high - low or 1))).round().to(torch.uint8)
        return grey.numpy()[..., None].repeat(3, axis=3)

    return look


def _with_controlnet_aux(control: Control, base: Path, device: torch.device) -> Annotator:
    package = _controlnet_aux(control)
    name = control.annotator or _AUX_WEIGHTS
    place = base / name if (base / name).is_dir() else name
    try:
        detector = getattr(package, _AUX[control.kind]).from_pretrained(str(place))
    except Exception as error:  # whatever the hub's client and its HTTP library raise
        raise _broken(f"what looks for {control.kind}", name, error, control) from error
    if hasattr(detector, "to"):
        detector = detector.to(device)

    def look(frames: Frames) -> Frames:
        height, width = frames.shape[1:3]
        found = []
        for frame in frames:
            picture = detector(
                Image.fromarray(frame),
                detect_resolution=min(height, width),
                image_resolution=min(height, width),
            )
            scaled = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
            found.append(np.asarray(scaled))
        return np.stack(found)

    return look


def _opencv(control: Control) -> Any:
    try:
        import cv2
    except ImportError as error:
        cure = "Install it, `pip install opencv-python-headless`, or " + _CURE.format(control.kind)
        message = "canny edges need OpenCV, which is not installed"
        raise fail("G501", message, cure, control.span) from error
    return cv2


def _controlnet_aux(control: Control) -> Any:
    try:
        import controlnet_aux
    except (ImportError, RuntimeError, OSError) as error:  # one of the packages it needs itself
        reason = reason_of(error)
        message = f"to look for {control.kind}, controlnet_aux is needed: {reason}"
        cure = 'Install it, `pip install "grainspec[control]"`, or ' + _CURE.format(control.kind)
        raise fail("G501", message, cure, control.span) from error
    return controlnet_aux


def _broken(what: str, name: str, error: Exception, control: Control) -> Exception:
    reason = reason_of(error)
    message = f"{what}, {name}, cannot be loaded: {reason}"
    cure = "Check the folder or your network, or " + _CURE.format(control.kind)
    return fail("G502", message, cure, control.span_of("annotator") or control.span)
