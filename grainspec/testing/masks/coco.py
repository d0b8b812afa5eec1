"""Masks as COCO JSON: lists, data sets and YouTube-VIS, with run lengths and polygons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grainspec.regions.layout import Mask
from grainspec.testing.masks.outlines import (
    Frame,
    boxes_of,
    columns_of,
    compressed,
    ring_of,
)
from grainspec.testing.masks.written import Writer, Written, beside

Encode = Callable[[Frame], Any]


def run_lengths(mask: Frame) -> dict[str, Any]:
    """Run lengths as a list."""
    return {"size": [*mask.shape], "counts": columns_of(mask)}


def compressed_runs(mask: Frame) -> dict[str, Any]:
    """Run lengths as a text."""
    return {"size": [*mask.shape], "counts": compressed(columns_of(mask))}


def rings(mask: Frame) -> list[list[int]]:
    """A polygon for each run of pixels."""
    return [[x0, y0, x1, y0, x1, y1, x0, y1] for x0, y0, x1, y1 in boxes_of(mask)]


def one_ring(mask: Frame) -> list[list[int]]:
    """One polygon, which crosses itself where the mask has gaps; none for an empty mask."""
    return [[number for point in ring_of(mask) for number in point]] if mask.any() else []


def _save(folder: Path, document: Any) -> None:
    (folder / "m.json").write_text(json.dumps(document))


def _list(encode: Encode, wrap: Callable[[list[Any]], Any] = lambda entries: entries) -> Writer:
    """A list with a segmentation for each frame, null for frames without the object."""

    def write(folder: Path, masks: Mask) -> Written:
        _save(folder, wrap([encode(mask) if mask.any() else None for mask in masks]))
        return Written('masks("m.json")')

    return write


def _entries(segmentations: list[Any]) -> Any:
    """Entries of the form that evaluation tools write."""
    return [
        {"image_id": 9 - number, "score": 0.5, "segmentation": found}
        for number, found in enumerate(segmentations)
    ]


def _data_set(
    about: Callable[[int], dict[str, Any]],
    options: str,
    encode: Encode = run_lengths,
    *,
    first: int = 0,
    both: bool = False,
    invert: bool = False,
) -> Writer:
    """A data set of two objects, 4 and 5; ``about`` are the other fields of an object.

    Its images are in another order than their numbers, which is not that of the names either.
    ``both`` objects are the region together.
    """

    def write(folder: Path, masks: Mask) -> Written:
        height, width = masks.shape[1:]
        other = beside(masks)
        count = len(masks)
        images = [
            {"id": 50 + k, "file_name": f"a\\b/f{first + k}.jpg", "width": width, "height": height}
            for k in [*range(1, count, 2), *range(0, count, 2)][::-1]
        ]
        annotations = [
            {"id": 10 * k + n, "image_id": 50 + k, "segmentation": encode(mask), **about(n)}
            for k in range(count)
            for n, mask in ((4, masks[k]), (5, other[k]))
            if mask.any()
        ]
        names = {1: "man", 2: "dog", 4: "cat", 5: "cow"}
        categories = [{"id": n, "name": name} for n, name in names.items()]
        document = {"images": images, "annotations": annotations, "categories": categories}
        _save(folder, document)
        drawn = masks | other if both else masks
        return Written(f'masks("m.json"{options})', ~drawn if invert else drawn)

    return write


def _alone(folder: Path, masks: Mask) -> Written:
    """One object in several annotations of a frame, which are told apart by their frame only."""
    height, width = masks.shape[1:]
    images = [
        {"id": k, "file_name": f"{k}.png", "width": width, "height": height}
        for k in range(len(masks))
    ]
    left, right = masks.copy(), masks.copy()
    left[:, :, width // 2 :], right[:, :, : width // 2] = False, False
    annotations = [
        {"image_id": k, "segmentation": run_lengths(half[k]), "iscrowd": 1, "track_id": 3}
        for half in (left, right)
        for k in range(len(masks))
    ]
    _save(folder, {"images": images, "annotations": annotations})
    return Written('masks("m.json")')


def _names_by_order(folder: Path, masks: Mask) -> Written:
    """Names without numbers, in the order of the alphabet."""
    height, width = masks.shape[1:]
    names = [chr(ord("a") + k) * 3 + ".png" for k in range(len(masks))]
    images = [
        {"id": name, "file_name": name, "width": width, "height": height} for name in names[::-1]
    ]
    annotations = [
        {"image_id": name, "segmentation": run_lengths(mask)}
        for name, mask in zip(names, masks, strict=True)
    ]
    _save(folder, {"images": images, "annotations": annotations})
    return Written('masks("m.json", in_order)')


def _empty_boxes(folder: Path, masks: Mask) -> Written:
    """Annotations with an empty segmentation and an empty box, where the object is hidden."""
    height, width = masks.shape[1:]
    images = [
        {"id": k, "file_name": f"{k}.png", "width": width, "height": height}
        for k in range(len(masks))
    ]
    annotations = [
        {"image_id": k, "segmentation": rings(mask), "bbox": [0, 0, float(mask.any()) * 5, 5]}
        for k, mask in enumerate(masks)
    ]
    _save(folder, {"images": images, "annotations": annotations})
    return Written('masks("m.json")')


def _tracks(options: str, encode: Encode, *, length: bool, both: bool = False) -> Writer:
    """YouTube-VIS: an annotation for each object, with a mask for each frame."""

    def write(folder: Path, masks: Mask) -> Written:
        count, height, width = masks.shape
        video: dict[str, Any] = {"id": 9, "width": width, "height": height}
        video |= {"length": count} if length else {"file_names": ["x.jpg"] * count}
        other = beside(masks)
        annotations = [
            {
                "id": number,
                "video_id": 9,
                "category_id": 3,
                "segmentations": [encode(mask) if mask.any() else None for mask in drawn],
            }
            for number, drawn in ((7, masks), (3, other))
        ]
        elsewhere = {"id": 7, "video_id": 8, "category_id": 3, "segmentations": []}
        document = {
            "videos": [video],
            "annotations": [elsewhere, *annotations],
            "categories": [{"id": 3, "name": "man"}],
        }
        _save(folder, document)
        return Written(f'masks("m.json", {options})', masks | other if both else masks)

    return write


def coco_formats() -> dict[str, Writer]:
    """Writers of COCO JSON, by what they write."""
    formats: dict[str, Writer] = {
        "COCO, run lengths": _list(run_lengths),
        "COCO, compressed run lengths": _list(compressed_runs),
        "COCO, polygons": _list(rings),
        "COCO, one polygon": _list(one_ring),
        "COCO, under `segmentations`": _list(
            run_lengths, lambda entries: {"segmentations": entries, "version": 1}
        ),
        "COCO, entries with a segmentation": _list(compressed_runs, _entries),
        "COCO, an object in several annotations": _alone,
        "COCO, names without numbers, in order": _names_by_order,
        "COCO, empty boxes": _empty_boxes,
        "YouTube-VIS": _tracks("index 7", run_lengths, length=True),
        "YouTube-VIS, compressed": _tracks("index 7", compressed_runs, length=False),
        "YouTube-VIS, label": _tracks('label "man"', run_lengths, length=True, both=True),
    }
    numbers: dict[str, Callable[[int], dict[str, Any]]] = {
        "track_id": lambda n: {"category_id": 1, "track_id": n},
        "instance_id": lambda n: {"category_id": 1, "instance_id": n, "attributes": {"a": 1}},
        "object_id": lambda n: {"category_id": 1, "attributes": {"object_id": str(n)}},
        "attributes": lambda n: {"category_id": 1, "attributes": {"track_id": n, "z": None}},
        "category_id": lambda n: {"category_id": n, "iscrowd": 1},
    }
    for name, about in numbers.items():
        formats[f"COCO data set, {name}"] = _data_set(about, ", index 4")
    track = numbers["track_id"]
    formats["COCO data set, polygons"] = _data_set(track, ", index 4", rings)
    formats["COCO data set, compressed"] = _data_set(track, ", index 4", compressed_runs)
    formats["COCO data set, inverted"] = _data_set(track, ", index 4, invert", invert=True)
    formats["COCO data set, from 8"] = _data_set(track, ", index 4, from 8", first=8)
    formats["COCO data set, label of both"] = _data_set(track, ', label "man"', both=True)
    labelled = numbers["category_id"]
    formats["COCO data set, label"] = _data_set(labelled, ', label "cat"')
    formats["COCO data set, label by number"] = _data_set(
        lambda n: {"category_id": n + 100}, ', label "104"'
    )
    formats["COCO data set, index in a label"] = _data_set(
        lambda n: {"category_id": n // 3, "instance_id": 0}, ', index 0, label "man"', both=True
    )
    formats["COCO data set, index 0"] = _data_set(
        lambda n: {"category_id": 1, "track_id": n - 4}, ", index 0"
    )
    return formats
