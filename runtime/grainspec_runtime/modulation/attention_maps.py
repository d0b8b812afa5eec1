"""Attention maps of a source pass, used in a pass of the edit.

Prompt-to-Prompt (arXiv 2208.01626), FateZero (2303.09535) and Video-P2P (2303.04761) replace maps
of the edit, M = softmax(Q Kᵀ / √d), by those of the source, Mˢ:

    cross-attention   M ← (Mˢ A + M diag(n)) diag(w)   (word swap, refinement and re-weighting of
                                                        Prompt-to-Prompt, section 3.2)
    self-attention    M ← m ⊙ M + (1 − m) ⊙ Mˢ         (attention map blending of FateZero)

A moves the attention of source tokens to the target tokens that correspond to them, n is 1 for
target tokens that take over nothing and 0 for others, w weights the target's tokens, and m is a
mask of query tokens: 0 where the source's map is used.

A map is stored as the queries and keys that it is computed from. It is then exactly the source's,
and a row of self-attention needs no more memory for more key frames: out = m M V + (1 − m) Mˢ V,
in which Mˢ V is plain attention with the stored queries and keys. At most one step's are stored, in
the model's precision: for 16 frames of 512 x 512 pixels on Stable Diffusion 1.5 in half precision
481 MB, or 691 MB with cross-attention at the finest level; for XL at 1024 x 1024, 8.4 GB. Maps
themselves would take 3.0 GB with keys of two frames in self-attention, and 50 steps 150 GB.

Dimensions: P passes, F frames, N tokens of a frame, H heads, d head size, S text tokens of the
source prompt, T of the target prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec_runtime.modulation.layers import Attention, AttentionLayer

LARGEST_GRID = 32 * 32
"""Layers of more latent tokens a frame keep their self-attention, as in the papers' code."""

SelfMask = Callable[[AttentionLayer, int], Tensor | None]
"""From a layer with N tokens a frame to the mask m, ``[F, N]``; None stands for 0."""


@dataclass(frozen=True)
class MapSettings:
    """What is replaced, and when.

    mapping_ST: A, float32. weights_T: w, float32. cross, self_: the shares of the steps, from the
    first, in which cross- and self-attention are the source's. cross_grid: the most tokens a frame
    of layers whose cross-attention is; None for any. source_words, words: the text tokens whose
    maps are recorded, of the source (in its passes) and of the target (in all steps).
    """

    mapping_ST: Tensor
    weights_T: Tensor
    cross: float
    self_: float
    cross_grid: int | None = LARGEST_GRID
    source_words: Sequence[int] = ()
    words: Sequence[int] = ()


