"""Kinds of values that the settings of several statements have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from grainspec.model.declaration import InText
from grainspec.model.names import IN_HOME

MAX_LEVEL = 15
Share = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1, written as a number."""

Percent = Annotated[float, Field(ge=0, le=1), InText(kind="percent")]
"""A number from 0 to 1, written as a percentage."""

PositivePercent = Annotated[float, Field(gt=0, le=1), InText(kind="percent")]

_Numbers = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MAX_LEVEL)], ...],
    Field(min_length=1, max_length=MAX_LEVEL + 1),
]

Levels = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[_Numbers, Tag("levels")],
    Discriminator(lambda given: "all" if isinstance(given, str) else "levels"),
    InText(kind="levels"),
]

Guidance = Annotated[float, Field(ge=0, le=100)]
ModelName = Annotated[str, Field(min_length=1, max_length=1_000), IN_HOME]
AdapterName = Annotated[str, Field(max_length=1_000), IN_HOME]
FrameCount = Annotated[int, Field(ge=0, le=10_000)]
