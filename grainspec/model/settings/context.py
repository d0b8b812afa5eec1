"""The statement `context`: how many frames of a long clip are processed at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from grainspec.diagnostics import Diagnostic
from grainspec.model.nodes import Node
from grainspec.model.settings.values import FrameCount


class Context(Node):
    """How many frames of a long clip the model processes at once.

    Without ``context`` it processes all frames at once. With it, a clip of more than ``frames``
    frames is processed in windows (:func:`grainspec.plan.windows.frame_windows`), so that memory
    does not grow with its length. MultiDiffusion (2302.08113) does the same over space.

    ``overlap`` and ``keys`` must leave a window frames of its own, unless the edit's method takes
    only ``frames``: :attr:`contradiction` says so, and is checked with the spec.
    """

    frames: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=16, description="How many frames the model processes at once, key frames included."
    )
    overlap: FrameCount = Field(
        default=4,
        description="The least number of frames that a window shares with the next one; `overlap` "
        "and `keys` together are less than `frames`.",
    )
    keys: FrameCount = Field(
        default=2,
        description="How many key frames, evenly spaced from the first to the last frame of the "
        "clip, are added to every window, so that distant frames look alike; a single one is the "
        "first frame.",
    )

    @property
    def contradiction(self) -> Diagnostic | None:
        """Why windows add no frame to those before (G203); None if they do.

        >>> Context(frames=4).contradiction.message
        'windows of 4 frames with `overlap 4` and `keys 2` contain no new frame'
        """
        if self.overlap + self.keys < self.frames:
            return None
        message = (
            f"windows of {self.frames} frames with `overlap {self.overlap}` "
            f"and `keys {self.keys}` contain no new frame"
        )
        cure = "`overlap` and `keys` together must be less than `frames`."
        return Diagnostic("G203", message, cure, self.span)
