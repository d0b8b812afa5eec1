from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from clips import EXAMPLES, ClipFolder
from PIL import Image

from grainspec import GrainError, check, load, parse
from grainspec.clip.crop import frame_numbers
from grainspec.clip.facts import probe
from grainspec.model.spec import FrameRange, Video


def write_video(path: Path, frames: int = 5) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        rng = np.random.default_rng(0)
        for _ in range(frames):
            picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def code_of(path: Path) -> str:
    with pytest.raises(GrainError) as raised:
        probe(path)
    (finding,) = raised.value.diagnostics
    return finding.code


def test_facts_of_a_file_and_of_a_folder(tmp_path: Path, clip: ClipFolder) -> None:
    facts = probe(write_video(tmp_path / "v.mp4"))
    assert (facts.frames, facts.width, facts.height, facts.fps) == (5, 64, 48, 10.0)
    folder = probe(clip.root / "clip")
    assert (folder.frames, folder.width, folder.height) == (4, 64, 48)


def test_bad_videos(tmp_path: Path) -> None:
    good = write_video(tmp_path / "v.mp4").read_bytes()
    assert code_of(tmp_path / "none.mp4") == "G301"
    for name, content in {
        "empty": b"",
        "text": b"this is no video\n" * 50,
        "head": good[: len(good) // 2],
        "tail": good[-1000:],
    }.items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(content)
        assert code_of(path) == "G302", name


def test_a_file_cut_off_after_its_index_is_found_out(tmp_path: Path) -> None:
    import subprocess
    import sys

    source = (
        "import av,sys\n"
        "with av.open(sys.argv[1]) as a, av.open(sys.argv[2],'w',options={'movflags':'faststart'}) as b:\n"
        "    s=a.streams.video[0]; o=b.add_stream_from_template(s)\n"
        "    for p in a.demux(s):\n"
        "        if p.dts is not None: p.stream=o; b.mux(p)\n"
    )
    whole, fast = write_video(tmp_path / "v.mp4", 12), tmp_path / "fast.mp4"
    subprocess.run([sys.executable, "-c", source, str(whole), str(fast)], check=True)
    content = fast.read_bytes()
    assert probe(fast).frames == 12
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(content[: len(content) * 2 // 3])
    assert code_of(cut) == "G302"


def test_bad_folders(tmp_path: Path, clip: ClipFolder) -> None:
    (tmp_path / "nothing").mkdir()
    assert code_of(tmp_path / "nothing") == "G302"
    Image.new("RGB", (10, 10)).save(clip.root / "clip" / "00002.png")
    assert code_of(clip.root / "clip") == "G302"
    (clip.root / "clip" / "00002.png").write_text("no image")
    assert code_of(clip.root / "clip") == "G302"
    (clip.root / "clip" / "00002.png").unlink()
    assert code_of(clip.root / "clip") == "G302"


def test_frames_are_chosen_from_what_there_is(clip: ClipFolder) -> None:
    facts = probe(clip.root / "clip")
    assert frame_numbers(Video(path="clip"), facts) == [0, 1, 2, 3]
    video = Video(path="clip", frames=FrameRange(first=1, last=3), step=2)
    assert frame_numbers(video, facts) == [1, 3]
    with pytest.raises(GrainError, match=r"G303.*4 frames.*0 to 3"):
        frame_numbers(Video(path="clip", frames=FrameRange(first=0, last=4)), facts)


def test_check_reports_every_file_at_once(clip: ClipFolder) -> None:
    (clip.root / "left" / "00001.png").unlink()
    clip.write_masks("right", [clip.mask(0, 0, 0, 0)] * 4)
    spec = parse(
        clip.spec_text(
            video='video "clip" { frames 0..3 }',
            regions=(
                'region left = masks("left")\nregion right = masks("right")\n'
                "region out = box(110%, 0%, 120%, 50%)\n"
                "region late = box(0%, 0%, 9%, 9%) @ 0, box(0%, 0%, 9%, 9%) @ 9"
            ),
        )
    )
    found = [(f.code, f.is_error) for f in check(spec, base=clip.root)]
    expected = ["G103", "G103", "G305", "G307", "G309", "G303"]
    assert [code for code, _ in found] == expected


def test_examples_have_their_files() -> None:
    for path in EXAMPLES.glob("*.grain"):
        assert check(load(path), base=EXAMPLES) == []
