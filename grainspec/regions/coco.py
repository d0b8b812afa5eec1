"""Read masks in COCO JSON: run lengths, compressed or not, and polygons.

Four forms are supported:

- a list with one segmentation per frame, null for none,
- an object with such a list under ``segmentations``,
- a COCO dataset, whose images are the frames, in the order of the numbers in their file names,
- a YouTube-VIS dataset of one video, whose annotations have such lists.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grainspec.clip.facts import frame_number
from grainspec.regions.layout import Mask
from grainspec.regions.shapes import fill_polygon

MAX_BYTES = 1 << 30
MAX_PIXELS = 1 << 28
MAX_FRAMES = 1_000_000


@dataclass
class CocoFrame:
    """The segmentations of a frame, in the form that :func:`decode` takes.

    ``size`` is the frame's height and width in the document, not yet validated.
    """

    segmentations: list[Any] = field(default_factory=list)
    size: Any = None


def frame_size(frame: CocoFrame) -> tuple[int, int] | None:
    """Height and width of a frame's masks; None for polygons without a size."""
    size = frame.size
    for segmentation in frame.segmentations:
        if size is None and isinstance(segmentation, dict):
            size = segmentation.get("size")
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


def read_coco(path: Path, *, index: int | None = None) -> list[CocoFrame]:
    """Read the segmentations of every frame.

    ``index`` selects objects: in YouTube-VIS by the annotation's ``id``, otherwise by its
    ``track_id``, ``instance_id`` or ``category_id``, the first of these that it has. Raises
    ValueError for documents of another form.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"the file is larger than {MAX_BYTES >> 20} MB")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if isinstance(document, dict) and "annotations" in document and "images" in document:
        return _of_data_set(document, index)
    if isinstance(document, dict) and "annotations" in document and "videos" in document:
        return _of_video(document, index)
    if isinstance(document, dict) and "segmentations" in document:
        document = document["segmentations"]
    if not isinstance(document, list):
        raise ValueError("it is neither a list with one segmentation per frame nor a COCO dataset")
    if index is not None:
        raise ValueError("`index` does not apply: it has one segmentation per frame")
    if not document:
        raise ValueError("it has no frames")
    frames = [CocoFrame() for _ in document]
    images = [entry.get("image_id") for entry in document if isinstance(entry, dict)]
    images = [image for image in images if isinstance(image, int | str)]
    if len(set(images)) < len(images):
        raise ValueError("several entries have the same image_id; use a dataset with its `images`")
    for frame, entry in zip(frames, document, strict=True):
        if isinstance(entry, dict) and "segmentation" in entry:
            entry = entry["segmentation"]
        if entry is not None:
            frame.segmentations.append(entry)
    return frames


def _of_data_set(document: dict[str, Any], index: int | None) -> list[CocoFrame]:
    try:
        images = sorted(document["images"], key=_place_of_image)
        place = {image["id"]: number for number, image in enumerate(images)}
        sizes = [[image.get("height"), image.get("width")] for image in images]
        frames = [CocoFrame(size=None if None in size else size) for size in sizes]
        for annotation in document["annotations"]:
            keys = ("track_id", "instance_id", "category_id")
            known = next((annotation[key] for key in keys if key in annotation), None)
            if index is None or known == index:
                frame = frames[place[annotation["image_id"]]]
                frame.segmentations.append(annotation["segmentation"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its images and annotations do not match: {error!r}") from error
    if not frames:
        raise ValueError("it has no images")
    return frames


def _of_video(document: dict[str, Any], index: int | None) -> list[CocoFrame]:
    """The frames of YouTube-VIS, where each annotation is an object with one mask per frame."""
    try:
        videos = document["videos"]
        if len(videos) != 1:
            raise ValueError(f"it has {len(videos)} videos; keep only the clip's own")
        video = videos[0]
        size = [video.get("height"), video.get("width")]
        count = video.get("length") or len(video["file_names"])
        if not isinstance(count, int) or not 0 < count <= MAX_FRAMES:
            raise ValueError(f"its video has {count} frames")
        frames = [CocoFrame(size=None if None in size else size) for _ in range(count)]
        for annotation in document["annotations"]:
            if annotation["video_id"] != video["id"] or index not in {None, annotation["id"]}:
                continue
            masks = annotation["segmentations"]
            if len(masks) != count:
                raise ValueError(f"object {annotation['id']} has {len(masks)} masks, not {count}")
            for frame, mask in zip(frames, masks, strict=True):
                if mask is not None:
                    frame.segmentations.append(mask)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its video and annotations do not match: {error!r}") from error
    return frames


def _place_of_image(image: dict[str, Any]) -> tuple[int, str]:
    name = str(image.get("file_name", ""))
    number = frame_number(Path(name))
    return -1 if number is None else number, name


def decode(segmentation: Any, shape: tuple[int, int]) -> Mask:
    """Decode one segmentation to bool ``[H, W]``; raise ValueError if it does not have this shape.

    >>> decode({"size": [2, 3], "counts": [2, 3, 1]}, (2, 3)).astype(int)
    array([[0, 1, 1],
           [0, 1, 0]])
    """
    if isinstance(segmentation, list):
        mask = np.zeros(shape, np.bool_)
        for ring in segmentation:
            mask |= fill_polygon(shape, _points(ring))
        return mask
    try:
        size, counts = segmentation["size"], segmentation["counts"]
        height, width = (int(side) for side in size)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError("a segmentation must be run lengths or a list of polygons") from error
    if (height, width) != shape:
        raise ValueError(f"it is {width}x{height}")
    if height * width > MAX_PIXELS:
        raise ValueError(f"it has more than {MAX_PIXELS} pixels")
    runs = _expand(counts) if isinstance(counts, str) else _checked(counts)
    if sum(runs) != height * width:
        raise ValueError(f"its runs add up to {sum(runs)} pixels, not {height * width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _points(ring: Any) -> list[tuple[float, float]]:
    numbers = [float(n) for n in ring] if isinstance(ring, list) else []
    if len(numbers) < 6 or len(numbers) % 2 or not np.isfinite(numbers).all():
        raise ValueError("a polygon needs at least three points, x and y each")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _checked(counts: Any) -> list[int]:
    if not isinstance(counts, list) or not all(
        isinstance(run, int) and 0 <= run <= MAX_PIXELS for run in counts
    ):
        raise ValueError("`counts` must be a list of run lengths")
    return counts


def _expand(counts: str) -> list[int]:
    """Expand COCO's compressed run lengths.

    Each character holds five bits, the lowest first; the sixth bit says that more follow. From the
    fourth run on, the value is the difference from the run two before.
    """
    runs: list[int] = []
    value = shift = 0
    for sign in counts:
        code = ord(sign) - 48
        if not 0 <= code < 64 or shift > 40:
            raise ValueError(f"invalid character {sign!r} in compressed counts")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its compressed counts are truncated")
    return _checked(runs)
