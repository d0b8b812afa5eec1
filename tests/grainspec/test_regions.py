from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import ClipFolder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from grainspec import GrainError, parse
from grainspec.checks.files import check_files
from grainspec.clip.crop import frame_crop
from grainspec.clip.facts import ClipFacts, probe
from grainspec.model.spec import EditSpec, Size, Video
from grainspec.regions.bind import Bound, bind_regions, readable_regions
from grainspec.regions.carving import carve, edited_masks
from grainspec.regions.layout import Layout
from grainspec.regions.tracked.state import tracked_state
from grainspec.testing import boxes, specs


def bind(clip: ClipFolder, **replaced: str) -> Bound:
    return bind_regions(parse(clip.spec_text(**replaced)), clip.root)


def codes_raised(clip: ClipFolder, **replaced: str) -> list[str]:
    with pytest.raises(GrainError) as raised:
        bind(clip, **replaced)
    return [finding.code for finding in raised.value.diagnostics]


def test_masks_become_regions(clip: ClipFolder) -> None:
    bound = bind(clip)
    assert bound.regions.bits_FHW.shape == (4, 48, 64)
    assert bound.regions.mask("left")[:, :, :32].all()
    assert not bound.regions.mask("left")[:, :, 32:].any()
    assert (bound.regions.mask("right") == ~bound.regions.mask("left")).all()
    assert bound.warnings == ()


def test_algebra(clip: ClipFolder) -> None:
    found = bind(
        clip,
        regions=(
            'region left = masks("left")\n'
            'region right = masks("left", invert)\n'
            "region middle = box(25%, 0%, 75%, 100%)\n"
            "region a = left | middle\n"
            "region b = left & middle\n"
            "region c = middle - left\n"
            "region d = ~middle\n"
            "region e = all"
        ),
    ).regions
    left, middle = found.mask("left"), found.mask("middle")
    assert (found.mask("right") == ~left).all()
    assert (found.mask("a") == left | middle).all()
    assert (found.mask("b") == left & middle).all()
    assert (found.mask("c") == middle & ~left).all()
    assert (found.mask("d") == ~middle).all()
    assert found.mask("e").all()


def test_rest_is_what_no_other_region_covers(clip: ClipFolder) -> None:
    found = bind(
        clip,
        regions=(
            "region trees = rest - top\n"
            'region left = masks("left")\n'
            "region right = box(50%, 50%, 100%, 100%)\n"
            "region top = box(0%, 0%, 100%, 10px)"
        ),
        edits='edit left -> "green robot"\nedit trees -> "yellow bear"',
    ).regions
    covered = found.mask("left") | found.mask("right") | found.mask("top")
    assert (found.mask("trees") == ~covered).all()


def test_boxes_move_between_keyframes(clip: ClipFolder) -> None:
    found = bind(
        clip,
        regions=(
            "region left = box(0px, 0px, 8px, 8px) @ 1, box(20px, 0px, 28px, 8px) @ 3\n"
            'region right = masks("right")'
        ),
    ).regions.mask("left")
    starts = [int(np.flatnonzero(frame.any(axis=0))[0]) for frame in found]
    assert starts == [0, 0, 10, 20]
    assert (found.sum(axis=(1, 2)) == 64).all()


def test_keyframes_are_source_frames(clip: ClipFolder) -> None:
    found = bind(
        clip,
        video='video "clip" { frames 1..3 step 2 size 64x48 }',
        regions=(
            "region left = box(0px, 0px, 8px, 8px) @ 1, box(20px, 0px, 28px, 8px) @ 3\n"
            'region right = masks("right")'
        ),
    ).regions
    assert found.frames == (1, 3)
    starts = [int(np.flatnonzero(f.any(axis=0))[0]) for f in found.mask("left")]
    assert starts == [0, 20]


