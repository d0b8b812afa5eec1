"""`grain new`: a first spec that can be checked as it is, for any clip, and no file overwritten."""

from __future__ import annotations

import os
import shlex
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
from clips import EXAMPLES, ClipFolder
from command import Grain

from grainspec import GrainError, load
from grainspec.analysis.new_spec import new_spec
from grainspec.text.format import format_text

VIDEO = EXAMPLES / "clips" / "two_men.mp4"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(grain: Grain, spec: Path) -> list[str]:
    """The codes of the findings about a spec, of which none is an error."""
    said = grain("check", spec, "--format", "json")
    assert said.code == 0, said.out
    return said.codes


def test_a_first_spec_is_checked_as_it_is(grain: Grain, here: Path) -> None:
    shutil.copy(VIDEO, here / "clip.mp4")
    said = grain("new", "clip.mp4")
    assert (said.code, said.err) == (0, "")
    assert said.out == "clip.grain: written. Next: grain check clip.grain\n"
    assert checked(grain, here / "clip.grain") == ["G357"]  # the regions are not tracked yet
    text = (here / "clip.grain").read_text()
    assert format_text(text) == text
    assert "8 frames of 192x192 pixels, 8 a second" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    spec = load(here / "clip.grain")
    assert sum(line.startswith("#") for line in text.splitlines()) <= 8
    assert [region.name for region in spec.regions] == ["left", "right"]
    assert [edit.phrase in spec.target for edit in spec.changes] == [True, True]


def test_the_words_are_those_that_the_demo_model_knows() -> None:
    world = pytest.importorskip("grainspec_runtime.demo.world")
    text = new_spec(VIDEO, Path("a.grain"))
    prompts = [
        line.split('"')[1] for line in text.splitlines() if line.startswith(("source", "target"))
    ]
    assert set(" ".join(prompts).split()) <= set(world.VOCABULARY)


NAMES = [
    "with space.mp4",
    'say "cheese".mp4',
    "猫 – é.mp4",
    "~home.mp4",
    "a#b{c}%s.mp4",
    "-dash.mp4",
    "it's.tar.mp4",
]
if os.sep == "/":
    NAMES.append("back\\slash.mp4")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_written_so_that_they_are_read(grain: Grain, here: Path, name: str) -> None:
    shutil.copy(VIDEO, here / name)
    said = grain("new", "--", name)
    assert said.code == 0, said.err
    (spec,) = here.glob("*.grain")
    assert spec.name == f"{name.removesuffix('.mp4')}.grain"
    assert checked(grain, spec) == ["G357"]
    command = shlex.split(said.out.partition("Next: ")[2])
    assert command[:2] == ["grain", "check"]
    assert grain(*command[1:]).code == 0
    steps = [line for line in spec.read_text().splitlines() if line.startswith("#   grain ")]
    assert len(steps) == 2
    for step in steps:
        words = shlex.split(step.removeprefix("#"), comments=True)
        assert Path(words[2]) == Path(spec.name), step


