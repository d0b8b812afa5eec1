"""Which mask belongs to which frame: by time, by order, with gaps; masks of another size."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ClipFolder
from mask_sources import all_findings, cured, findings, refused, region, spec_of, warned
from PIL import Image

import grainspec
from grainspec import parse
from grainspec.checks.files import check_files
from grainspec.regions.bind import bind_regions

SIZE = (64, 48)
FILE = 'video "clip.mp4"'
SMALL = 'video "clip" { size 64x48 }'


class Videos(ClipFolder):
    """A folder in which clips and masks are written as videos."""

    def boxes(self, count: int) -> list[np.ndarray]:
        """Masks that move by a pixel a frame."""
        return [self.mask(2 + i, 8, 18 + i, 40) for i in range(count)]

    def write(
        self,
        name: str,
        masks: list[np.ndarray],
        fps: Fraction | int,
        times: list[int] | None = None,
    ) -> None:
        """Write masks as a lossless video; ``times`` are in thousandths of a second."""
        codec, pix_fmt = ("ffv1", "gray") if name.endswith("mkv") else ("libx264", "yuv420p")
        with av.open(str(self.root / name), "w") as container:
            stream = container.add_stream(codec, rate=fps)
            stream.width, stream.height, stream.pix_fmt = *SIZE, pix_fmt
            if codec == "libx264":
                stream.options = {"crf": "0"}
            if times:
                stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            for index, mask in enumerate(masks):
                frame = av.VideoFrame.from_ndarray(mask.astype(np.uint8) * 255, format="gray")
                if times:
                    frame.pts, frame.time_base = times[index], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


@pytest.fixture
def videos(tmp_path: Path) -> Videos:
    return Videos(tmp_path)


@pytest.mark.parametrize(
    ("rate", "fps", "expected"),
    [
        (2, 16, range(8)),  # every mask twice
        (3, 24, range(8)),
        (1, 8, range(8)),
    ],
)
def test_mask_videos_are_matched_by_time(
    videos: Videos, rate: int, fps: int, expected: range
) -> None:
    masks = videos.boxes(8)
    videos.write("clip.mp4", masks, 8)
    videos.write("m.mkv", [mask for mask in masks for _ in range(rate)], fps)
    assert (region(videos, 'masks("m.mkv")', FILE) == [masks[k] for k in expected]).all()
    video = 'video "clip.mp4" { frames 3..5 }'
    assert (region(videos, 'masks("m.mkv")', video) == masks[3:6]).all()
    if rate == 1:
        assert findings(videos, 'masks("m.mkv")', FILE) == []
        return
    finding = warned(videos, 'masks("m.mkv")', FILE)
    assert (finding.code, "by time" in finding.message) == ("G324", True)
    (source,) = cured('masks("m.mkv")', finding)
    assert findings(videos, source, FILE) == []
    assert (region(videos, source, FILE) == [masks[k // rate] for k in range(8)]).all()


def test_fewer_masks_than_frames_over_the_same_time(videos: Videos) -> None:
    masks = videos.boxes(8)
    videos.write("clip.mp4", masks, 8)
    videos.write("m.mkv", masks[::2], 4)
    assert (region(videos, 'masks("m.mkv")', FILE) == [masks[k // 2 * 2] for k in range(8)]).all()
    assert warned(videos, 'masks("m.mkv")', FILE).code == "G324"


def test_clips_of_variable_rate_are_matched_by_their_times(videos: Videos) -> None:
    """The clip's frames are shown at uneven times, and the masks were drawn at an even rate."""
    times = [0, 100, 200, 300, 900, 1500, 2100, 2700]
    masks = videos.boxes(8)
    videos.write("clip.mkv", masks, 10, times)
    shown = [max(k for k, time in enumerate(times) if time <= tick) for tick in range(0, 2800, 50)]
    videos.write("m.mkv", [masks[k] for k in shown], 20)
    video = 'video "clip.mkv"'
    assert (region(videos, 'masks("m.mkv")', video) == masks).all()
    assert warned(videos, 'masks("m.mkv")', video).code == "G324"


def test_as_many_masks_at_another_rate_are_doubtful(videos: Videos) -> None:
    masks = videos.boxes(8)
    videos.write("clip.mp4", masks, 8)
    videos.write("m.mkv", masks, 25)
    assert (region(videos, 'masks("m.mkv")', FILE) == masks).all()
    finding = warned(videos, 'masks("m.mkv")', FILE)
    assert (finding.code, "mask k is used for frame k" in finding.message) == ("G324", True)
    (source,) = cured('masks("m.mkv")', finding)
    assert findings(videos, source, FILE) == []
    assert warned(videos, 'masks("m.mkv", from -1, missing empty)', FILE).code == "G324"


