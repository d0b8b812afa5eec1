"""Masks as CVAT's XML: tracks of a video, and images; polygons, boxes, ellipses and masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.masks.outlines import (
    Frame,
    bounds_of,
    boxes_of,
    centres,
    ring_of,
    rows_of,
)
from grainspec.testing.masks.written import Writer, Written, beside, write_clip

Shape = Callable[[Frame, str], str]
"""The elements of a mask on one frame, with these attributes besides their own."""


def polygon(mask: Frame, about: str) -> str:
    """An outline around all pixels."""
    points = ";".join(f"{x}.00,{y}" for x, y in ring_of(mask))
    return f'<polygon {about} points="{points}"></polygon>'


def boxes(mask: Frame, about: str) -> str:
    """A box for each run of pixels."""
    return "".join(
        f'<box {about} xtl="{x0}" ytl="{y0}.0" xbr="{x1}" ybr="{y1}"/>'
        for x0, y0, x1, y1 in boxes_of(mask)
    )


def bits(mask: Frame, about: str) -> str:
    """Run lengths within the box around the mask."""
    bounds = bounds_of(mask)
    if bounds is None:
        return ""
    x0, y0, x1, y1 = bounds
    runs = ", ".join(map(str, rows_of(mask[y0:y1, x0:x1])))
    size = f'left="{x0}" top="{y0}" width="{x1 - x0}" height="{y1 - y0}"'
    return f'<mask {about} rle="{runs}" {size}/>'


def _document(folder: Path, body: str, meta: str = "") -> None:
    (folder / "m.xml").write_text(f'<?xml version="1.0"?><annotations>{meta}{body}</annotations>')


def _meta(masks: Mask, count: int, more: str = "") -> str:
    size = f"<width>{masks.shape[2]}</width><height>{masks.shape[1]}</height>"
    labels = "<labels><label><name>man</name><type>mask</type></label></labels>"
    task = f"<size>{count}</size>{more}{labels}<original_size>{size}</original_size>"
    return f"<version>1.1</version><meta><task>{task}</task></meta>"


def _track(number: int, label: str, masks: Mask, shape: Shape, step: int, first: int) -> str:
    """A track; where the object is hidden, its last shape is marked as outside."""
    shapes = ""
    last: Frame | None = None
    for place, mask in enumerate(masks):
        about = f'frame="{first + step * place}" keyframe="1" occluded="0" outside="%d"'
        if mask.any():
            shapes += shape(mask, about % 0)
            last = mask
        elif last is not None:
            shapes += shape(last, about % 1)
    return f'<track id="{number}" label="{label}" source="manual">{shapes}</track>'


def _video(shape: Shape, options: str, *, both: bool = False, invert: bool = False) -> Writer:
    """Two tracks of one label, and one of a line, which has no area."""

    def write(folder: Path, masks: Mask) -> Written:
        other = beside(masks)
        line = '<track id="9" label="x"><points frame="0" outside="0" points="1,1"/></track>'
        tracks = _track(0, "man", masks, shape, 1, 0) + _track(1, "man", other, shape, 1, 0) + line
        _document(folder, tracks, _meta(masks, len(masks)))
        drawn = masks | other if both else masks
        return Written(f'masks("m.xml", {options})', ~drawn if invert else drawn)

    return write


def _every_third(folder: Path, masks: Mask) -> Written:
    """A task that begins at frame 2 and has every third frame."""
    last = 2 + 3 * (len(masks) - 1)
    write_clip(folder, last + 1, masks)
    more = f"<start_frame>2</start_frame><stop_frame>{last}</stop_frame>"
    more += "<frame_filter>step=3</frame_filter>"
    _document(folder, _track(3, "man", masks, polygon, 3, 2), _meta(masks, len(masks), more))
    video = f'video "clip" {{ frames 2..{last} step 3 }}'
    return Written('masks("m.xml", index 3)', video=video)


def _images(
    shape: Shape, options: str, about: Callable[[int], str], *, both: bool = False
) -> Writer:
    """Images in reverse order, with two objects, 4 and 5."""

    def write(folder: Path, masks: Mask) -> Written:
        height, width = masks.shape[1:]
        other = beside(masks)
        body = ""
        for number in range(len(masks) - 1, -1, -1):
            name = f"a/frame_{number:06}.PNG"
            body += f'<image id="{90 + number}" name="{name}" width="{width}" height="{height}">'
            for n, mask in ((4, masks[number]), (5, other[number])):
                if mask.any():
                    body += shape(mask, about(n))
            body += "</image>"
        _document(folder, body)
        return Written(f'masks("m.xml", {options})', masks | other if both else masks)

    return write


Bounds = tuple[int, int, int, int]
Covered = Callable[[Bounds, tuple[int, int]], Frame]
"""The pixels of a frame of this height and width that a shape made of a box covers."""


def _around(shape: Callable[[Bounds], str], drawn: Covered) -> Writer:
    """One shape a frame, made of the box around the mask; ``drawn`` is what it covers."""

    def write(folder: Path, masks: Mask) -> Written:
        height, width = masks.shape[1:]
        body = ""
        covered = np.zeros_like(masks)
        for number, mask in enumerate(masks):
            body += f'<image id="{number}" name="{number}.png" width="{width}" height="{height}">'
            bounds = bounds_of(mask)
            if bounds is not None:
                body += shape(bounds)
                covered[number] = drawn(bounds, (height, width))
            body += "</image>"
        _document(folder, body)
        return Written('masks("m.xml")', covered)

    return write


def _middle(bounds: Bounds) -> tuple[float, float, float, float]:
    """The middle of a box, and half of its width and height plus a bit.

    The bit keeps edges off the middles of pixels, where rounding decides.
    """
    x0, y0, x1, y1 = bounds
    return (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2 + 0.013, (y1 - y0) / 2 + 0.0171


def _ellipse(bounds: Bounds) -> str:
    x, y, across, down = _middle(bounds)
    return f'<ellipse label="a" cx="{x}" cy="{y}" rx="{across}" ry="{down}"></ellipse>'


def _in_ellipse(bounds: Bounds, shape: tuple[int, int]) -> Frame:
    (cx, cy, across, down), (x, y) = _middle(bounds), centres(shape)
    return np.asarray(((x - cx) / across) ** 2 + ((y - cy) / down) ** 2 <= 1)


_DEGREES = 33


def _turned_box(bounds: Bounds) -> str:
    x, y, across, down = _middle(bounds)
    corners = f'xtl="{x - across}" ytl="{y - down}" xbr="{x + across}" ybr="{y + down}"'
    return f'<box label="a" {corners} rotation="{_DEGREES}"/>'


def _in_turned_box(bounds: Bounds, shape: tuple[int, int]) -> Frame:
    """The box is turned clockwise on the screen, so pixels are turned back."""
    (cx, cy, across, down), (x, y) = _middle(bounds), centres(shape)
    cos, sin = math.cos(math.radians(_DEGREES)), math.sin(math.radians(_DEGREES))
    along, aside = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
    return np.asarray((abs(along) <= across) & (abs(aside) <= down))


def _turned_ellipse(bounds: Bounds) -> str:
    x, y, across, down = _middle(bounds)
    radii = f'rx="{across}" ry="{down}"'
    return f'<ellipse label="a" cx="{x}" cy="{y}" {radii} rotation="90"/>'


def _in_turned_ellipse(bounds: Bounds, shape: tuple[int, int]) -> Frame:
    """The reader draws 64 straight sides, so this is the polygon through the same points."""
    cx, cy, across, down = _middle(bounds)
    angles = 2 * np.pi * np.arange(64) / 64
    px, py = cx - down * np.sin(angles), cy + across * np.cos(angles)
    x, y = centres(shape)
    inside = np.ones(shape, np.bool_)
    for (x0, y0), (x1, y1) in zip(
        zip(px, py, strict=True), zip(np.roll(px, -1), np.roll(py, -1), strict=True), strict=True
    ):
        inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0
    return inside


def _in_a_folder(folder: Path, masks: Mask) -> Written:
    """The document is the only one of its folder, whose name is given."""
    (folder / "m").mkdir()
    _document(folder / "m", _track(0, "man", masks, polygon, 1, 0), _meta(masks, len(masks)))
    (folder / "m" / "read me.md").write_text("exported by CVAT")
    return Written('masks("m")')


def cvat_formats() -> dict[str, Writer]:
    """Writers of CVAT's XML, by what they write."""
    formats: dict[str, Writer] = {}
    for name, shape in {"polygon": polygon, "box": boxes, "mask": bits}.items():
        formats[f"CVAT for video, {name}"] = _video(shape, "index 0")
        formats[f"CVAT for images, {name}"] = _images(
            shape, "index 4", lambda n: f'label="man" group_id="{n}"'
        )
    formats["CVAT for video, label"] = _video(polygon, 'label "man"', both=True)
    formats["CVAT for video, inverted"] = _video(bits, "index 0, invert", invert=True)
    formats["CVAT for video, every third frame"] = _every_third
    formats["CVAT for images, label"] = _images(
        bits, 'label "dog"', lambda n: f'label="{"dog" if n == 4 else "man"}"'
    )
    formats["CVAT for images, label of both"] = _images(
        boxes, 'label "man"', lambda n: f'label="man" group_id="{n}"', both=True
    )
    formats["CVAT, a folder"] = _in_a_folder
    formats["CVAT, ellipse"] = _around(_ellipse, _in_ellipse)
    formats["CVAT, box turned by 33 degrees"] = _around(_turned_box, _in_turned_box)
    formats["CVAT, ellipse turned by 90 degrees"] = _around(_turned_ellipse, _in_turned_ellipse)
    return formats