def test_paths_start_at_the_folder_of_the_spec(grain: Grain, here: Path) -> None:
    (here / "my clips").mkdir()
    (here / "edits" / "deep").mkdir(parents=True)
    shutil.copy(VIDEO, here / "my clips" / "clip.mp4")
    for clip, spec, path in [
        ("my clips/clip.mp4", "a.grain", "my clips/clip.mp4"),
        ("my clips/../my clips/clip.mp4", "edits/deep/a.grain", "../../my clips/clip.mp4"),
        (here / "my clips" / "clip.mp4", "my clips/a.grain", "clip.mp4"),
    ]:
        assert grain("new", clip, "-o", spec).code == 0
        assert load(here / spec).video.path == path
        assert checked(grain, here / spec) == ["G357"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_lead_where_they_lead(grain: Grain, here: Path) -> None:
    (here / "real" / "edits").mkdir(parents=True)
    (here / "edits").symlink_to(here / "real" / "edits")
    shutil.copy(VIDEO, here / "clip.mp4")
    (here / "linked.mp4").symlink_to("clip.mp4")
    assert grain("new", "linked.mp4", "-o", "edits/a.grain").code == 0
    assert load(here / "edits" / "a.grain").video.path == "../../linked.mp4"
    assert checked(grain, here / "edits" / "a.grain") == ["G357"]


def test_folders_of_frames_and_single_images_are_clips(
    grain: Grain, clip: ClipFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.root)
    assert grain("new", "clip", "-o", "of_folder.grain").code == 0
    text = (clip.root / "of_folder.grain").read_text()
    assert "4 frames of 64x48 pixels." in text
    assert 'video "clip"\n' in text
    checked(grain, clip.root / "of_folder.grain")
    monkeypatch.chdir(clip.root / "clip")
    assert grain("new", ".", "-o", "../inside.grain").code == 0
    assert load(clip.root / "inside.grain").video.path == "clip"
    assert grain("new", "00001.png", "-o", "../image.grain").code == 0
    assert "1 frame of 64x48 pixels." in (clip.root / "image.grain").read_text()
    checked(grain, clip.root / "image.grain")


def test_of_a_long_clip_the_first_frames_are_chosen(grain: Grain, tmp_path: Path) -> None:
    folder = ClipFolder(tmp_path, frames=17, size=(32, 32))
    text = new_spec(folder.root / "clip", folder.root / "a.grain")
    assert 'video "clip" { frames 0..15 }\n' in text
    assert "The first 16 frames" in text


def test_no_file_is_overwritten(grain: Grain, here: Path) -> None:
    shutil.copy(VIDEO, here / "clip.mp4")
    (here / "clip.grain").write_text("mine")
    (here / "folder.grain").mkdir()
    for spec in ("clip.grain", "folder.grain"):
        said = grain("new", "clip.mp4", "-o", spec)
        assert said.code == 1
        assert "G716" in said.err
        assert "-o NAME.grain" in said.err
    assert (here / "clip.grain").read_text() == "mine"


def test_what_is_no_clip_or_no_place_is_refused(grain: Grain, here: Path) -> None:
    shutil.copy(VIDEO, here / "clip.mp4")
    (here / "notes.txt").write_text("not a clip")
    for arguments, code in [
        (("nothing.mp4",), "G301"),
        (("notes.txt",), "G302"),
        (("clip.mp4", "-o", "no folder/a.grain"), "G310"),
    ]:
        said = grain("new", *arguments)
        assert (said.code, code in said.err) == (1, True), said.err
    assert grain("new", "clip.mp4", "-o", "a.json").code == 2
    assert not list(here.glob("*.grain"))
    assert grain("new", "nothing.mp4", "--help").code == 0


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_a_name_that_no_spec_can_have_is_refused(here: Path) -> None:
    name = here / "two\nlines.mp4"
    shutil.copy(VIDEO, name)
    with pytest.raises(GrainError) as refused:
        new_spec(name, here / "a.grain")
    (finding,) = refused.value.diagnostics
    assert (finding.code, finding.cure) == ("G202", "Rename the clip, or its folder.")
    assert "\n" not in finding.message


def test_it_is_printed_when_asked(grain: Grain, here: Path) -> None:
    shutil.copy(VIDEO, here / "clip.mp4")
    said = grain("new", "clip.mp4", "-o", "-")
    assert said.out.startswith("grain 1\n")
    assert not list(here.glob("*.grain"))


def test_a_rate_that_varies_is_said(here: Path) -> None:
    av = pytest.importorskip("av")
    for name, times in {
        "even": range(0, 800, 100),
        "uneven": (0, 100, 200, 300, 900, 1500),
    }.items():
        with av.open(f"{name}.mkv", "w") as container:
            stream = container.add_stream("ffv1", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            for time in times:
                frame = av.VideoFrame(64, 48, "gray")
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    said = {name: new_spec(Path(f"{name}.mkv"), Path("a.grain")) for name in ("even", "uneven")}
    words = "a second on average.\n# The rate varies: an edit keeps the time of each frame.\nvideo"
    assert [words in text for text in said.values()] == [False, True]
    assert format_text(said["uneven"]) == said["uneven"]
