"""Attention over a long clip: one attention for each window, one of which is selected.

The labels, strengths and motion paths of each window are moved to the device once, for all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from grainspec.plan.windows import FrameWindow
from grainspec_runtime.modulation.layers import Attention, AttentionLayer


class WindowedAttention:
    """The attention of a clip's windows; the denoiser runs on one window at a time.

    ``make`` makes the attention of a window, as if its frames were the clip. :meth:`select` selects
    the window for the next forward pass. ``device`` is that of frame indices and weights.
    """

    def __init__(
        self,
        windows: Sequence[FrameWindow],
        make: Callable[[FrameWindow], Attention],
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.windows = tuple(windows)
        self.parts = [make(window) for window in windows]
        self.current = self.parts[0]
        self.frames_of = [torch.tensor(window.frames, device=device) for window in windows]
        self.weights_of = [torch.tensor(window.weights, device=device) for window in windows]

    @property
    def norm(self) -> Literal["each", "clip"]:
        """Scope of group norm statistics: each frame, or the window."""
        return self.current.norm

    @property
    def frames(self) -> int:
        """The number of frames of the selected window."""
        return self.current.frames

    @property
    def clip_frames(self) -> int:
        """The number of frames of the clip."""
        return 1 + max(window.frames[-1] for window in self.windows)

    def select(self, window: int) -> None:
        """Select a window by its index."""
        self.current = self.parts[window]

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Begin a sampling step in all windows."""
        for part in self.parts:
            part.begin_step(step, steps, timestep)

    def begin_pass(self, index: int, passes: int) -> None:
        """Begin a pass of guidance in the selected window."""
        self.current.begin_pass(index, passes)

    def reaches(self, layer: AttentionLayer) -> bool:
        """Return whether a layer's attention is ever other than plain, in any window."""
        return any(part.reaches(layer) for part in self.parts)

    def is_plain(self, layer: AttentionLayer) -> bool:
        """Return whether a layer's next attention is plain in the selected window."""
        return self.current.is_plain(layer)

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute self-attention in the selected window."""
        return self.current.self_attention(layer, query, key, value)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """Compute cross-attention in the selected window."""
        return self.current.cross_attention(layer, query, key, value)


def clip_attention(
    windows: Sequence[FrameWindow],
    make: Callable[[FrameWindow], Attention],
    *,
    device: torch.device | str = "cpu",
) -> Attention:
    """Return the attention of a clip with these windows; that of ``make`` for a single window."""
    if len(windows) == 1:
        return make(windows[0])
    return WindowedAttention(windows, make, device=device)


def window_count(attention: Attention) -> int:
    """Return the number of windows of one prediction of the clip."""
    return len(attention.windows) if isinstance(attention, WindowedAttention) else 1
