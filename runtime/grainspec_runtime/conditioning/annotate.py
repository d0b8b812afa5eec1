"""Annotators: source frames to control images, the input of ControlNets.

Control images are uint8 ``[F, H, W, 3]`` RGB, the format that ControlNets for Stable Diffusion were
trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from grainspec.diagnostics import fail, reason_of
from grainspec.model.demo_models import is_demo_unet
from grainspec.model.spec import Control
from grainspec_runtime.conditioning.depth import WEIGHTS, DepthAnnotator, check_depth
from grainspec_runtime.demo.pose import PoseDetector
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.tensors import to_frames, to_tensor
from grainspec_runtime.models.locate import DEMO_FOLDER

Annotator = Callable[[Frames], Frames]

_AUX = {
    "pose": "OpenposeDetector",
    "lineart": "LineartDetector",
    "softedge": "HEDdetector",
    "normal": "NormalBaeDetector",
}
"""The annotator classes of controlnet_aux."""
_AUX_WEIGHTS = "lllyasviel/Annotators"
_KEYPOINTS = {
    "body": {},
    "hands": {"include_hand": True},
    "face": {"include_face": True},
    "full": {"include_hand": True, "include_face": True},
}
"""The arguments of controlnet_aux's OpenposeDetector, whose default is the body alone."""
_CANNY_LOW, _CANNY_HIGH = 100, 200
"""The thresholds that ControlNets for Canny edges are commonly used with."""

_CURE = 'provide your own control images: `control {} {{ clip "control.mp4" }}`.'


def check_annotator(control: Control, base: Path, model: str) -> None:
    """Raise GrainError if a control's annotator cannot be used, as far as this is known early.

    G501: a package is missing; G502, G503, G519: as :func:`check_depth`.
    """
    if control.clip is None and not _is_demo(control, model):
        if control.kind == "canny":
            _opencv(control)
        elif control.kind in WEIGHTS:
            check_depth(control, base)
        elif control.kind in _AUX:
            _controlnet_aux(control)


def annotator(control: Control, base: Path, model: str, *, device: torch.device) -> Annotator:
    """Return the annotator of a control's kind, with its networks loaded onto ``device``.

    Canny edges come from OpenCV, depth from a depth model of transformers, poses of the demo world
    from its own detector, and everything else from controlnet_aux. Raises GrainError: G501 if a
    package is missing, G502 or G503 if weights are missing.
    """
    if _is_demo(control, model):
        return _demo_pose(device)
    if control.kind == "canny":
        return _canny(control)
    if control.kind in WEIGHTS:
        return DepthAnnotator(control, base, device)
    return _with_controlnet_aux(control, base, device)


def _is_demo(control: Control, model: str) -> bool:
    return control.kind == "pose" and is_demo_unet(model) and control.annotator is None


def _demo_pose(device: torch.device) -> Annotator:
    detector = PoseDetector.from_pretrained(DEMO_FOLDER).to(device)

    def annotate(frames: Frames) -> Frames:
        return to_frames(detector.pictures(to_tensor(frames, device)) * 2 - 1)

    return annotate


def _canny(control: Control) -> Annotator:
    cv2 = _opencv(control)

    def annotate(frames: Frames) -> Frames:
        edges = [
            cv2.Canny(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), _CANNY_LOW, _CANNY_HIGH)
            for frame in frames
        ]
        return np.repeat(np.stack(edges)[..., None], 3, axis=3)

    return annotate


def _with_controlnet_aux(control: Control, base: Path, device: torch.device) -> Annotator:
    package = _controlnet_aux(control)
    name = control.annotator or _AUX_WEIGHTS
    place = base / name if (base / name).is_dir() else name
    try:
        detector = getattr(package, _AUX[control.kind]).from_pretrained(str(place))
    except Exception as error:  # the hub's client and its HTTP library raise many types
        raise _broken(f"the {control.kind} annotator", name, error, control) from error
    if hasattr(detector, "to"):
        detector = detector.to(device)
    keypoints = _KEYPOINTS[control.keypoints] if control.kind == "pose" else {}

    def annotate(frames: Frames) -> Frames:
        height, width = frames.shape[1:3]
        images = []
        for frame in frames:
            picture = detector(
                Image.fromarray(frame),
                detect_resolution=min(height, width),
                image_resolution=min(height, width),
                **keypoints,
            )
            scaled = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
            images.append(np.asarray(scaled))
        return np.stack(images)

    return annotate


def _opencv(control: Control) -> Any:
    try:
        import cv2
    except ImportError as error:
        cure = "Run `pip install opencv-python-headless`, or " + _CURE.format(control.kind)
        message = "`control canny` requires OpenCV, which is not installed"
        raise fail("G501", message, cure, control.span) from error
    return cv2


def _controlnet_aux(control: Control) -> Any:
    try:
        import controlnet_aux
    except (ImportError, RuntimeError, OSError) as error:  # also raised by its dependencies
        reason = reason_of(error)
        message = f"`control {control.kind}` requires controlnet_aux, which cannot be imported: "
        message += reason
        cure = 'Run `pip install "grainspec[control]"`, or ' + _CURE.format(control.kind)
        raise fail("G501", message, cure, control.span) from error
    return controlnet_aux


def _broken(what: str, name: str, error: Exception, control: Control) -> Exception:
    reason = reason_of(error)
    message = f"cannot load {what} `{name}`: {reason}"
    cure = "Check the folder or your network connection, or " + _CURE.format(control.kind)
    return fail("G502", message, cure, control.span_of("annotator") or control.span)
