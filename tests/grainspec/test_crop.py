"""Which part of the frames is edited, at which size, and what that takes from regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import ClipFolder
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from grainspec import GrainError, parse
from grainspec.clip.crop import FrameCrop, NativeSize, frame_crop
from grainspec.clip.facts import ClipFacts
from grainspec.model.spec import Size, Video
from grainspec.regions.bind import Bound, bind_regions

SD = NativeSize(Size(width=512, height=512), 8)
DEMO = NativeSize(Size(width=96, height=96), 4)


def facts(width: int, height: int) -> ClipFacts:
    return ClipFacts(4, width, height, 8.0)


@pytest.mark.parametrize("side", [48, 192, 1080])
def test_square_clips_have_the_models_own_size(side: int) -> None:
    for native in (SD, DEMO):
        crop = frame_crop(Video(path="c"), facts(side, side), native)
        assert crop == FrameCrop((0, 0, side, side), native.size.width, native.size.height)


@given(st.integers(64, 4096), st.integers(64, 4096), st.sampled_from([SD, DEMO]))
@example(1920, 1080, SD)
@example(720, 540, DEMO)
def test_the_default_has_the_clips_aspect_and_the_models_area(
    width: int, height: int, native: NativeSize
) -> None:
    own = native.of_aspect(width, height)
    assert own[0] % native.multiple == own[1] % native.multiple == 0
    if max(width, height) <= 4 * min(width, height):
        area = own[0] * own[1] / (native.size.width * native.size.height)
        assert 8 / 9 - 1e-9 <= area <= 9 / 8 + 1e-9
        aspect = (own[0] / own[1]) / (width / height)
        assert abs(aspect - 1) < (0.01 if native is SD else 0.05)
    assert native.of_aspect(height, width) == own[::-1]


@given(
    st.integers(40, 400),
    st.integers(40, 400),
    st.sampled_from([64, 96, 128]),
    st.sampled_from([64, 96, 128]),
)
def test_padding_keeps_the_whole_frame(wide: int, high: int, width: int, height: int) -> None:
    video = Video(path="c", size=Size(width=width, height=height), fit="pad")
    crop = frame_crop(video, facts(wide, high))
    assert crop.box == (0, 0, wide, high)
    assert crop.size == (width, height)
    assert min(width - crop.width, height - crop.height) == 0
    left, above, right, below = crop.padding
    assert abs(left - right) <= 1
    assert abs(above - below) <= 1
    frame = Image.fromarray(np.random.default_rng(0).integers(0, 255, (high, wide, 3), np.uint8))
    padded = np.asarray(crop.frame(frame))[None]
    assert padded.shape == (1, height, width, 3)
    inside = crop.unpadded(padded)
    assert inside.shape == (1, crop.height, crop.width, 3)
    np.testing.assert_array_equal(crop.padded(inside), padded)
    np.testing.assert_array_equal(padded[0, 0], padded[0, above])  # the border is repeated


def bound(clip: ClipFolder, video: str, regions: str = 'region left = masks("left")') -> Bound:
    text = clip.spec_text(
        video=f'video "clip" {{ {video} }}',
        target='target "a green robot"',
        regions=regions,
        edits='edit left -> "green robot"',
    )
    return bind_regions(parse(text), clip.root)


def test_padding_belongs_to_no_region(clip: ClipFolder) -> None:
    padded = bound(clip, "size 64x64 fit pad", "region left = all")
    mask = padded.edits.mask("left")
    assert mask.shape == (4, 64, 64)
    assert not mask[:, :8].any()
    assert not mask[:, 56:].any()
    assert mask[:, 8:56].all()
    assert padded.shown.mask("left").shape == (4, 48, 64)
    assert padded.shown.mask("left").all()
    assert padded.warnings == ()


def test_masks_and_shapes_are_padded_like_frames(clip: ClipFolder) -> None:
    whole = bound(clip, "step 1", 'region left = masks("left") | box(50%, 50%, 70%, 70%) grow 2px')
    padded = bound(
        clip, "size 64x80 fit pad", 'region left = masks("left") | box(50%, 50%, 70%, 70%) grow 2px'
    )
    np.testing.assert_array_equal(padded.shown.mask("left"), whole.edits.mask("left"))


def test_what_a_crop_takes_from_a_region_is_said(clip: ClipFolder) -> None:
    cut = bound(clip, "size 32x64")
    (finding,) = cut.warnings
    assert (finding.code, finding.is_error) == ("G335", False)
    assert finding.message == "`size` cuts 62% of `left` away, on frames 0 to 3"
    assert "`fit pad`" in finding.cure
    assert [related.message for related in finding.related] == ["the region"]
    assert bound(clip, "size 32x64 fit pad").warnings == ()
    assert bound(clip, "crop box(0%, 0%, 50%, 100%)").warnings == ()
    (finding,) = bound(clip, "crop box(25%, 0%, 100%, 100%)").warnings
    assert finding.message == "`crop` cuts 50% of `left` away, on frames 0 to 3"
    assert "fit pad" not in finding.cure


def test_what_the_size_of_a_model_takes_from_a_region_is_said(clip: ClipFolder) -> None:
    spec = parse(clip.spec_text(video='video "clip"', edits='edit left -> "green robot"'))
    (finding,) = bind_regions(spec, clip.root, default_size=Size(width=32, height=64)).warnings
    assert finding.code == "G335"
    assert finding.message.startswith("scaling the frame to 32x64 for the model cuts 62% of `left`")
    assert finding.cure == "`size 32x64 fit pad` keeps the whole frame."


def test_only_the_frames_that_lose_something_are_named(clip: ClipFolder) -> None:
    inside, outside = clip.mask(30, 0, 60, 48), clip.mask(0, 0, 60, 48)
    clip.write_masks("left", [outside, inside, outside, outside])
    (finding,) = bound(clip, "crop box(40%, 0%, 100%, 100%)").warnings
    assert finding.message.endswith("on frames 0 and 2 to 3")


def test_a_region_that_is_cut_away_is_an_error(clip: ClipFolder) -> None:
    with pytest.raises(GrainError, match="G307.*`crop` cuts all of `left` away"):
        bound(clip, "crop box(60%, 0%, 100%, 100%)")


def test_a_loss_of_exactly_a_twentieth_is_said(clip: ClipFolder) -> None:
    clip.write_masks("left", [clip.mask(20, 0, 40, 48)] * 4)
    (finding,) = bound(clip, "frames 0..0 crop box(21px, 0px, 64px, 48px)").warnings
    assert finding.message == "`crop` cuts 5% of `left` away, on frame 0"


def test_a_region_that_is_empty_anyway_is_not_cut_away(clip: ClipFolder) -> None:
    regions = 'region right = masks("right")\nregion left = masks("left") & right'
    with pytest.raises(GrainError, match="G307.*`left` is empty on every frame"):
        bound(clip, "crop box(25%, 0%, 100%, 100%)", regions)


def test_regions_up_to_the_border_lose_nothing(clip: ClipFolder) -> None:
    regions = 'region right = masks("right")\nregion left = rest'
    assert bound(clip, "size 32x64", regions).warnings == ()


def test_variants_are_told_of_their_own_regions(clip: ClipFolder) -> None:
    text = clip.spec_text(
        video='video "clip" { crop box(25%, 0%, 100%, 100%) }',
        edits='edit right -> "green robot"',
        settings='variant other { without right  edit left -> "yellow bear" }',
    )
    spec = parse(text)
    first = bind_regions(spec.without_variants(), clip.root)
    assert first.warnings == ()
    (finding,) = first.carved(spec.as_variant("other")).warnings
    assert finding.code == "G335"


def test_a_crop_beside_the_frame_is_an_error(tmp_path: Path) -> None:
    spec = parse(
        'grain 1 video "c" { crop box(110%, 0%, 120%, 50%) } target "a bear" '
        'region r = all edit r -> "bear"'
    )
    with pytest.raises(GrainError, match="G309"):
        frame_crop(spec.video, facts(64, 48))
