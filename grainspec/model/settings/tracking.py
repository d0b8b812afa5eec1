"""The statements `tracker` and `finder`: what follows and finds objects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from grainspec.model.declaration import HEAD, InText
from grainspec.model.nodes import Node
from grainspec.model.settings.values import ModelName, Percent

TrackerEngine = Literal["colour", "sam2", "edgetam", "sam3"]
FinderEngine = Literal["grounding_dino", "owlv2", "sam3"]

_EngineWeights = Annotated[ModelName | None, InText(absent="the engine's default checkpoint")]


class Tracking(Node):
    """What follows the objects of ``track(…)`` and ``find(…)`` through the clip."""

    engine: Annotated[TrackerEngine, HEAD] = Field(
        default="colour",
        description="`colour` (by colour, texture and motion; needs no weights), or a model: "
        "`sam2` (SAM 2.1), `edgetam` (EdgeTAM) or `sam3` (SAM 3).",
    )
    weights: _EngineWeights = Field(
        default=None, description="A folder or hub id of the engine's weights; `colour` has none."
    )
    confidence: Percent = Field(
        default=0.5,
        description="The confidence below which a tracked frame is doubtful: `grain check` warns "
        "of it, `grain show` marks it.",
    )


class Finding(Node):
    """What finds the objects that the words of ``find(…)`` name."""

    engine: Annotated[FinderEngine, HEAD] = Field(
        default="grounding_dino",
        description="The model: `grounding_dino` (GroundingDINO), `owlv2` (OWLv2) or `sam3` "
        "(SAM 3).",
    )
    weights: _EngineWeights = Field(
        default=None, description="A folder or hub id of the engine's weights."
    )
