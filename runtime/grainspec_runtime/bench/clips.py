"""Render benchmark cases: the clip, its masks, and the exact target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from grainspec_runtime.bench.cases import SIZE, Case
from grainspec_runtime.demo import world
from grainspec_runtime.demo.figures import part_box
from grainspec_runtime.demo.motion import exact_flow
from grainspec_runtime.demo.render import render
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.media.decode import Frames

Mask = npt.NDArray[np.bool_]


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
    def swapped(self) -> tuple[Frames, dict[str, Mask]] | None:
        """The target with the figures' looks exchanged, and its masks; None if that is the same."""
        scene = self.case.swapped
        return None if scene is None else _rendered(self.case.scenes(scene))

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
        number = int(figure.removeprefix("figure"))
        return np.stack(
            [
                _box_mask(part_box(scene.figures[number], part))
                for scene in self.case.scenes(self.case.source)
            ]
        )


def _box_mask(box: tuple[float, float, float, float]) -> Mask:
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
