"""Masks as LabelMe's JSON and as YOLO's segmentation labels: a file for each frame."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.masks.outlines import Frame, bounds_of, boxes_of, centres, ring_of
from grainspec.testing.masks.written import Writer, Written, beside, folder_of

Shapes = Callable[[Frame], list[dict[str, Any]]]


def _polygon(mask: Frame) -> list[dict[str, Any]]:
    return [{"points": [[x, y] for x, y in ring_of(mask)], "shape_type": "polygon"}]


def _rectangles(mask: Frame) -> list[dict[str, Any]]:
    """A rectangle for each run, some of them by the other two corners."""
    return [
        {"points": [[x1, y0], [x0, y1]] if y0 % 2 else [[x0, y0], [x1, y1]]}
        | {"shape_type": "rectangle"}
        for x0, y0, x1, y1 in boxes_of(mask)
    ]


def _labelme(
    shapes: Shapes,
    options: str,
    about: Callable[[int], dict[str, Any]],
    *,
    path: str = "m",
    first: int = 0,
    sizes: bool = True,
    both: bool = False,
    pictures: bool = False,
) -> Writer:
    """Documents of two objects, 4 and 5."""

    def write(folder: Path, masks: Mask) -> Written:
        (folder / "m").mkdir()
        height, width = masks.shape[1:]
        other = beside(masks)
        for number in range(len(masks)):
            found = [
                {**about(n), **shape}
                for n, mask in ((4, masks[number]), (5, other[number]))
                if mask.any()
                for shape in shapes(mask)
            ]
            size = {"imageHeight": height, "imageWidth": width} if sizes else {}
            document = {"version": "5.4", "flags": {}, "shapes": found, "imagePath": "x", **size}
            (folder / "m" / f"f_{first + number}.json").write_text(json.dumps(document))
        if pictures:
            noise = np.random.default_rng(0).integers(0, 255, (*masks.shape, 3), np.uint8)
            numbers = range(first, first + len(masks))
            folder_of(folder / "m", noise, "f_{}.png", numbers=numbers)
        return Written(f'masks("{path}"{options})', masks | other if both else masks)

    return write


def _circle(folder: Path, masks: Mask) -> Written:
    """A circle around the middle of the mask, through a point beside it."""
    (folder / "m").mkdir()
    height, width = masks.shape[1:]
    drawn = np.zeros_like(masks)
    for number, mask in enumerate(masks):
        shapes = []
        if (bounds := bounds_of(mask)) is not None:
            x0, y0, x1, y1 = bounds
            cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
            rim = cx + 0.31 * (x1 - x0) + 0.5, cy - 0.23 * (y1 - y0)
            radius = math.hypot(rim[0] - cx, rim[1] - cy)
            shapes = [{"label": "a", "points": [[cx, cy], [*rim]], "shape_type": "circle"}]
            x, y = centres((height, width))
            drawn[number] = (x - cx) ** 2 + (y - cy) ** 2 <= radius**2
        document = {"shapes": shapes, "imageHeight": height, "imageWidth": width}
        (folder / "m" / f"{number:05}.json").write_text(json.dumps(document))
    return Written('masks("m")', drawn)


def _one_document(folder: Path, masks: Mask) -> Written:
    """A single file, for a single frame."""
    frame = int(np.flatnonzero(masks.any(axis=(1, 2)))[0])
    height, width = masks.shape[1:]
    shapes = [{"label": "a", "group_id": None, **shape} for shape in _polygon(masks[frame])]
    document = {"shapes": shapes, "imageHeight": height, "imageWidth": width}
    (folder / f"f{frame}.json").write_text(json.dumps(document))
    video = f'video "../clip" {{ frames {frame}..{frame} }}'
    return Written(f'masks("f{frame}.json")', masks[frame : frame + 1], video)


def _yolo(
    options: str, line: Callable[[int, str], str], *, path: str = "m", both: bool = False
) -> Writer:
    """Labels of two objects, 4 and 5, beside a list of the classes."""

    def write(folder: Path, masks: Mask) -> Written:
        (folder / "m").mkdir()
        (folder / "m" / "classes.txt").write_text("man\ndog\n")
        other = beside(masks)
        for number in range(len(masks)):
            lines = [
                line(n, _shares(mask))
                for n, mask in ((4, masks[number]), (5, other[number]))
                if mask.any()
            ]
            (folder / "m" / f"clip_{number}.txt").write_text("\n".join([*lines, ""]))
        return Written(f'masks("{path}"{options})', masks | other if both else masks)

    return write


def _shares(mask: Frame) -> str:
    """The outline in shares of the width and the height."""
    height, width = mask.shape
    return " ".join(f"{x / width!r} {y / height!r}" for x, y in ring_of(mask))


def labelme_and_yolo_formats() -> dict[str, Writer]:
    """Writers of LabelMe and YOLO files, by what they write."""

    def grouped(n: int) -> dict[str, Any]:
        return {"label": "man", "group_id": n}

    def named(n: int) -> dict[str, Any]:
        return {"label": "man" if n == 4 else "dog", "group_id": None}

    return {
        "LabelMe, polygon": _labelme(_polygon, ", index 4", grouped),
        "LabelMe, rectangle": _labelme(_rectangles, ", index 4", grouped, path="m/*.json"),
        "LabelMe, index 0": _labelme(
            _polygon, ", index 0", lambda n: {"label": "man", "group_id": n - 4}
        ),
        "LabelMe, label": _labelme(_rectangles, ', label "man"', named),
        "LabelMe, label of both": _labelme(_polygon, ', label "man"', grouped, both=True),
        "LabelMe, from 9": _labelme(_polygon, ", index 4, from 9", grouped, first=9),
        "LabelMe, without a size": _labelme(_polygon, ", index 4", grouped, sizes=False),
        "LabelMe, beside its pictures": _labelme(_polygon, ", index 4", grouped, pictures=True),
        "LabelMe, circle": _circle,
        "LabelMe, one document": _one_document,
        "YOLO, tracks": _yolo(", index 4", lambda n, outline: f"0 {outline} {n}"),
        "YOLO, confidences": _yolo(", index 1", lambda n, outline: f"{n - 3} {outline} 0.9{n}"),
        "YOLO, label": _yolo(', label "4"', lambda n, outline: f"{n} {outline}", path="m/*.txt"),
        "YOLO, index 0": _yolo(", index 0", lambda n, outline: f"{n - 4}  {outline} "),
        "YOLO, label of both": _yolo(
            ', label "0"', lambda n, outline: f"0 {outline} {n}", both=True
        ),
    }