@pytest.mark.parametrize("rate", [25, Fraction(24000, 1001), Fraction(47, 2)])
def test_as_many_masks_at_nearly_the_same_rate_are_matched_by_number(
    videos: Videos, rate: Fraction | int
) -> None:
    masks = videos.boxes(20)
    videos.write("clip.mp4", masks, Fraction(24000, 1001) if rate == 25 else 24)
    videos.write("m.mkv", masks, rate)
    assert (region(videos, 'masks("m.mkv")', FILE) == masks).all()
    found = findings(videos, 'masks("m.mkv")', FILE)
    assert {one.code for one in found} <= {"G324"}
    assert not any("by time" in one.message for one in found)


def test_mask_videos_of_another_duration_are_refused(videos: Videos) -> None:
    masks = videos.boxes(12)
    videos.write("clip.mp4", masks[:8], 8)
    videos.write("m.mkv", masks, 25)
    finding = refused(videos, 'masks("m.mkv")', FILE)
    assert finding.code == "G326"
    (source,) = cured('masks("m.mkv")', finding)
    assert (region(videos, source, FILE) == masks[:8]).all()
    assert findings(videos, source, FILE) == []


@pytest.mark.parametrize("kind", ["m.mkv", "m.npy", "m.json"])
def test_more_masks_than_frames_are_doubtful(videos: Videos, kind: str) -> None:
    masks = videos.boxes(6)
    if kind == "m.npy":
        np.save(videos.root / kind, np.stack(masks))
    elif kind == "m.json":
        boxes = [[2 + i, 8, 18 + i, 8, 18 + i, 40, 2 + i, 40] for i in range(6)]
        (videos.root / kind).write_text(json.dumps([[box] for box in boxes]))
    else:
        videos.write(kind, masks, 30)
    source = f'masks("{kind}")'
    finding = warned(videos, source)
    assert (finding.code, "6" in finding.message, "4" in finding.message) == ("G324", True, True)
    (said,) = cured(source, finding)
    assert findings(videos, said) == []
    assert (region(videos, said) == masks[:4]).all()
    assert findings(videos, f'masks("{kind}", from 2)') == []


def test_control_clips_are_matched_alike(videos: Videos) -> None:
    masks = videos.boxes(8)
    videos.write("clip.mp4", masks, 8)
    videos.write("same.mp4", masks, 8)
    videos.write("double.mp4", [mask for mask in masks for _ in range(2)], 16)
    videos.write("rate.mp4", masks, 25)
    videos.write("other.mp4", masks[:5], 25)
    videos.write("short.mp4", masks[:5], 8)
    for name, codes in {
        "same": [],
        "double": ["G324"],
        "rate": ["G324"],
        "other": ["G326"],
        "short": ["G303"],
    }.items():
        control = f'control canny {{ clip "{name}.mp4" }}'
        text = spec_of(videos, "all", FILE).rstrip() + f"\n{control}\n"
        assert [found.code for found in check_files(parse(text), videos.root)] == codes, name


@pytest.mark.parametrize("gone", [[2], [0], [3], [0, 3], [1, 2]])
@pytest.mark.parametrize("options", ["", ", invert", ", index 255"])
def test_missing_masks_and_both_cures(clip: ClipFolder, gone: list[int], options: str) -> None:
    masks = np.stack([clip.mask(3 + i, 5, 20 + 3 * i, 31 + i) for i in range(4)])
    clip.write_masks("m", list(~masks if "invert" in options else masks))
    for number in gone:
        (clip.root / "m" / f"{number:05}.png").unlink()
    source = f'masks("m"{options})'
    finding = refused(clip, source)
    assert finding.code == "G305"
    empty, during = (s for s in cured(source, finding) if "from" not in s)
    assert "missing empty" in empty
    assert " during " in during
    kept = [number for number in range(4) if number not in gone]
    for text in (empty, during):
        found = region(clip, text)
        assert (found[kept] == masks[kept]).all()
        assert not found[gone].any()
        assert all_findings(clip, text, SMALL) == []
        assert all_findings(clip, f"({text}) grow 2px & all", SMALL) == []


def test_other_empty_frames_are_still_a_warning(clip: ClipFolder) -> None:
    masks = [clip.mask(3, 5, 20, 31)] * 4
    masks[1] = masks[1] & False
    clip.write_masks("m", masks)
    (clip.root / "m" / "00003.png").unlink()
    for source in (
        'masks("m", missing empty)',
        'masks("m") during 0..2',
        'masks("m", missing empty) | box(0%, 0%, 9%, 9%) during 0..0',
        'masks("m", missing empty) - box(0%, 0%, 9%, 9%) during 0..1',
    ):
        (finding,) = all_findings(clip, source, SMALL)
        assert (finding.code, finding.message) == ("G315", "`left` is empty on frame 1")


def test_missing_means_empty_only_where_some_are_there(clip: ClipFolder) -> None:
    for path in (clip.root / "left").iterdir():
        path.rename(path.with_name(f"1{path.name}"))
    assert refused(clip, 'masks("left", missing empty)').code == "G305"


