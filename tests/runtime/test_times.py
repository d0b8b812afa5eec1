"""When frames of the edited clip are shown, and what the colours in written videos mean."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ClipFolder
from command import Grain
from PIL import Image

from grainspec.clip.facts import probe
from grainspec_runtime.media import decode
from grainspec_runtime.media.encode import encode_lossless, encode_video
from grainspec_runtime.media.times import FrameTimes, clip_times

VARYING = FrameTimes(
    tuple(Fraction(tenth, 10) for tenth in (0, 1, 2, 3, 9, 15, 21, 27)), Fraction(33, 10)
)
GRADIENTS = np.stack(
    [
        np.stack(np.broadcast_arrays(np.arange(96)[:, None] * 2 + k, np.arange(128) * 2, 60), -1)
        for k in range(8)
    ]
).astype(np.uint8)


def times_of(path: Path, frames: range | None = None, step: int = 1) -> FrameTimes:
    facts = probe(path)
    return clip_times(path, frames or range(facts.frames), step=step, fps=facts.fps)


def write(path: Path, times: float | FrameTimes, frames: np.ndarray = GRADIENTS) -> Path:
    (encode_lossless if path.suffix == ".mkv" else encode_video)(frames, path, fps=times)
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_frames_of_any_duration_come_back(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, VARYING)
    assert times_of(path) == VARYING
    with av.open(str(path)) as file:
        assert file.duration == 3_300_000  # players stop there


@pytest.mark.parametrize("rate", [8, 25, Fraction(24000, 1001), Fraction(30000, 1001), 60])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_even_times_stay_even(tmp_path: Path, name: str, rate: Fraction | int) -> None:
    found = times_of(write(tmp_path / name, float(rate)))
    assert found.rate == rate
    assert found.starts == tuple(index / Fraction(rate) for index in range(8))
    assert found.end == 8 / Fraction(rate)


def test_a_part_of_the_frames_begins_at_zero_and_lasts_as_long_as_in_the_clip(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.mp4", VARYING)
    part = times_of(path, range(2, 6))
    assert [float(time) for time in (*part.starts, part.end)] == [0, 0.1, 0.7, 1.3, 1.9]
    assert part.offset == Fraction(2, 10)
    every = times_of(path, range(0, 8, 3), step=3)
    assert [float(time) for time in (*every.starts, every.end)] == [0, 0.3, 2.1, 3.3]
    even = times_of(write(tmp_path / "b.mp4", 8), range(1, 8, 3), step=3)
    assert (even.rate, even.offset) == (Fraction(8, 3), Fraction(1, 8))


def test_units_of_time_are_exact_or_the_usual_one() -> None:
    assert VARYING.base == Fraction(1, 10)
    primes = tuple(Fraction(1, prime) for prime in (101, 103, 107, 109))
    assert FrameTimes(primes, Fraction(1)).base == Fraction(1, 90_000)


SPEC = """grain 1
video "VIDEO" { size 64x48 SETTINGS }
target "a green robot on grass"
region left = box(0%, 0%, 50%, 100%)
edit left -> "green robot"
sampler { steps 2 }
"""


def test_every_video_of_a_run_has_the_clips_times(tmp_path: Path, grain: Grain) -> None:
    noise = np.random.default_rng(0).integers(0, 255, GRADIENTS.shape, dtype=np.uint8)
    write(tmp_path / "a.mp4", VARYING, noise)
    spec = tmp_path / "edit.grain"
    spec.write_text(SPEC.replace("VIDEO", "a.mp4").replace("SETTINGS", "frames 2..5"))
    wanted = [0, 0.1, 0.7, 1.3, 1.9]
    out = tmp_path / "out"
    run = grain("run", spec, "-o", out, "--study", "--reconstruct", "--format", "json").json
    assert run["frame_times"] == wanted
    names = ("edited.mp4", "edited.mkv", "side_by_side.mp4", "reconstruction.mp4", "attention.mp4")
    for path in [out / name for name in names]:
        found = times_of(path)
        assert [float(time) for time in (*found.starts, found.end)] == wanted, path
    assert "2.11 fps on average, varying" in (out / "report.html").read_text()
    assert grain("show", spec, "-o", tmp_path / "a.webp").code == 0
    with Image.open(tmp_path / "a.webp") as moving:
        lasting = []
        for index in range(moving.n_frames):
            moving.seek(index)
            moving.load()
            lasting.append(moving.info["duration"])
    assert lasting == [100, 600, 600, 600]


def test_the_rate_of_images_is_set_by_the_spec(clip: ClipFolder, grain: Grain) -> None:
    spec = clip.root / "edit.grain"
    for settings, rate in (("", 8), ("fps 12.5", 12.5), ("fps 23.976  step 2", 11.988)):
        text = SPEC.replace("VIDEO", "clip").replace("SETTINGS", settings)
        spec.write_text(text)
        out = clip.root / "show.mp4"
        assert grain("show", spec, "-o", out).code == 0
        assert probe(out).fps == pytest.approx(rate, abs=1e-3)
    run = grain("run", spec, "-o", clip.root / "out", "--format", "json").json
    assert run["clip"]["fps"] == 23.976
    assert probe(clip.root / "out" / "edited.mkv").fps == pytest.approx(11.988, abs=1e-3)
    for wrong in ("0", "-3", "1001", "24px"):
        spec.write_text(SPEC.replace("VIDEO", "clip").replace("SETTINGS", f"fps {wrong}"))
        assert grain("check", spec, "--format", "json").code == 1


def test_a_video_file_has_its_own_rate(tmp_path: Path, grain: Grain) -> None:
    write(tmp_path / "a.mp4", 8)
    spec = tmp_path / "edit.grain"
    spec.write_text(SPEC.replace("VIDEO", "a.mp4").replace("SETTINGS", "fps 24"))
    said = grain("check", spec)
    assert said.code == 0
    assert "G111" in said.err
    assert "`fps` has no effect: a video file has its own frame rate" in said.err
    assert grain("show", spec, "-o", tmp_path / "b.mp4").code == 0
    assert probe(tmp_path / "b.mp4").fps == 8


# --- what colours mean ----------------------------------------------------------------------------


def to_rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """What BT.601 and limited range say, in full precision."""
    y, b, r = (luma - 16.0) / 219, (blue - 128.0) / 224, (red - 128.0) / 224
    rgb = [y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b]
    return np.stack(rgb, -1) * 255


@pytest.mark.parametrize(("name", "matrix", "limits"), [("a.mp4", 6, 1), ("a.mkv", 0, 2)])
@pytest.mark.parametrize("height", [96, 95])
def test_videos_say_what_their_colours_mean(
    tmp_path: Path, name: str, matrix: int, limits: int, height: int
) -> None:
    path = write(tmp_path / name, 8, GRADIENTS[:, :height])
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert tuple(map(int, tags)) == (matrix, 1, 1, limits)
        assert stream.sample_aspect_ratio in (None, 1)  # square
        frames = list(file.decode(stream))
        assert {(int(f.colorspace), int(f.color_range)) for f in frames} == {(matrix, limits)}
    assert stream.sample_aspect_ratio == 1 or name == "a.mkv"


def test_the_colours_are_what_the_tags_say(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 8)
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        luma, blue, red = (
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            for plane in frame.planes
        )
    blue, red = (chroma.repeat(2, 0).repeat(2, 1) for chroma in (blue, red))
    difference = to_rgb(luma, blue, red) - GRADIENTS[0]
    assert np.abs(difference).mean() < 2
    assert np.abs(difference.mean(axis=(0, 1))).max() < 1


def test_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    """x264's usual choices are not even the same twice in one process."""
    large = np.kron(GRADIENTS, np.ones((1, 3, 3, 1), np.uint8))
    noise = np.random.default_rng(0).integers(0, 20, large.shape, dtype=np.uint8)
    files = set()
    for _ in range(5):
        stream = io.BytesIO()
        encode_video(large + noise, stream, fps=8, container="mp4")
        files.add(stream.getvalue())
        decode.decode_lossless(write(tmp_path / "a.mkv", 8, large), 8)
    assert len(files) == 1
    found = {write(tmp_path / f"{k}.mkv", 8).read_bytes() for k in range(3)}
    assert len(found) == 1
