"""Ellipses, polygons, grown and shrunk regions, regions on some frames only."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from clips import ClipFolder
from hypothesis import example, given
from hypothesis import strategies as st

from grainspec import GrainError, Region, box, ellipse, parse, parse_all, polygon
from grainspec.regions.bind import bind_regions
from grainspec.regions.shapes import fill_box, fill_ellipse, fill_polygon, grow

numbers = st.floats(-5, 25).map(lambda n: round(n, 2))


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=6))
def test_polygons_hold_the_pixels_whose_centres_they_hold(
    points: list[tuple[float, float]],
) -> None:
    mask = fill_polygon((12, 17), points)
    for row in range(12):
        for column in range(17):
            crossings = 0
            for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
                if (row + 0.5 < y0) != (row + 0.5 < y1):
                    at = x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)
                    crossings += column + 0.5 >= at
            assert mask[row, column] == crossings % 2


@given(numbers, numbers, numbers, numbers)
@example(0, 0, 1, 1.5)  # touches its lower side at the centre of a pixel, which is not in the box
@example(0, 0, 2.5, 3)
def test_a_square_polygon_is_a_box(x0: float, y0: float, x1: float, y1: float) -> None:
    (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    box = fill_box((12, 17), x0, y0, x1, y1)
    assert (fill_polygon((12, 17), corners) == box).all()
    assert not (fill_ellipse((12, 17), x0, y0, x1, y1) & ~box).any()


def test_an_ellipse_touches_its_box_as_the_box_has_its_sides() -> None:
    """The left and the upper side belong to a box, the right and the lower one do not."""
    assert fill_ellipse((4, 4), 0.5, 0.5, 2.5, 2.5).astype(int).tolist() == [
        [0, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_an_ellipse_has_its_area() -> None:
    assert fill_ellipse((200, 300), 10, 20, 290, 180).sum() == pytest.approx(
        np.pi * 140 * 80, rel=0.001
    )


@given(st.integers(0, 2**32 - 1), st.floats(-6, 6))
def test_growing_is_by_a_disc(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((2, 9, 13)) < rng.choice([0.05, 0.5, 0.95])
    inside = mask if radius >= 0 else ~mask
    y, x = np.mgrid[:9, :13]
    wanted = np.zeros_like(mask)
    for frame, row, column in np.argwhere(inside):
        wanted[frame] |= (y - row) ** 2 + (x - column) ** 2 <= radius**2
    assert (grow(mask, radius) == (wanted if radius >= 0 else ~wanted)).all()


def bound(clip: ClipFolder, region: str, video: str = "") -> np.ndarray:
    text = clip.spec_text(
        regions=f"region left = {region}",
        edits='edit left -> "green robot"',
        video=f'video "clip" {{ {video or "size 64x48"} }}',
    )
    return bind_regions(parse(text), clip.root).regions.mask("left")


def test_shapes_land_where_they_were_drawn_after_any_crop(clip: ClipFolder) -> None:
    """A shape and the mask of the same shape, drawn on the source frame, agree."""
    shapes = {
        "ellipse(10px, 4px, 50px, 40px)": fill_ellipse((48, 64), 10, 4, 50, 40),
        "polygon(10px 4px, 60px 20px, 20px 44px)": fill_polygon(
            (48, 64), [(10, 4), (60, 20), (20, 44)]
        ),
        "box(25%, 25%, 75%, 75%)": fill_box((48, 64), 16, 12, 48, 36),
    }
    for shape, mask in shapes.items():
        clip.write_masks("drawn", [mask] * clip.frames)
        for video in ("size 64x48", "crop box(8px, 8px, 56px, 40px) size 48x32"):
            assert (bound(clip, shape, video) == bound(clip, 'masks("drawn")', video)).all()
    large = bound(clip, "ellipse(0%, 0%, 100%, 100%)", "size 640x480")
    assert large.mean() == pytest.approx(np.pi / 4, rel=0.001)


def test_shapes_move_between_keyframes(clip: ClipFolder) -> None:
    moving = bound(
        clip,
        "polygon(0px 0px, 8px 0px, 8px 8px, 0px 8px) @ 0, "
        "polygon(30px 0px, 38px 0px, 38px 8px, 30px 8px) @ 3",
    )
    assert [int(np.flatnonzero(frame.any(0))[0]) for frame in moving] == [0, 10, 20, 30]
    assert moving.sum(axis=(1, 2)).tolist() == [64] * 4


def test_distances_are_in_source_pixels(clip: ClipFolder) -> None:
    dot = "box(32px, 24px, 33px, 25px)"
    assert bound(clip, f"{dot} grow 4px")[0].sum() == 49  # the disc of radius 4
    twice = bound(clip, f"{dot} grow 4px", "size 128x96")[0].sum()
    assert 3.5 * 49 < twice < 5 * 49  # a dot of four pixels, a disc of radius 8
    share = bound(clip, f"{dot} grow 12.5%")  # of the shorter side, 48
    assert (share == bound(clip, f"{dot} grow 6px")).all()
    grown = bound(clip, f"({dot} grow 6px) shrink 6px")
    assert (grown == bound(clip, dot)).all()


def test_regions_on_some_frames(clip: ClipFolder) -> None:
    there = bound(clip, "(all during 1..2) - box(0%, 0%, 50%, 100%)")
    assert there.any(axis=(1, 2)).tolist() == [False, True, True, False]
    stepped = bound(clip, "all during 2..9", "frames 0..3 step 2 size 64x48")
    assert stepped.any(axis=(1, 2)).tolist() == [False, True]


def test_how_tight_they_bind() -> None:
    def region(text: str) -> object:
        spec = f'grain 1 video "v" target "a bear" region a = {text} edit a -> "bear"'
        return parse(spec).regions[0].expression

    assert region("~all grow 2px") == ~region("all grow 2px")  # type: ignore[operator]
    assert region("all | rest grow 2px") == region("all | (rest grow 2px)")
    assert region("all grow 2px during 0..3") == region("(all grow 2px) during 0..3")
    assert region("(~all) grow 2px") == (~region("all")).grow("2px")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("region", "code", "words"),
    [
        ("polygon(1% 2%, 3% 4%)", "G205", "at least 3 points"),
        ("polygon(1%, 2%, 3%)", "G205", "a point needs two lengths"),
        ("ellipse(1%, 2%)", "G205", "an ellipse has 4 sides"),
        ("box(1%, 2%, 3%, 4%) @ 0, ellipse(1%, 2%, 3%, 4%) @ 1", "G205", "one shape"),
        (
            "polygon(0% 0%, 9% 0%, 9% 9%) @ 0, polygon(0% 0%, 9% 0%, 9% 9%, 1% 2%) @ 1",
            "G202",
            "same",
        ),
        ("all grow 3", "G001", "a percentage or a length in px"),
        ("all grow -3px", "G203", "at least 0"),
        ("all during 9..3", "G202", "comes before"),
        ("all" + " grow 1px" * 60, "G004", "more than 50 levels deep"),
    ],
)
def test_mistakes_are_told(region: str, code: str, words: str) -> None:
    text = f'grain 1 video "v" target "a bear" region a = {region} edit a -> "bear"'
    finding = parse_all(text).diagnostics[0]
    assert finding.code == code
    assert words in f"{finding.message} {finding.cure}"


def test_frames_past_the_end_are_told(clip: ClipFolder) -> None:
    from grainspec import check

    spec = parse(
        clip.spec_text(regions="region left = all during 9..12", edits='edit left -> "green robot"')
    )
    assert [finding.code for finding in check(spec, base=clip.root)] == ["G303"]


def test_the_builder_has_them_too() -> None:
    round_thing = ellipse("10%", "10%", "20%", "20%").grow("2%").during(0, 3)
    spec = 'grain 1 video "v" target "a bear" region a = {} edit a -> "bear"'
    same = parse(spec.format("ellipse(10%, 10%, 20%, 20%) grow 2% during 0..3"))
    assert same.regions[0].expression == round_thing
    with pytest.raises(GrainError, match="G202"):
        polygon(("1", "2"), ("3%", "4%"), ("5%", "6%"))
    with pytest.raises(GrainError, match="G203"):
        round_thing.shrink("-1px")


def test_shrink_in_python_shrinks(clip: ClipFolder) -> None:
    """``.shrink()`` is `shrink` of the language, and leaves the pixels away from the edge."""
    whole = box("10px", "10px", "30px", "26px")
    smaller, larger = whole.shrink("4px"), whole.grow("4px")
    assert (smaller.kind, larger.kind) == ("shrink", "grow")
    regions = "region left = {}\nregion right = {}\nregion other = {}".format(
        "box(10px, 10px, 30px, 26px)",
        "box(10px, 10px, 30px, 26px) shrink 4px",
        "box(10px, 10px, 30px, 26px) grow 4px",
    )
    spec = parse(clip.spec_text(regions=regions))
    assert [region.expression for region in spec.regions] == [whole, smaller, larger]
    shrunk = spec.model_copy(
        update={
            "regions": tuple(
                Region(name=name, expression=expression)
                for name, expression in (("left", whole), ("right", smaller), ("other", larger))
            )
        }
    )
    found = bind_regions(shrunk, clip.root).regions
    assert found.mask("right").sum(axis=(1, 2)).tolist() == [12 * 8] * 4
    assert found.mask("right")[:, 14:22, 14:26].all()
    assert (found.mask("left") & ~found.mask("other")).sum() == 0
    assert found.mask("other").sum() > found.mask("left").sum()


@given(
    left=st.integers(0, 24),
    top=st.integers(0, 16),
    grown=st.sampled_from(["grow 7px", "shrink 4px", "grow 10%"]),
    size=st.sampled_from(["size 64x48", "size 32x24", "size 128x96"]),
)
def test_what_lies_beside_a_crop_counts(left: int, top: int, grown: str, size: str) -> None:
    """A region cut out of the whole frame is the region on the cut frame."""
    wide, high = 64, 48
    scale = {"64": 1, "32": 2, "128": 0.5}[size.split()[1].split("x")[0]]
    left, top = left // 2 * 2, top // 2 * 2
    cut_width, cut_height = 40, 32
    text = (
        'grain 1\nvideo "clip" {{ {} }}\ntarget "a"\nregion b = ellipse(8px, 6px, 30px, 28px)\n'
        f"region r = (b {grown} | box(40px, 20px, 52px, 40px)) {grown}\n"
        'region whole = all\nedit whole -> "a"\n'
    )
    with tempfile.TemporaryDirectory() as folder:
        clip = ClipFolder(Path(folder), frames=1, size=(wide, high))
        whole = bind_regions(parse(text.format(size)), clip.root).regions.mask("r")
        crop = f"crop box({left}px, {top}px, {left + cut_width}px, {top + cut_height}px)"
        out = f"size {int(cut_width / scale)}x{int(cut_height / scale)}"
        found = bind_regions(parse(text.format(f"{crop} {out}")), clip.root).regions.mask("r")
    x, y = int(left / scale), int(top / scale)
    expected = whole[:, y : y + found.shape[1], x : x + found.shape[2]]
    assert (found == expected).all()


def test_growing_keeps_its_rule_at_exact_distances() -> None:
    """Pixel by pixel: within the radius, row by row as it is defined."""
    rng = np.random.default_rng(0)
    for case in range(150):
        mask = rng.random((int(rng.integers(1, 12)), int(rng.integers(1, 12)))) < 0.1
        radius = float(rng.choice([rng.uniform(0, 9), math.sqrt(rng.integers(0, 150)), case % 5]))
        wanted = np.zeros_like(mask)
        for y, x in np.argwhere(mask):
            for down, across in np.ndindex(mask.shape):
                rows = abs(down - y)
                if rows <= radius and abs(across - x) <= math.sqrt(radius * radius - rows * rows):
                    wanted[down, across] = True
        assert (grow(mask, radius) == wanted).all(), (radius, mask)
        assert (grow(~mask, -radius) == ~wanted).all()
