"""Boxes that networks find for words, as detections in source pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec_runtime.tracking.engine import Detection

Boxes = npt.NDArray[np.float32]
MaskOf = Callable[[int], npt.NDArray[np.bool_]]
"""Makes the mask of one of N boxes, bool ``[H, W]``."""

_LEAST_SCORE = 0.02
"""Below this score nothing is returned; specs ask for more."""
_SAME_OBJECT = 0.6
"""Boxes whose IoU is larger are taken for one object."""
_MOST = 100


def corners(boxes_N4: Boxes) -> Boxes:
    """Turn boxes from centre and size to left, top, right, bottom.

    >>> corners(np.array([[0.5, 0.25, 0.2, 0.1]], np.float32)).round(3).tolist()
    [[0.4000000059604645, 0.20000000298023224, 0.6000000238418579, 0.30000001192092896]]
    """
    centre_N2, half_N2 = boxes_N4[:, :2], boxes_N4[:, 2:] / 2
    return np.concatenate([centre_N2 - half_N2, centre_N2 + half_N2], axis=1)


def decoded_detections(
    outputs: Any, unit: tuple[float, float], size: tuple[int, int]
) -> list[Detection]:
    """The objects in a detector's outputs for one frame, best score first.

    ``outputs.logits`` are ``[1, N, T]``; a box's score is that of its best token, as a sigmoid.
    ``outputs.pred_boxes`` are centre and size, ``[1, N, 4]``, in units of ``unit`` source pixels in
    x and y. ``size`` is the frame's width and height.
    """
    scores_N = outputs.logits[0].float().sigmoid().amax(dim=-1).cpu().numpy()
    boxes_N4 = corners(outputs.pred_boxes[0].float().cpu().numpy())
    return best_detections(boxes_N4 * np.array(unit * 2, np.float32), scores_N, size)


def best_detections(
    boxes_N4: Boxes,
    scores_N: npt.NDArray[np.float32],
    size: tuple[int, int],
    mask_of: MaskOf | None = None,
) -> list[Detection]:
    """The objects among N boxes, best score first.

    Boxes are left, top, right, bottom in source pixels; they are cut off at the frame's edges.
    ``size`` is its width and height. Of boxes that cover each other, only the best is kept
    (non-maximum suppression).
    """
    width, height = size
    inside_N4 = boxes_N4.clip(0, np.array([width, height, width, height], np.float32))
    kept: list[int] = []
    for number in np.argsort(-scores_N, kind="stable"):
        left, top, right, bottom = inside_N4[number]
        if scores_N[number] < _LEAST_SCORE or len(kept) == _MOST:
            break
        overlaps = (_iou(inside_N4[number], inside_N4[other]) for other in kept)
        if right - left >= 1 and bottom - top >= 1 and all(it <= _SAME_OBJECT for it in overlaps):
            kept.append(int(number))
    return [
        Detection(
            box=_box(inside_N4[number]),
            score=float(scores_N[number]),
            mask_HW=mask_of(number) if mask_of else None,
        )
        for number in kept
    ]


def _box(box_4: Boxes) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(side) for side in box_4)
    return left, top, right, bottom


def _iou(first_4: Boxes, second_4: Boxes) -> float:
    start_2, end_2 = np.maximum(first_4[:2], second_4[:2]), np.minimum(first_4[2:], second_4[2:])
    common = float((end_2 - start_2).clip(0).prod())
    areas = sum(float((box_4[2:] - box_4[:2]).prod()) for box_4 in (first_4, second_4))
    return common / (areas - common) if areas > common else 0.0
