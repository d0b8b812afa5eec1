"""Read CVAT's XML, of images and of videos.

The document is parsed with the standard library. Document types are refused, so entities cannot be
declared: they could grow without limit or name other files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from xml.parsers import expat

from grainspec.limits import MAX_JSON_NODES
from grainspec.regions.labels import MAX_FRAMES, Ellipse, Labelled, Labels, PlacedRuns, file_name

_AREAS = {"polygon", "box", "mask", "ellipse"}
"""Shapes that are read; `points`, `polyline` and `tag` have no area, and are left out."""
_UNREAD = {"cuboid", "skeleton"}
_CORNERS = 64


class NotCvat(ValueError):
    """The XML document is not CVAT's; ``root`` is its outermost element."""

    def __init__(self, root: str) -> None:
        self.root = root
        super().__init__(f"its outermost element is `{root[:40]}`, not `annotations`")


def labels_of_cvat(content: bytes) -> Labels:
    """The objects of a CVAT document.

    Raises NotCvat for other XML, ValueError for documents that are broken.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(content, True)
        return reader.labels()
    except expat.ExpatError as error:
        raise ValueError(f"it is not XML: {error}") from error
    except KeyError as error:
        raise ValueError(f"a shape or frame has no `{error.args[0]}`") from error
    except (TypeError, OverflowError) as error:
        raise ValueError(f"a shape is broken: {error}") from error


def _refuse_doctype(*_: Any) -> None:
    raise ValueError("it declares a document type, which is not read")


class _Reader:
    """Collects frames and shapes as the parser meets them."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.elements = 0
        self.meta: dict[str, str] = {}
        self.images: list[dict[str, str]] = []
        self.track: dict[str, str] = {}
        self.shapes: list[Labelled] = []
        self.last: tuple[int, bool] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self.path and name != "annotations":
            raise NotCvat(name)
        self.elements += 1
        if len(self.path) > 50 or self.elements > MAX_JSON_NODES:
            raise ValueError("it is nested too deeply, or has too many elements")
        self.path.append(name)
        if name == "image":
            self.images.append(attributes)
        elif name == "track":
            self.track, self.last = attributes, None
        elif name in _UNREAD:
            raise ValueError(f"shapes of the kind `{name}` are not read; outline the objects")
        elif name in _AREAS and "meta" not in self.path:
            self._shape(name, attributes)

    def end(self, name: str) -> None:
        self.path.pop()
        if name == "track":
            self.track = {}

    def text(self, text: str) -> None:
        if "meta" in self.path and text.strip():
            self.meta.setdefault(self.path[-1], text.strip())

    def _shape(self, name: str, attributes: dict[str, str]) -> None:
        number: int | None
        if self.track:
            frame = int(attributes["frame"])
            outside = attributes.get("outside") == "1"
            self._refuse_gap(frame)
            self.last = frame, outside
            if outside:
                return
            number = int(self.track["id"])
            label = self.track.get("label", "")
        else:
            frame = len(self.images) - 1
            group = attributes.get("group_id", "0")
            number = int(group) if group != "0" else None
            label = attributes.get("label", "")
        segmentation = _segmentation(name, attributes)
        self.shapes.append(Labelled(frame, segmentation, number=number, label=label))

    def _refuse_gap(self, frame: int) -> None:
        """Refuse tracks of which only the key frames were exported."""
        if self.last and not self.last[1] and frame > self.last[0] + self._step():
            missing = self.last[0] + self._step()
            message = f"track {self.track['id']} has no shape on frame {missing}; export "
            raise ValueError(f"{message}it with its interpolated frames, as CVAT does by default")

    def labels(self) -> Labels:
        """What was collected."""
        if self.images:
            sizes = [[int(image["height"]), int(image["width"])] for image in self.images]
            labels = Labels(sizes=sizes, objects=self.shapes)
            labels.number_by_names([file_name(image["name"]) for image in self.images])
            return labels
        numbers = self._numbers()
        width, height = self.meta.get("width"), self.meta.get("height")
        size = [int(height), int(width)] if width and height else None
        place = {number: index for index, number in enumerate(numbers)}
        for shape in self.shapes:
            if shape.frame not in place:
                message = f"a shape is on frame {shape.frame}, and the task has only the frames "
                raise ValueError(message + ", ".join(map(str, numbers[:3])) + ", …")
        objects = [replace(shape, frame=place[shape.frame]) for shape in self.shapes]
        return Labels(sizes=[size] * len(numbers), objects=objects, numbers=numbers)

    def _numbers(self) -> Sequence[int]:
        """The frames of a video: all that the task has, whether with shapes or without."""
        used = [shape.frame for shape in self.shapes]
        if not used:
            raise ValueError("it has no shape with an area")
        first = int(self.meta.get("start_frame") or 0)
        last = int(self.meta.get("stop_frame") or int(self.meta.get("size") or 0) - 1)
        first, last = min(first, *used), max(last, *used)
        if first < 0 or last - first >= MAX_FRAMES:
            raise ValueError(f"it has the frames {first} to {last}")
        return range(first, last + 1, self._step())

    def _step(self) -> int:
        """Every n-th frame of the video has shapes, if the task was made so."""
        found = re.search(r"step=(\d{1,6})", self.meta.get("frame_filter", ""))
        return max(1, int(found[1])) if found else 1


def _segmentation(name: str, attributes: dict[str, str]) -> Any:
    turn = float(attributes.get("rotation", 0))
    if name == "mask":
        counts = tuple(int(count) for count in attributes["rle"].split(","))
        left, top, width, height = (
            int(attributes[key]) for key in ("left", "top", "width", "height")
        )
        return PlacedRuns(left, top, width, height, counts)
    if name == "polygon":
        return [[float(number) for number in re.split("[,;]", attributes["points"])]]
    if name == "box":
        x0, y0, x1, y1 = (float(attributes[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return [_turned([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], turn)]
    x, y, across, down = (float(attributes[key]) for key in ("cx", "cy", "rx", "ry"))
    if not turn:
        return Ellipse(x - across, y - down, x + across, y + down)
    around = [2 * math.pi * step / _CORNERS for step in range(_CORNERS)]
    points = [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in around]
    return [_turned(points, turn)]


def _turned(points: list[tuple[float, float]], degrees: float) -> list[float]:
    """Points turned clockwise around their middle, as x and y in turn."""
    x = (min(x for x, _ in points) + max(x for x, _ in points)) / 2
    y = (min(y for _, y in points) + max(y for _, y in points)) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = [
        (x + (px - x) * cos - (py - y) * sin, y + (px - x) * sin + (py - y) * cos)
        for px, py in points
    ]
    return [number for point in turned for number in point]
