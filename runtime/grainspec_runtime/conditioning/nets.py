"""ControlNets (Zhang et al., 2023): loaded by diffusers, asked at every step, their answers added.

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
from grainspec.model.spec import DEMO, Control, ControlKind
from grainspec_runtime.backbones.hub import folder_of, or_elsewhere
from grainspec_runtime.backbones.locate import DEMO_FOLDER, read_json
from grainspec_runtime.media.decode import Frames

DEFAULTS: dict[ControlKind, str] = {
    "canny": "lllyasviel/control_v11p_sd15_canny",
    "depth": "lllyasviel/control_v11f1p_sd15_depth",
    "pose": "lllyasviel/control_v11p_sd15_openpose",
    "lineart": "lllyasviel/control_v11p_sd15_lineart",
    "softedge": "lllyasviel/control_v11p_sd15_softedge",
    "normal": "lllyasviel/control_v11p_sd15_normalbae",
}
"""The ControlNets that are taken where a spec names none; all are for Stable Diffusion 1.5."""
DEMO_NETS: dict[ControlKind, str] = {"pose": str(DEMO_FOLDER / "controlnet")}
"""The same for the demo model."""

_FACTS = ["config.json"]
_WEIGHTS = ["config.json", "diffusion_pytorch_model*.safetensors"]


def check_net(control: Control, base: Path, model: str, text_width: int) -> None:
    """Raise GrainError unless there is a ControlNet for a model whose UNet reads such text.

    Only its configuration is looked at. G502 and G503: it is not there; G504: it is none; G507: it
    belongs to another family of models.
    """
    folder = _folder(control, base, model, _FACTS)
    span = control.span_of("net") or control.span
    config = read_json(folder / "config.json", span)
    name = _name(control, model)
    if config.get("_class_name") != "ControlNetModel":
        message = f"{name} is a {config.get('_class_name')}, no ControlNetModel"
        cure = "Unions, XS and other kinds of ControlNets are not run; take a plain one."
        raise fail("G504", message, cure, span)
    if config.get("cross_attention_dim") != text_width:
        message = (
            f"{name} reads text of width {config.get('cross_attention_dim')}, "
            f"the model's is {text_width}"
        )
        cure = "ControlNets are made for one family (1.x: 768, 2.x: 1024, XL: 2048): name another."
        raise fail("G507", message, cure, span)


@dataclass(frozen=True)
class ActiveControl:
    """One ControlNet, its pictures, uint8 ``[F, 3, H, W]`` on the CPU, and when it is asked."""

    net: ControlNetModel
    place: list[Any]
    """The folder that it was loaded from, and its files' sizes and dates."""
    pictures: Tensor
    scale: float
    start: float
    until: float

    def is_active(self, step: int, steps: int) -> bool:
        """As diffusers has it: from the share ``start`` of the steps on, up to ``until``."""
        return step / steps >= self.start and (step + 1) / steps <= self.until


@dataclass(frozen=True)
class Controls:
    """A clip's ControlNets; what they say is added up."""

    parts: tuple[ActiveControl, ...]

    def facts(self) -> list[Any]:
        """What tells one set of controls from another, as plain JSON values."""
        found: list[Any] = []
        for part in self.parts:
            pictures = hashlib.sha256(part.pictures.numpy().tobytes()).hexdigest()
            found.append([part.place, pictures, part.scale, part.start, part.until])
        return found

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
        """The keyword arguments of a UNet that carry what the ControlNets say at a step.

        F counts the ``frames`` that the UNet is run on, by their index in the clip.
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
    """Load ControlNets for a model and these pictures, uint8 ``[F, H, W, 3]``; None for none.

    From safetensors alone. Raises GrainError: G502 for weights that are missing or broken, G503
    where they cannot be fetched.
    """
    parts = []
    for control, frames in zip(controls, pictures, strict=True):
        folder = _folder(control, base, model, _WEIGHTS)
        name = _name(control, model)
        try:
            net = ControlNetModel.from_pretrained(folder, use_safetensors=True)
        except (OSError, SafetensorError, ValueError, RuntimeError) as error:
            reason = reason_of(error)
            message = f"the ControlNet {name} cannot be loaded: {reason}"
            span = control.span_of("net") or control.span
            raise fail("G502", message, "Was it downloaded in full?", span) from error
        torch.nn.Module.to(net, device=device, dtype=dtype).eval().requires_grad_(False)
        shown = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).contiguous()
        files = sorted(folder.glob("*.safetensors"))
        place: list[Any] = [str(folder.resolve())]
        place += [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
        parts.append(ActiveControl(net, place, shown, control.scale, control.start, control.until))
    return Controls(tuple(parts)) if parts else None


def _name(control: Control, model: str) -> str:
    """The ControlNet's folder or hub id; the usual one for the model where a spec names none."""
    if control.net is not None:
        return control.net
    if model != DEMO:
        return DEFAULTS[control.kind]
    if control.kind not in DEMO_NETS:
        message = f"the demo model has no ControlNet for {control.kind}"
        known = ", ".join(f"`control {kind}`" for kind in DEMO_NETS)
        raise fail("G507", message, f"It has one for {known}.", control.span)
    return DEMO_NETS[control.kind]


def _folder(control: Control, base: Path, model: str, patterns: Sequence[str]) -> Path:
    example = f'`control {control.kind} {{ net "{DEFAULTS[control.kind]}" }}`'
    return folder_of(
        _name(control, model),
        base,
        patterns,
        what="the ControlNet",
        missing=f"Name a folder or a hub id: {example}.",
        unreachable=or_elsewhere(example),
        span=control.span_of("net") or control.span,
    )
