"""Render benchmark cases: the clip, its masks, and the exact target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from grainspec_runtime.bench.case import SIZE, Case
from grainspec_runtime.demo import world
from grainspec_runtime.demo.clip_data import visible_share
from grainspec_runtime.demo.dataset import mask_box
from grainspec_runtime.demo.figures import part_box
from grainspec_runtime.demo.motion import exact_flow
from grainspec_runtime.demo.render import render
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.media.decode import Frames

Mask = npt.NDArray[np.bool_]
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in fractions of the frame."""

LOOSE = 0.05
"""How far a loose box reaches beyond its figure on every side, as a fraction of the frame."""
LEAST_VISIBLE = 0.75
"""A figure is judged in the frames that show at least this share of it: there the judge is right
about 99 % or more of rendered figures, also blurred ones; of those seen less, about 80 %."""


@dataclass(frozen=True)
class RenderedCase:
    """The renders of a case, computed on first use: F frames of ``SIZE`` by ``SIZE`` pixels."""

    case: Case

    @cached_property
    def source(self) -> tuple[Frames, dict[str, Mask]]:
        """The source clip, uint8 ``[F, H, W, 3]``, and its masks by name, bool ``[F, H, W]``."""
        return _rendered(self.case.scenes(self.case.source))

    @cached_property
    def target(self) -> tuple[Frames, dict[str, Mask]]:
        """The exact target and its masks."""
        return _rendered(self.case.scenes(self.case.target))

    @cached_property
    def exchanged(self) -> list[tuple[Frames, dict[str, Mask]]]:
        """The target with the figures' looks exchanged in every way, each with its masks."""
        return [_rendered(self.case.scenes(scene)) for scene in self.case.exchanged]

    @property
    def swapped(self) -> tuple[Frames, dict[str, Mask]] | None:
        """The first of :attr:`exchanged`; None if there is none."""
        return self.exchanged[0] if self.exchanged else None

    @cached_property
    def visible(self) -> Mask:
        """Where enough of a figure of the target is seen to judge it, bool ``[figures, F]``."""
        masks = self.target[1]
        return np.array(
            [
                [
                    visible_share(masks[f"figure{number}"][frame], figure) >= LEAST_VISIBLE
                    for number, figure in enumerate(scene.figures)
                ]
                for frame, scene in enumerate(self.case.scenes(self.case.target))
            ]
        ).T

    @cached_property
    def empty_target(self) -> Frames:
        """The target's place without its figures."""
        scenes = self.case.scenes(self.case.target)
        bare = [world.Scene((), s.background, s.ground, s.scroll) for s in scenes]
        return _rendered(bare)[0]

    @cached_property
    def target_flow(self) -> ClipFlow:
        """The exact optical flow of the target."""
        return exact_flow(self.case.scenes(self.case.target), SIZE)

    @cached_property
    def source_flow(self) -> ClipFlow:
        """The exact optical flow of the source."""
        return exact_flow(self.case.scenes(self.case.source), SIZE)

    def write(self, folder: Path) -> None:
        """Write the clip and the masks that the case's spec names, as PNGs."""
        frames, rendered_masks = self.source
        _write(frames, folder / "clip")
        for name, subject in self.case.masks.items():
            mask = self._mask(subject, rendered_masks)
            _write(mask.astype(np.uint8) * 255, folder / "masks" / name)

    def _mask(self, subject: str, rendered_masks: dict[str, Mask]) -> Mask:
        if "." not in subject:
            return rendered_masks[subject]
        figure, part = subject.split(".")
        if part == "box":
            return np.stack([_loose_box(mask) for mask in rendered_masks[figure]])
        number = int(figure.removeprefix("figure"))
        return np.stack(
            [
                _box_mask(_part_box(scene.figures[number], part))
                for scene in self.case.scenes(self.case.source)
            ]
        )


def _part_box(figure: world.Figure, part: str) -> Box:
    """The box of ``eyes`` or ``hat``, or of the whole ``head`` with room for both."""
    if part != "head":
        return part_box(figure, part)
    eyes, hat = part_box(figure, "eyes"), part_box(figure, "hat")
    return min(eyes[0], hat[0]), hat[1], max(eyes[2], hat[2]), eyes[3]


def _loose_box(mask: Mask) -> Mask:
    """The bounding box of a mask, widened by :data:`LOOSE`; empty if the mask is."""
    if not mask.any():
        return mask
    x0, y0, x1, y1 = mask_box(mask)
    return _box_mask((x0 - LOOSE, y0 - LOOSE, x1 + LOOSE, y1 + LOOSE))


def _box_mask(box: Box) -> Mask:
    """The pixels whose centres lie inside a box, which is in fractions of the frame."""
    x0, y0, x1, y1 = box
    centres = (np.arange(SIZE) + 0.5) / SIZE
    across, down = (centres >= x0) & (centres < x1), (centres >= y0) & (centres < y1)
    return np.asarray(down[:, None] & across[None, :])


def _rendered(scenes: list[world.Scene]) -> tuple[Frames, dict[str, Mask]]:
    drawn = [render(scene, SIZE) for scene in scenes]
    names = drawn[0][1]
    return (
        np.stack([frame for frame, _ in drawn]),
        {name: np.stack([masks[name] for _, masks in drawn]) for name in names},
    )


def _write(pictures: npt.NDArray[np.uint8], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png", compress_level=1)
