"""Attention over a long clip: a control for every window, and which of them is looked through.

What a window's control needs on the device is made once and kept for all steps: the labels of its
tokens, its strengths, its paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from grainspec.plan.windows import FrameWindow
from grainspec_runtime.backbones.unet import AttentionControl


class WindowedControl:
    """The controls of a clip's windows in place of one control of the clip.

    ``make`` makes a window's, as if its frames were the clip. The networks are run on one window at
    a time: on that which :meth:`look_through` chose last.
    """

    def __init__(
        self, windows: Sequence[FrameWindow], make: Callable[[FrameWindow], AttentionControl]
    ) -> None:
        self.windows = tuple(windows)
        self.controls = [make(window) for window in windows]
        self.current = self.controls[0]
        self.norm = self.current.norm
        device = self.current.key_frames_FK.device
        self.frames_of = [torch.tensor(window.frames, device=device) for window in windows]
        self.weights_of = [torch.tensor(window.weights, device=device) for window in windows]

    @property
    def frames(self) -> int:
        """The number of frames of the window that is looked through."""
        return self.current.frames

    @property
    def clip_frames(self) -> int:
        """The number of frames of the clip."""
        return 1 + max(window.frames[-1] for window in self.windows)

    def look_through(self, window: int) -> None:
        """Let attention be that of a window, by its index, from now on."""
        self.current = self.controls[window]

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """As :meth:`AttentionControl.begin_step`, for all windows."""
        for control in self.controls:
            control.begin_step(step, steps, timestep)

    def attend_to_frames(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """As :meth:`AttentionControl.attend_to_frames`, in the window that is looked through."""
        return self.current.attend_to_frames(query, key, value)

    def attend_to_words(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """As :meth:`AttentionControl.attend_to_words`, in the window that is looked through."""
        return self.current.attend_to_words(query, key, value)


ClipControl = AttentionControl | WindowedControl
"""What decides the attention of a clip: one control, or one for each of its windows."""


def clip_control(
    windows: Sequence[FrameWindow], make: Callable[[FrameWindow], AttentionControl]
) -> ClipControl:
    """The control of a clip with these windows; just the one that ``make`` makes, if it has one."""
    return make(windows[0]) if len(windows) == 1 else WindowedControl(windows, make)


def window_count(control: ClipControl) -> int:
    """How many windows the networks are run on for one prediction of the clip."""
    return len(control.windows) if isinstance(control, WindowedControl) else 1
