"""Clips that nobody rendered, from check to report: sizes, times, sound and kept pixels as promised.

They are in no repository of ours: `.ci/footage FOLDER` fetches them, and GRAINSPEC_FOOTAGE names
the folder. The expected frames are decoded here with PyAV alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from command import Grain
from PIL import Image

STEPS = 2


@dataclass(frozen=True)
class Footage:
    """A clip, the frames of it that are edited, and what is known of it.

    ``shown`` is its width and height on a screen; ``shape`` a region on something that moves.
    """

    file: str
    frames: range
    shown: tuple[int, int]
    fps: Fraction
    shape: str
    sound: bool = False
    settings: str = ""

    @property
    def name(self) -> str:
        return self.file.partition(".")[0]


CLIPS = {
    clip.name: clip
    for clip in (
        Footage("bikes.mp4", range(26, 34), (640, 272), Fraction(25), "box(40%, 20%, 60%, 90%)"),
        Footage(
            "carphone_pristine.mp4",  # pixels that are not square: 128:117
            range(8),
            (193, 144),
            Fraction(30000, 1001),
            "ellipse(30%, 20%, 65%, 80%)",
        ),
        Footage(
            "bigbuckbunny.mp4",
            range(40, 50),
            (1280, 720),
            Fraction(25),
            "box(30%, 20%, 70%, 90%)",
            sound=True,
        ),
        Footage(
            "vtest.avi",
            range(60, 76, 2),
            (768, 576),
            Fraction(5),
            "box(45%, 20%, 55%, 60%) @ 60, box(50%, 20%, 60%, 60%) @ 74",
        ),
    )
}


@pytest.fixture(params=sorted(CLIPS))
def footage(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Footage, Path]:
    """A clip, and its file beside the spec."""
    folder = os.environ.get("GRAINSPEC_FOOTAGE")
    clip = CLIPS[request.param]
    if not folder:
        pytest.skip("GRAINSPEC_FOOTAGE names no folder; `.ci/footage` makes one")
    file = Path(folder) / clip.file
    if not file.is_file():
        pytest.skip(f"{file} was not fetched")
    return clip, file.resolve()


def spec_of(clip: Footage, file: Path, model: Path, folder: Path, size: str = "") -> Path:
    last, step = clip.frames[-1], clip.frames.step
    path = folder / f"{clip.name}.grain"
    path.write_text(
        f'grain 1\nvideo "{file}" {{ frames {clip.frames[0]}..{last} step {step} {size} }}\n'
        f'model "{model}"\n'
        'source "a red man on grass"\ntarget "a green robot on grass"\n'
        f'region mover = {clip.shape}\nedit mover -> "green robot"\n'
        f"sampler ddim {{ steps {STEPS} }}\nblend {{ space pixels }}\n"
    )
    return path


def decoded(file: Path, clip: Footage) -> list[Image.Image]:
    """The frames as FFmpeg decodes them, in the pixels of the file.

    None of these files says its colour matrix: players take BT.709 for HD, and BT.601 below.
    """
    matrix = "ITU709" if clip.shown[1] >= 720 else "ITU601"
    with av.open(str(file)) as container:
        pictures = enumerate(container.decode(video=0))
        wanted = [picture for number, picture in pictures if number in clip.frames]
    return [picture.to_image(src_colorspace=matrix) for picture in wanted]


def written(file: Path) -> tuple[np.ndarray, list[float]]:
    """Frames and times in seconds of a video that was written."""
    with av.open(str(file)) as container:
        pictures = list(container.decode(video=0))
    frames = np.stack([picture.to_ndarray(format="rgb24") for picture in pictures])
    return frames, [picture.time for picture in pictures]


def test_an_edit_of_real_footage(
    footage: tuple[Footage, Path], tiny_sd: Path, grain: Grain, tmp_path: Path
) -> None:
    clip, file = footage
    spec = spec_of(clip, file, tiny_sd, tmp_path)

    checked = grain("check", spec, "--format", "json")
    assert checked.code == 0, checked.out
    shown = grain("show", spec, "-o", tmp_path / "regions.png")
    assert shown.code == 0, shown.err
    with Image.open(tmp_path / "regions.png") as picture:
        assert picture.size > (100, 40)
    planned = grain("plan", spec)
    assert planned.code == 0, planned.err
    ran = grain("run", spec, "-o", tmp_path / "run", "--device", "cpu")
    assert ran.code == 0, ran.err
    reported = grain("report", tmp_path / "run", "-o", tmp_path / "report.html")
    assert reported.code == 0, reported.err

    frames, _ = written(tmp_path / "run" / "edited.mkv")
    assert len(frames) == len(clip.frames)
    height, width = frames.shape[1:3]
    aspect = clip.shown[0] / clip.shown[1]
    assert abs(width - aspect * height) <= 8, "the aspect, to a multiple of 8"  # px of an edge
    expected = [number / float(clip.fps) for number in range(len(frames))]
    for name in ("edited.mkv", "edited.mp4"):
        shown_at = written(tmp_path / "run" / name)[1]
        assert np.allclose(np.array(shown_at) - shown_at[0], expected, atol=0.002), name
    kept(clip, file, frames)
    sound_of(clip, tmp_path / "run" / "edited.mp4", len(frames) / float(clip.fps))


def kept(clip: Footage, file: Path, frames: np.ndarray) -> None:
    """Left and right edges are outside the region: the clip, shown, scaled and cropped."""
    height, width = frames.shape[1:3]
    scale = max(width / clip.shown[0], height / clip.shown[1])
    across, down = width / scale, height / scale
    left, top = (clip.shown[0] - across) / 2, (clip.shown[1] - down) / 2
    box = (left, top, left + across, top + down)
    margin = width // 8
    for picture, frame in zip(decoded(file, clip), frames, strict=True):
        shown = picture.resize(clip.shown, Image.Resampling.LANCZOS)
        source = shown.resize((width, height), Image.Resampling.LANCZOS, box=box)
        difference = np.abs(np.asarray(source).astype(int) - frame)
        assert difference[:, :margin].max() <= 2
        assert difference[:, -margin:].max() <= 2


def sound_of(clip: Footage, file: Path, seconds: float) -> None:
    with av.open(str(file)) as container:
        assert len(container.streams.audio) == clip.sound
        if clip.sound:
            stream = container.streams.audio[0]
            heard = list(container.decode(stream))
            length = sum(frame.samples for frame in heard) / stream.rate
            assert abs(length - seconds) < 0.1
            loudness = max(np.abs(frame.to_ndarray()).max() for frame in heard)
            assert loudness > 0


def test_pixels_that_are_kept_are_the_clips_own(
    footage: tuple[Footage, Path], tiny_sd: Path, grain: Grain, tmp_path: Path
) -> None:
    """A crop that is not scaled: outside the region, every bit is the decoder's."""
    clip, file = footage
    if clip.name == "carphone_pristine":
        pytest.skip("its pixels are not square: every frame is scaled")
    left, top = clip.shown[0] // 2 - 48, clip.shown[1] // 2 - 32
    crop = f"crop box({left}px, {top}px, {left + 96}px, {top + 64}px) size 96x64"
    spec = spec_of(clip, file, tiny_sd, tmp_path, crop)
    text = spec.read_text().replace(clip.shape, f"box({left + 24}px, {top}px, {left + 56}px, 90%)")
    spec.write_text(text)

    ran = grain("run", spec, "-o", tmp_path / "run", "--device", "cpu")
    assert ran.code == 0, ran.err

    frames, _ = written(tmp_path / "run" / "edited.mkv")
    for picture, frame in zip(decoded(file, clip), frames, strict=True):
        source = np.asarray(picture)[top : top + 64, left : left + 96]
        outside = np.ones((64, 96), bool)
        outside[:, 24:56] = False
        assert (source == frame)[outside].all()
        assert (source != frame)[~outside].any()
