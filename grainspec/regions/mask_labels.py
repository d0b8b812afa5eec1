"""Masks from labelling tools: COCO, CVAT, LabelMe and YOLO; which objects are the region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import Diagnostic, GrainError, fail, visible
from grainspec.limits import MAX_JSON_BYTES, MAX_PIXELS
from grainspec.model.expressions import MaskFiles
from grainspec.regions.claims import require_size
from grainspec.regions.coco import labels_of_coco
from grainspec.regions.cvat import NotCvat, labels_of_cvat
from grainspec.regions.draw import draw
from grainspec.regions.labelme import is_labelme, labels_of_labelme
from grainspec.regions.labels import Labelled, Labels
from grainspec.regions.mask_images import numbered
from grainspec.regions.shade_findings import listed
from grainspec.regions.yolo import labels_of_yolo
from grainspec.regular_file import read_bytes, read_json

_BROKEN = (OSError, ValueError, TypeError, OverflowError, RecursionError)
_FORMS = {
    "COCO JSON": "It must be COCO JSON: a list with one segmentation per frame, or a dataset.",
    "CVAT XML": "Export it again as “CVAT for video” or “CVAT for images”, or as COCO JSON.",
    "LabelMe JSON": "Each file must be LabelMe's JSON of one frame, with outlines as polygons.",
    "YOLO segmentation labels": "Each line must be a class and an outline: `0 0.2 0.3 0.4 0.3 …`.",
}


class LabelMasks:
    """The selected objects of labels as masks, numbered as their frames.

    ``shape`` is the source frame's height and width, used for outlines without a size.
    """

    facts: ClipFacts | None = None

    def __init__(
        self, source: MaskFiles, place: Path, kind: str, labels: Labels, shape: tuple[int, int]
    ) -> None:
        self.source, self.place, self.kind, self.labels = source, place, kind, labels
        self.shape = shape
        if labels.random and not source.in_order:
            message = f"the names of the images in {place} are random, such as {labels.random}: "
            message += "which frames they are is unknown"
            cure = "Export them with the frames' numbers in the names, such as 00000.jpg."
            raise fail("G322", message, cure, source.span)
        numbers = labels.numbers
        self.numbers: Sequence[int] = range(len(labels.sizes)) if numbers is None else numbers
        self.uncounted = numbers is None
        self.by_order = labels.by_order
        self.frame_of = {number: frame for frame, number in enumerate(self.numbers)}
        self.used: set[int] = set()
        self.objects: dict[int, list[Labelled]] = {}
        for found in self._selected():
            self.objects.setdefault(found.frame, []).append(found)

    @classmethod
    def of_file(cls, source: MaskFiles, place: Path, facts: ClipFacts) -> LabelMasks:
        """Read a COCO or CVAT file, or one LabelMe file.

        Raises GrainError (G308) for a file of another form, G323 for Pascal VOC.
        """
        shape = facts.height, facts.width
        if place.suffix.lower() == ".xml":
            try:
                return cls(
                    source,
                    place,
                    "CVAT XML",
                    labels_of_cvat(read_bytes(place, MAX_JSON_BYTES)),
                    shape,
                )
            except NotCvat as error:
                raise _other_xml(source, place, error) from error
            except _BROKEN as error:
                raise _unreadable(source, f"the masks {place}", "CVAT XML", error) from error
        try:
            document = read_json(place)
            if is_labelme(document):
                return cls.of_folder(source, place, [place], facts)
            return cls(source, place, "COCO JSON", labels_of_coco(document), shape)
        except _BROKEN as error:
            raise _unreadable(source, f"the masks {place}", "COCO JSON", error) from error

    @classmethod
    def of_folder(
        cls, source: MaskFiles, place: Path, paths: Sequence[Path], facts: ClipFacts
    ) -> LabelMasks:
        """Read LabelMe's or YOLO's files, one a frame; raises GrainError as :func:`numbered`."""
        suffixes = [path.suffix.lower() for path in paths]
        suffix = ".json" if ".json" in suffixes else ".txt"
        kind = "LabelMe JSON" if suffix == ".json" else "YOLO segmentation labels"
        files = numbered(source, [path for path in paths if path.suffix.lower() == suffix])
        numbers = sorted(files)
        shape = facts.height, facts.width
        found = Labels(sizes=[], numbers=numbers)
        for frame, number in enumerate(numbers):
            try:
                one = _of_text_file(files[number], shape)
            except _BROKEN as error:
                raise _unreadable(source, f"the mask {files[number]}", kind, error) from error
            found.sizes += one.sizes
            found.objects += [replace(item, frame=frame) for item in one.objects]
        return cls(source, place, kind, found, shape)

    def title(self, number: int) -> str:
        """The name of a mask in messages."""
        return f"frame {number} of the masks {self.place}"

    def read(self, numbers: Sequence[int]) -> Iterator[Image.Image]:
        """Draw the masks with these numbers, with the values 0 and 255."""
        for number in numbers:
            frame = self.frame_of[number]
            self.used.add(frame)
            found = self.objects.get(frame, [])
            try:
                shape = _shape_of(self.labels.sizes[frame], found) or self.shape
                require_size(self.source, self.title(number), shape[::-1], self.shape[::-1])
                mask = np.zeros(shape, np.bool_)
                for one in found:
                    if one.segmentation is None:
                        raise ValueError("an object has a box only; export segmentations")
                    mask |= draw(one.segmentation, shape)
            except (ValueError, TypeError, OverflowError) as error:
                raise _unreadable(self.source, self.title(number), self.kind, error) from error
            yield Image.fromarray(mask.astype(np.uint8) * 255)

    def findings(self) -> list[Diagnostic]:
        """Raise GrainError for a region of several objects that no option names.

        G325 if an index selects what several objects share, G320 if nothing was selected, G308 for
        frames on which the selected object may be one without a number.
        """
        self._refuse_unnumbered()
        used = [found for frame in sorted(self.used) for found in self.objects.get(frame, [])]
        if self.source.label is not None or _count(used) < 2:
            return []
        if self.source.index is not None:
            message = f"`index {self.source.index}` selects what several objects in {self.place} "
            message += f"have: {_names(used)}"
            cure = f"{_all_of(used)} selects those of a category."
            if not _have_numbers(used):
                cure += " For one object, export the number that it keeps over the frames, as "
                cure += "`track_id`."
            raise fail("G325", message, cure, self.source.span_of("index"))
        message = f"the masks in {self.place} have several objects: {_names(used)}"
        raise fail("G320", message, _choice(used), self.source.span)

    def known(self) -> str:
        """A sentence with the objects that could be selected."""
        objects = self.labels.objects
        return f"The masks have the objects {_names(objects)}." if objects else ""

    def _refuse_unnumbered(self) -> None:
        """Refuse frames without the selected number, but with such an object without a number."""
        chosen = {_label(found) for several in self.objects.values() for found in several}
        if self.source.index is None or not _have_numbers(self.labels.objects):
            return
        for found in self.labels.objects:
            empty = found.frame in self.used and found.frame not in self.objects
            if empty and found.number is None and _label(found) in chosen:
                message = f"{self.title(self.numbers[found.frame])} has an object without a number"
                name = visible(_label(found))
                message += f" (`{name}`), and none with `index {self.source.index}`"
                cure = "Export the number of each object on all frames, as `track_id`."
                raise fail("G308", message, cure, self.source.span_of("index"))

    def _selected(self) -> list[Labelled]:
        index, label, objects = self.source.index, self.source.label, self.labels.objects
        if label is not None:
            objects = [one for one in objects if label in {one.label, str(one.category)}]
        if index is None:
            return objects
        if _have_numbers(self.labels.objects):
            return [one for one in objects if one.number == index]
        if objects and all(one.category is None for one in objects):
            message = f"`index` does not apply: the objects of {self.place} have no numbers"
            cure = f"Select by category: {_all_of(objects)}." if _label(objects[0]) else ""
            raise fail("G308", message, cure, self.source.span_of("index"))
        return [one for one in objects if one.category == index]


def _have_numbers(objects: Sequence[Labelled]) -> bool:
    return any(found.number is not None for found in objects)


def _label(found: Labelled) -> str:
    """The category of an object, as the option `label` selects it."""
    return found.label or ("" if found.category is None else str(found.category))


def _count(objects: Sequence[Labelled]) -> int:
    """How many objects there are; without numbers, those of one frame or of other categories."""
    seen: Counter[tuple[int, str]] = Counter()
    several: set[tuple[str, str, int]] = set()
    for found in objects:
        if found.number is not None:
            several.add((_label(found), "number", found.number))
            continue
        seen[found.frame, _label(found)] += 1
        several.add((_label(found), "place", seen[found.frame, _label(found)]))
    return len(several)


def _names(objects: Sequence[Labelled]) -> str:
    """The distinct objects, by the options that select them."""
    numbered = sorted({(one.number, _label(one)) for one in objects if one.number is not None})
    names = [
        f"`index {number}`" + f" ({visible(label)})" * bool(label) for number, label in numbered
    ]
    labels = sorted({_label(one) for one in objects if one.number is None})
    several = (visible(label) or "objects without a category" for label in labels)
    return listed([*names, *several])


def _choice(objects: Sequence[Labelled]) -> str:
    """The options that select one object, or all of a category."""
    numbers = sorted({one.number for one in objects if one.number is not None})
    one = f"Select one: `masks(…, index {numbers[0]})`. " if numbers else ""
    if any(map(_label, objects)):
        return f"{one}{_all_of(objects)} selects all of a category."
    return one or "Keep only the object's, or export its number over the frames, as `track_id`."


def _all_of(objects: Sequence[Labelled]) -> str:
    label = next(filter(None, map(_label, objects)), "")
    return f'`masks(…, label "{visible(label)}")`'


def _shape_of(size: Any, objects: Sequence[Labelled]) -> tuple[int, int] | None:
    """Height and width of a frame's masks; None for outlines without a size."""
    for found in objects:
        if size is None and isinstance(found.segmentation, dict):
            size = found.segmentation.get("size")
    if size is None:
        return None
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(isinstance(side, int) and side > 0 for side in size)
    ):
        raise ValueError("`size` must be [height, width]")
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"it has more than {MAX_PIXELS} pixels")
    return size[0], size[1]


def has_labelme(path: Path) -> bool:
    """Whether a file is one of LabelMe's."""
    try:
        return is_labelme(read_json(path))
    except _BROKEN:
        return False


def _of_text_file(path: Path, shape: tuple[int, int]) -> Labels:
    """The objects of one frame's file."""
    if path.suffix.lower() == ".json":
        return labels_of_labelme([read_json(path)])
    return labels_of_yolo([read_bytes(path, MAX_JSON_BYTES).decode("utf-8")], shape)


def _unreadable(source: MaskFiles, title: str, kind: str, error: Exception) -> GrainError:
    return fail("G308", f"{title} cannot be read as {kind}: {error}", _FORMS[kind], source.span)


def _other_xml(source: MaskFiles, place: Path, error: NotCvat) -> GrainError:
    if error.root == "annotation":
        message = f"the masks {place} are Pascal VOC's XML, which has boxes and no outlines"
        cure = "Name its folder `SegmentationObject`, with an `index`: "
        cure += '`masks("SegmentationObject", index 1)`.'
    else:
        message = f"the masks {place} are XML of an unknown kind: {error}"
        cure = "Export them as COCO JSON, CVAT XML or PNG."
    return fail("G323", message, cure, source.span)
