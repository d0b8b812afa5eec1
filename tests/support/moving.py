"""Clips whose every pixel's motion is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from grainspec_runtime.demo.render import render
from grainspec_runtime.demo.world import Figure, Scene
from grainspec_runtime.flow.clip_flow import ClipFlow

Points = npt.NDArray[np.float64]
Motion = Callable[[Points, int], Points]
"""Where the points of frame 0 are on a frame; takes a frame's number, negative for the way back."""


@dataclass(frozen=True)
class Moving:
    frames: npt.NDArray[np.uint8]
    flow: ClipFlow


def grid(size: int) -> Points:
    down, across = np.mgrid[:size, :size].astype(float)
    return np.stack([across, down], -1)


def texture(points: Points, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A picture that is known at every point, not only at pixels: waves of many lengths."""
    rng = np.random.default_rng(seed)
    wave = np.zeros((*points.shape[:-1], 3))
    for _ in range(40):
        length, angle = rng.uniform(5, 40), rng.uniform(0, 2 * np.pi)
        across = points @ np.array([np.cos(angle), np.sin(angle)]) * 2 * np.pi / length
        wave += rng.uniform(0.3, 1, 3) * np.sin(across + rng.uniform(0, 2 * np.pi))[..., None]
    return (127.5 + wave * 10).clip(0, 255).round().astype(np.uint8)


def translation(across: float, down: float) -> Motion:
    return lambda points, frame: points + frame * np.array([across, down])


def zoom(factor: float, centre: float) -> Motion:
    return lambda points, frame: centre + (points - centre) * factor**frame


def moving(motion: Motion, frames: int = 4, size: int = 128, seed: int = 0) -> Moving:
    """The whole picture under one motion; it is the same from each frame to the next."""
    here = grid(size)
    pictures = [texture(motion(here, -frame), seed) for frame in range(frames)]
    there, back = motion(here, 1) - here, motion(here, -1) - here
    repeated = [np.repeat(flow[None], frames - 1, 0).astype(np.float32) for flow in (there, back)]
    return Moving(np.stack(pictures), ClipFlow(repeated[0], repeated[1]))


def card(speed: int = 4, frames: int = 5, size: int = 128, side: int = 40) -> Moving:
    """A textured square that passes, whole pixels a frame, in front of another texture that stands.

    At the pixels that it hides or bares, the flow is that of what is seen there.
    """
    here = grid(size)
    behind, pictures, on = texture(here, 1), [], []
    for frame in range(frames):
        left = 16 + speed * frame
        mask = np.zeros((size, size), bool)
        mask[44 : 44 + side, left : left + side] = True
        front = texture(here - np.array([speed * frame, 0]), 2)
        pictures.append(np.where(mask[..., None], front, behind))
        on.append(mask)
    flows = [np.where(mask[..., None], np.float32([speed, 0]), np.float32(0)) for mask in on]
    return Moving(
        np.stack(pictures), ClipFlow(np.stack(flows[:-1]), np.stack([-flow for flow in flows[1:]]))
    )


def walk(
    step: float = 0.02, frames: int = 4, size: int = 192
) -> tuple[Moving, npt.NDArray[np.bool_]]:
    """A figure of the demo world that slides before a background at rest, and its masks."""
    scene = Scene((Figure("robot", "red", x=0.35),), background="mountains", ground="road")
    pictures, masks = [], []
    for frame in range(frames):
        (figure,) = scene.figures
        moved = replace(scene, figures=(replace(figure, x=figure.x + step * frame),))
        picture, found = render(moved, size)
        pictures.append(picture)
        masks.append(found["figure0"])
    speed = np.array([step * size, 0], np.float32)
    flows = [np.where(mask[..., None], speed, np.float32(0)) for mask in masks]
    flow = ClipFlow(np.stack(flows[:-1]), np.stack([-flow for flow in flows[1:]]))
    return Moving(np.stack(pictures), flow), np.stack(masks)