def test_masks_of_another_aspect_are_not_scaled(clip: ClipFolder) -> None:
    for size in ((48, 48), (64, 64), (48, 64), (200, 100)):
        np.save(clip.root / "m.npy", np.ones((4, size[1], size[0]), bool))
        for source in ('masks("m.npy")', 'masks("m.npy", scaled)'):
            finding = refused(clip, source)
            assert (finding.code, "aspect ratio" in finding.message) == ("G306", True)
            assert "`" not in finding.cure
            assert "64x48" in finding.cure
        assert ("on their side" in finding.cure) == (size == (48, 64))


@pytest.mark.parametrize("size", [(32, 24), (128, 96), (43, 32), (21, 16), (640, 480)])
def test_masks_of_the_same_aspect_are_scaled(clip: ClipFolder, size: tuple[int, int]) -> None:
    np.save(clip.root / "m.npy", np.ones((4, size[1], size[0]), bool))
    finding = refused(clip, 'masks("m.npy")')
    assert "aspect ratio" not in finding.message
    assert region(clip, 'masks("m.npy", scaled)').all()


@pytest.mark.parametrize("kind", ["png", "json"])
@pytest.mark.parametrize(
    ("numbers", "video"),
    [
        (range(1, 9), "frames 0..7"),
        (range(1, 9), "frames 2..4"),
        (range(1, 9), "frames 7..7"),
        (range(1001, 1009), "frames 2..4"),
    ],
)
def test_masks_numbered_as_the_files_of_the_clip(
    videos: Videos, numbers: range, video: str, kind: str
) -> None:
    masks = _clip_from(videos, numbers)
    _write_masks(videos, masks, numbers, kind)
    source = f'masks("{"m" if kind == "png" else "m.json"}")'
    low, high = (int(number) for number in video.split()[1].split(".."))
    whole = f'video "from" {{ {video} }}'
    assert (region(videos, source, whole) == masks[low : high + 1]).all()
    assert [one for one in findings(videos, source, whole) if one.code != "G336"] == []
    stored = grainspec.from_json(grainspec.to_json(parse(spec_of(videos, source, whole))))
    bound = bind_regions(stored, videos.root).regions.mask("left")
    assert (bound == masks[low : high + 1]).all()
    said = f"{source[:-1]}, from {numbers[0]})"
    assert (region(videos, said, whole) == masks[low : high + 1]).all()
    empty = f"{source[:-1]}, missing empty)"
    assert (region(videos, empty, whole) == masks[low : high + 1]).all()
    seen = region(videos, f"{source} during {low}..{low}", whole)
    assert (seen[0] == masks[low]).all()


@pytest.mark.parametrize("kind", ["png", "json"])
def test_masks_that_may_have_the_numbers_of_the_files(videos: Videos, kind: str) -> None:
    masks = _clip_from(videos, range(1, 9))
    _write_masks(videos, masks[:7], range(1, 8), kind)
    source, video = f'masks("{"m" if kind == "png" else "m.json"}")', 'video "from" { frames 2..4 }'
    (finding,) = (one for one in findings(videos, source, video) if one.code != "G336")
    assert (finding.code, finding.is_error) == ("G324", False)
    assert (region(videos, source, video) == masks[1:4]).all()
    (of_files,) = cured(source, finding)
    assert (region(videos, of_files, video) == masks[2:5]).all()
    assert [one for one in findings(videos, of_files, video) if one.code != "G336"] == []
    finding = next(one for one in findings(videos, source, 'video "from"') if one.is_error)
    assert (finding.code, "`from 1`" in finding.cure) == ("G305", True)
    (only,) = findings(videos, f"{source[:-1]}, missing empty)", 'video "from"')
    assert (only.code, "`from 1`" in only.cure) == ("G324", True)


def test_masks_counted_from_0_of_a_clip_that_begins_at_1(videos: Videos) -> None:
    masks = _clip_from(videos, range(1, 9))
    _write_masks(videos, masks, range(8), "png")
    video = 'video "from" { frames 2..4 }'
    assert (region(videos, 'masks("m")', video) == masks[2:5]).all()
    assert [one for one in findings(videos, 'masks("m")', video) if one.code != "G336"] == []


def _clip_from(videos: Videos, numbers: range) -> list[np.ndarray]:
    (videos.root / "from").mkdir()
    for number in numbers:
        Image.new("RGB", SIZE).save(videos.root / "from" / f"{number:04}.png")
    return videos.boxes(len(numbers))


def _write_masks(videos: Videos, masks: list[np.ndarray], numbers: range, kind: str) -> None:
    if kind == "png":
        (videos.root / "m").mkdir()
        for number, mask in zip(numbers, masks, strict=True):
            Image.fromarray(mask.astype(np.uint8) * 255).save(videos.root / "m" / f"{number}.png")
        return
    images = [{"id": k, "file_name": f"{k:04}.png", "height": 48, "width": 64} for k in numbers]
    outlines = [
        {"image_id": k, "segmentation": [[2 + i, 8, 18 + i, 8, 18 + i, 40, 2 + i, 40]]}
        for i, k in enumerate(numbers)
    ]
    document = {"images": images, "annotations": outlines[: len(masks)]}
    (videos.root / "m.json").write_text(json.dumps(document))
