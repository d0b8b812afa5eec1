"""A spec of three edits and its layout: two quarters of the frame, and the half between."""

from __future__ import annotations

import numpy as np

from grainspec import parse
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone

SPEC = parse(
    """
    grain 1
    video "c"
    model "owner/name"
    target "a robot and a bear before trees and more trees"
    region left = all
    region right = all
    region trees = all
    edit left -> "robot"
    edit right -> "bear" { weight 0.5 repel 2 }
    edit trees -> "trees"
    """
)


def quarters() -> Layout:
    """Left quarter, right quarter, and the half between; the last row of pixels is nobody's."""
    masks = {}
    for name, start, end in (("left", 0, 16), ("right", 48, 64), ("trees", 16, 48)):
        mask = np.zeros((2, 64, 64), bool)
        mask[:, :48, start:end] = True
        masks[name] = mask
    return Layout.of(masks)


def compiled(text: str = "") -> MaskPlan:
    spec = SPEC if not text else parse(text)
    return compile_plan(spec, quarters(), word_backbone(levels=2)).plan
