"""Pose images of the demo world, and the pose detector, a small network that predicts them.

Poses are drawn like human poses for ControlNets: a head, a spine, and a stick in its own colour for
each arm and leg. They encode where a figure stands, its height, its facing direction and the phase
of its step, but not its kind: a bear and a man in the same place have the same pose.
"""

from __future__ import annotations

import math
import random
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from grainspec_runtime.demo.dataset import map_chunks
from grainspec_runtime.demo.drawing import SUPERSAMPLING, Canvas, Pen
from grainspec_runtime.demo.figures import lifted
from grainspec_runtime.demo.render import back_to_front
from grainspec_runtime.demo.world import RGB, Scene, random_scene

_HEAD: RGB = (255, 255, 255)
_SPINE: RGB = (255, 0, 0)
_ARMS: dict[int, RGB] = {-1: (255, 170, 0), 1: (85, 255, 0)}
_LEGS: dict[int, RGB] = {-1: (0, 170, 255), 1: (170, 0, 255)}
_STICK = 0.05
"""The width of a stick as a fraction of the figure's height."""


def pose_picture(scene: Scene, size: int = 96) -> np.ndarray:
    """Draw the poses of all figures, back to front on black: uint8 ``[size, size, 3]`` RGB.

    >>> from grainspec_runtime.demo.world import Figure
    >>> man, bear = (Scene((Figure(kind, "red", phase=1),)) for kind in ("man", "bear"))
    >>> bool((pose_picture(man) == pose_picture(bear)).all())
    True
    """
    canvas = Canvas(size)
    for number in back_to_front(scene):
        figure = scene.figures[number]
        pen, swing = Pen(canvas, lifted(figure), number), math.sin(figure.phase)
        for side in (-1, 1):
            pen.limb(side * 0.07, 0.27, -0.55 * side * swing, 0.24, _STICK, _LEGS[side])
        pen.limb(0.0, 0.52, 0.0, 0.24, _STICK, _SPINE)
        for side in (-1, 1):
            angle = side * (0.75 * swing + 0.25)
            pen.limb(side * 0.13, 0.5, angle, 0.2, _STICK, _ARMS[side])
        pen.ellipse(0.0, 0.75, 0.13, 0.13, _HEAD)
    return np.asarray(canvas.image.reduce(SUPERSAMPLING))


def _of_seeds(seeds: range, *, size: int) -> np.ndarray:
    return np.stack([pose_picture(random_scene(random.Random(seed)), size) for seed in seeds])


def pose_pictures(count: int, *, size: int, seed: int, workers: int = 1) -> np.ndarray:
    """Draw the poses of the scenes of ``render_many``: uint8 ``[count, size, size, 3]``."""
    job = partial(_of_seeds, size=size)
    return np.concatenate(map_chunks(job, range(seed, seed + count), workers))


class PoseDetector(nn.Module):
    """A small U-Net that predicts pose images from frames, trained only on renders.

    Frames are float ``[N, 3, H, W]`` in [-1, 1], like the VAE's input. The output is the logits of
    the pose images' values, ``[N, 3, H, W]``.
    """

    WEIGHTS = "pose_detector.safetensors"
    """The weights' file in the demo model's folder."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 72, 96)) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            _double_conv(channels, width)
            for channels, width in zip((3, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(
            _double_conv(channels + width, width)
            for channels, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv2d(widths[0], 3, 1)

    @classmethod
    def from_pretrained(cls, folder: Path) -> PoseDetector:
        """Load the detector from the demo model's folder."""
        detector = cls()
        detector.load_state_dict(load_file(folder / cls.WEIGHTS))  # converts to float32
        return detector.eval().requires_grad_(False)

    def forward(self, frames_N3HW: Tensor) -> Tensor:
        """Predict the logits of the pose images."""
        x, skips = frames_N3HW, []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for block, finer in zip(self.up, skips[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, finer.shape[-2:]), finer], 1))
        logits: Tensor = self.last(x)
        return logits

    @torch.inference_mode()
    def pictures(self, frames_N3HW: Tensor) -> Tensor:
        """Predict the pose images, float ``[N, 3, H, W]`` in [0, 1]."""
        logits: Tensor = self(frames_N3HW)
        return logits.sigmoid()


def _double_conv(in_channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, width):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.GroupNorm(8, width), nn.SiLU()]
    return nn.Sequential(*layers)
