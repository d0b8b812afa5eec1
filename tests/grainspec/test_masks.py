"""Every kind of mask file gives the same region, and says what is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ClipFolder
from PIL import Image

import grainspec
from grainspec import GrainError, dumps, parse
from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import Diagnostic
from grainspec.regions.bind import bind_regions
from grainspec.regions.coco import decode
from grainspec.regions.masks import check_masks

CROPPED = 'video "clip" { crop box(5px, 3px, 59px, 45px) size 40x24 }'


@pytest.fixture
def masks(clip: ClipFolder) -> np.ndarray:
    """Four masks of rising size, saved as the folder `left`."""
    found = np.stack([clip.mask(3 + i, 5, 20 + 3 * i, 31 + i) for i in range(4)])
    found[:, 10:14, 12:15] = False
    clip.write_masks("left", list(found))
    return found


def region(clip: ClipFolder, masks: str, video: str = CROPPED) -> np.ndarray:
    text = clip.spec_text(
        video=video, regions=f"region left = {masks}", edits='edit left -> "green robot"'
    )
    return bind_regions(parse(text), clip.root).regions.mask("left")


def refused(clip: ClipFolder, masks: str) -> Diagnostic:
    with pytest.raises(GrainError) as raised:
        region(clip, masks)
    (finding,) = raised.value.diagnostics
    assert finding.span is not None
    return finding


def write_video(path: Path, masks: np.ndarray, codec: str = "libx264") -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = masks.shape[2], masks.shape[1]
        stream.pix_fmt = "yuv420p" if codec == "libx264" else "gray"
        if codec == "libx264":
            stream.options = {"crf": "4"}
        for mask in masks:
            frame = av.VideoFrame.from_ndarray(mask.astype(np.uint8) * 255, format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_palette(folder: Path, indices: np.ndarray) -> None:
    """Indexed images with the palette of DAVIS."""
    folder.mkdir()
    for number, frame in enumerate(indices):
        image = Image.fromarray(frame.astype(np.uint8), "P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
        image.save(folder / f"{number:05}.png")


def run_lengths(mask: np.ndarray) -> dict[str, object]:
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat])))
    ends = np.concatenate([[0], edges, [len(flat)]])
    return {"size": list(mask.shape), "counts": np.diff(ends).tolist()}


def write_npy(root: Path, masks: np.ndarray) -> None:
    np.save(root / "m.npy", masks)


def write_integers(root: Path, masks: np.ndarray) -> None:
    np.save(root / "m.npy", masks.astype(np.int64))


def write_grey(root: Path, masks: np.ndarray) -> None:
    np.save(root / "m.npy", np.asfortranarray(masks.astype(np.uint8) * 200))


def write_labels(root: Path, masks: np.ndarray) -> None:
    np.save(root / "m.npy", np.where(masks, 2, 7).astype(np.uint16))


def write_npz(root: Path, masks: np.ndarray) -> None:
    np.savez_compressed(root / "m.npz", left=masks, right=~masks)


def write_one(root: Path, masks: np.ndarray) -> None:
    np.savez(root / "m.npz", masks)


def write_list(root: Path, masks: np.ndarray) -> None:
    (root / "m.json").write_text(json.dumps([run_lengths(mask) for mask in masks]))


def write_data_set(root: Path, masks: np.ndarray) -> None:
    count, high, wide = masks.shape
    images = [
        # the order of the numbers is neither that of the list nor that of the names
        {"id": 50 + i, "file_name": f"f{i + 8}.jpg", "width": wide, "height": high}
        for i in reversed(range(count))
    ]
    annotations = [
        {"image_id": 50 + i, "track_id": track, "segmentation": run_lengths(mask)}
        for i in range(count)
        for track, mask in ((4, masks[i]), (5, ~masks[i]))
    ]
    document = {"images": images, "annotations": annotations}
    (root / "m.json").write_text(json.dumps(document))


def write_tracks(root: Path, masks: np.ndarray, videos: int = 1, length: int = 4) -> None:
    """YouTube-VIS: one annotation an object, with a mask a frame and null where it is not."""
    count, high, wide = masks.shape
    video = {"id": 9, "file_names": ["x"] * count, "width": wide, "height": high, "length": length}
    annotations = [
        {
            "id": 1,
            "video_id": 9,
            "category_id": 3,
            "segmentations": [run_lengths(m) for m in masks],
        },
        {"id": 2, "video_id": 9, "category_id": 3, "segmentations": [None] * count},
    ]
    document = {"videos": [video] * videos, "annotations": annotations, "categories": []}
    (root / "m.json").write_text(json.dumps(document))


def write_lossless(root: Path, masks: np.ndarray) -> None:
    write_video(root / "m.mkv", masks, "ffv1")


@pytest.mark.parametrize(
    ("write", "source"),
    [
        (write_npy, 'masks("m.npy")'),
        (write_integers, 'masks("m.npy")'),
        (write_grey, 'masks("m.npy")'),
        (write_labels, 'masks("m.npy", index 2)'),
        (write_npz, 'masks("m.npz", array "left")'),
        (write_npz, 'masks("m.npz", array "right", invert)'),
        (write_one, 'masks("m.npz")'),
        (write_list, 'masks("m.json")'),
        (write_data_set, 'masks("m.json", index 4, from 8)'),
        (write_tracks, 'masks("m.json", index 1)'),
        (write_tracks, 'masks("m.json")'),
        (write_data_set, 'masks("m.json", invert, index 5, from 8)'),
        (write_lossless, 'masks("m.mkv")'),
        (lambda root, m: write_palette(root / "m", m * 2 + ~m), 'masks("m", index 2)'),
        (lambda root, m: write_palette(root / "m", m * 3), 'masks("m", colour "#808000")'),
        (lambda root, m: write_palette(root / "m", m * 1), 'masks("m", threshold 10%)'),
    ],
)
def test_every_kind_gives_the_same_region(
    clip: ClipFolder, masks: np.ndarray, write: Callable[[Path, np.ndarray], None], source: str
) -> None:
    write(clip.root, masks)
    assert (region(clip, source) == region(clip, 'masks("left")')).all()


def test_a_lossy_mask_video_is_sharp(clip: ClipFolder, masks: np.ndarray) -> None:
    write_video(clip.root / "m.mp4", masks)
    found = region(clip, 'masks("m.mp4")', 'video "clip"')
    assert (found == masks).mean() > 0.999


def test_compressed_run_lengths_are_those_of_pycocotools(
    clip: ClipFolder, masks: np.ndarray
) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    noise = np.random.default_rng(0).random(masks.shape) < 0.3
    for mask in (*masks, *noise):
        written = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        written["counts"] = written["counts"].decode()
        assert (decode(written, mask.shape) == mask).all()
        assert run_lengths(mask)["size"] == written["size"]
    segmentations = [coco.encode(np.asfortranarray(m.astype(np.uint8))) for m in masks]
    for one in segmentations:
        one["counts"] = one["counts"].decode()
    (clip.root / "m.json").write_text(json.dumps({"segmentations": segmentations}))
    assert (region(clip, 'masks("m.json")') == region(clip, 'masks("left")')).all()


def test_polygons_of_coco(clip: ClipFolder) -> None:
    box = [[4, 6, 20, 6, 20, 30, 4, 30]]
    (clip.root / "m.json").write_text(json.dumps([box] * 4))
    found = region(clip, 'masks("m.json")', 'video "clip"')
    assert (found == clip.mask(4, 6, 20, 30)).all()


def test_numbering(clip: ClipFolder, masks: np.ndarray) -> None:
    expected = region(clip, 'masks("left")')
    for folder, numbers in {"one": range(1, 5), "fives": range(3, 23, 5)}.items():
        (clip.root / folder).mkdir()
        for number, mask in zip(numbers, masks, strict=True):
            Image.fromarray(mask.astype(np.uint8) * 255).save(
                clip.root / folder / f"left_{number}.png"
            )
    assert "`from 1`" in refused(clip, 'masks("one")').cure
    assert (region(clip, 'masks("one", from 1)') == expected).all()
    assert "`in_order`" in refused(clip, 'masks("fives")').cure
    assert (region(clip, 'masks("fives", in_order)') == expected).all()
    np.save(clip.root / "m.npy", np.concatenate([masks[:2], masks]))
    assert (region(clip, 'masks("m.npy", from 2)') == expected).all()
    assert (region(clip, 'masks("m.npy", in_order, from 2)') == expected).all()
    np.save(clip.root / "m.npy", masks[2:])
    video = 'video "clip" { frames 2..3 }'
    assert (region(clip, 'masks("m.npy", from -2)', video) == masks[2:]).all()


def test_masks_of_another_size_are_scaled_only_where_that_is_said(
    clip: ClipFolder, masks: np.ndarray
) -> None:
    small = masks[:, ::2, ::2]
    np.save(clip.root / "m.npy", small)
    (clip.root / "m.json").write_text(json.dumps([run_lengths(mask) for mask in small]))
    for name in ("m.npy", "m.json"):
        finding = refused(clip, f'masks("{name}")')
        assert (finding.code, "`masks(…, scaled)`" in finding.cure) == ("G306", True)
        found = region(clip, f'masks("{name}", scaled)', 'video "clip"')
        assert (found == small.repeat(2, 1).repeat(2, 2)).all()


@pytest.mark.parametrize("invert", ["", ", invert"])
@pytest.mark.parametrize("video", ["size 32x24", "crop box(0px, 0px, 32px, 24px) size 16x16"])
def test_how_masks_are_resized(clip: ClipFolder, invert: str, video: str) -> None:
    """Against the rules written down for blocks of two by two pixels."""
    noise = np.random.default_rng(1).random((4, 48, 64)) < 0.3
    clip.write_masks("m", list(~noise if invert else noise))
    whole = noise[:, :24, 4:28] if "crop" in video else noise  # 24x24 around the crop's middle
    found = {
        rule: region(clip, f'masks("m"{invert}, resize {rule})', f'video "clip" {{ {video} }}')
        for rule in ("nearest", "area", "any")
    }
    if "crop" not in video:
        blocks = whole.reshape(4, 24, 2, 32, 2).sum(axis=(2, 4))
        assert (found["area"] == (blocks >= 2)).all()
        assert (found["any"] == (blocks >= 1)).all()
        assert (found["nearest"] == whole[:, 1::2, 1::2]).all()
    shares = {rule: mask.mean() for rule, mask in found.items()}
    assert shares["any"] > shares["nearest"]
    assert shares["any"] > shares["area"]
    line = np.zeros((4, 48, 64), bool)
    line[:, 6] = True  # a part that is one pixel high survives only `any`
    np.save(clip.root / "line.npy", ~line if invert else line)
    thin = region(clip, f'masks("line.npy"{invert}, resize any)', 'video "clip" { size 16x16 }')
    assert thin.any(axis=(1, 2)).all()


def test_a_small_mask_is_scaled_by_its_rule(clip: ClipFolder) -> None:
    small = np.zeros((4, 96, 128), bool)
    small[:, ::2, ::2] = True  # a quarter of each of the clip's pixels
    np.save(clip.root / "m.npy", small)
    found = region(clip, 'masks("m.npy", scaled, resize any)', 'video "clip"')
    assert found.all()
    assert refused(clip, 'masks("m.npy", scaled, resize area)').code == "G307"


def test_masks_are_needed_only_during_the_frames_that_use_them(
    clip: ClipFolder, masks: np.ndarray
) -> None:
    whole = region(clip, 'masks("left")')
    for number in (0, 3):
        (clip.root / "left" / f"{number:05}.png").unlink()
    assert refused(clip, 'masks("left")').code == "G305"
    assert refused(clip, 'masks("left") during 0..2').code == "G305"
    found = region(clip, '(masks("left") grow 0px) during 1..2')
    assert (found[1:3] == whole[1:3]).all()
    assert not found[[0, 3]].any()
    text = clip.spec_text(
        regions='region left = masks("left") during 1..2', edits='edit left -> "green robot"'
    )
    spec = parse(text)
    assert grainspec.check(spec, base=clip.root) == []


def test_what_is_wrong_is_coded(clip: ClipFolder, masks: np.ndarray) -> None:
    root = clip.root

    def says(name: str, value: object, options: str = "") -> str:
        if isinstance(value, bytes):
            (root / name).write_bytes(value)
        elif value is None:
            pass
        elif name.endswith(".json"):
            (root / name).write_text(json.dumps(value))
        elif isinstance(value, dict):
            np.savez(root / name, **value)
        else:
            np.save(root / name, np.asarray(value), allow_pickle=True)
        found = refused(clip, f'masks("{name}"{options})')
        return f"{found.code} {found.message} {found.cure}"

    for suffix in ("npy", "npz", "json", "mp4"):
        assert says(f"none.{suffix}", None).startswith("G304")
        assert says(f"m.{suffix}", b"this is none\n" * 40).startswith("G308")
        assert says(f"e.{suffix}", b"").startswith("G308")
    pickled = np.array([None, {}], dtype=object)
    assert "never loaded" in says("m.npy", pickled)
    assert "never loaded" in says("m.npy", __import__("pickle").dumps(masks))
    assert "never loaded" in says("m.npz", {"left": pickled}, ', array "left"')
    assert "G308" in says("m.npy", masks[0])
    assert "bool" in says("m.npy", masks * 0.75)
    assert "G305" in says("m.npy", masks[:3])
    assert "G307" in says("m.npy", masks & False)
    assert "G307" in says("m.npy", masks, ", index 5")
    assert "G308" in says("m.npy", np.zeros((4, 0, 64), bool))
    write_npy(root, masks)
    whole = (root / "m.npy").read_bytes()
    assert "G308" in says("m.npy", whole[:-9])
    huge = whole.replace(b"(4, 48, 64), }", b"(4,48,6400000)}")
    assert len(huge) == len(whole) + 1
    assert "too large" in says("m.npy", huge)
    assert "`left`, `right`" in says("m.npz", {"left": masks, "right": masks})
    assert "`left`" in says("m.npz", {"left": masks, "right": masks}, ', array "leftt"')
    assert says("m.npy", masks, ', array "left"').startswith("G205")
    assert says("m.npy", masks, ', colour "#ffffff"').startswith("G205")
    assert says("m.json", [], "").startswith("G308")
    assert says("m.json", [None] * 3).startswith("G305")
    assert says("m.json", [None] * 4).startswith("G307")
    assert says("m.json", [{"size": [48, 64], "counts": [3]}] * 4).startswith("G308")
    assert says("m.json", [{"size": [48, 64], "counts": "🙂"}] * 4).startswith("G308")
    assert says("m.json", [{"size": [1 << 20, 1 << 20], "counts": []}] * 4).startswith("G308")
    assert says("m.json", [[[None] * 6]] * 4).startswith("G308")
    assert says("m.npy", whole[:6] + b"\x02\0\xff\xff\xff\xff" + b" " * 99).startswith("G308")
    assert says("m.json", b"[" * 100_000).startswith("G308")
    assert says("m.json", [run_lengths(masks[0])] * 4, ", index 1").startswith("G308")
    write_tracks(root, masks, videos=2)
    assert "keep only the clip's own" in says("m.json", None)
    write_tracks(root, masks, length=5)
    assert "has 4 masks, not 5" in says("m.json", None)
    write_tracks(root, masks)
    assert says("m.json", None, ", index 2").startswith("G307")
    write_video(root / "m.mp4", masks[:3])
    assert says("m.mp4", None).startswith("G305")


def test_images_say_what_their_pixels_are(clip: ClipFolder, masks: np.ndarray) -> None:
    write_palette(clip.root / "m", masks * 2)
    assert refused(clip, 'masks("m", index 7)').code == "G307"
    assert refused(clip, 'masks("m", colour "#123456")').code == "G307"
    clip.write_masks("left", list(masks))
    for path in (clip.root / "left").iterdir():
        Image.open(path).convert("RGB").save(path)
    assert "colour" in refused(clip, 'masks("left", index 1)').cure
    assert region(clip, 'masks("left", colour "#ffffff")').any()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("treshold 30%", "G205", "Did you mean `threshold`? The options are `invert`, "),
        ("invert 3", "G202", "comma"),
        ("threshold 0.3", "G202", "30%"),
        (
            "threshold 0%",
            "G203",
            "invalid value `0%` for `threshold`: a percentage of more than 0% and at most 100%",
        ),
        (
            "threshold 130%",
            "G203",
            "invalid value `130%` for `threshold`: a percentage of more than 0% and at most 100%",
        ),
        ("index", "G204", "whole number"),
        (
            "index 1.5",
            "G202",
            "invalid value `1.5` for `index`: a whole number from 0 to 2147483647",
        ),
        (
            "index 2147483648",
            "G203",
            "invalid value `2147483648` for `index`: a whole number from 0 to 2147483647",
        ),
        ("index 1, index 2", "G204", "Remove one"),
        ('index 1, colour "#000000"', "G205", "keep one"),
        ("index 1, threshold 30%", "G205", "keep one"),
        (
            'colour "red"',
            "G202",
            'invalid value `"red"` for `colour`: red, green and blue as six hex digits, such as '
            '`"#800000"`',
        ),
        ("array left", "G202", 'Write `"left"`.'),
        ("array left", "G202", "invalid value `left` for `array`: a text in quotes"),
        (
            "from 99999999999",
            "G203",
            "invalid value `99999999999` for `from`: a whole number from -10000000 to 10000000",
        ),
        ("in_order scaled", "G202", "comma"),
    ],
)
def test_options_are_refused_where_they_stand(options: str, code: str, words: str) -> None:
    text = f'grain 1\nvideo "c"\ntarget "a"\nregion r = masks("m", {options})\nedit r -> "a"\n'
    with pytest.raises(GrainError) as raised:
        parse(text)
    (finding,) = (one for one in raised.value.diagnostics if one.is_error)
    assert finding.code == code
    assert words in (finding.message if words.startswith("invalid value") else finding.cure)
    assert finding.span is not None
    assert finding.span.line == 4


def test_options_through_python_and_text() -> None:
    made = grainspec.masks("m", index=2, first=1, in_order=True, scaled=True, resize="any")
    text = 'masks("m", resize any, scaled, in_order, from 1, index 2)'
    spec = parse(f'grain 1 video "c" target "a" region r = {text} edit r -> "a"')
    assert spec.regions[0].expression == made
    assert 'masks("m", index 2, from 1, in_order, scaled, resize any)' in dumps(spec)
    assert grainspec.masks("m", colour="#80FFaa").colour == "#80ffaa"
    with pytest.raises(GrainError, match="G205"):
        grainspec.masks("m", colour="#000000", threshold=0.2)


def test_looking_at_images_needs_no_numpy(clip: ClipFolder) -> None:
    source = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.modules['numpy'] = None\n"
        "from grainspec.clip.facts import ClipFacts\n"
        "from grainspec.model.expressions import masks\n"
        "from grainspec.regions.masks import check_masks\n"
        "facts = ClipFacts(4, 64, 48, 8.0)\n"
        "print(check_masks(masks('left'), Path(sys.argv[1]), facts, range(4)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, str(clip.root)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
    facts = ClipFacts(4, 64, 48, 8.0)
    assert check_masks(grainspec.masks("left"), clip.root, facts, range(4)) == []
