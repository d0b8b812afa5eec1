"""The attention of a part of a clip's tokens, as that of the whole clip would be.

*Self-attention* is exchanged between the processes as :mod:`.part` says. By Ulysses, it is ordinary
attention over the clip to some heads, with the plan's labels as they are. Around the ring, each
group's keys give partial results of the operator (:mod:`grainspec_runtime.attention.partials`),
with the labels of the queries' tokens and of the keys', and these merge exactly.

*Cross-attention* has all keys, the text's, in every process: it stays divided, with the labels of
the part's tokens. Only the pull along columns, which needs all queries of a key, is computed over
the clip.

Dimensions: P passes in a call, H heads, n tokens of a process, d head size, T text tokens.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.modulation.part import Part, padded
from grainspec_runtime.modulation.parts import Parts


class DividedAttention:
    """The attention of parts of the tokens; ``whole`` is that of the clip. An ``Attention``.

    Self-attention is always computed here: a processor of its own would see this part alone.
    """

    def __init__(self, whole: ClipAttention, parts: Parts) -> None:
        self.whole, self._parts = whole, parts

    @property
    def part(self) -> Part:
        """The part of the prediction that is made."""
        return self._parts.now

    @property
    def frames(self) -> int:
        """Number of latent frames in the pass."""
        return self.whole.frames

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Scope of group norm statistics."""
        return self.whole.norm

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Prepare for sampling step ``step`` of ``steps`` at a diffusion timestep."""
        self.whole.begin_step(step, steps, timestep)

    def begin_pass(self, index: int, passes: int) -> None:
        """Say which of a step's passes the next call runs."""
        self.whole.begin_pass(index, passes)

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return whether the layer's attention is ever other than its processor's."""
        return layer.kind == "self" or self.whole.reaches(layer)

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return whether the layer's own processor may compute the next attention."""
        return layer.kind != "self" and self.whole.is_plain(layer)

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention of this part's tokens to all; all tensors ``[P, H, n, d]``."""
        part, own = self.part, self.part.group_tokens
        divided_3Phmd = part.heads_divided(query, key, value)
        q = divided_3Phmd[0, :, :, : own.stop - own.start]
        slices = part.around(divided_3Phmd[1:])
        if own.start == own.stop:  # fewer tokens than processes; it passes keys on
            out = q
            for _ in slices:
                pass
        elif part.division.ring > 1:
            out = self.whole.self_attention_of(layer, q, slices, own, tokens=part.tokens)
        else:
            ((k, v, _),) = slices
            if self.whole.is_plain(layer):
                out = F.scaled_dot_product_attention(q, k, v)
            else:
                out = self.whole.self_attention(layer, q, k, v)
        return part.tokens_divided(out)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention of this part's tokens; query ``[P, H, n, d]``."""
        if self.whole.pulls_columns(layer):
            return self._cross_attention_of_all(layer, query, key, value)
        own = self.part.own
        if own.start == own.stop:
            return torch.zeros_like(query)
        tokens = query[:, :, : own.stop - own.start]
        out = self.whole.cross_attention_of(layer, tokens, key, value, own)
        return padded(out, 2, self.part.padded)

    def _cross_attention_of_all(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute it over the clip in every process, and keep this part."""
        queries_PHNd = self.part.gathered(query, 2)
        out = self.whole.cross_attention(layer, queries_PHNd, key, value)
        return self.part.of(out, 2)
