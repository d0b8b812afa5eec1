"""Masks of the latents that words attend to, and blending by them.

Prompt-to-Prompt (arXiv 2208.01626, section 4) calls a place part of the edit if the attention to
the edited words there is more than a share k of its maximum on the frame: B(M) = M > k · max M,
with the maximum of the 3 x 3 neighbours for M, as in its code.

Dimensions: F frames, N tokens of a frame, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from grainspec.model.numbers import first_steps
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.modulation.attention_maps import MapAttention, WordAttention
from grainspec_runtime.modulation.layers import Attention, AttentionLayer
from grainspec_runtime.modulation.windowed import WindowedAttention
from grainspec_runtime.processes.sample import SolverStep
from grainspec_runtime.ranks import ALONE, Ranks

Grid = tuple[int, int]
"""Rows and columns."""

_ALL = 0.99
"""The share of a frame from which on a mask covers all of it."""

_STATE = "word_maps"
_TINY = torch.finfo(torch.float32).tiny


def word_mask(maps_FHW: Tensor, share: float, grid: Grid) -> Tensor:
    """Return B(M) on a grid, bool ``[F, h, w]``; of maps ``[F, H, W]`` that are 0, False."""
    near = functional.max_pool2d(maps_FHW[:, None], 3, stride=1, padding=1)
    near = functional.interpolate(near, grid)[:, 0]
    return near / near.amax((1, 2), keepdim=True).clamp_min(_TINY) > share


class Coverage:
    """The least share of the frames that masks covered in a run; 1 before the first one."""

    def __init__(self) -> None:
        self._least = torch.ones(())
        self.is_known = False

    def add(self, mask: Tensor) -> None:
        """Add a mask, bool."""
        self.is_known = True
        self._least = torch.minimum(self._least.to(mask.device), mask.float().mean())

    @property
    def is_all(self) -> bool:
        """Whether there were masks, and each covered everything."""
        return self.is_known and bool(self._least > _ALL)


def grids_of(plan: MaskPlan) -> dict[int, Grid]:
    """Return the grid of each level of a plan."""
    return {level.index: level.labels_FHW.shape[1:] for level in plan.levels}


@dataclass(frozen=True)
class SourceWordMask:
    """The mask m of self-attention from the source's attention to the edited words, at this step.

    As in FateZero (arXiv 2303.09535, attention map blending), whose threshold τ is ``share``.
    ``coverage`` receives the masks.
    """

    attention: MapAttention
    grids: Mapping[int, Grid]
    share: float
    coverage: Coverage = field(default_factory=Coverage)

    def __call__(self, layer: AttentionLayer, tokens: int) -> Tensor | None:
        """Return it for a layer, ``[F, N]``; None (for 0) if the source has no edited words."""
        maps = self.attention.source_maps
        if maps.level() is None:
            return None
        mask = word_mask(_on_grid(maps, self.grids), self.share, self.grids[layer.level])
        self.coverage.add(mask)
        return mask.flatten(1)


class RegionMask:
    """The mask m of self-attention from a plan's regions."""

    def __init__(self, plan: MaskPlan, device: torch.device) -> None:
        self._masks = {
            level.index: torch.from_numpy(level.labels_FHW != 0).flatten(1).to(device)
            for level in plan.levels
        }

    def __call__(self, layer: AttentionLayer, tokens: int) -> Tensor | None:
        """Return it for a layer, ``[F, N]``."""
        return self._masks[layer.level]


class LocalBlend:
    """Puts the source's latents back after a step, except where the edited words attend.

    α = B(M̄) ∪ B(M̄ˢ), with the means of the maps over the steps so far, of the edit and of the
    source. ``region_F1hw`` is α instead, if it is given. ``trajectory`` is the source's inversion;
    steps before the share ``start`` of all and from ``until`` on are not blended. ``ranks`` says
    of which windows this process has maps. ``coverage`` receives the masks of words.
    """

    def __init__(
        self,
        attention: Attention,
        trajectory: Tensor,
        grids: Mapping[int, Grid],
        *,
        share: float,
        start: float,
        until: float = 1.0,
        region_F1hw: Tensor | None = None,
        ranks: Ranks = ALONE,
        coverage: Coverage | None = None,
    ) -> None:
        self._attention = attention
        self._trajectory = trajectory
        self._grids = grids
        self._share = share
        self._ranks = ranks
        self._coverage = coverage or Coverage()
        steps = len(trajectory) - 1
        self._steps = range(first_steps(start, steps), first_steps(until, steps))
        self._region_F1hw = region_F1hw
        self._sums: Tensor | None = None  # of the maps of source and edit, [2, F, H, W]

    def __call__(self, step: SolverStep) -> Tensor:
        """Return the blended latents after a step."""
        x_Fchw = step.after_Fchw
        if self._region_F1hw is None:
            maps = _clip_maps(self._attention, self._grids, self._ranks)
            self._sums = maps if self._sums is None else self._sums + maps
        if step.number not in self._steps:
            return x_Fchw
        source = self._trajectory[-2 - step.number].to(x_Fchw)
        return torch.lerp(source, x_Fchw, self._mask(x_Fchw))

    def state(self) -> dict[str, Tensor]:
        """Return what the next steps depend on."""
        return {} if self._sums is None else {_STATE: self._sums}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore a state; KeyError if it lacks the maps."""
        if self._region_F1hw is None:
            self._sums = state[_STATE].to(self._trajectory.device)

    def _mask(self, x_Fchw: Tensor) -> Tensor:
        if self._region_F1hw is not None:
            return self._region_F1hw.to(x_Fchw)
        assert self._sums is not None
        grid = (x_Fchw.shape[2], x_Fchw.shape[3])
        masks = [word_mask(maps.to(x_Fchw), self._share, grid) for maps in self._sums]
        mask = masks[0] | masks[1]
        self._coverage.add(mask)
        return mask[:, None].to(x_Fchw)


def _clip_maps(attention: Attention, grids: Mapping[int, Grid], ranks: Ranks) -> Tensor:
    """Return this step's maps of the words, of source and edit, ``[2, F, H, W]``, on the CPU.

    Those of windows are averaged with the windows' weights.
    """
    if not isinstance(attention, WindowedAttention):
        return _step_maps(attention, grids).cpu()
    own = [_step_maps(attention.parts[i], grids) for i in ranks.own(len(attention.parts))]
    grid = own[0].shape[2:]
    shapes = [(2, part.frames, *grid) for part in attention.parts]
    parts = ranks.gathered(own, shapes, like=own[0])
    total = own[0].new_zeros(2, attention.clip_frames, *grid)
    for part, frames, weights in zip(parts, attention.frames_of, attention.weights_of, strict=True):
        total.index_add_(1, frames, part * weights.view(1, -1, 1, 1))
    return total.cpu()


def _step_maps(attention: Attention, grids: Mapping[int, Grid]) -> Tensor:
    assert isinstance(attention, MapAttention)
    edit = _on_grid(attention.maps, grids)
    if attention.source_maps.level() is None:
        return torch.stack([torch.zeros_like(edit), edit])
    return torch.stack([_on_grid(attention.source_maps, grids), edit])


def _on_grid(maps: WordAttention, grids: Mapping[int, Grid]) -> Tensor:
    level = maps.level()
    assert level is not None
    rows, columns = grids[level]
    return maps.mean_FN().view(-1, rows, columns)
