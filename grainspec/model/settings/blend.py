"""The statement `blend`: how the edited regions and the source are combined."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from grainspec.model.declaration import InText
from grainspec.model.nodes import Node
from grainspec.model.settings.values import Percent
from grainspec.model.shapes import Length
from grainspec.model.validation import unfit

BlendSpace = Literal["latents", "pixels", "both", "none"]
BlendEdges = Literal["hard", "soft"]


class Blend(Node):
    """How the edited regions and the source are combined.

    With ``latents``, the source's latents are restored outside the edited regions after every step.
    With ``pixels``, its pixels are restored at the end, so they are bit-identical to the source.
    """

    space: BlendSpace = Field(
        default="latents",
        description="How the source is restored outside the edited regions: its `latents` after "
        "every step; its `pixels` at the end, which are then bit-identical to the source; `both`; "
        "or `none`.",
    )
    feather: Annotated[Length | None, InText(absent="0")] = Field(
        default=None,
        description="Distance over which the edit fades out around the edited regions, in source "
        "pixels or percent of the frame's shorter side; a hard edge by default.",
    )

    edges: BlendEdges = Field(
        default="hard",
        description="How pixels at the edges of tracked regions are blended: `hard`, or `soft`, by "
        "how much of each pixel the tracker's model takes for the object, in place of `feather`. "
        "Attention and latents are always hard.",
    )

    start: Percent = Field(
        default=0.0,
        alias="from",
        description="Share of the sampling steps before the source's latents are first restored "
        "outside the edited regions: with 25% of 40 steps, the first 10 steps are not blended.",
    )

    model_config = ConfigDict(serialize_by_alias=True)

    @field_validator("feather")
    @classmethod
    def _not_inwards(cls, feather: Length | None) -> Length | None:
        if feather is not None and feather.value < 0:
            raise unfit("G202", "a length of at least 0", str(feather), "Remove the minus sign.")
        return feather
