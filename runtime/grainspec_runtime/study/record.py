"""Record attention during sampling: how much each edit receives, without and with modulation.

No quadratic matrix is computed. To measure how much attention a token pays to the words of an edit,
attention is computed once more with other values: indicators of the words, or of the region, that
each key belongs to. The output is the share of the row's softmax on each of them. This works with
every backend, in its usual memory, and measures that backend's own attention.

A recorder is a component of the attention; without a recorder there is no cost.

Dimensions: P passes, F latent frames, H heads, N tokens of a frame, T words, d head size, E edits,
S sequences of a pass: F where frames are entries of the batch, 1 where a clip is one sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.plan.windows import FrameWindow
from grainspec_runtime.modulation.layers import Attend, AttentionLayer
from grainspec_runtime.study.segments import clusters, components

CLUSTERS = (3, 4, 5)
"""Numbers of clusters of the features."""

_MOST_TOKENS = 1024
"""Features are recorded at the finest level with at most this many latent tokens a frame."""

_MOST_VALUES = 2**28
"""Most values of the features that are kept: 1 GB. Of more, every second channel is, or third."""

Floats = npt.NDArray[np.float32]


@dataclass
class _Level:
    """Running sums of a level: maps ``[2, F, N, E]``, without and with modulation."""

    plan: PlanLevel
    members_FNE: Tensor
    maps: Tensor
    layers: int = 0

    def sequences(self, query: Tensor) -> int:
        """Return S, for the queries of a layer, ``[P * S, H, F * N / S, d]``."""
        return self.members_FNE.shape[0] * self.members_FNE.shape[1] // query.shape[2]


@dataclass(frozen=True)
class Study:
    """The recorded attention of one edit.

    maps: ``[2, E, F, h, w]`` in [0, 1], the share of its attention that each latent token pays to
    the words of each edit, without modulation (at the same step, for the same latents) and with it;
    means over layers, levels, heads and steps.
    tally: ``[S, 2, 2, E]``, for each recorded step, without and with modulation, two shares: of the
    attention that an edit's words receive, the share from inside its region; and of the attention
    that its region's latent tokens pay, the share that stays inside. NaN if an edit has no words or
    no latent token.
    segments: clusters of the self-attention features, ``[F, h, w]``, keyed by their number.
    colours: three principal components of these features, ``[F, h, w, 3]`` in [0, 1].
    """

    regions: tuple[str, ...]
    phrases: tuple[str, ...]
    steps: tuple[int, ...]
    maps: Floats
    tally: Floats
    segments: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)
    colours: Floats | None = None

    def share(self, kind: int) -> Floats:
        """Average a share over steps, ``[2, E]``: that of words (0) or of latent tokens (1)."""
        return np.asarray(self.tally[:, :, kind].mean(axis=0))


@dataclass(frozen=True)
class _Record:
    """The record of one recorder, on the CPU.

    maps: ``[2, E, F, h, w]``, as in a study. tally: ``[S, 2, 2, E, 2]``, attention inside and in
    total. features: sums over steps, ``[F, N, C]``.
    """

    maps: Tensor
    tally: Tensor
    features: Tensor | None


class StudyRecorder:
    """Records attention during sampling; the edit stays bit-identical.

    It records the modulated steps, or all steps if none is modulated. Memory is one map a level and
    one sum of features, for any number of steps. ``weights`` are the weights of the frames, if the
    clip is a window of a longer one.
    """

    def __init__(
        self,
        plan: MaskPlan,
        *,
        weights: Sequence[float] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.plan = plan
        self.frames = len(plan.groups)
        scale = weights or [1.0] * self.frames
        self._weights_F11 = torch.tensor(scale, device=device)[:, None, None]
        self._words_TE = torch.from_numpy(plan.words_ET.T.astype("float32")).to(device)
        members_CE = torch.from_numpy(plan.members_CE.astype("float32")).to(device)
        self._seen: dict[int, _Level] = {}
        for level in plan.levels:
            labels = torch.from_numpy(level.labels_FHW.reshape(self.frames, -1).astype("int64"))
            members = members_CE[labels.to(device)]
            self._seen[level.index] = _Level(level, members, members.new_zeros(2, *members.shape))
        small = [level for level in plan.levels if level.tokens <= _MOST_TOKENS]
        self._featured = small[0] if small else plan.levels[-1]
        self._latest: Tensor | None = None
        self._features: Tensor | None = None
        self._every = self._on = self._modulated = False
        self.studied_steps: list[int] = []
        self._tally: list[Tensor] = []  # one [2, 2, E, 2] a step: inside, total

    def begin_step(self, step: int, steps: int, *, modulated: bool) -> None:
        """Begin a sampling step; one that is begun again, as by DMT, goes on with its record."""
        self._keep_features()
        if step == 0:
            self._every = not modulated
        self._modulated = modulated
        self._on = modulated or self._every
        if self._on and self.studied_steps[-1:] != [step]:
            self.studied_steps.append(step)
            self._tally.append(self._words_TE.new_zeros(2, 2, self._words_TE.shape[1], 2))

    def record(
        self, layer: AttentionLayer, attend: Attend, query: Tensor, key: Tensor, out: Tensor
    ) -> None:
        """Record a layer's attention, after it ran."""
        level = self._seen.get(layer.level) if self._on else None
        if level is None:
            return
        if layer.kind == "cross":
            self._record_words(level, attend, query, key)
        else:
            self._record_frames(level, attend, query, key, out)

    def _record_words(self, level: _Level, attend: Attend, query: Tensor, key: Tensor) -> None:
        if key.shape[2] != len(self._words_TE):
            return
        words = self._words_TE.expand(level.sequences(query), -1, -1)
        shares = self._shares(attend, query, key, words)
        level.maps += shares
        level.layers += 1
        counted = shares * self._weights_F11
        inside = (counted * level.members_FNE).sum((1, 2))
        self._tally[-1][:, 0] += torch.stack([inside, counted.sum((1, 2))], -1)

    def _record_frames(
        self, level: _Level, attend: Attend, query: Tensor, key: Tensor, out: Tensor
    ) -> None:
        of_keys = level.members_FNE.reshape(level.sequences(query), -1, level.members_FNE.shape[-1])
        shares = self._shares(attend, query, key, of_keys)
        members = level.members_FNE * self._weights_F11
        inside = (shares * members).sum((1, 2))
        count = members.sum((0, 1)).expand_as(inside)
        self._tally[-1][:, 1] += torch.stack([inside, count], -1)
        if level.plan is self._featured:
            # overwritten until the last layer of the step, which is in the decoder
            latest = out[-level.sequences(query) :].transpose(1, 2).flatten(2)
            self._latest = _reduced(latest.reshape(*level.members_FNE.shape[:2], -1))

    def _shares(self, attend: Attend, query: Tensor, key: Tensor, of_keys: Tensor) -> Tensor:
        """Return each edit's share of the softmax, averaged over heads, ``[2, F, N, E]``.

        ``of_keys`` ``[S, M, E]`` is 1 where a key belongs to an edit. The first dimension is
        without and with modulation.
        """
        query, key = query[-len(of_keys) :], key[-len(of_keys) :]
        heads, width = query.shape[1], query.shape[3]
        shares = []
        for part in of_keys.to(query.dtype).split(width, dim=-1):
            values = F.pad(part, (0, width - part.shape[-1]))[:, None]
            values = values.expand(-1, heads, -1, -1).contiguous()
            with_it = attend(query, key, values, modulated=self._modulated)
            without = with_it
            if self._modulated:
                without = attend(query, key, values, modulated=False)
            both = torch.stack([without, with_it])[..., : part.shape[-1]]
            shares.append(both.float().mean(2))
        return torch.cat(shares, -1).reshape(2, self.frames, -1, of_keys.shape[-1])

    def _keep_features(self) -> None:
        if self._latest is not None:
            latest = self._latest.float()
            self._features = latest if self._features is None else self._features.add_(latest)
            self._latest = None

    @torch.no_grad()
    def result(self) -> _Record:
        """Return the record, after sampling."""
        self._keep_features()
        seen = [level for level in self._seen.values() if level.layers]
        rows, columns = self.plan.levels[0].labels_FHW.shape[1:]
        edits, frames = len(self.plan.edits), self.frames
        maps = torch.zeros(2, edits, frames, rows, columns)
        for level in seen:
            size = level.plan.labels_FHW.shape[1:]
            mean = (level.maps / level.layers).cpu().permute(0, 3, 1, 2)
            whole = mean.reshape(2 * edits, frames, *size)
            grown = F.interpolate(whole, (rows, columns), mode="bilinear", align_corners=False)
            maps += grown.reshape(maps.shape) / len(seen)
        tally = torch.stack(self._tally).cpu() if self._tally else torch.zeros(0, 2, 2, edits, 2)
        return _Record(maps, tally, None if self._features is None else self._features.cpu())

    @property
    def featured_grid(self) -> tuple[int, ...]:
        """Rows and columns of the level whose features are recorded."""
        return self._featured.labels_FHW.shape[1:]


