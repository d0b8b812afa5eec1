"""Frames of clips in any order are those of decoding the whole clip."""

from __future__ import annotations

import random
from pathlib import Path

import av
import numpy as np
import pytest
from films import write_film
from PIL import Image

from grainspec import GrainError
from grainspec.clip.images import composited
from grainspec.clip.video import open_video
from grainspec_runtime.media import seek
from grainspec_runtime.media.seek import SeekableClip

COUNT = 40
KINDS = {
    "closed.mp4": ("libx264", "yuv420p", {"g": "6", "bf": "2"}),
    "open.mkv": ("libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=6:bframes=3"}),
    "stream.ts": ("libx264", "yuv420p", {"g": "6", "bf": "2"}),
    "program.mpg": ("mpeg2video", "yuv420p", {"g": "6", "bf": "2"}),
    "without_times.avi": ("mpeg4", "yuv420p", {"g": "6", "bf": "2"}),
    "lossless.mkv": ("ffv1", "bgr0", {}),
    "transparent.webm": ("libvpx-vp9", "yuva420p", {"g": "6"}),
}


def pictures() -> list[np.ndarray]:
    """Frames that differ from each other: a bar that moves over grey that brightens."""
    shown = [np.full((32, 48, 3), 40 + 4 * index, np.uint8) for index in range(COUNT)]
    for index, picture in enumerate(shown):
        picture[:, index : index + 6] = 255
    return shown


def whole(path: Path) -> np.ndarray:
    """All frames, decoded from the beginning, RGB on black."""
    with open_video(path) as reader:
        decoded = [composited(reader.picture(frame), None) for frame in reader.frames()]
    return np.stack([np.asarray(one) for one in decoded])


@pytest.mark.parametrize("name", KINDS)
def test_frames_in_any_order(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, layout, options = KINDS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV has no {codec}")
    shown = pictures()
    if layout == "yuva420p":
        shown = [np.dstack([one, np.full(one.shape[:2], 255, np.uint8)]) for one in shown]
    path = write_film(tmp_path / name, shown, codec=codec, pix_fmt=layout, options=options, rate=25)
    monkeypatch.setattr(seek, "_AHEAD", 2)
    frames, clip = whole(path), SeekableClip(path)
    order = [*random.Random(0).choices(range(len(frames)), k=30), 0, len(frames) - 1, 0, 1, 2]
    for number in order:
        assert (np.asarray(clip.frame(number)) == frames[number]).all(), number
    if name in ("closed.mp4", "open.mkv", "lossless.mkv"):  # they are sought, not decoded again
        assert len(clip._times) == COUNT
    for number in (COUNT, COUNT + 100):
        with pytest.raises(GrainError, match="G302"):
            clip.frame(number)
    assert (np.asarray(clip.frame(7)) == frames[7]).all()
    clip.close()


def test_far_frames_are_not_decoded_one_by_one(tmp_path: Path) -> None:
    path = write_film(tmp_path / "clip.mp4", pictures() * 5, options={"g": "10"}, rate=25)
    clip, decoded = SeekableClip(path), []
    clip.frame(0)
    assert clip._reader is not None
    inner = clip._reader.frames

    def counted():  # type: ignore[no-untyped-def]
        for frame in inner():
            decoded.append(frame.pts)
            yield frame

    clip._reader.frames = counted  # type: ignore[method-assign]
    clip.frame(180)
    assert 0 < len(decoded) <= 12


def test_images_and_their_faults(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (8, 8), (number * 100, 0, 0)).save(tmp_path / f"{number:03}.png")
    clip = SeekableClip(tmp_path)
    assert [clip.frame(number).getpixel((0, 0))[0] for number in (2, 0, 1)] == [200, 0, 100]
    with pytest.raises(GrainError, match="G302"):
        clip.frame(3)
    (tmp_path / "001.png").write_bytes(b"no image")
    with pytest.raises(GrainError, match="G302"):
        clip.frame(1)


def test_a_cut_off_film_has_the_frames_before(tmp_path: Path) -> None:
    path = write_film(tmp_path / "clip.mkv", pictures(), codec="ffv1", pix_fmt="bgr0")
    frames = whole(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    clip = SeekableClip(path)
    assert (np.asarray(clip.frame(3)) == frames[3]).all()
    with pytest.raises(GrainError, match="G302"):
        clip.frame(COUNT - 1)
    assert (np.asarray(clip.frame(2)) == frames[2]).all()
