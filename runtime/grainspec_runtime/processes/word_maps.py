"""Where a denoiser attends to the words of edits: maps of its cross-attention during a pass.

The share of a latent token's attention that goes to the words is computed by plain attention with
other values, 1 for the words and 0 for all other tokens, so that no matrix of scores is held. Maps
are means over heads and layers. One map of the clip is stored.

Dimensions: P passes, F latent frames, N latent tokens of a frame, H heads, T text tokens, d head
size, h rows and w columns of latents.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.modulation.layers import Attention, AttentionLayer
from grainspec_runtime.modulation.windowed import WindowedAttention


class WordMaps:
    """Sums the shares of attention that latent tokens pay to the words of a plan's edits.

    Layers of the plan's level 0 are seen, which all layers of a video transformer have.
    """

    def __init__(self, plan: MaskPlan, device: torch.device) -> None:
        self._grid_hw = plan.levels[0].labels_FHW.shape[1:]
        self._words_T1 = torch.from_numpy(plan.words_ET.any(axis=0)).to(device).float()[:, None]
        self._patch = plan.patch
        self._sum_FN = torch.zeros(len(plan.groups), plan.levels[0].tokens, device=device)
        self._count_F1 = torch.zeros(len(plan.groups), 1, device=device)

    def add(self, query: Tensor, key: Tensor, frames: Tensor) -> None:
        """Add a layer's attention in the conditional pass, of the clip's ``frames``.

        query: ``[F, H, N, d]`` or ``[1, H, F * N, d]``; key: ``[F or 1, H, T, d]``.
        """
        values = self._words_T1.to(key).expand(*key.shape[:2], -1, 1)
        share = F.scaled_dot_product_attention(query, key, values)[..., 0].mean(1)
        self._sum_FN[frames] += share.reshape(len(frames), -1).to(self._sum_FN)
        self._count_F1[frames] += 1

    def take(self) -> Tensor:
        """Return the mean since the last call, scaled to [0, 1] over the clip: ``[F, 1, h, w]``.

        If it is the same everywhere, as without words, it is 1 everywhere.
        """
        mean_FN = self._sum_FN / self._count_F1.clamp_min(1)
        self._sum_FN, self._count_F1 = map(torch.zeros_like, (self._sum_FN, self._count_F1))
        least, most = mean_FN.aminmax()
        scaled = (mean_FN - least) / (most - least) if most > least else torch.ones_like(mean_FN)
        map_F1hw: Tensor = scaled.unflatten(1, self._grid_hw)[:, None]
        return map_F1hw.repeat_interleave(self._patch, 2).repeat_interleave(self._patch, 3)


class WordsSeen:
    """An attention, unchanged, whose cross-attention to words is added to maps."""

    def __init__(self, attention: Attention, maps: WordMaps, frames: Tensor) -> None:
        self._attention = attention
        self._maps = maps
        self._frames = frames
        self._is_last = True

    @property
    def frames(self) -> int:
        """Number of latent frames in the pass."""
        return self._attention.frames

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Scope of group norm statistics."""
        return self._attention.norm

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Prepare for a sampling step."""
        self._is_last = True
        self._attention.begin_step(step, steps, timestep)

    def begin_pass(self, index: int, passes: int) -> None:
        """Say which pass the next call runs."""
        self._is_last = index == passes - 1
        self._attention.begin_pass(index, passes)

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return whether the layer's attention is ever other than plain, or seen."""
        return self._sees(layer) or self._attention.reaches(layer)

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return whether the layer's next attention is plain, and not seen."""
        seen = self._sees(layer) and self._is_last
        return not seen and self._attention.is_plain(layer)

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention."""
        return self._attention.self_attention(layer, query, key, value)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention, and add that of the conditional pass, the last, to the maps."""
        if self._sees(layer) and self._is_last:
            entries = self.frames if len(query) % self.frames == 0 else 1
            self._maps.add(query[-entries:], key[-entries:], self._frames)
        return self._attention.cross_attention(layer, query, key, value)

    def _sees(self, layer: AttentionLayer) -> bool:
        return layer.kind == "cross" and layer.level == 0


def with_maps(attention: Attention, maps: WordMaps, device: torch.device) -> Attention:
    """Return the attention of a clip, in windows if it is, that adds to ``maps``."""
    if not isinstance(attention, WindowedAttention):
        return WordsSeen(attention, maps, torch.arange(attention.frames, device=device))
    parts = iter(zip(attention.parts, attention.frames_of, strict=True))
    return WindowedAttention(
        attention.windows,
        lambda window: _seen(maps, *next(parts)),
        device=device,
    )


def _seen(maps: WordMaps, attention: Attention, frames: Tensor) -> WordsSeen:
    return WordsSeen(attention, maps, frames)
