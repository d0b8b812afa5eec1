"""Read LabelMe's JSON: one document an image, with the outlines of its objects."""

from __future__ import annotations

from math import dist
from typing import Any

from grainspec.regions.labels import Ellipse, Labelled, Labels


def is_labelme(document: Any) -> bool:
    """Whether a JSON document is LabelMe's."""
    return isinstance(document, dict) and isinstance(document.get("shapes"), list)


def labels_of_labelme(documents: list[Any]) -> Labels:
    """The objects of one document per frame; raise ValueError for documents of another form."""
    labels = Labels(sizes=[])
    for frame, document in enumerate(documents):
        if not is_labelme(document):
            raise ValueError("it is not LabelMe's: it has no list of `shapes`")
        size = [document.get("imageHeight"), document.get("imageWidth")]
        labels.sizes.append(None if None in size else size)
        for shape in document["shapes"]:
            labels.objects.append(_labelled(frame, shape))
    return labels


def _labelled(frame: int, shape: Any) -> Labelled:
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
        kind = shape.get("shape_type") or "polygon"
        group = shape.get("group_id")
        label = str(shape["label"])
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ValueError(f"a shape is broken: {error!r}") from error
    segmentation: Any
    if kind == "polygon":
        segmentation = [[number for point in points for number in point]]
    elif kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        segmentation = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    elif kind == "circle" and len(points) == 2:
        (x, y), radius = points[0], dist(*points)
        segmentation = Ellipse(x - radius, y - radius, x + radius, y + radius)
    else:
        raise ValueError(f"shapes of the kind `{kind}` are not read; outline objects as polygons")
    number = group if isinstance(group, int) and group >= 0 else None
    return Labelled(frame, segmentation, number=number, label=label)
