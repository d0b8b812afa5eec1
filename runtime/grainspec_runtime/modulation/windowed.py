"""Attention over a long clip: one attention for every window, and which window runs now.

What a window needs on the device is made once and kept for all steps: the labels of its tokens,
its strengths, its paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from grainspec.plan.windows import FrameWindow
from grainspec_runtime.modulation.layers import Attention, AttentionLayer


class WindowedAttention:
    """The attention of a clip's windows, of which one runs at a time.

    ``make`` makes a window's, as if its frames were the clip. :meth:`select` chooses the window
    that the denoiser runs on next. ``device`` is where frame indices and weights are kept.
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
        """Where group norms take their statistics: from each frame, or over the window."""
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
        """Let attention be that of a window, by its index, from now on."""
        self.current = self.parts[window]

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """As :meth:`Attention.begin_step`, for all windows."""
        for part in self.parts:
            part.begin_step(step, steps, timestep)

    def self_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """As :meth:`Attention.self_attention`, in the selected window."""
        return self.current.self_attention(layer, query, key, value)

    def cross_attention(
        self, layer: AttentionLayer, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        """As :meth:`Attention.cross_attention`, in the selected window."""
        return self.current.cross_attention(layer, query, key, value)


def clip_attention(
    windows: Sequence[FrameWindow],
    make: Callable[[FrameWindow], Attention],
    *,
    device: torch.device | str = "cpu",
) -> Attention:
    """The attention of a clip with these windows; of a single window, what ``make`` makes."""
    if len(windows) == 1:
        return make(windows[0])
    return WindowedAttention(windows, make, device=device)


def window_count(attention: Attention) -> int:
    """How many windows the denoiser runs on for one prediction of the clip."""
    return len(attention.windows) if isinstance(attention, WindowedAttention) else 1
