"""Cross-attention in which the words of an edit are attended inside its box only.

It grounds an edit where the network has no gated layers for boxes.

Dimensions: F frames, N latent tokens of a frame, H heads, d head size, T text tokens, E edits.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.modulation.layers import Attention, AttentionLayer
from grainspec_runtime.processes.methods.boxes import Boxes


class BoxedWords:
    """An :class:`Attention` whose last pass keeps the words of each edit inside its box.

    With the scores s = Q Kᵀ / √d, s is −∞ for the words of an edit where a latent token is outside
    the box, for the first ``share`` of the steps. A word of several edits is attended in the box of
    each. All other words, and self-attention, are those of ``base``.
    """

    def __init__(self, base: Attention, plan: MaskPlan, boxes: Boxes, share: float = 1.0) -> None:
        self._base = base
        self._grids = {level.index: level.labels_FHW.shape[1:] for level in plan.levels}
        self._boxes = boxes
        self._words_ET = torch.from_numpy(plan.words_ET)
        self._share = share
        self._allowed: dict[tuple[int, torch.device], Tensor] = {}
        self._active = True

    @property
    def frames(self) -> int:
        """The number of frames."""
        return self._base.frames

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Scope of group norm statistics."""
        return self._base.norm

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Begin a sampling step."""
        self._active = step < first_steps(self._share, steps)
        self._base.begin_step(step, steps, timestep)

    def begin_pass(self, index: int, passes: int) -> None:
        """Begin a pass of guidance."""
        self._base.begin_pass(index, passes)

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return whether a layer's attention is ever other than plain."""
        return layer.kind == "cross" or self._base.reaches(layer)

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return whether a layer's next attention is plain."""
        return not (self._active and layer.kind == "cross") and self._base.is_plain(layer)

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention as ``base`` does."""
        return self._base.self_attention(layer, query, key, value)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention; query ``[P * F, H, N, d]``, key and value ``[P * F, H, T, d]``.

        The last pass is restricted; it is the only one where passes run by themselves.
        """
        if not self._active:
            return self._base.cross_attention(layer, query, key, value)
        first = len(query) - self.frames
        allowed_F1NT = self.allowed(layer.level, query.device)[:, None]
        last = F.scaled_dot_product_attention(
            query[first:], key[first:], value[first:], attn_mask=allowed_F1NT
        )
        if not first:
            return last
        earlier = self._base.cross_attention(layer, query[:first], key[:first], value[:first])
        return torch.cat([earlier, last])

    def allowed(self, level: int, device: torch.device) -> Tensor:
        """Return which text tokens each latent token attends to, bool ``[F, N, T]``."""
        if (level, device) not in self._allowed:
            rows, columns = self._grids[level]
            inside_FNE = torch.from_numpy(self._boxes.cells(rows, columns)).flatten(1, 2)
            words_ET = self._words_ET.float()
            in_a_box_FNT = inside_FNE.float() @ words_ET > 0
            self._allowed[level, device] = (in_a_box_FNT | ~self._words_ET.any(0)).to(device)
        return self._allowed[level, device]
