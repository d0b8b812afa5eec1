"""How regions are bound: true of grainspec's binding, and each planted fault is found by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from clips import ClipFolder
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from PIL import Image

from grainspec import parse
from grainspec.clip.crop import FrameCrop
from grainspec.model.spec import EditSpec, Keep
from grainspec.regions import bind, carving, cropped
from grainspec.regions.absent import MaskNotes
from grainspec.regions.bind import Bound, bind_regions
from grainspec.regions.layout import Layout
from grainspec.testing import REGION_PROPERTIES, Broken, Scene, check_regions, scenes
from grainspec.testing.regions.clips import clip_folder

Patch = tuple[Any, str, Callable[..., Any]]


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_they_hold_of_grainspec(scene: Scene) -> None:
    check_regions(*scene, errors_allowed=True)


def test_a_side_through_the_centre_of_a_pixel_is_there_in_any_crop(tmp_path: Path) -> None:
    """The side is at 0.5; beside regions that grow, it was computed as a little more."""
    (tmp_path / "clip").mkdir()
    for number in range(4):
        Image.new("RGB", (40, 34)).save(tmp_path / "clip" / f"{number}.png")
    spec = parse(
        'grain 1 video "clip" { size 19x33 crop box(0px, 0px, 26px, 22px) } target "robot" '
        "region r0 = box(1px, 0px, 7px, 1px) region r1 = box(10px, 8px, 13px, 11px) "
        'edit r0 -> "robot" keep r1'
    )
    check_regions(spec, tmp_path, errors_allowed=True)


@cache
def drawn() -> list[Scene]:
    """The same scenes for all planted faults."""
    found: list[Scene] = []

    @seeded(0)
    @settings(
        max_examples=300,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(scenes())
    def collect(scene: Scene) -> None:
        found.append(scene)

    collect()
    return [*written(), *found]


def written() -> list[Scene]:
    """Scenes that show most faults, whatever is drawn."""
    base = clip_folder(12, 36, 21)
    return [
        Scene(parse(f'grain 1 video "clip" {{ {video} }} target "a robot and a hat"\n{text}'), base)
        for video, text in SCENES
    ]


SCENES = [
    (
        "frames 2..9 step 2 crop box(4px, 2px, 33px, 19px)",
        """
        region man  = box(6px, 4px, 16px, 12px) | ellipse(10.5px, 6.5px, 24.5px, 16.5px)
        region late = (man during 4..8) grow 25%
        region hat  = ellipse(8px, 2px, 14px, 9px) & (man shrink 1px) - box(0%, 0%, 30%, 30%)
        edit man -> "robot"  add part hat of man -> "hat"  free late
        """,
    ),
    (
        "frames 1..8",
        """
        region man = box(2px, 2px, 6px, 6px)
        region hat = box(26px, 12px, 30px, 16px)
        edit man -> "robot"  add part hat of man -> "hat"
        """,
    ),
    (
        "frames 1..10 step 2",  # and a region that flickers, on even and odd numbers of neighbours
        """
        region man = box(2px, 2px, 16px, 16px) during 2..5 | box(9px, 2px, 20px, 16px) during 8..9
        region hat = man smooth 3 | man smooth 5 - (man smooth 5 during 4..6)
        edit man -> "robot"  edit hat -> "hat"
        """,
    ),
    (
        "frames 1..3 size 32x32 fit pad",  # and a star, which winds twice around its middle
        """
        region man = polygon(18px 1px, 25px 20px, 7px 8px, 29px 8px, 11px 20px)
        region hat = rest
        edit man -> "robot"  edit hat -> "hat"
        """,
    ),
]


def wider(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda mask, radius: function(mask, radius + 0.5 if radius > 0 else radius)


def square(mask: np.ndarray, radius: float) -> np.ndarray:
    """A square in place of a disc."""
    if radius < 0:
        return ~square(~mask, -radius)
    grown, r = mask.copy(), math.floor(radius)
    for down in range(-r, r + 1):
        for aside in range(-r, r + 1):
            moved = np.zeros_like(mask)
            height, width = mask.shape[-2:]
            y0, y1 = max(0, down), min(height, height + down)
            x0, x1 = max(0, aside), min(width, width + aside)
            if y0 < y1 and x0 < x1:
                part = mask[..., y0 - down : y1 - down, x0 - aside : x1 - aside]
                moved[..., y0:y1, x0:x1] = part
            grown |= moved
    return grown


def shrinks_at_the_border(mask: np.ndarray, radius: float) -> np.ndarray:
    """Pixels beyond the frame count as outside of the region."""
    if radius >= 0:
        return GROW(mask, radius)
    margin = math.ceil(-radius)
    sides = [(0, 0)] * (mask.ndim - 2) + [(margin, margin)] * 2
    wide = GROW(np.pad(mask, sides), radius)
    return wide[..., margin : wide.shape[-2] - margin, margin : wide.shape[-1] - margin]


GROW, BOX, ELLIPSE, POLYGON = bind.grow, bind.fill_box, bind.fill_ellipse, bind.fill_polygon


def closed_box(shape: tuple[int, int], x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
    return np.asarray(((y >= y0) & (y <= y1))[:, None] & ((x >= x0) & (x <= x1))[None])


def ellipse_beyond_its_box(
    shape: tuple[int, int], x0: float, y0: float, x1: float, y1: float
) -> np.ndarray:
    if x1 <= x0 or y1 <= y0:
        return np.zeros(shape, bool)
    x, y = np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
    across, down = (2 * x - x0 - x1) / (x1 - x0), (2 * y - y0 - y1) / (y1 - y0)
    return np.asarray(down[:, None] ** 2 + across[None] ** 2 <= 1)


def circle(shape: tuple[int, int], x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return ELLIPSE(shape, x0, y0, x1, max(y1, y0 + 1) - 1)


def filled_polygon(shape: tuple[int, int], points: Sequence[tuple[float, float]]) -> np.ndarray:
    """The non-zero rule: where it winds twice, it is filled."""
    x, y = np.arange(shape[1]) + 0.5, (np.arange(shape[0]) + 0.5)[:, None]
    winds = np.zeros(shape, int)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        if y0 == y1:
            continue
        at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        winds += ((y0 <= y) & (y < y1) & (x >= at)).astype(int)
        winds -= ((y1 <= y) & (y < y0) & (x >= at)).astype(int)
    return np.asarray(winds != 0)


def on_bound(change: Callable[[EditSpec, Bound], None]) -> Callable[..., Bound]:
    def changed(spec: EditSpec, base: Path, **options: Any) -> Bound:
        bound = bind_regions(spec, base, **options)
        change(spec, bound)
        return bound

    return changed


def without_last_warning(spec: EditSpec, bound: Bound) -> None:
    bound.warnings = bound.warnings[:-1]


def evaluated(change: Callable[..., Any]) -> Patch:
    """A change of how an expression is evaluated."""
    old = bind._Binder._evaluate
    return (bind._Binder, "_evaluate", lambda self, node, at: change(old, self, node, at))


def kind_as(kind: str, other: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Patch:
    def change(old: Any, self: Any, node: Any, at: Any) -> Any:
        if node.kind != kind:
            return old(self, node, at)
        first = self._evaluate(node.items[0], at)
        for item in node.items[1:]:
            first = other(first, self._evaluate(item, at))
        return first

    return evaluated(change)


def all_frames_of_during(old: Any, self: Any, node: Any, at: Any) -> Any:
    return self._evaluate(node.of, at) if node.kind == "during" else old(self, node, at)


def during_without_its_last_frame(old: Any, self: Any, node: Any, at: Any) -> Any:
    mask = old(self, node, at)
    if node.kind == "during":
        mask[[i for i, index in enumerate(at) if self.frames[index] == node.frames.last]] = False
    return mask


def smoothed_as(change: Callable[[np.ndarray, int, int], np.ndarray]) -> Patch:
    """Smoothing by another rule: of the region on all frames, a frame and the number of frames."""

    def smooth(old: Any, self: Any, node: Any, at: Any) -> Any:
        if node.kind != "smooth":
            return old(self, node, at)
        inner = self._evaluate(node.of, range(len(self.frames)))
        return np.stack([change(inner, index, node.frames) for index in at])

    return evaluated(smooth)


def around(masks: np.ndarray, index: int, count: int) -> np.ndarray:
    """The share of neighbours on which each pixel is set."""
    return masks[max(0, index - count // 2) : index + count // 2 + 1].mean(axis=0)


def with_repeated_ends(masks: np.ndarray, index: int, count: int) -> np.ndarray:
    """The first and the last frame count again for those before and after them."""
    near = np.arange(index - count // 2, index + count // 2 + 1)
    return np.asarray(masks[np.clip(near, 0, len(masks) - 1)].mean(axis=0) > 0.5)


def limited_by_during(old: Any, self: Any, node: Any, at: Any) -> Any:
    """Frames outside of `during` do not count."""
    if node.kind != "smooth":
        return old(self, node, at)
    inner = self._evaluate(node.of, at)
    return np.stack([majority(inner, place, node.frames) for place in range(len(at))])


def majority(masks: np.ndarray, index: int, count: int) -> np.ndarray:
    """The rule itself."""
    share = around(masks, index, count)
    return np.asarray((share > 0.5) | ((share == 0.5) & masks[index]))


def rest_of_everything(old: Any, self: Any, node: Any, at: Any) -> Any:
    if node.kind != "rest":
        return old(self, node, at)
    return ~(self.bits[list(at)] > 0)


def one_frame_late(self: Any, source: Any, at: Any) -> Any:
    return MASKS(self, source, [max(i - 1, 0) for i in at])


MASKS, REACH, RADIUS, OVERLAPS = (
    bind._Binder._masks,
    bind._Binder._reach,
    bind._Binder._radius,
    carving._overlaps,
)
NUMBERS = bind.Box.__mro__[1].numbers
"""The numbers of shapes that move."""


def stepwise(self: Any, frame: int, width: int, height: int) -> list[float]:
    """Shapes jump from keyframe to keyframe."""
    moments = [key.frame or 0 for key in self.keyframes]
    return NUMBERS(self, max([m for m in moments if m <= frame] or moments[:1]), width, height)


def beyond_the_last(self: Any, frame: int, width: int, height: int) -> list[float]:
    """Shapes go on moving after the last keyframe."""
    last = self.keyframes[-1].frame or 0
    numbers = NUMBERS(self, frame, width, height)
    return [number + max(0, frame - last) for number in numbers]


def parts_take_nothing(claims: Any) -> dict[str, frozenset[str]]:
    return {}


def parts_take_from_owners_only(claims: Any) -> dict[str, frozenset[str]]:
    return {
        region: frozenset([owner] if owner else [])
        for region, grain, owner in claims
        if grain == "part"
    }


def without_kept(spec: EditSpec, regions: Layout, absent: Any = None) -> Any:
    edits = tuple(edit for edit in spec.edits if not isinstance(edit, Keep))
    return CARVE(spec.model_copy(update={"edits": edits}), regions, absent or {})


CARVE, FRAME_CROP = bind.carve, bind.frame_crop


def off_centre(*arguments: Any) -> FrameCrop:
    crop = FRAME_CROP(*arguments)
    left, top, right, bottom = crop.box
    return FrameCrop((0.0, top, right - left, bottom), crop.width, crop.height, crop.padding)


def unpadded(self: Any) -> Layout:
    layout = BIND_ALL(self)
    bits = layout.bits_FHW.copy()
    if any(self.crop.padding):
        bits[:, 0, 0] = 1
    return Layout(layout.names, bits, layout.frames)


BIND_ALL = bind._Binder.bind_all


def every_frame(video: Any, facts: Any) -> list[int]:
    first, last = (video.frames.first, video.frames.last) if video.frames else (0, facts.frames - 1)
    return list(range(first, last + 1))


def counted_from_zero(video: Any, facts: Any) -> list[int]:
    return [frame - min(FRAMES(video, facts)) for frame in FRAMES(video, facts)]


FRAMES = bind.frame_numbers

FAULTS: dict[str, tuple[str, list[Patch]]] = {
    "a box has its right and lower sides": ("shapes", [(bind, "fill_box", closed_box)]),
    "an ellipse leaves its box": ("shapes", [(bind, "fill_ellipse", ellipse_beyond_its_box)]),
    "an ellipse leaves its box, and so it is said": (
        "symmetry",
        [(bind, "fill_ellipse", ellipse_beyond_its_box)],
    ),
    "an ellipse is a pixel too short": ("shapes", [(bind, "fill_ellipse", circle)]),
    "an ellipse is not symmetric": ("symmetry", [(bind, "fill_ellipse", circle)]),
    "polygons follow the non-zero rule": ("shapes", [(bind, "fill_polygon", filled_polygon)]),
    "shapes jump": ("keyframes", [(bind.Box.__mro__[1], "numbers", stepwise)]),
    "shapes go on moving": ("keyframes", [(bind.Box.__mro__[1], "numbers", beyond_the_last)]),
    "grow is by a square": ("operators", [(bind, "grow", square)]),
    "grow goes too far": ("operators", [(bind, "grow", wider(GROW))]),
    "shrink is not grow of the complement": ("algebra", [(bind, "grow", wider(GROW))]),
    "shrink takes from the border": ("operators", [(bind, "grow", shrinks_at_the_border)]),
    "a union is an intersection": ("operators", [kind_as("union", np.logical_and)]),
    "a difference is symmetric": ("operators", [kind_as("difference", np.logical_xor)]),
    "a difference breaks its law": ("algebra", [kind_as("difference", np.logical_xor)]),
    "an intersection is a union": ("algebra", [kind_as("intersection", np.logical_or)]),
    "`during` is on all frames": ("operators", [evaluated(all_frames_of_during)]),
    "`during` ends too early": ("operators", [evaluated(during_without_its_last_frame)]),
    "`smooth` does nothing": (
        "operators",
        [smoothed_as(lambda masks, index, count: masks[index])],
    ),
    "of a tie, `smooth` sets pixels": (
        "operators",
        [smoothed_as(lambda masks, index, count: around(masks, index, count) >= 0.5)],
    ),
    "`smooth` adds pixels only": (
        "algebra",
        [smoothed_as(lambda masks, index, count: around(masks, index, count) > 0)],
    ),
    "`smooth` counts the ends again": ("operators", [smoothed_as(with_repeated_ends)]),
    "`smooth` counts within `during`": ("operators", [evaluated(limited_by_during)]),
    "`rest` counts what uses it": ("rest", [evaluated(rest_of_everything)]),
    "masks come a frame late": ("masks", [(bind._Binder, "_masks", one_frame_late)]),
    "what lies beside a crop is lost": (
        "cropping",
        [(bind._Binder, "_reach", lambda self: 0)],
    ),
    "what lies beside a scaled crop is lost": (
        "pixels",
        [(bind._Binder, "_reach", lambda self: 0)],
    ),
    "distances are not scaled": (
        "pixels",
        [
            (
                bind._Binder,
                "_radius",
                lambda self, node: RADIUS(self, node) * 2 / sum(self.crop.scale),
            )
        ],
    ),
    "distances are percent of the longer side": (
        "operators",
        [
            (
                bind._Binder,
                "_radius",
                lambda self, node: (
                    node.by.pixels(max(self.facts.width, self.facts.height))
                    * sum(self.crop.scale)
                    / 2
                ),
            )
        ],
    ),
    "crops are cut at the left": ("crop", [(bind, "frame_crop", off_centre)]),
    "padding is in a region": ("pixels", [(bind._Binder, "bind_all", unpadded)]),
    "`step` is ignored": ("frames", [(bind, "frame_numbers", every_frame)]),
    "frames are counted from the first": ("frames", [(bind, "frame_numbers", counted_from_zero)]),
    "parts take nothing": ("carving", [(carving, "covered", parts_take_nothing)]),
    "parts take from their owners only": (
        "carving",
        [(carving, "covered", parts_take_from_owners_only)],
    ),
    "kept regions are edited": ("carving", [(bind, "carve", without_kept)]),
    "far parts are near": ("errors", [(carving, "_near", lambda part, owner: True)]),
    "overlaps are not said": ("warnings", [(carving, "_overlaps", lambda *arguments: [])]),
    "no frame is empty on purpose": (
        "warnings",
        [(MaskNotes, "note", lambda self, name, expression, frames: None)],
    ),
    "a crop is not said": ("warnings", [(bind, "cropped", lambda *arguments: [])]),
    "a crop's border is off": (
        "warnings",
        [(cropped, "_inside", lambda crop, whole: INSIDE(crop, whole)[:, ::-1])],
    ),
    "a sliver is compared": ("uncropped", [(bind, "whole_frame", lambda crop, facts: crop)]),
    "bits are of the next region": (
        "layout",
        [(Layout, "mask", lambda self, name: MASK(self, (*self.names, self.names[0])[self.names.index(name) + 1]))],
    ),
    "frames of a layout are lost": (
        "layout",
        [(Layout, "inside", lambda self, part: Layout(self.names, self.bits_FHW[(slice(None), *part)], ()))],
    ),
    "binding crashes": ("binding", [(bind, "grow", lambda mask, radius: mask[..., 1:])]),
}  # fmt: skip
INSIDE, MASK = cropped._inside, Layout.mask


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_the_property_meant_for_it(fault: str) -> None:
    name, patches = FAULTS[fault]
    properties = list(REGION_PROPERTIES) if name == "binding" else [name]
    for module, attribute, broken in patches:
        patch = mock.patch.object(module, attribute, broken)
        with patch, pytest.raises(Broken) as raised:
            for scene in drawn():
                check_regions(*scene, errors_allowed=True, properties=properties)
        assert raised.value.invariant == name


@pytest.mark.parametrize("count", [62, 63, 64])
def test_as_many_regions_as_there_may_be(clip: ClipFolder, count: int) -> None:
    names = [f"r{number}" for number in range(count)]
    boxes = [f"region {name} = box({i}px, 0px, {i + 9}px, 9px)" for i, name in enumerate(names)]
    text = 'grain 1 video "clip" target "a bear" {} edit r0 -> "bear"'
    spec = parse(text.format(" ".join(boxes)))
    check_regions(spec, clip.root)
