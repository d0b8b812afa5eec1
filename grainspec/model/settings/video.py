"""The statement `video`: the source clip, and the frames that are edited."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from grainspec.model.algebra import Box, Colour
from grainspec.model.declaration import InText
from grainspec.model.names import PathText
from grainspec.model.nodes import Node
from grainspec.model.shapes import FrameRange
from grainspec.model.validation import unfit

Side = Annotated[int, Field(ge=16, le=8192)]
Fit = Literal["crop", "pad"]


class Size(Node):
    """Width and height in pixels."""

    width: Side = Field(description="Width in pixels.")
    height: Side = Field(description="Height in pixels.")


class Video(Node):
    """The source clip: a video file, or a folder of numbered frames.

    Each chosen frame is cropped to ``crop``, then scaled and fitted to ``size`` as ``fit`` says.
    """

    path: Annotated[PathText, InText(kind="path", head=True)] = Field(
        description="The clip: a video file, or a folder of numbered images."
    )
    frames: Annotated[FrameRange | None, InText(absent="all")] = Field(
        default=None,
        description="The first and the last source frame, both included, counted from 0.",
    )
    step: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="Use every n-th of these frames."
    )
    fps: Annotated[float | None, Field(ge=0.1, le=1000), InText(absent="8")] = Field(
        default=None,
        description="For images: how many of them are one second. A video file has its own rate.",
    )
    size: Annotated[
        Size | None, InText(absent="the clip's aspect, as many pixels as the model was trained on")
    ] = Field(default=None, description="Width and height of the edited clip, in pixels.")
    crop: Annotated[Box | None, InText(absent="no crop")] = Field(
        default=None, description="A box that each frame is cropped to first."
    )
    fit: Fit = Field(
        default="crop",
        description="How a frame of another aspect fits `size`: scaled until it covers `size`, and "
        "cropped around its centre (`crop`); or scaled until it lies inside `size`, and surrounded "
        "by its repeated border pixels, which the result is without (`pad`).",
    )
    alpha: Annotated[Colour | None, InText(absent="black, with a warning")] = Field(
        default=None,
        description='The colour behind transparent pixels, such as `"#ffffff"`.',
    )

    @field_validator("crop")
    @classmethod
    def _crop_is_a_still_box(cls, crop: Box | None) -> Box | None:
        if crop is not None and crop.kind != "box":
            raise unfit("G202", "a box", f"{crop.kind}(…)")
        if crop is not None and crop.keyframes[0].frame is not None:
            raise ValueError("`crop` cannot move: give one box without `@ frame`")
        return crop
