"""Read masks in COCO JSON: run lengths, compressed or not, and polygons.

Four forms are supported:

- a list with one segmentation per frame, null for none,
- an object with such a list under ``segmentations``,
- a COCO dataset, whose images are the frames, numbered by their file names,
- a YouTube-VIS dataset of one video, whose annotations have such lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from grainspec.limits import MAX_PIXELS
from grainspec.regions.claims import require_few_points, require_few_runs
from grainspec.regions.labels import MAX_FRAMES, Labelled, Labels, file_name
from grainspec.regions.layout import Mask
from grainspec.regions.shapes import fill_polygon

_IDS = ("track_id", "instance_id", "object_id")
"""Where exports have the number that an object keeps over the frames; in CVAT's, as attributes."""


def labels_of_coco(document: Any) -> Labels:
    """The objects of a COCO document; raise ValueError for documents of another form."""
    if isinstance(document, dict) and "annotations" in document and "images" in document:
        return _of_data_set(document)
    if isinstance(document, dict) and "annotations" in document and "videos" in document:
        return _of_video(document)
    if isinstance(document, dict) and "segmentations" in document:
        document = document["segmentations"]
    if not isinstance(document, list):
        raise ValueError("it is neither a list with one segmentation per frame nor a COCO dataset")
    if not document:
        raise ValueError("it has no frames")
    images = [entry.get("image_id") for entry in document if isinstance(entry, dict)]
    images = [image for image in images if isinstance(image, int | str)]
    if len(set(images)) < len(images):
        raise ValueError("several entries have the same image_id; use a dataset with its `images`")
    labels = Labels(sizes=[None] * len(document))
    for frame, entry in enumerate(document):
        if isinstance(entry, dict) and "segmentation" in entry:
            entry = entry["segmentation"]
        if entry is not None:
            labels.objects.append(Labelled(frame, entry))
    return labels


def _of_data_set(document: dict[str, Any]) -> Labels:
    try:
        images = document["images"]
        names = [file_name(str(image.get("file_name", ""))) for image in images]
        sizes = [[image.get("height"), image.get("width")] for image in images]
        labels = Labels(sizes=[None if None in size else size for size in sizes])
        place = {image["id"]: frame for frame, image in enumerate(images)}
        named = _categories(document)
        for annotation in document["annotations"]:
            image = annotation["image_id"]
            if image not in place:
                raise ValueError(f"an annotation has the image_id {image}, which no image has")
            segmentation = _outlines(annotation)
            labels.objects.append(_labelled(annotation, place[image], segmentation, named))
        labels.number_by_names(names)
    except KeyError as error:
        raise ValueError(f"an image or annotation has no `{error.args[0]}`") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"its images and annotations are not COCO's: {error}") from error
    if not images:
        raise ValueError("it has no images")
    return labels


def _outlines(annotation: dict[str, Any]) -> Any:
    """What outlines an object; None if it has a box only."""
    found = annotation.get("segmentation")
    box: Any = annotation.get("bbox")
    boxed = isinstance(box, list) and len(box) == 4 and all(isinstance(n, int | float) for n in box)
    if found or not boxed:
        return annotation["segmentation"]
    return None if box[2] * box[3] > 0 else []


def _of_video(document: dict[str, Any]) -> Labels:
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
        labels = Labels(sizes=[None if None in size else size] * count)
        named = _categories(document)
        for annotation in document["annotations"]:
            if annotation["video_id"] != video["id"]:
                continue
            masks = annotation["segmentations"]
            if len(masks) != count:
                raise ValueError(f"object {annotation['id']} has {len(masks)} masks, not {count}")
            for frame, mask in enumerate(masks):
                if mask is not None:
                    found = _labelled(annotation, frame, mask, named, annotation["id"])
                    labels.objects.append(found)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its video and annotations do not match: {error!r}") from error
    return labels


def _categories(document: dict[str, Any]) -> dict[Any, str]:
    return {entry["id"]: str(entry.get("name", "")) for entry in document.get("categories") or []}


def _labelled(
    annotation: dict[str, Any],
    frame: int,
    segmentation: Any,
    named: dict[Any, str],
    number: Any = None,
) -> Labelled:
    """An annotation as an object; ``number`` is its id, by default as exports have it."""
    attributes = annotation.get("attributes")
    places = [annotation, attributes if isinstance(attributes, dict) else {}]
    ids = [place[key] for place in places for key in _IDS if place.get(key) is not None]
    number = number if number is not None else next(iter(ids), None)
    category = annotation.get("category_id")
    return Labelled(
        frame,
        segmentation,
        number=_whole(number),
        category=_whole(category),
        label=named.get(category, ""),
    )


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) else None


def decode(segmentation: Any, shape: tuple[int, int]) -> Mask:
    """Decode one segmentation to bool ``[H, W]``; raise ValueError if it does not have this shape.

    >>> decode({"size": [2, 3], "counts": [2, 3, 1]}, (2, 3)).astype(int)
    array([[0, 1, 1],
           [0, 1, 0]])
    """
    if isinstance(segmentation, list):
        require_few_points(sum(len(ring) for ring in segmentation if isinstance(ring, list)))
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
    if isinstance(counts, list | str):
        require_few_runs(counts, height * width)
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