@given(
    wide=st.integers(24, 90),
    high=st.integers(24, 90),
    crop=st.none() | boxes(moving=False),
    size=st.none() | st.tuples(st.integers(16, 80), st.integers(16, 80)),
)
def test_a_mask_lands_on_the_pixels_it_was_drawn_on(
    wide: int, high: int, crop: object, size: tuple[int, int] | None
) -> None:
    """Whatever the crop and size, a frame and its mask are cropped alike."""
    picture = np.zeros((high, wide), np.uint8)
    picture[high // 3 : high // 3 + 12, wide // 4 : wide // 4 + 12] = 255
    facts = ClipFacts(1, wide, high, 8.0)
    video = Video(path="c", crop=crop, size=Size(width=size[0], height=size[1]) if size else None)
    try:
        cropped = frame_crop(video, facts)
    except GrainError as error:
        assert error.diagnostics[0].code == "G309"
        return
    source = Image.fromarray(picture)
    frame = np.asarray(cropped.frame(source.convert("RGB")))[:, :, 0]
    mask = np.asarray(cropped.mask(source)) >= 128
    assert mask.shape == frame.shape == (cropped.height, cropped.width)
    sure = (frame < 20) | (frame > 235)  # away from the edge, where the frame is blended
    assert (mask == (frame > 127))[sure].mean() > 0.97 if sure.any() else True
    left, top, right, bottom = cropped.box
    assert 0 <= left < right <= wide + 1e-6
    assert 0 <= top < bottom <= high + 1e-6
    assert (right - left) / cropped.width == pytest.approx(
        (bottom - top) / cropped.height, rel=0.05
    )


def test_bad_masks_are_coded(clip: ClipFolder) -> None:
    regions = 'region left = masks("{}")\nregion right = masks("right")'
    assert codes_raised(clip, regions=regions.format("nowhere")) == ["G304"]
    assert codes_raised(clip, regions=regions.format("no*")) == ["G304"]
    clip.write_masks("black", [clip.mask(0, 0, 0, 0)] * 4)
    assert codes_raised(clip, regions=regions.format("black")) == ["G307"]
    (clip.root / "left" / "00002.png").write_text("no image")
    assert codes_raised(clip, regions=regions.format("left")) == ["G308"]
    Image.new("L", (32, 32), 255).save(clip.root / "left" / "00002.png")
    assert codes_raised(clip, regions=regions.format("left")) == ["G306"]
    (clip.root / "left" / "00002.png").unlink()
    assert codes_raised(clip, regions=regions.format("left")) == ["G305"]
    (clip.root / "right" / "other_00001.png").write_bytes(b"")
    assert codes_raised(clip) == ["G305", "G304"]


def grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values)


def with_alpha(mask: np.ndarray, alpha: np.ndarray) -> Image.Image:
    image = Image.fromarray(mask.astype(np.uint8) * 255).convert("RGBA")
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


def test_only_masks_that_are_plainly_black_and_white_are_taken(clip: ClipFolder) -> None:
    half = clip.mask(0, 0, 32, 48)
    full = np.full(half.shape, 255)

    def write(picture: Image.Image, suffix: str = "png") -> None:
        for number in range(4):
            for old in (clip.root / "left").glob(f"{number:05}.*"):
                old.unlink()
            picture.save(clip.root / "left" / f"{number:05}.{suffix}")

    def taken(picture: Image.Image, suffix: str = "png") -> bool:
        write(picture, suffix)
        return bool((bind(clip).regions.mask("left") == half).all())

    def refused(picture: Image.Image, suffix: str = "png", invert: str = "") -> str:
        write(picture, suffix)
        regions = f'region left = masks("left"{invert})\nregion right = masks("right")'
        with pytest.raises(GrainError, match="G308") as raised:
            bind(clip, regions=regions)
        return str(raised.value)

    assert taken(with_alpha(half, full))
    assert taken(grey(np.where(half, 40000, 30000).astype(np.uint16)))
    assert "without transparency" in refused(with_alpha(half, full * half))
    assert "8-bit" in refused(grey(half.astype(np.float32)), "tif")
    assert "8-bit" in refused(grey(half.astype(np.int32)), "tif")
    assert "0 and 255" in refused(grey(half.astype(np.uint8)), invert=", invert")
    assert "0 and 255" in refused(grey(half.astype(np.uint16)), invert=", invert")


def test_broken_masks_and_odd_paths_are_coded(clip: ClipFolder) -> None:
    regions = 'region left = masks("{}")\nregion right = masks("right")'
    assert codes_raised(clip, regions=regions.format("x" * 5000)) == ["G304"]
    picture = clip.root / "left" / "00000.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:20] + b"\xff" * 60)
    assert codes_raised(clip) == ["G308"]
    picture.write_bytes(whole)
    clip.root.joinpath("left").rename(clip.root / "left [1]")
    assert bind(clip, regions=regions.format("left [1]")).warnings == ()
    odd = clip.root.rename(clip.root.with_name("clip [a]"))
    text = clip.spec_text(regions=regions.format("left [[]1]/0*.png"))
    assert bind_regions(parse(text), odd).warnings == ()


