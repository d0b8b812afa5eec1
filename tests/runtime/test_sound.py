"""The clip's sound in the edited clip: which samples, when, and what is said if it is lost."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ClipFolder
from command import Grain

from grainspec_runtime.media.encode import encode_lossless, encode_video
from grainspec_runtime.media.sound import SoundLost, sound_of
from grainspec_runtime.media.times import clip_times

FPS, SECONDS = 8, 3
FRAMES = np.random.default_rng(0).integers(0, 255, (FPS * SECONDS, 48, 64, 3), dtype=np.uint8)


def chirp(rate: int, seconds: float, voice: int) -> np.ndarray:
    """A tone that rises, so that no two moments sound alike."""
    times = np.arange(round(rate * seconds)) / rate
    rising = np.sin(2 * np.pi * (200 + 150 * voice) * times * (1 + times / 2))
    return (0.4 * rising).astype(np.float32)


def clip_with_sound(
    path: Path,
    codec: str = "aac",
    *,
    video: str = "mpeg4",
    streams: int = 1,
    rate: int = 48000,
    seconds: float = SECONDS,
) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(video, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        tracks = [file.add_stream(codec, rate=rate, layout="mono") for _ in range(streams)]
        for frame in FRAMES:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())
        for voice, track in enumerate(tracks):
            samples = chirp(rate, seconds, voice)
            is_float = track.format.name.startswith("flt")
            sent = samples if is_float else (samples * 32767).astype(np.int16)
            length = track.codec_context.frame_size or 1024
            for start in range(0, len(sent), length):
                part = np.ascontiguousarray(sent[None, start : start + length])
                sound = av.AudioFrame.from_ndarray(
                    part, format="fltp" if is_float else "s16", layout="mono"
                )
                sound.sample_rate, sound.pts, sound.time_base = rate, start, Fraction(1, rate)
                file.mux(track.encode(sound))
            file.mux(track.encode())
    return path


def heard(path: Path, voice: int = 0) -> tuple[np.ndarray, int]:
    """The samples of a stream as they are played from time 0, and their rate.

    Matroska rounds times to milliseconds; players join what so nearly follows each other.
    """
    with av.open(str(path)) as file:
        frames = list(file.decode(file.streams.audio[voice]))
    rate = frames[0].sample_rate
    found = np.zeros(rate * (SECONDS + 2), np.float32)
    samples = np.concatenate([frame.to_ndarray()[0].astype(np.float32) for frame in frames])
    samples /= 32768 if frames[0].format.name.startswith("s16") else 1
    late = [float(f.time) - begin for f, begin in zip(frames, starts_of(frames), strict=True)]
    assert np.ptp(late) < 0.002
    first = round(frames[0].time * rate)
    part = samples[max(0, -first) :][: len(found) - max(0, first)]
    found[max(0, first) : max(0, first) + len(part)] = part
    return found, rate


def starts_of(frames: list[av.AudioFrame]) -> list[float]:
    """When frames begin that follow each other, in seconds after the first."""
    lengths = [frame.samples / frame.sample_rate for frame in frames]
    return [sum(lengths[:index]) for index in range(len(lengths))]


def delay(path: Path, first: int, last: int, voice: int = 0) -> float:
    """By how many milliseconds a stream sounds later than it should, in the middle of the clip."""
    found, rate = heard(path, voice)
    right = chirp(rate, SECONDS, voice)[rate * first // FPS : rate * last // FPS]
    middle, half = len(right) // 2, rate // 20
    wanted = right[middle - half : middle + half]
    lags = range(-rate // 20, rate // 20)
    pieces = [found[middle - half + lag : middle + half + lag] for lag in lags]
    alike = [piece @ wanted / (np.linalg.norm(piece) * np.linalg.norm(wanted)) for piece in pieces]
    assert max(alike) > 0.99
    return 1000 * lags[int(np.argmax(alike))] / rate


def codecs(path: Path) -> list[str]:
    with av.open(str(path)) as file:
        return [stream.codec_context.codec.canonical_name for stream in file.streams.audio]


@pytest.mark.parametrize(
    ("name", "codec", "in_mp4"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.mov", "pcm_s16le", "aac"),
        ("a.mkv", "libopus", "opus"),
        ("a.mkv", "flac", "aac"),
        ("a.mp4", "libmp3lame", "mp3"),
        ("a.avi", "pcm_s16le", "aac"),
        ("a.ts", "aac", "aac"),
    ],
)
@pytest.mark.parametrize(("first", "last"), [(0, 24), (8, 20)])
def test_the_sound_of_the_edited_frames_is_kept_in_time(
    tmp_path: Path, name: str, codec: str, in_mp4: str, first: int, last: int
) -> None:
    clip = clip_with_sound(tmp_path / name, codec, streams=2)
    times = clip_times(clip, range(first, last), step=1, fps=FPS)
    sound = sound_of(clip, times.offset, times.offset + times.end)
    encode_video(FRAMES[first:last], tmp_path / "edited.mp4", fps=times, sound=sound)
    encode_lossless(FRAMES[first:last], tmp_path / "edited.mkv", fps=times, sound=sound)
    kept = "aac" if codec == "aac" else codec.removeprefix("lib").removesuffix("lame")
    assert codecs(tmp_path / "edited.mp4") == [in_mp4] * 2
    assert codecs(tmp_path / "edited.mkv") == [kept] * 2
    for edited in ("edited.mp4", "edited.mkv"):
        for voice in (0, 1):
            assert abs(delay(tmp_path / edited, first, last, voice)) < 3, edited
        with av.open(str(tmp_path / edited)) as file:
            assert file.duration == pytest.approx(1e6 * (last - first) / FPS, abs=60_000)
            assert len(list(file.decode(video=0))) == last - first


def test_copied_sound_is_the_same_to_the_sample(tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "a.mp4")
    source, rate = heard(clip)
    for first, last in ((0, 24), (5, 11)):
        sound = sound_of(clip, Fraction(first, FPS), Fraction(last, FPS))
        encode_video(FRAMES[first:last], tmp_path / "b.mp4", fps=FPS, sound=sound)
        begin, end = (rate * frame // FPS for frame in (first, last))
        assert np.abs(heard(tmp_path / "b.mp4")[0][: end - begin] - source[begin:end]).max() < 1e-3


@pytest.mark.parametrize("seconds", [1.0, 4.5])
def test_sound_that_is_shorter_or_longer_than_the_frames(tmp_path: Path, seconds: float) -> None:
    clip = clip_with_sound(tmp_path / "a.mp4", seconds=seconds)
    sound = sound_of(clip, Fraction(0), Fraction(SECONDS))
    encode_video(FRAMES, tmp_path / "b.mp4", fps=FPS, sound=sound)
    with av.open(str(tmp_path / "b.mp4")) as file:
        stream = file.streams.audio[0]
        lasting = float(stream.duration * stream.time_base)
    assert lasting == pytest.approx(min(seconds, SECONDS), abs=0.05)
    sound = sound_of(clip, Fraction(2), Fraction(SECONDS))  # where the short one has ended
    encode_video(FRAMES[16:], tmp_path / "b.mp4", fps=FPS, sound=sound)
    with av.open(str(tmp_path / "b.mp4")) as file:
        assert len(list(file.decode(video=0))) == 8


def test_clips_without_sound(tmp_path: Path, clip: ClipFolder) -> None:
    encode_video(FRAMES, tmp_path / "a.mp4", fps=FPS)
    assert sound_of(tmp_path / "a.mp4", Fraction(0), Fraction(1)) is None
    assert sound_of(clip.root / "clip", Fraction(0), Fraction(1)) is None


def test_a_clip_that_went_away_is_no_traceback(tmp_path: Path) -> None:
    clip = clip_with_sound(tmp_path / "a.mp4")
    sound = sound_of(clip, Fraction(0), Fraction(1))
    clip.unlink()
    with pytest.raises(SoundLost):
        sound_of(clip, Fraction(0), Fraction(1))
    with pytest.raises(SoundLost):
        encode_video(FRAMES, tmp_path / "b.mp4", fps=FPS, sound=sound)


SPEC = """grain 1
video "a.mp4" { size 64x48 SETTINGS }
target "a green robot on grass"
region left = box(0%, 0%, 50%, 100%)
edit left -> "green robot"
sampler { steps 2 }
"""


def write_spec(folder: Path, settings: str = "") -> Path:
    path = folder / "edit.grain"
    path.write_text(SPEC.replace("SETTINGS", settings))
    return path


def test_lost_sound_is_said_before_a_model_loads(tmp_path: Path, grain: Grain) -> None:
    clip_with_sound(tmp_path / "a.mp4")
    assert grain("check", write_spec(tmp_path), "--format", "json").codes == []
    spec = write_spec(tmp_path, "step 2")
    for command in ("check", "plan"):
        said = grain(command, spec)
        assert said.code == 0
        assert "G341" in said.err
        assert "`step 2` leaves out frames" in said.err
    encode_video(FRAMES, tmp_path / "a.mp4", fps=FPS)
    assert "G341" not in grain("check", spec).err


def test_a_run_keeps_the_sound_or_says_that_it_is_lost(tmp_path: Path, grain: Grain) -> None:
    clip = clip_with_sound(tmp_path / "a.mp4")
    spec = write_spec(tmp_path, "frames 8..11")
    run = grain("run", spec, "-o", tmp_path / "out", "--format", "json").json
    assert run["clip"]["sound"] is True
    assert "G341" not in {warning["code"] for warning in run["warnings"]}
    for name in ("edited.mp4", "edited.mkv"):
        assert codecs(tmp_path / "out" / name) == ["aac"]
    first, rate = heard(tmp_path / "out" / "edited.mp4")
    source, _ = heard(clip)
    assert np.abs(first[: rate // 2] - source[rate : rate + rate // 2]).max() < 1e-3
    spec = write_spec(tmp_path, "step 8")
    run = grain("run", spec, "-o", tmp_path / "out", "--format", "json").json
    assert [warning["code"] for warning in run["warnings"]].count("G341") == 1
    assert "will have no sound" in (tmp_path / "out" / "report.html").read_text()
    assert codecs(tmp_path / "out" / "edited.mp4") == []
