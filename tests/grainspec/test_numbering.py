"""Which number in a file's name is its frame."""

from __future__ import annotations

import time

import numpy as np
import pytest
from clips import ClipFolder
from hypothesis import given
from hypothesis import strategies as st
from mask_sources import cured, refused, region
from PIL import Image

from grainspec import GrainError
from grainspec.clip.facts import probe
from grainspec.clip.numbering import AmbiguousNumbers, looks_counted, number_names

HASHES = ["a81f9e", "07bb1c", "9999ab", "12ce34", "c0ffee", "3d3d3d", "81234f", "e9e8e7"]


@pytest.mark.parametrize(
    "pattern",
    [
        "{:05d}.png",
        "{}.png",
        "left_{:05d}.png",
        "frame{:05d}_obj1.png",
        "shot02_{:04d}.png",
        "{:04d}-{hash}_1080p.png",
        "{hash}-{:04d}.png",
        "clip_2024-11-26_{:03d}_mask.png",
        "frame_{:06d}_png.rf.{hash}.jpg",
        "IMG {:04d} (1).PNG",
        "mp4_x264_{}_h264.png",
        "v{:03d}x.png",
        "帧{:03d}_2.png",
    ],
)
@pytest.mark.parametrize("numbers", [range(8), range(3, 24, 3), [0, 1, 2, 5, 6, 7, 40, 41]])
def test_the_number_that_varies_is_the_frame(pattern: str, numbers: list[int]) -> None:
    names = [pattern.format(n, hash=h) for n, h in zip(numbers, HASHES, strict=False)]
    numbering = number_names(names)
    assert numbering is not None
    assert list(numbering.values) == list(numbers)
    places = zip(names, numbering.places, strict=True)
    assert [int(name[slice(*place)]) for name, place in places] == list(numbers)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["a_7.png"], [7]),
        (["a1.png", "B2.png", "bear3.jpg"], [1, 2, 3]),  # one number each, whatever is around it
        (["left_1_2.png", "big_left_1_3.png"], [2, 3]),  # counted from the end
        (["1_left.png", "2_left_x.png"], [1, 2]),
        (["f3_m3.png", "f4_m4.png"], [3, 4]),  # both say the same
        (["0_91823771.png", "1_10223411.png", "2_77120004.png"], [0, 1, 2]),  # a random number
        (["s1_1.png", "s1_2.png", "s2_3.png"], [1, 2, 3]),  # repeated numbers count no frames
    ],
)
def test_other_names(names: list[str], numbers: list[int]) -> None:
    numbering = number_names(names)
    assert numbering is not None
    assert list(numbering.values) == numbers


def test_names_without_a_frame_number() -> None:
    assert number_names(HASHES) is None
    assert number_names(["a1b2.png", "1080.png"]) is None


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=12, unique=True), st.integers(1, 99))
def test_a_constant_beside_it_changes_nothing(numbers: list[int], constant: int) -> None:
    plain = number_names([f"{n:07}.png" for n in numbers])
    beside = number_names([f"take{constant}_{n:07}_{constant}p.png" for n in numbers], "*.png")
    assert plain is not None
    assert beside is not None
    assert beside.values == plain.values


def test_random_numbers_do_not_look_counted() -> None:
    assert looks_counted(range(0, 300, 7))
    assert looks_counted([0, 1, 2, 3, 7, 8])
    assert not looks_counted(np.random.default_rng(0).integers(0, 10**6, 20).tolist())


