"""CVAT, LabelMe and YOLO files that are doubtful, and formats that are not read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec.testing.masks.cvat import polygon
from grainspec.testing.masks.doubts.case import (
    FRAMES,
    HEIGHT,
    ONE,
    OTHER,
    WIDTH,
    Case,
    Write,
    box,
    doubtful,
    good,
)
from grainspec.testing.masks.outlines import centres, columns_of, ring_of

Document = dict[str, Any]
Frame = npt.NDArray[np.bool_]


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


def _one_image(shape: str) -> str:
    """An image for each frame, all with the same shape."""
    images = ""
    for number in range(FRAMES):
        images += f'<image id="{number}" name="{number}.png" width="{WIDTH}" height="{HEIGHT}">'
        images += f"{shape}</image>"
    return f"<annotations>{images}</annotations>"


def _on_all_frames(frame: Frame) -> Frame:
    return np.stack([frame] * FRAMES)


def _round(x: float, y: float, across: float, down: float) -> Frame:
    """The pixels of an ellipse."""
    columns, rows = centres((HEIGHT, WIDTH))
    return np.asarray(((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1)


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


def _folder_of_json(document: Any) -> Write:
    def write(folder: Path) -> str:
        (folder / "m").mkdir()
        for number in range(FRAMES):
            (folder / "m" / f"{number}.json").write_text(json.dumps(document))
        return 'masks("m")'

    return write


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


_LINE = "0.1 0.1 0.5 0.1 0.5 0.5"
_LINE_2 = "0.6 0.6 0.9 0.6 0.9 0.9"


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
        "CVAT, a negative run": doubtful(
            "G308", _tracks(_bits(lambda runs: [runs[0] + 1, -1, *runs[1:]])), "add up"
        ),
        "CVAT, a large box": good(
            _xml(_one_image('<box label="a" xtl="10" ytl="10" xbr="150" ybr="110"/>')),
            _on_all_frames(box(10, 10, 150, 110)),
        ),
        "CVAT, a large ellipse": good(
            _xml(_one_image('<ellipse label="a" cx="80.2" cy="60.3" rx="70" ry="50"/>')),
            _on_all_frames(_round(80.2, 60.3, 70, 50)),
        ),
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
        "LabelMe, a line": doubtful(
            "G308", _labelme([man | {"points": [[1, 2], [9, 9]], "shape_type": "line"}]), "`line`"
        ),
        "LabelMe, two shapes of group -1": doubtful(
            "G320", _labelme([man | {"group_id": -1}, dog | {"group_id": -1, "label": "man"}])
        ),
        "LabelMe, a folder of other JSON": doubtful(
            "G308", _folder_of_json({"a": 1}), "not LabelMe's", "0.json"
        ),
        "LabelMe, two points": doubtful(
            "G308", _labelme([man | {"points": [[1, 2], [3, 4]]}]), "three points"
        ),
        "LabelMe, no points": doubtful("G308", _labelme([{"label": "a"}]), "broken"),
        "LabelMe, NaN": doubtful("G308", _labelme([man | {"points": [[1, float("nan")]] * 3}])),
        "YOLO, two of a class": doubtful("G320", _yolo(f"0 {_LINE}", f"0 {_LINE_2}"), 'label "0"'),
        "YOLO, two classes": doubtful("G320", _yolo(f"0 {_LINE}", f"1 {_LINE_2}"), "0 and 1"),
        "YOLO, one of two classes": good(_yolo(f"0 {_LINE}", f"1 {_LINE_2}", options=", index 1")),
        "YOLO, a class of 9 digits": good(_yolo(f"123456789 {_LINE}", options=", index 123456789")),
        "YOLO, a class of 10 digits": doubtful("G308", _yolo(f"1234567890 {_LINE}"), "1234567890"),
        "YOLO, a track of 9 digits": good(
            _yolo(f"0 {_LINE} 123456789", f"0 {_LINE_2} 4", options=", index 123456789")
        ),
        "YOLO, a number of 10 digits is no track": doubtful(
            "G307",
            _yolo(f"0 {_LINE} 1234567890", f"0 {_LINE_2} 4", options=", index 5"),
            "`index 4`",
        ),
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
    """Cases about CVAT, LabelMe and YOLO, and about formats that are not read."""
    unread = {
        f"format .{suffix}": doubtful("G323", _file(f"m.{suffix}"), says)
        for suffix, says in _UNREAD.items()
    }
    return {**_of_cvat(), **_of_labelme_and_yolo(), **unread}
