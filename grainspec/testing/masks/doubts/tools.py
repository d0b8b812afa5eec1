"""What labelling tools write that is doubtful: which object is meant, what is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec.testing.masks.coco import run_lengths
from grainspec.testing.masks.cvat import polygon
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
from grainspec.testing.masks.outlines import columns_of, ring_of

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


def _xml(body: str, options: str = "") -> Write:
    def write(folder: Path) -> str:
        (folder / "m.xml").write_text(body)
        return f'masks("m.xml"{options})'

    return write


def _tracks(
    shape: Callable[[Frame, str], str],
    options: str = "",
    *,
    frames: Sequence[int] = (0, 1, 2),
    meta: str = "",
    tracks: int = 2,
) -> Write:
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    body = ""
    for number, masks in list(enumerate((ONE, OTHER)))[:tracks]:
        shapes = "".join(
            shape(mask, f'frame="{frame}" outside="0"')
            for frame, mask in zip(frames, masks, strict=False)
        )
        body += f'<track id="{number}" label="man">{shapes}</track>'
    task = f"<meta><task><size>3</size>{meta}{size}</task></meta>"
    return _xml(f"<annotations>{task}{body}</annotations>", options)


def _bits(change: Callable[[list[int]], list[int]], left: int = 0) -> Callable[[Frame, str], str]:
    """A mask of the whole frame, whose runs are changed."""

    def shape(mask: Frame, about: str) -> str:
        runs = ",".join(map(str, change(columns_of(mask.T))))
        size = f'left="{left}" top="0" width="{WIDTH}" height="{HEIGHT}"'
        return f'<mask {about} rle="{runs}" {size}/>'

    return shape


def _labelme(shapes: list[Document], options: str = "") -> Write:
    def write(folder: Path) -> str:
        (folder / "m").mkdir()
        document = {"shapes": shapes, "imageHeight": HEIGHT, "imageWidth": WIDTH}
        for number in range(FRAMES):
            (folder / "m" / f"{number}.json").write_text(json.dumps(document))
        return f'masks("m"{options})'

    return write


def _shape(label: str, frame: Frame, **more: Any) -> Document:
    return {"label": label, "points": [[*point] for point in ring_of(frame)], **more}


def _yolo(*lines: str, options: str = "") -> Write:
    def write(folder: Path) -> str:
        (folder / "m").mkdir()
        for number in range(FRAMES):
            (folder / "m" / f"{number}.txt").write_text("\n".join(lines))
        return f'masks("m"{options})'

    return write


def _file(name: str) -> Write:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(b"\x00")
        return f'masks("{name}")'

    return write


_TRACK: Callable[[int], Document] = lambda n: {"category_id": 1, "track_id": n}  # noqa: E731
_KIND: Callable[[int], Document] = lambda n: {"category_id": n}  # noqa: E731
_LINE = "0.1 0.1 0.5 0.1 0.5 0.5"
_LINE_2 = "0.6 0.6 0.9 0.6 0.9 0.9"


def _of_coco() -> dict[str, Case]:
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


def _of_cvat() -> dict[str, Case]:
    third = "<start_frame>0</start_frame><frame_filter>step=3</frame_filter>"
    images = "".join(
        f'<image id="{k}" name="{k}.png" width="{WIDTH}" height="{HEIGHT}">'
        + polygon(ONE[k], 'label="man"')
        + polygon(OTHER[k], 'label="man"')
        + "</image>"
        for k in range(FRAMES)
    )
    return {
        "CVAT, two tracks": doubtful(
            "G320", _tracks(polygon), "`index 0` (man) and `index 1` (man)", "masks(…, index 0)"
        ),
        "CVAT, one track": good(_tracks(polygon, tracks=1), ONE),
        "CVAT, two shapes of a label": doubtful(
            "G320", _xml(f"<annotations>{images}</annotations>")
        ),
        "CVAT, no shape": doubtful("G308", _xml("<annotations/>"), "no shape with an area"),
        "CVAT, key frames only": doubtful(
            "G308",
            _tracks(polygon, ", index 0", frames=(0, 2)),
            "no shape on frame 1",
            "interpolated",
        ),
        "CVAT, beside the step": doubtful(
            "G308",
            _tracks(polygon, ", index 0", frames=(0, 3, 5), meta=third),
            "a shape is on frame 5, and the task has only the frames 0, 3",
        ),
        "CVAT, too few runs": doubtful("G308", _tracks(_bits(lambda runs: runs[:-1])), "add up"),
        "CVAT, too many runs": doubtful("G308", _tracks(_bits(lambda runs: [*runs, 1])), "add up"),
        "CVAT, beyond the frame": doubtful(
            "G308", _tracks(_bits(lambda runs: runs, left=1), ", index 0"), "beyond the frame"
        ),
        "CVAT, before the frame": doubtful(
            "G308", _tracks(_bits(lambda runs: runs, left=-1), ", index 0"), "beyond the frame"
        ),
        "CVAT, no points": doubtful(
            "G308", _tracks(lambda mask, about: f"<polygon {about}/>"), "has no `points`"
        ),
        "CVAT, a cuboid": doubtful(
            "G308", _tracks(lambda mask, about: f"<cuboid {about}/>"), "`cuboid`"
        ),
        "CVAT, a frame that is no number": doubtful(
            "G308", _xml('<annotations><track id="0"><box frame="x"/></track></annotations>')
        ),
        "CVAT, a document type": doubtful(
            "G308", _xml('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>'), "document type"
        ),
        "CVAT, too deep": doubtful("G308", _xml("<annotations>" + "<a>" * 99), "too deeply"),
        "CVAT, no XML": doubtful("G308", _xml("none"), "not XML"),
        "Pascal VOC": doubtful("G323", _xml("<annotation/>"), "Pascal VOC", "SegmentationObject"),
        "other XML": doubtful("G323", _xml("<svg/>"), "`svg`"),
        "CVAT, with a colour": doubtful("G205", _tracks(polygon, ', colour "#000000"'), "CVAT XML"),
    }


def _of_labelme_and_yolo() -> dict[str, Case]:
    man, dog = _shape("man", ONE[0]), _shape("dog", OTHER[0])
    return {
        "LabelMe, two labels": doubtful("G320", _labelme([man, dog]), "dog and man", 'label "man"'),
        "LabelMe, one label": good(_labelme([man])),
        "LabelMe, two shapes of a label": doubtful("G320", _labelme([man, man])),
        "LabelMe, two shapes of a group": good(
            _labelme([man | {"group_id": 3}, _shape("man", OTHER[0], group_id=3)]),
            np.stack([ONE[0] | OTHER[0]] * FRAMES),
        ),
        "LabelMe, index without groups": doubtful("G308", _labelme([man], ", index 1")),
        "LabelMe, a point": doubtful(
            "G308", _labelme([man | {"points": [[1, 2]], "shape_type": "point"}]), "`point`"
        ),
        "LabelMe, a rectangle of three": doubtful(
            "G308", _labelme([man | {"points": [[1, 2]] * 3, "shape_type": "rectangle"}])
        ),
        "LabelMe, a circle of three": doubtful(
            "G308", _labelme([man | {"points": [[1, 2]] * 3, "shape_type": "circle"}])
        ),
        "LabelMe, two points": doubtful(
            "G308", _labelme([man | {"points": [[1, 2], [3, 4]]}]), "three points"
        ),
        "LabelMe, no points": doubtful("G308", _labelme([{"label": "a"}]), "broken"),
        "LabelMe, NaN": doubtful("G308", _labelme([man | {"points": [[1, float("nan")]] * 3}])),
        "YOLO, two of a class": doubtful("G320", _yolo(f"0 {_LINE}", f"0 {_LINE_2}"), 'label "0"'),
        "YOLO, two classes": doubtful("G320", _yolo(f"0 {_LINE}", f"1 {_LINE_2}"), "0 and 1"),
        "YOLO, one of two classes": good(_yolo(f"0 {_LINE}", f"1 {_LINE_2}", options=", index 1")),
        "YOLO, boxes": doubtful("G308", _yolo("0 0.1 0.2 0.3 0.4"), "boxes, not outlines"),
        "YOLO, boxes with confidences": doubtful("G308", _yolo("0 0.1 0.2 0.3 0.4 0.9"), "boxes"),
        "YOLO, a name": doubtful("G308", _yolo(f"man {_LINE}"), "number of a class"),
        "YOLO, two points": doubtful("G308", _yolo("0 0.1 0.2"), "three points"),
        "YOLO, NaN": doubtful("G308", _yolo("0 0.1 nan 0.3 0.4 0.5 0.6"), "three points"),
        "YOLO, no number": doubtful("G308", _yolo("0 0.1 x 0.3 0.4 0.5 0.6"), "could not convert"),
        "YOLO, with alpha": doubtful(
            "G205", _yolo(f"0 {_LINE}", options=", alpha"), "LabelMe or YOLO"
        ),
    }


_UNREAD = {
    "zip": "unzip m.zip -d m",
    "tar": "tar -xf m.tar -C m",
    "tar.gz": "tar -xf m.tar.gz -C m",
    "tgz": "an archive",
    "7z": "7z x m.7z -om",
    "rar": "RAR",
    "pkl": "pickle",
    "pt": "PyTorch",
    "pth": "PyTorch",
    "mat": "MATLAB",
    "h5": "HDF5",
    "tfrecord": "TFRecord",
    "csv": "a table",
    "parquet": "a table",
    "exr": "OpenEXR",
    "psd": "Photoshop",
    "svg": "SVG",
    "heic": "HEIC",
    "gif": "from 1",
    "ndjson": "list of JSON documents",
    "jsonl": "list of JSON documents",
    "yaml": "data set",
    "yml": "data set",
}


def tool_cases() -> dict[str, Case]:
    """Cases about labelling tools, and about formats that are not read."""
    unread = {
        f"format .{suffix}": doubtful("G323", _file(f"m.{suffix}"), says)
        for suffix, says in _UNREAD.items()
    }
    return {**_of_coco(), **_of_cvat(), **_of_labelme_and_yolo(), **unread}
