"""The statement `control`: a signal of the source clip that the edit follows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from grainspec.model.declaration import HEAD, InText
from grainspec.model.names import PathText
from grainspec.model.nodes import Node
from grainspec.model.settings.values import ModelName, Percent

ControlKind = Literal["canny", "depth", "pose", "lineart", "softedge", "normal", "zoe", "inpaint"]
Keypoints = Literal["body", "hands", "face", "full"]
DepthValues = Literal["auto", "inverse", "metric"]


class Control(Node):
    """A property of the source clip, such as depth, that the edit preserves.

    A ControlNet makes it follow the property, or the model itself if it is VACE. ``kind`` is what
    is detected in every frame; it also decides the default ControlNet. ``inpaint``, for VACE, is
    the clip itself around the edited regions. ``clip`` is a video or folder of ready-made control
    images, one for each source frame.
    """

    kind: Annotated[ControlKind, HEAD] = Field(
        description="What is detected in every frame; it also decides the default ControlNet. "
        "`inpaint` detects nothing: VACE keeps the clip around the edited regions."
    )
    net: Annotated[
        ModelName | None,
        InText(
            absent="the kind's ControlNet for Stable Diffusion 1.5; for `pose` the demo model's own"
        ),
    ] = Field(default=None, description="A ControlNet's folder or hub id.")
    annotator: Annotated[
        ModelName | None,
        InText(
            absent="MiDaS for `depth`, ZoeDepth for `zoe`, `lllyasviel/Annotators` for the others; "
            "for `pose` the demo model's own"
        ),
    ] = Field(
        default=None,
        description="A folder or hub id of the detector: for `depth` and `zoe` a depth model of "
        "transformers, for the others weights of controlnet_aux.",
    )
    keypoints: Keypoints = Field(
        default="body",
        description="For `pose`: which joints of people are detected: those of the body, the "
        "`hands` or the `face` as well, or all of them (`full`).",
    )
    depth_values: DepthValues = Field(
        default="auto",
        description="For `depth` and `zoe`: what the annotator predicts: `inverse` (large values "
        "are near), `metric` (distances, large values are far), or `auto`: what its configuration "
        "says. Near is bright in the control images either way.",
    )
    clip: Annotated[PathText | None, InText(kind="path", absent="detected")] = Field(
        default=None,
        description="A video or folder of ready-made control images, one for each source frame; "
        "they are used instead of detection. For `inpaint`: masks, white where the clip is edited, "
        "instead of the edited regions.",
    )
    scale: Annotated[float, Field(ge=0, le=10)] = Field(
        default=1.0, description="Scale of the output of the ControlNet, or of VACE's blocks."
    )
    start: Percent = Field(
        default=0.0,
        alias="from",
        description="Share of the sampling steps after which the control begins.",
    )
    until: Percent = Field(
        default=1.0, description="Share of the sampling steps after which the control ends."
    )

    model_config = ConfigDict(serialize_by_alias=True)
