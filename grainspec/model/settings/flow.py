"""The statement `flow`: attention along the paths of optical flow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from grainspec.model.declaration import InText
from grainspec.model.names import PathText
from grainspec.model.nodes import Node
from grainspec.model.settings.values import Levels
from grainspec.model.validation import refusal

FlowMethod = Literal["dis", "raft"]

_RaftWeights = Annotated[PathText | None, InText(kind="path", absent="torchvision's, downloaded")]


class Flow(Node):
    """Attention along the paths of optical flow, after self-attention, so that moving objects keep
    their appearance.

    It is off unless a spec has ``flow``. As in FLATTEN (ICLR 2024); VideoGrain uses it at level 0.
    """

    levels: Levels = Field(
        default=(0,), description="Levels of the network with flow attention, 0 being the finest."
    )
    method: FlowMethod = Field(
        default="dis",
        description="How the source clip's optical flow is estimated: `dis` (OpenCV), or `raft` "
        "(torchvision, which must be installed).",
    )
    weights: _RaftWeights = Field(
        default=None,
        description="For `raft`: a safetensors file of torchvision's RAFT, or a folder with one.",
    )

    @model_validator(mode="after")
    def _weights_are_rafts(self) -> Flow:
        if self.weights is not None and self.method != "raft":
            raise refusal("G205", f"`method {self.method}` takes no `weights`", "Remove them.")
        return self
