"""Read YOLO's segmentation labels: a text file an image, with one outline a line.

A line is the class, then x and y of each point as shares of the width and the height; a tracker
adds the object's number, a detector its confidence.
"""

from __future__ import annotations

import math

from grainspec.regions.labels import Labelled, Labels


def labels_of_yolo(texts: list[str], size: tuple[int, int]) -> Labels:
    """The objects of one text per frame; ``size`` is the frames' height and width.

    Raises ValueError for texts of another form.
    """
    labels = Labels(sizes=[list(size)] * len(texts))
    for frame, text in enumerate(texts):
        for line in text.splitlines():
            if line.strip():
                labels.objects.append(_labelled(frame, line.split(), size))
    return labels


def _labelled(frame: int, words: list[str], size: tuple[int, int]) -> Labelled:
    kind, *places = words
    if not kind.isdecimal() or len(kind) > 9:
        raise ValueError(f"a line begins with `{kind[:20]}`, not with the number of a class")
    number = None
    if len(places) % 2:
        last = places.pop()
        number = int(last) if last.isdecimal() and len(last) < 10 else None
    if len(places) == 4:
        raise ValueError("it has boxes, not outlines: export segmentation labels")
    shares = [float(place) for place in places]
    if len(shares) < 6 or not all(math.isfinite(share) for share in shares):
        raise ValueError("an outline needs at least three points, x and y each")
    height, width = size
    ring = [share * (height if place % 2 else width) for place, share in enumerate(shares)]
    return Labelled(frame, [ring], number=number, category=int(kind))
