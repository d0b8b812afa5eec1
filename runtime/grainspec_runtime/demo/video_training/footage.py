"""The clips of a training run: rendered once, and held on the device.

Dimensions: B clips, T frames of H x W pixels.
"""

from __future__ import annotations

import multiprocessing
from functools import cached_property, partial
from multiprocessing.process import BaseProcess

import numpy as np
import torch
from torch import Tensor

from grainspec_runtime.demo.clip_data import Clips, render_clips
from grainspec_runtime.demo.training.trainer import to_unit
from grainspec_runtime.demo.video_training.run import Run

_SEEDS = {"clips": 0, "first": 10_000_000, "held": 20_000_000}
"""Where the seeds of each set of clips begin. A clip depends on its own seed alone."""
_APART = 100_000_000
"""How far the seeds of two runs are apart, so that no two values of ``--seed`` share a clip."""


class Footage:
    """Clips on a device: frames uint8 ``[B, T, H, W, 3]``, and whether a figure is visible."""

    def __init__(self, clips: Clips, rows: range, device: torch.device) -> None:
        self.captions = [clips.captions[row] for row in rows]
        self._frames = _on_device(clips.frames, rows, device)
        self._figures = _on_device(clips.figures, rows, device)

    @property
    def device(self) -> torch.device:
        """Where the clips are."""
        return self._frames.device

    def __len__(self) -> int:
        return len(self._frames)

    def clips(self, index: Tensor, *, mirrored: bool = False) -> tuple[Tensor, Tensor]:
        """Clips ``[B, 3, T, H, W]`` in [-1, 1], and figures ``[B, 1, T, H, W]``, 1 or 0."""
        return self._shown(self._frames[index], self._figures[index], mirrored=mirrored)

    def frames(self, index: Tensor, frame: Tensor, *, mirrored: bool) -> tuple[Tensor, Tensor]:
        """Single frames, one of each clip: ``[B, 3, 1, H, W]``, and their figures."""
        x, figures = self._frames[index, frame], self._figures[index, frame]
        return self._shown(x[:, None], figures[:, None], mirrored=mirrored)

    def _shown(self, x: Tensor, figures: Tensor, *, mirrored: bool) -> tuple[Tensor, Tensor]:
        if mirrored:
            x, figures = x.flip(3), figures.flip(3)
        shown = to_unit(x).permute(0, 4, 1, 2, 3)  # in memory as channels_last_3d
        return shown, (figures > 0).float()[:, None]


def _on_device(array: np.ndarray, rows: range, device: torch.device) -> Tensor:
    """Copy rows of an array that is on the disk, a few at a time."""
    copied = torch.empty((len(rows), *array.shape[1:]), dtype=torch.uint8, device=device)
    for part in range(0, len(rows), 200):
        chosen = rows[part : part + 200]
        read = np.array(array[chosen.start : chosen.stop])
        copied[part : part + len(chosen)] = torch.from_numpy(read)
    return copied


class Library:
    """The sets of clips of a run, rendered when they are needed, by the first process.

    All processes must ask for a set that one of them asks for.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._renderers: dict[str, BaseProcess] = {}
        o = run.options
        self._counts = {"first": min(o.first_clips, o.clips), "held": o.held_out, "clips": o.clips}

    @cached_property
    def first(self) -> Footage:
        """Clips to begin with, this process's share; the large set is rendered from now on."""
        self._render("first")
        self._start("clips")
        return self._footage("first")

    @cached_property
    def held(self) -> Footage:
        """The held-out clips, all of them."""
        self._render("held")
        return self._footage("held")

    @cached_property
    def clips(self) -> Footage:
        """The training clips, this process's share."""
        self._render("clips")
        return self._footage("clips")

    def _footage(self, name: str) -> Footage:
        run, count = self._run, self._counts[name]
        rows = range(count)
        if name != "held":
            share = count // run.ranks
            rows = range(run.rank * share, (run.rank + 1) * share)
        footage = Footage(Clips.load(run.work / name), rows, run.device)
        run.log("clips", set=name, count=len(footage))
        return footage

    def _render(self, name: str) -> None:
        """Render a set, or wait until it is rendered; one that failed cannot be loaded."""
        self._start(name)
        if name in self._renderers:
            self._renderers[name].join()
        self._run.wait()

    def _start(self, name: str) -> None:
        """Begin to render a set in a process without CUDA, whose workers can be forked."""
        o = self._run.options
        if not self._run.is_first or name in self._renderers:
            return
        job = partial(
            render_clips,
            self._run.work / name,
            self._counts[name],
            seed=o.seed * _APART + _SEEDS[name],
            size=o.size,
            frames=o.frames,
            workers=max(1, o.workers - 1),
        )
        if o.workers <= 1:
            job()
            return
        self._renderers[name] = multiprocessing.get_context("spawn").Process(target=job)
        self._renderers[name].start()
