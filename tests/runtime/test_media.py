from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import EXAMPLES, ClipFolder

from grainspec import GrainError
from grainspec.clip import Window, probe
from grainspec_runtime.demo.world import Figure, Scene, advance, render
from grainspec_runtime.media import decode
from grainspec_runtime.media.encode import encode_video

CLIP = EXAMPLES / "clips" / "two_men.mp4"
WHOLE = Window((0.0, 0.0, 192.0, 192.0), 192, 192)


def frames_of_clip() -> np.ndarray:
    scene = Scene((Figure("robot", "red", x=0.4),))
    return np.stack([render(advance(scene, i), 64)[0] for i in range(6)])


def test_both_decoders_give_the_same_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("decord")
    one = decode.decode_frames(CLIP, [1, 4, 7], WHOLE)
    monkeypatch.setattr(decode, "_has_decord", lambda: False)
    other = decode.decode_frames(CLIP, [1, 4, 7], WHOLE)
    assert np.abs(one.astype(int) - other).max() <= 2


def test_encoding_and_decoding_come_close(tmp_path: Path) -> None:
    frames = frames_of_clip()
    encode_video(frames, tmp_path / "v.mp4", fps=12.5)
    facts = probe(tmp_path / "v.mp4")
    assert (facts.frames, facts.width, facts.fps) == (6, 64, 12.5)
    back = decode.decode_frames(tmp_path / "v.mp4", range(6), Window((0, 0, 64, 64), 64, 64))
    for number in range(6):  # each frame is nearest to itself: none is lost or doubled
        errors = [np.abs(back[number].astype(int) - frame).mean() for frame in frames]
        assert int(np.argmin(errors)) == number
        assert errors[number] < 6


def test_odd_sizes_are_padded(tmp_path: Path) -> None:
    encode_video(np.zeros((2, 33, 35, 3), np.uint8), tmp_path / "v.mp4", fps=8)
    facts = probe(tmp_path / "v.mp4")
    assert (facts.width, facts.height) == (36, 34)


def test_folders_of_frames(clip: ClipFolder) -> None:
    window = Window((16.0, 0.0, 64.0, 48.0), 24, 24)
    assert decode.decode_frames(clip.root / "clip", [0, 3], window).shape == (2, 24, 24, 3)


def test_a_file_that_cannot_be_decoded_is_coded(tmp_path: Path) -> None:
    content = bytearray(CLIP.read_bytes())
    start = content.find(b"mdat") + 8
    content[start : start + 20_000] = b"\x00" * 20_000
    (tmp_path / "v.mp4").write_bytes(bytes(content))
    with pytest.raises(GrainError, match="G302"):
        decode.decode_frames(tmp_path / "v.mp4", range(8), WHOLE)