def study_of(
    recorders: Sequence[StudyRecorder], windows: Sequence[FrameWindow], plan: MaskPlan
) -> Study:
    """Combine the records of a clip's windows, one recorder each, to the study of an edit.

    Records of the same frame are averaged with the weights of the windows, as predictions are.
    Within a window, attention covers the frames of the window only.
    """
    records = [recorder.result() for recorder in recorders]
    record = records[0] if len(records) == 1 else _joined(records, windows)
    segments, colours = {}, None
    if record.features is not None:
        grid = (len(record.features), *recorders[0].featured_grid)
        segments = {k: clusters(record.features, k).reshape(grid).numpy() for k in CLUSTERS}
        colours = components(record.features).reshape(*grid, 3).numpy()
    return Study(
        regions=tuple(edit.region for edit in plan.edits),
        phrases=tuple(edit.phrase for edit in plan.edits),
        steps=tuple(recorders[0].studied_steps),
        maps=record.maps.numpy(),
        tally=(record.tally[..., 0] / record.tally[..., 1]).numpy(),
        segments=segments,
        colours=colours,
    )


def _reduced(features_FNC: Tensor) -> Tensor:
    """Keep every n-th channel, if there are too many values to keep."""
    return features_FNC[..., :: max(1, -(-features_FNC.numel() // _MOST_VALUES))]


def _joined(records: Sequence[_Record], windows: Sequence[FrameWindow]) -> _Record:
    """Join the records of windows, whose tallies are already weighted, to that of the clip."""
    whole, count = records[0].maps, 1 + max(window.frames[-1] for window in windows)
    maps = whole.new_zeros(*whole.shape[:2], count, *whole.shape[3:])
    tally = torch.stack([record.tally for record in records]).sum(0)
    features: Tensor | None = None
    for window, record in zip(windows, records, strict=True):
        frames = torch.tensor(window.frames)
        weights = torch.tensor(window.weights)[:, None, None]
        maps.index_add_(2, frames, record.maps * weights)
        if record.features is not None:
            if features is None:
                features = record.features.new_zeros(count, *record.features.shape[1:])
            features.index_add_(0, frames, record.features * weights)
    return _Record(maps, tally, features)