class MapAttention:
    """Attention whose maps come from a source pass; see :class:`.layers.Attention`.

    ``plain`` computes attention without replacement. In the block of :meth:`reading_source` a call
    is the source's only pass, and its maps are stored; otherwise its last pass is the edit's
    conditional one, and its maps are replaced. :meth:`clear` deletes what is stored.
    """

    def __init__(self, plain: Attention, settings: MapSettings) -> None:
        self._plain = plain
        self._settings = settings
        self._own_T = (settings.mapping_ST == 0).all(0)  # tokens that take over nothing
        self._is_weighted = bool((settings.weights_T != 1).any())
        self.self_mask: SelfMask = lambda layer, tokens: None
        self._reading = False
        self._cross = self._self = False
        self._stored: dict[str, tuple[Tensor, Tensor]] = {}
        self.source_maps, self.maps = WordAttention(), WordAttention()

    @property
    def frames(self) -> int:
        """Number of latent frames in the pass."""
        return self._plain.frames

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Scope of group norm statistics: each frame, or the clip."""
        return self._plain.norm

    @property
    def needs_source(self) -> bool:
        """Whether this step needs the source's pass: to replace maps, or to record them."""
        return self._cross or self._self or bool(self._settings.words)

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Prepare for sampling step ``step`` of ``steps``."""
        self._plain.begin_step(step, steps, timestep)
        self._cross = step < first_steps(self._settings.cross, steps)
        self._self = step < first_steps(self._settings.self_, steps)
        self.source_maps, self.maps = WordAttention(), WordAttention()

    def begin_pass(self, index: int, passes: int) -> None:
        """Do nothing: an image denoiser runs all passes at once."""

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return True: every layer attends to the frames in scope."""
        return True

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return False: attention covers other frames than the layer's own would."""
        return False

    @contextmanager
    def reading_source(self) -> Iterator[None]:
        """Store the maps of the passes inside the block."""
        self._reading = True
        try:
            yield
        finally:
            self._reading = False

    def clear(self) -> None:
        """Delete what is stored."""
        self._stored.clear()

    def stored_bytes(self) -> int:
        """The bytes that are stored now."""
        parts = [part for pair in self._stored.values() for part in pair]
        return sum(part.numel() * part.element_size() for part in parts)

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention; shapes as in :class:`.layers.Attention`."""
        tokens = query.shape[2]
        if self._reading:
            if self._self and tokens <= LARGEST_GRID:
                self._stored[layer.name] = query, key
            return self._plain.self_attention(layer, query, key, value)
        if layer.name not in self._stored:
            return self._plain.self_attention(layer, query, key, value)
        first = len(query) - self.frames  # where the conditional pass begins
        kept = self._plain.self_attention(layer, *self._stored[layer.name], value[first:])
        mask_FN = self.self_mask(layer, tokens)
        if mask_FN is not None:
            out = self._plain.self_attention(layer, query, key, value)
            weight = mask_FN.to(out)[:, None, :, None]
            return torch.cat([out[:first], torch.lerp(kept, out[first:], weight)])
        if not first:
            return kept
        others = (part[:first] for part in (query, key, value))
        return torch.cat([self._plain.self_attention(layer, *others), kept])

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention; shapes as in :class:`.layers.Attention`."""
        out = self._plain.cross_attention(layer, query, key, value)
        if self._reading:
            self._read_cross(layer, query, key)
            return out
        if not (layer.name in self._stored or self._settings.words or self._is_weighted):
            return out
        first = len(query) - self.frames
        maps = self._edited_maps(layer, query[first:], key[first:])
        return torch.cat([out[:first], maps @ value[first:]])

    def _read_cross(self, layer: AttentionLayer, query: Tensor, key: Tensor) -> None:
        grid = self._settings.cross_grid
        if self._cross and (grid is None or query.shape[2] <= grid):
            self._stored[layer.name] = query, key[:1]  # every frame reads the same words
        if self._settings.source_words:
            self.source_maps.add(layer, attention_maps(query, key), self._settings.source_words)

    def _edited_maps(self, layer: AttentionLayer, query: Tensor, key: Tensor) -> Tensor:
        """Return the maps of the conditional pass, ``[F, H, N, T]``."""
        maps = attention_maps(query, key)
        if layer.name in self._stored:
            source = attention_maps(*self._stored[layer.name])
            maps = source @ self._settings.mapping_ST.to(maps) + maps * self._own_T
        if self._settings.words:
            self.maps.add(layer, maps, self._settings.words)
        return reweighted(maps, self._settings.weights_T)


class WordAttention:
    """The attention of each place to some words, by level: the mean over heads and layers."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[Tensor, int]] = {}

    def add(self, layer: AttentionLayer, maps_FHNT: Tensor, words: Sequence[int]) -> None:
        """Add a layer's maps."""
        map_FN = maps_FHNT[..., list(words)].float().sum(-1).mean(1)
        total, layers = self._sums.get(layer.level, (torch.zeros_like(map_FN), 0))
        self._sums[layer.level] = total + map_FN, layers + 1

    def level(self) -> int | None:
        """The level to read: 2, or the coarsest of fewer; None if nothing was added.

        Level 2 is the grid of 16 x 16 that the papers' code reads, of latents of 64 x 64.
        """
        return 2 if 2 in self._sums else max(self._sums, default=None)

    def mean_FN(self) -> Tensor:
        """Return the mean at :meth:`level`, float32 ``[F, N]``; KeyError if nothing was added."""
        total, layers = self._sums[self.level() or 0]
        return total / layers


def attention_maps(query: Tensor, key: Tensor) -> Tensor:
    """Return softmax(Q Kᵀ / √d) over the keys, ``[…, N, M]``, of the type of the queries."""
    scores = (query * query.shape[-1] ** -0.5) @ key.mT
    maps: Tensor = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    return maps


def reweighted(maps: Tensor, weights_T: Tensor) -> Tensor:
    """Return maps whose columns are multiplied by the weights of words; rows need not sum to 1."""
    return maps * weights_T.to(maps)