def test_what_is_empty_is_never_silent(clip: ClipFolder) -> None:
    regions = 'region left = masks("left")\nregion none = left - all'
    assert codes_raised(clip, regions=regions, edits='edit left -> "green robot"\nkeep none') == [
        "G307"
    ]
    assert codes_raised(clip, regions=regions, edits='add left of none -> "green robot"') == [
        "G307"
    ]


def test_a_box_may_leave_the_frame(clip: ClipFolder) -> None:
    def codes(box: str) -> list[str]:
        regions = f"region left = {box}"
        text = clip.spec_text(regions=regions, edits='edit left -> "green robot"')
        return [finding.code for finding in check_files(parse(text), clip.root)]

    assert codes("box(0%, 0%, 20%, 20%) @ 0, box(120%, 0%, 140%, 20%) @ 3") == []
    assert codes("box(-40%, 0%, -20%, 20%) @ 0, box(120%, 0%, 140%, 20%) @ 3") == []
    assert codes("box(120%, 0%, 140%, 20%) @ 0, box(130%, 0%, 150%, 20%) @ 3") == ["G309"]
    assert codes("box(120%, 0%, 140%, 20%)") == ["G309"]


def test_a_region_may_be_out_of_sight_on_some_frames(clip: ClipFolder) -> None:
    seen, gone = clip.mask(0, 0, 8, 8), clip.mask(0, 0, 0, 0)
    clip.write_masks("left", [seen, gone, seen, gone])
    bound = bind(clip)
    assert [warning.code for warning in bound.warnings] == ["G315"]
    assert "1, 3" in bound.warnings[0].message


def test_parts_are_carved_out_of_their_owners(clip: ClipFolder) -> None:
    bound = bind(
        clip,
        target='target "a green robot with sunglasses and a yellow bear with a hat"',
        regions=(
            'region left = masks("left")\nregion right = masks("right")\n'
            "region men = left | right\n"
            "region eyes = box(10%, 10%, 30%, 30%)\nregion hat = box(60%, -5%, 80%, 20%)"
        ),
        edits=(
            'edit class men -> "green robot"\n'
            'edit part eyes of left -> "sunglasses"\n'
            'add part hat of right -> "hat"'
        ),
    )
    edits = bound.edits
    assert not (edits.mask("men") & (edits.mask("eyes") | edits.mask("hat"))).any()
    whole = edits.mask("men") | edits.mask("eyes") | edits.mask("hat")
    assert (whole == bound.regions.mask("men")).all()
    assert bound.warnings == ()


def test_a_changed_part_is_cut_to_its_owner_and_an_added_one_is_not(clip: ClipFolder) -> None:
    clip.write_masks("left", [clip.mask(10, 20, 30, 48)] * 4)
    common = {
        "target": 'target "a hat on a yellow bear"',
        "regions": 'region left = masks("left")\nregion top = box(10px, 10px, 30px, 24px)',
    }
    changed = bind(clip, edits='edit part top of left -> "hat"', **common)
    assert changed.edits.mask("top").sum() == 4 * 20 * 4
    assert [warning.code for warning in changed.warnings] == ["G316"]
    added = bind(clip, edits='add part top of left -> "hat"', **common)
    assert added.edits.mask("top").sum() == 4 * 20 * 14
    assert added.warnings == ()


def test_parts_far_from_their_owner_are_errors(clip: ClipFolder) -> None:
    clip.write_masks("left", [clip.mask(0, 0, 10, 10)] * 4)
    common = {
        "target": 'target "a hat on a yellow bear"',
        "regions": 'region left = masks("left")\nregion far = box(80%, 80%, 90%, 90%)',
    }
    for verb in ("edit", "add"):
        assert codes_raised(clip, edits=f'{verb} part far of left -> "hat"', **common) == ["G313"]


