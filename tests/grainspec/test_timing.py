from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from grainspec.clip.container import NotAContainer
from grainspec.clip.timing import timestamps

MILLISECOND = Fraction(1, 1000)
UNEVEN = [0, 100, 200, 300, 900, 1500, 2100]


def write_at(path: Path, times: list[int], codec: str = "libx264") -> Path:
    """A video whose frames are shown at these milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.time_base = stream.codec_context.time_base = MILLISECOND
        for number, time in enumerate(times):
            picture = np.full((32, 32, 3), number * 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_uneven_times_are_read_in_the_order_of_display(tmp_path: Path, suffix: str) -> None:
    path = write_at(tmp_path / f"v.{suffix}", UNEVEN)  # with B-frames: stored in another order
    assert timestamps(path) == tuple(time * MILLISECOND for time in UNEVEN)


def test_the_first_frame_is_at_zero(tmp_path: Path) -> None:
    path = write_at(tmp_path / "v.mkv", [time + 500 for time in UNEVEN])
    assert timestamps(path) == tuple(time * MILLISECOND for time in UNEVEN)


def test_a_container_without_times_gives_even_ones(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(6):
            picture = np.full((32, 32, 3), number * 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert timestamps(path) == tuple(Fraction(number, 10) for number in range(6))


def test_folders_have_no_times_and_playlists_are_refused(tmp_path: Path) -> None:
    assert timestamps(tmp_path) is None
    (tmp_path / "v.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n")
    with pytest.raises(NotAContainer):
        timestamps(tmp_path / "v.m3u8")
