"""What a case looks like: its clip and masks on disk, its exact target and where things are."""

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
    """A case's renders, made when first asked for. F frames of ``SIZE`` by ``SIZE`` pixels."""

    case: Case

    @cached_property
    def source(self) -> tuple[Frames, dict[str, Mask]]:
        """The clip, uint8 ``[F, H, W, 3]``, and its masks, bool ``[F, H, W]``."""
        return _rendered(self.case.scenes(self.case.source))

    @cached_property
    def target(self) -> tuple[Frames, dict[str, Mask]]:
        """The same of the exact target."""
        return _rendered(self.case.scenes(self.case.target))

    @cached_property
    def swapped(self) -> tuple[Frames, dict[str, Mask]] | None:
        """The same with the figures' looks exchanged; None where that is nothing else."""
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
        """How the exact target moves."""
        return exact_flow(self.case.scenes(self.case.target), SIZE)

    def write(self, folder: Path) -> None:
        """Write the clip and the masks that the case's spec names, as PNGs."""
        frames, found = self.source
        _write(frames, folder / "clip")
        for name, shows in self.case.masks.items():
            _write(self._mask(shows, found).astype(np.uint8) * 255, folder / "masks" / name)

    def _mask(self, shows: str, found: dict[str, Mask]) -> Mask:
        if "." not in shows:
            return found[shows]
        figure, part = shows.split(".")
        number = int(figure.removeprefix("figure"))
        return np.stack(
            [
                _box_mask(part_box(scene.figures[number], part))
                for scene in self.case.scenes(self.case.source)
            ]
        )


def _box_mask(box: tuple[float, float, float, float]) -> Mask:
    """The pixels of a box in fractions of the frame, their middles inside it."""
    x0, y0, x1, y1 = box
    middles = (np.arange(SIZE) + 0.5) / SIZE
    across, down = (middles >= x0) & (middles < x1), (middles >= y0) & (middles < y1)
    return np.asarray(down[:, None] & across[None, :])


def _rendered(scenes: list[world.Scene]) -> tuple[Frames, dict[str, Mask]]:
    drawn = [render(scene, SIZE) for scene in scenes]
    names = drawn[0][1]
    return (
        np.stack([frame for frame, _ in drawn]),
        {name: np.stack([found[name] for _, found in drawn]) for name in names},
    )


def _write(pictures: npt.NDArray[np.uint8], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png", compress_level=1)