def write(clip: ClipFolder, folder: str, names: list[str]) -> list[np.ndarray]:
    """Masks with these names, each with its own box."""
    masks = [clip.mask(2 + 3 * i, 5, 20 + 3 * i, 31) for i in range(len(names))]
    (clip.root / folder).mkdir()
    for name, mask in zip(names, masks, strict=True):
        Image.fromarray(mask.astype(np.uint8) * 255).save(clip.root / folder / name)
    return masks


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (["f0_t00.png", "f1_t25.png", "f2_t50.png", "f3_t75.png"], 'masks("m/f*_t??.png")'),
        (["0000_0040.png", "0001_0080.png", "0002_0120.png", "0003_0160.png"], None),
    ],
)
def test_ambiguous_names_are_an_error_with_a_glob(
    clip: ClipFolder, names: list[str], first: str | None
) -> None:
    masks = write(clip, "m", names)
    finding = refused(clip, 'masks("m")')
    assert finding.code == "G322"
    globs = cured('masks("m")', finding)
    assert len(globs) == 2
    assert first in {None, globs[0]}
    assert (region(clip, globs[0]) == masks).all()
    assert refused(clip, globs[1]).code == "G305"  # the other number is not from 0 to 3
    assert (region(clip, 'masks("m", in_order)') == masks).all()  # both are in the same order


def test_a_single_mask_with_two_numbers(clip: ClipFolder) -> None:
    masks = write(clip, "m", ["frame00002_obj1.png"])
    finding = refused(clip, 'masks("m/frame00002_obj1.png")')
    assert finding.code == "G322"
    assert "`00002` or `1`" in finding.message
    first, second = cured('masks("m/frame00002_obj1.png")', finding)
    assert (region(clip, first, 'video "clip" { frames 2..2 }') == masks).all()
    assert (region(clip, second, 'video "clip" { frames 1..1 }') == masks).all()


def test_masks_of_several_objects_in_one_folder(clip: ClipFolder) -> None:
    names = [f"frame{i}_obj{k}.png" for i in range(4) for k in (1, 2)]
    masks = write(clip, "m", names)
    finding = refused(clip, 'masks("m")')
    assert finding.code == "G304"
    (glob,) = cured('masks("m")', finding)
    assert glob == 'masks("m/frame*_obj2.png")'
    assert (region(clip, glob) == masks[1::2]).all()


def test_in_order_is_not_proposed_for_random_numbers(clip: ClipFolder) -> None:
    write(clip, "m", [f"{n}.png" for n in (9182, 33, 70415, 5, 881)])
    assert "in_order" not in refused(clip, 'masks("m")').cure
    write(clip, "regular", [f"{n}.png" for n in (10, 20, 30, 40)])
    assert "in_order" in refused(clip, 'masks("regular")').cure


def test_names_without_numbers_are_an_error(clip: ClipFolder) -> None:
    for name in ("a", "b"):
        Image.new("L", (64, 48)).save(clip.root / f"{name}.png")
        np.save(clip.root / f"{name}.npy", np.ones((48, 64), bool))
    for source in ("[ab].png", "[ab].npy"):
        assert refused(clip, f'masks("{source}")').code == "G304"
    write(clip, "m", [f"{name}.png" for name in HASHES[:4]])
    assert refused(clip, 'masks("m")').code == "G304"


def test_a_large_folder_is_numbered_quickly() -> None:
    names = [f"shot02_{n:06}-{n * 7919 % 65536:04x}_1080p.png" for n in range(50_000)]
    start = time.process_time()
    numbering = number_names(names)
    assert numbering is not None
    assert numbering.values == tuple(range(50_000))
    assert time.process_time() - start < 5  # about 1


def test_hidden_files_are_no_masks(clip: ClipFolder) -> None:
    masks = write(clip, "m", [f"{i:05}.png" for i in range(4)])
    (clip.root / "m" / "._00001.png").write_bytes(b"Mac OS X")
    assert (region(clip, 'masks("m")') == masks).all()


def test_frames_of_a_clip_are_numbered_alike(clip: ClipFolder) -> None:
    for path in (clip.root / "clip").iterdir():
        path.rename(path.with_name(f"shot02_{path.stem}_1080p.png"))
    assert probe(clip.root / "clip").frames == 4
    for number, path in enumerate(sorted((clip.root / "clip").iterdir())):
        path.rename(path.with_name(f"{number}_{number + 1}.png"))
    with pytest.raises(GrainError, match="G322"):
        probe(clip.root / "clip")


def test_the_message_names_the_candidates() -> None:
    with pytest.raises(AmbiguousNumbers, match="f0_t00.png may be `0` or `00`"):
        number_names(["f0_t00.png", "f1_t40.png"])
