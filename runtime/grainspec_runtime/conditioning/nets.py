"""ControlNets (Zhang et al., 2023): load them, run them at every step, and add up their outputs.

Dimensions: P passes, F frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from safetensors import SafetensorError
from torch import Tensor

from grainspec.diagnostics import fail, reason_of
from grainspec.model.demo_models import is_demo_unet
from grainspec.model.spec import Control, ControlKind
from grainspec_runtime.conditioning.active_steps import is_active
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.claims import check_folder
from grainspec_runtime.models.config import read_json
from grainspec_runtime.models.hub import download_cure, folder_of
from grainspec_runtime.models.locate import DEMO_FOLDER

DEFAULTS: dict[ControlKind, str] = {
    "canny": "lllyasviel/control_v11p_sd15_canny",
    "depth": "lllyasviel/control_v11f1p_sd15_depth",
    "pose": "lllyasviel/control_v11p_sd15_openpose",
    "lineart": "lllyasviel/control_v11p_sd15_lineart",
    "softedge": "lllyasviel/control_v11p_sd15_softedge",
    "normal": "lllyasviel/control_v11p_sd15_normalbae",
    "zoe": "lllyasviel/control_v11f1p_sd15_depth",  # trained on depth of MiDaS, LeReS and ZoeDepth
}
"""The ControlNets if a spec names none; all are for Stable Diffusion 1.5."""
DEMO_NETS: dict[ControlKind, str] = {"pose": str(DEMO_FOLDER / "controlnet")}
"""The ControlNets for the demo model."""

_FACTS = ["config.json"]
_WEIGHTS = ["config.json", "diffusion_pytorch_model*.safetensors"]


def check_net(control: Control, base: Path, model: str, text_width: int) -> None:
    """Raise GrainError if a control's ControlNet does not fit a UNet with this ``text_width``.

    This reads its configuration only. G502, G503: it cannot be found or downloaded; G504: it is
    not a plain ControlNet; G507: it is for another kind of model.
    """
    folder = _folder(control, base, model, _FACTS)
    span = control.span_of("net") or control.span
    config = read_json(folder / "config.json", span)
    name = _name(control, model)
    if config.get("_class_name") != "ControlNetModel":
        message = f"{name} is a {config.get('_class_name')}, not a ControlNetModel"
        example = f'`control {control.kind} {{ net "{DEFAULTS[control.kind]}" }}`'
        cure = f"Union, XS and other kinds are not supported; use a plain ControlNet: {example}."
        raise fail("G504", message, cure, span)
    if config.get("cross_attention_dim") != text_width:
        message = (
            f"{name} expects text embeddings of width {config.get('cross_attention_dim')}, "
            f"but the model's have {text_width}"
        )
        cure = "Use a ControlNet for the model's kind (width 768: 1.x, 1024: 2.x, 2048: XL)."
        raise fail("G507", message, cure, span)


@dataclass(frozen=True)
class ActiveControl:
    """One ControlNet, its images, uint8 ``[F, 3, H, W]`` on the CPU, and its active steps."""

    net: ControlNetModel
    place: list[Any]
    """The folder of the ControlNet, and its files' names, sizes and dates."""
    pictures: Tensor
    scale: float
    start: float
    until: float

    def is_active(self, step: int, steps: int) -> bool:
        """Return whether it runs at a step."""
        return is_active(self.start, self.until, step=step, steps=steps)


@dataclass(frozen=True)
class Controls:
    """The ControlNets of a clip; their outputs are added up."""

    parts: tuple[ActiveControl, ...]

    def facts(self) -> list[Any]:
        """Return what identifies this set of controls, as JSON values."""
        facts: list[Any] = []
        for part in self.parts:
            pictures = hashlib.sha256(part.pictures.numpy().tobytes()).hexdigest()
            facts.append([part.place, pictures, part.scale, part.start, part.until])
        return facts

    def residuals(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        words: dict[str, Any],
        frames: Sequence[int],
        *,
        step: int,
        steps: int,
    ) -> dict[str, Any]:
        """Run the active ControlNets; return their outputs as keyword arguments of a UNet.

        ``frames`` are the F frames that the UNet runs on, as indices into the clip.
        """
        down: list[Tensor] | None = None
        middle: Tensor | None = None
        for part in self.parts:
            if not part.is_active(step, steps):
                continue
            passes = len(x_PFchw) // len(frames)
            shown = part.pictures[list(frames)].to(x_PFchw) / 255
            more, last = part.net(
                x_PFchw,
                t,
                controlnet_cond=shown.repeat(passes, 1, 1, 1),
                conditioning_scale=part.scale,
                return_dict=False,
                **words,
            )
            down = list(more) if down is None else [a + b for a, b in zip(down, more, strict=True)]
            middle = last if middle is None else middle + last
        if down is None:
            return {}
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}


def load_controls(
    controls: Sequence[Control],
    pictures: Sequence[Frames],
    base: Path,
    model: str,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Controls | None:
    """Load ControlNets with their images, uint8 ``[F, H, W, 3]``; None if there are no controls.

    Only safetensors are loaded. Raises GrainError: G502 if weights are missing or broken, G503 if
    the download fails, G528 if a configuration is not accepted.
    """
    parts = []
    for control, frames in zip(controls, pictures, strict=True):
        folder = _folder(control, base, model, _WEIGHTS)
        name = _name(control, model)
        check_folder(folder, control.span_of("net") or control.span)
        try:
            net = ControlNetModel.from_pretrained(folder, use_safetensors=True)
        except (OSError, SafetensorError, ValueError, RuntimeError) as error:
            reason = reason_of(error)
            message = f"the ControlNet {name} cannot be loaded: {reason}"
            span = control.span_of("net") or control.span
            raise fail("G502", message, "Check that its download is complete.", span) from error
        torch.nn.Module.to(net, device=device, dtype=dtype).eval().requires_grad_(False)
        shown = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).contiguous()
        files = sorted(folder.glob("*.safetensors"))
        place: list[Any] = [str(folder.resolve())]
        place += [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
        parts.append(ActiveControl(net, place, shown, control.scale, control.start, control.until))
    return Controls(tuple(parts)) if parts else None


def _name(control: Control, model: str) -> str:
    """Return the ControlNet's folder or hub id; the model's default if the spec names none."""
    if control.net is not None:
        return control.net
    if not is_demo_unet(model):
        return DEFAULTS[control.kind]
    if control.kind not in DEMO_NETS:
        message = f"the demo model has no ControlNet for `control {control.kind}`"
        known = ", ".join(f"`control {kind}`" for kind in DEMO_NETS)
        raise fail("G507", message, f"Use {known}.", control.span)
    return DEMO_NETS[control.kind]


def _folder(control: Control, base: Path, model: str, patterns: Sequence[str]) -> Path:
    example = f'`control {control.kind} {{ net "{DEFAULTS[control.kind]}" }}`'
    return folder_of(
        _name(control, model),
        base,
        patterns,
        what="the ControlNet",
        missing=f"Write the path of a folder or a hub id: {example}.",
        unreachable=download_cure(example),
        span=control.span_of("net") or control.span,
    )