def test_nested_parts_take_from_every_ancestor(clip: ClipFolder) -> None:
    edits = bind(
        clip,
        target='target "a robot with a face and an eye"',
        regions=(
            'region left = masks("left")\nregion face = box(5%, 10%, 45%, 60%)\n'
            "region eye = box(10%, 20%, 20%, 30%)"
        ),
        edits=(
            'edit left -> "robot"\nedit part eye of face -> "eye"\nedit part face of left -> "face"'
        ),
    ).edits
    assert (edits.bits_FHW & (edits.bits_FHW - np.uint8(1)) == 0)[edits.bits_FHW > 0].all()
    assert edits.mask("eye").any()


def test_overlaps_are_reported_and_kept_regions_win(clip: ClipFolder) -> None:
    bound = bind(
        clip,
        regions=(
            'region left = masks("left")\nregion right = box(30%, 0%, 100%, 100%)\n'
            "region foot = box(0%, 80%, 100%, 100%)"
        ),
        edits='edit left -> "green robot"\nedit right -> "yellow bear"\nkeep foot',
    )
    assert [warning.code for warning in bound.warnings] == ["G312"]
    assert not (bound.edits.bits_FHW[:, 39:] > 0).any()


@given(specs(), st.randoms(use_true_random=False))
def test_carving_keeps_parts_and_wholes_apart(spec: EditSpec, rng: object) -> None:
    seed = rng.randrange(1 << 30)  # type: ignore[attr-defined]
    generator = np.random.default_rng(seed)
    masks = {region.name: generator.random((2, 8, 8)) < 0.7 for region in spec.regions}
    try:
        edits, _ = carve(spec, Layout.of(masks))
    except GrainError:
        return
    for name, mask in edited_masks(spec, Layout.of(masks)).items():
        assert (mask == edits.mask(name)).all()
    parts = [edit.region for edit in spec.changes if edit.grain == "part"]
    for part in parts:
        for other in spec.changes:
            if other.grain != "part":
                assert not (edits.mask(part) & edits.mask(other.region)).any()


def test_some_frames_have_the_regions_that_they_have_among_all(clip: ClipFolder) -> None:
    regions = (
        'region left = masks("left")\nregion right = masks("right") smooth 3\n'
        "region box = box(0%, 0%, 40%, 40%) @ 0, box(60%, 60%, 100%, 100%) @ 3\n"
        "region others = rest grow 2% - box"
    )
    spec = parse(clip.spec_text(regions=regions))
    bound = bind_regions(spec, clip.root)
    state = tracked_state(spec, clip.root, bound.facts)
    frames = bound.regions.frames
    for index, frame in enumerate(frames):
        near = frames[max(0, index - 1) : index + 2]
        layout, errors = readable_regions(state, bound.crop, near)
        assert errors == {}
        one = layout.at([near.index(frame)])
        assert (one.bits_FHW == bound.regions.at([index]).bits_FHW).all()


def test_a_region_that_cannot_be_read_leaves_the_others(clip: ClipFolder) -> None:
    regions = (
        'region left = masks("none")\nregion right = masks("right")\n'
        "region seen = track(point(50%, 50%) @ 0)\nregion others = rest - left"
    )
    spec = parse(clip.spec_text(regions=regions))
    facts = probe(clip.root / spec.video.path)
    state = tracked_state(spec, clip.root, facts)
    layout, errors = readable_regions(state, frame_crop(spec.video, facts), [0])
    assert {name: [found.code for found in some] for name, some in errors.items()} == {
        "left": ["G304"],
        "seen": ["G354"],
    }
    assert layout.mask("right").any()
    assert not (layout.mask("left") | layout.mask("seen")).any()
    assert (layout.mask("others") == ~layout.mask("right")).all()


def test_layout_refuses_what_is_no_mask() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Layout.of({})
    with pytest.raises(ValueError, match="F, H, W"):
        Layout.of({"a": np.zeros((2, 2), bool)})


def test_many_regions(tmp_path: Path) -> None:
    clip = ClipFolder(tmp_path)
    regions = "\n".join(f"region r{i} = box(0%, 0%, 50%, 50%)" for i in range(65))
    assert codes_raised(clip, regions=regions, edits='edit r0 -> "green robot"') == ["G203"]
    regions = "\n".join(f"region r{i} = box({i}px, 0%, {i + 1}px, 50%)" for i in range(64))
    found = bind(clip, regions=regions, edits='edit r63 -> "green robot"').regions
    assert found.bits_FHW.dtype == np.uint64
    assert found.mask("r63").sum() == 4 * 24
