"""COCO JSON that is doubtful: which object is meant, what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec.testing.masks.coco import run_lengths
from grainspec.testing.masks.doubts.case import (
    FRAMES,
    HEIGHT,
    ONE,
    OTHER,
    WIDTH,
    Case,
    Write,
    doubtful,
    good,
)

Document = dict[str, Any]
BOTH = ONE | OTHER
Frame = npt.NDArray[np.bool_]


def _json(document: Any, options: str = "") -> Write:
    def write(folder: Path) -> str:
        (folder / "m.json").write_text(
            document if isinstance(document, str) else json.dumps(document)
        )
        return f'masks("m.json"{options})'

    return write


def _coco(
    about: Callable[[int], Document],
    options: str = "",
    *,
    objects: Sequence[int] = (1, 2),
    names: Sequence[str] = ("f0.png", "f1.png", "f2.png"),
    change: Callable[[Document], None] = lambda document: None,
) -> Write:
    """A data set of both objects; ``about`` are an annotation's other fields."""
    images = [
        {"id": 9 - k, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for k, name in enumerate(names)
    ]
    annotations = [
        {"image_id": 9 - k, "segmentation": run_lengths((ONE, OTHER)[n - 1][k]), **about(n)}
        for n in objects
        for k in range(len(names))
    ]
    categories = [{"id": 1, "name": "man"}, {"id": 2, "name": "dog"}]
    document: Document = {"images": images, "annotations": annotations, "categories": categories}
    change(document)
    return _json(document, options)


def _without(key: str, place: int) -> Callable[[Document], None]:
    """Remove a field from an annotation."""
    return lambda document: document["annotations"][place].pop(key)


def _with(place: int, **fields: Any) -> Callable[[Document], None]:
    return lambda document: document["annotations"][place].update(fields)


def _youtube(options: str = "", videos: int = 1, length: int = FRAMES) -> Write:
    video = {"id": 9, "width": WIDTH, "height": HEIGHT, "length": length}
    annotations = [
        {
            "id": number,
            "video_id": 9,
            "category_id": 3,
            "segmentations": [run_lengths(mask) for mask in masks],
        }
        for number, masks in ((1, ONE), (2, OTHER))
    ]
    document = {"videos": [video] * videos, "annotations": annotations, "categories": []}
    return _json(document, options)


_TRACK: Callable[[int], Document] = lambda n: {"category_id": 1, "track_id": n}  # noqa: E731
_KIND: Callable[[int], Document] = lambda n: {"category_id": n}  # noqa: E731


def coco_cases() -> dict[str, Case]:
    """Cases about COCO JSON and YouTube-VIS."""
    runs = [run_lengths(mask) for mask in ONE]
    return {
        "COCO, two tracks": doubtful(
            "G320", _coco(_TRACK), "`index 1` (man) and `index 2` (man)", "masks(…, index 1)"
        ),
        "COCO, two categories": doubtful("G320", _coco(_KIND), "dog and man", 'label "man"'),
        "COCO, two without anything": doubtful("G320", _coco(lambda n: {}), "track_id"),
        "COCO, one track of two": good(_coco(_TRACK, ", index 2"), OTHER),
        "COCO, both by label": good(_coco(_TRACK, ', label "man"'), BOTH),
        "COCO, one without a number": good(_coco(lambda n: {}, objects=[2]), OTHER),
        "COCO, a shared index": doubtful(
            "G325", _coco(lambda n: {"category_id": 1}, ", index 1"), "several objects", "track_id"
        ),
        "COCO, a shared number": doubtful(
            "G325",
            _coco(lambda n: {"category_id": n, "track_id": 1}, ", index 1"),
            "`index 1` (dog) and `index 1` (man)",
            'label "man"',
        ),
        "COCO, a shared number and a label": good(
            _coco(lambda n: {"category_id": n, "track_id": 1}, ', index 1, label "dog"'), OTHER
        ),
        "COCO, an index without numbers": doubtful("G308", _coco(lambda n: {}, ", index 1")),
        "COCO, no such index": doubtful(
            "G307", _coco(_TRACK, ", index 7"), "index 7", "objects `index 1` (man)"
        ),
        "COCO, no such label": doubtful("G307", _coco(_TRACK, ', label "cat"'), "label cat"),
        "COCO, an annotation without its number": doubtful(
            "G308",
            _coco(_TRACK, ", index 1", change=_without("track_id", 2)),
            "frame 2",
            "without a number",
        ),
        "COCO, another object without a number": good(
            _coco(
                lambda n: {"category_id": n, "track_id": n},
                ", index 1",
                change=_without("track_id", 5),
            ),
            ONE,
        ),
        "COCO, no number on a frame that is not used": good(
            _coco(_TRACK, ", index 1", change=_without("track_id", 2)),
            ONE[:2],
            video='"../clip" frames 0..1',
        ),
        "COCO, a box only": doubtful(
            "G308",
            _coco(_TRACK, ", index 1", change=_with(1, segmentation=[], bbox=[3, 4, 9, 9])),
            "box only",
        ),
        "COCO, an empty box": good(
            _coco(_TRACK, ", index 2", change=_with(1, segmentation=[], bbox=[3, 4, 0, 9])), OTHER
        ),
        "COCO, no segmentation": doubtful(
            "G308", _coco(_TRACK, change=_without("segmentation", 0)), "no `segmentation`"
        ),
        "COCO, no image_id": doubtful(
            "G308", _coco(_TRACK, change=_without("image_id", 0)), "no `image_id`"
        ),
        "COCO, an unknown image": doubtful(
            "G308", _coco(_TRACK, change=_with(0, image_id=77)), "77, which no image has"
        ),
        "COCO, the same frame twice": doubtful(
            "G308", _coco(_TRACK, names=["a/1.png", "b/1.png", "a/2.png"]), "both frame 1"
        ),
        "COCO, names without numbers": doubtful(
            "G324", _coco(_TRACK, ", index 1", names=["a.png", "b.png", "c.png"]), "by order"
        ),
        "COCO, names of two numbers": doubtful(
            "G324", _coco(_TRACK, ", index 1", names=["0_1.png", "1_2.png", "2_3.png"]), "by order"
        ),
        "COCO, names without numbers, in order": good(
            _coco(_TRACK, ", index 1, in_order", names=["a.png", "b.png", "c.png"]), ONE
        ),
        "COCO, random names": doubtful(
            "G322",
            _coco(_TRACK, ", index 1", names=["5f1c2a90.png", "c3d4e5f6.png", "1a2b3c4d.png"]),
            "are random, such as 5f1c2a90",
        ),
        "COCO, a random name of two": doubtful(
            "G324",
            _coco(_TRACK, ", index 1", names=["5f1c2a90.png", "clip.png"]),
            "by order",
            video='"../clip" frames 0..1',
        ),
        "COCO, one random name": doubtful(
            "G324",
            _coco(_TRACK, ", index 1", names=["5f1c2a90.png"]),
            "by order",
            video='"../clip" frames 0..0',
        ),
        "COCO, other numbers": doubtful(
            "G305", _coco(_TRACK, ", index 1", names=["1.png", "2.png", "3.png"]), "`from 1`"
        ),
        "COCO, no frames": doubtful("G308", _json([]), "no frames"),
        "COCO, no list": doubtful("G308", _json({"a": 1}), "nor a COCO dataset"),
        "COCO, no JSON": doubtful("G308", _json("{'a': 1}")),
        "COCO, too deep": doubtful("G308", _json("[" * 100_000)),
        "COCO, only null": doubtful("G307", _json([None] * FRAMES)),
        "COCO, an image twice in a list": doubtful(
            "G308", _json([{"image_id": 1, "segmentation": one} for one in runs]), "same image_id"
        ),
        "COCO, too few runs": doubtful(
            "G308", _json([{"size": [HEIGHT, WIDTH], "counts": [5]}] * FRAMES), "add up to 5 pixels"
        ),
        "COCO, a negative run": doubtful(
            "G308",
            _json([{"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH + 1, -1]}] * FRAMES),
            "list of run lengths",
        ),
        "COCO, another size": doubtful(
            "G306", _json([run_lengths(mask[::2, ::2]) for mask in ONE]), "80x60", "scaled"
        ),
        "COCO, swapped sizes": doubtful(
            "G306", _json([run_lengths(mask.T) for mask in ONE]), "on their side"
        ),
        "COCO, truncated text": doubtful(
            "G308", _json([{"size": [HEIGHT, WIDTH], "counts": "P"}] * FRAMES), "truncated"
        ),
        "COCO, an invalid character": doubtful(
            "G308", _json([{"size": [HEIGHT, WIDTH], "counts": "é"}] * FRAMES), "invalid character"
        ),
        "COCO, two points": doubtful("G308", _json([[[1, 1, 5, 5]]] * FRAMES), "three points"),
        "COCO, an odd number": doubtful("G308", _json([[[1] * 7]] * FRAMES), "three points"),
        "COCO, null as a number": doubtful("G308", _json([[[None] * 6]] * FRAMES)),
        "COCO, with a threshold": doubtful(
            "G205", _json(runs, ", threshold 50%"), "Options for COCO JSON: `index`, `label`"
        ),
        "YouTube-VIS, two objects": doubtful("G320", _youtube(), "`index 1` (3) and `index 2` (3)"),
        "YouTube-VIS, one of two": good(_youtube(", index 2"), OTHER),
        "YouTube-VIS, two videos": doubtful("G308", _youtube(videos=2), "keep only the clip's own"),
        "YouTube-VIS, another length": doubtful("G308", _youtube(length=4), "has 3 masks, not 4"),
        "YouTube-VIS, no length": doubtful("G308", _youtube(length=0), "`file_names`".strip("`")),
    }
