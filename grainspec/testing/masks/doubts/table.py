"""All cases of doubtful masks and of good ones."""

from __future__ import annotations

from collections.abc import Mapping

from grainspec.testing.masks.doubts.arrays import array_cases
from grainspec.testing.masks.doubts.case import Case
from grainspec.testing.masks.doubts.coco import coco_cases
from grainspec.testing.masks.doubts.frames import frame_cases
from grainspec.testing.masks.doubts.pictures import picture_cases
from grainspec.testing.masks.doubts.regions import region_cases
from grainspec.testing.masks.doubts.shades import shade_cases
from grainspec.testing.masks.doubts.tools import tool_cases

CASES: Mapping[str, Case] = {
    **shade_cases(),
    **picture_cases(),
    **array_cases(),
    **coco_cases(),
    **tool_cases(),
    **region_cases(),
    **frame_cases(),
}
"""Cases by what is drawn."""
