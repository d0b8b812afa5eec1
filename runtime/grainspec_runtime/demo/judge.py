"""The judge: a small classifier of the figures and places in frames of the demo world.

It is trained only on renders. It predicts the kind, colour, hat and sunglasses of the figure in a
box, and the ground and background of a frame. The benchmark uses it to decide whether an edit
produced what the prompt says. It measures binding, not image quality: a smeared robot still counts
as a robot.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from grainspec_runtime.demo import world

CROP = 48
"""Boxes are resampled to squares with this side, in pixels."""
FIGURE_HEADS = {
    "kind": len(world.KINDS),
    "colour": len(world.COLOURS),
    "hat": 2,
    "sunglasses": 2,
}
PLACE_HEADS = {"ground": len(world.GROUNDS), "background": len(world.BACKGROUNDS)}


@dataclass(frozen=True, slots=True)
class FigureVerdict:
    """The judge's prediction for the figure in a box."""

    kind: str
    colour: str
    hat: bool
    sunglasses: bool


@dataclass(frozen=True, slots=True)
class PlaceVerdict:
    """The judge's prediction for the place of a frame."""

    ground: str
    background: str


def _trunk(width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for out in (width, 2 * width, 4 * width):
        layers += [nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        layers += [nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(3), nn.Flatten())


def crop_boxes(frames_N3HW: Tensor, boxes_N4: Tensor, *, margin: float = 0.08) -> Tensor:
    """Resample each frame's box, widened by ``margin`` of its size, to ``[N, 3, CROP, CROP]``.

    boxes_N4: x0, y0, x1, y1 in [0, 1].
    """
    x0, y0, x1, y1 = boxes_N4.unbind(-1)
    half_w, half_h = (x1 - x0) * (0.5 + margin), (y1 - y0) * (0.5 + margin)
    theta = torch.zeros(len(boxes_N4), 2, 3, device=frames_N3HW.device, dtype=frames_N3HW.dtype)
    theta[:, 0, 0], theta[:, 1, 1] = 2 * half_w, 2 * half_h
    theta[:, 0, 2], theta[:, 1, 2] = x0 + x1 - 1, y0 + y1 - 1
    grid = F.affine_grid(theta, [len(boxes_N4), 3, CROP, CROP], align_corners=False)
    return F.grid_sample(frames_N3HW, grid, align_corners=False, padding_mode="border")


class Judge(nn.Module):
    """Two small CNNs, one for the figure in a box and one for the place.

    Frames are float ``[N, 3, H, W]`` in [-1, 1], like the VAE's input.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.figure_trunk = _trunk(width)
        self.place_trunk = _trunk(width // 2)
        self.figure_heads = nn.ModuleDict(
            {name: nn.Linear(4 * width * 9, size) for name, size in FIGURE_HEADS.items()}
        )
        self.place_heads = nn.ModuleDict(
            {name: nn.Linear(4 * (width // 2) * 9, size) for name, size in PLACE_HEADS.items()}
        )

    @classmethod
    def from_pretrained(cls, folder: Path) -> Judge:
        """Load ``judge.safetensors`` from the demo model's folder."""
        judge = cls()
        judge.load_state_dict(load_file(folder / "judge.safetensors"))  # converts to float32
        return judge.eval()

    def figure_logits(self, frames_N3HW: Tensor, boxes_N4: Tensor) -> dict[str, Tensor]:
        """Logits ``[N, choices]`` per attribute for the figure in each frame's box."""
        features = self.figure_trunk(crop_boxes(frames_N3HW, boxes_N4))
        return {name: head(features) for name, head in self.figure_heads.items()}

    def place_logits(self, frames_N3HW: Tensor) -> dict[str, Tensor]:
        """Logits ``[N, choices]`` for ground and background."""
        small = F.interpolate(frames_N3HW, (CROP, CROP), mode="area")
        features = self.place_trunk(small)
        return {name: head(features) for name, head in self.place_heads.items()}

    @torch.inference_mode()
    def figures(self, frames_N3HW: Tensor, boxes_N4: Tensor) -> list[FigureVerdict]:
        """Classify the figure in each frame's box."""
        best = {
            k: v.argmax(-1).tolist() for k, v in self.figure_logits(frames_N3HW, boxes_N4).items()
        }
        colours = tuple(world.COLOURS)
        return [
            FigureVerdict(world.KINDS[kind], colours[colour], bool(hat), bool(glasses))
            for kind, colour, hat, glasses in zip(
                best["kind"], best["colour"], best["hat"], best["sunglasses"], strict=True
            )
        ]

    @torch.inference_mode()
    def places(self, frames_N3HW: Tensor) -> list[PlaceVerdict]:
        """Classify each frame's ground and background."""
        best = {k: v.argmax(-1).tolist() for k, v in self.place_logits(frames_N3HW).items()}
        return [
            PlaceVerdict(world.GROUNDS[ground], world.BACKGROUNDS[background])
            for ground, background in zip(best["ground"], best["background"], strict=True)
        ]
