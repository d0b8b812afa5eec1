"""The statement `inject`: features of the source clip in place of the edit's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from grainspec.model.declaration import InText
from grainspec.model.nodes import Node
from grainspec.model.settings.values import Levels, Percent

InjectedLayers = Literal["plug_and_play", "videograin"]


class Inject(Node):
    """Replace features of the edit by those of the source clip, to preserve structure and poses.

    It is off unless a spec has ``inject``. As in Plug-and-Play (Tumanyan et al., CVPR 2023), whose
    constants are the defaults. VideoGrain's code injects at other layers, and in half of its
    examples in no step, in others in 5 to 12 or 30 to 40 of 50: ``{ features 20%  self 20%  layers
    videograin }``.
    """

    features: Percent = Field(
        default=0.8,
        description="Share of the sampling steps, from the first, in which the decoder's residual "
        "blocks output the source clip's features; rounded like `until` of `attention`.",
    )
    self_: Percent = Field(
        default=0.5,
        alias="self",
        description="Share of the sampling steps, from the first, in which the decoder's "
        "self-attention uses the queries and keys of the source clip.",
    )
    layers: InjectedLayers = Field(
        default="plug_and_play",
        description="Where in the decoder features are replaced, unless levels are given. "
        "`plug_and_play`: in the second residual block of the coarsest level with attention, and "
        "in all self-attention from that block on. `videograin`, as in VideoGrain's code: in the "
        "first two residual blocks of that level and the first one of the next, and in the same "
        "self-attention, but of the finest level only in the first.",
    )
    feature_levels: Annotated[Levels | None, InText(absent="those of `layers`")] = Field(
        default=None,
        description="Levels of the decoder, 0 being the finest, in which the features of all "
        "residual blocks are replaced.",
    )
    self_levels: Annotated[Levels | None, InText(absent="those of `layers`")] = Field(
        default=None,
        description="Levels of the decoder in which all self-attention is replaced.",
    )

    model_config = ConfigDict(serialize_by_alias=True)
