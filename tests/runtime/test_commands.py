"""`grain show`, `plan`, `run` and `doctor`, as users call them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import EXAMPLES, ClipFolder
from command import Grain, Said
from PIL import Image

from grainspec.clip.facts import probe
from grainspec.plan.save import load_plan


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The instance example, two frames and two steps of it, in a folder of its own."""
    folder = tmp_path / "examples"
    for part in ("clips", "masks"):
        shutil.copytree(EXAMPLES / part, folder / part)
    text = (EXAMPLES / "instance.grain").read_text()
    text = text.replace('two_men.mp4"', 'two_men.mp4" { frames 0..1 }').replace(
        "steps 30", "steps 2"
    )
    path = folder / "instance.grain"
    path.write_text(text)
    return path


def test_show_draws_the_regions(grain: Grain, example: Path, tmp_path: Path) -> None:
    said = grain("show", example)
    picture = example.with_name("instance.regions.png")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"wrote {picture}\n"
    with Image.open(picture) as image:
        assert image.size[0] == 2 * (288 + 4)
    facts = grain("show", example, "-o", tmp_path / "r.png", "--format", "json").json
    assert [region["name"] for region in facts["regions"]] == ["left", "right", "trees", "ground"]
    assert all(0.02 < share < 0.8 for r in facts["regions"] for share in r["share_of_frame"])


def test_show_draws_what_is_left_at_every_level(
    grain: Grain, example: Path, tmp_path: Path
) -> None:
    text = example.read_text().replace('masks("masks/two_men/left")', "box(17%, 17%, 24%, 24%)")
    example.write_text(text)
    facts = grain("show", example, "--levels", "--format", "json").json
    assert [level["grid"] for level in facts["levels"]] == [[24, 24], [12, 12], [6, 6]]
    lost = [level["vanished"]["left"] for level in facts["levels"]]
    assert lost == [[], [], [0, 1]]  # a box of 7 px holds the centre of no token of 16 px
    assert "G401" in [finding["code"] for finding in facts["diagnostics"]]
    with Image.open(example.with_name("instance.regions.png")) as image:
        assert image.size[1] > 4 * 288


@pytest.mark.parametrize("suffix", ["mp4", "gif", "webp"])
def test_show_animates(grain: Grain, example: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"regions.{suffix}"
    assert grain("show", example, "-o", path).code == 0
    if suffix == "mp4":
        assert probe(path).frames == 2
        return
    with Image.open(path) as image:
        assert image.n_frames == 2


def test_show_writes_pictures_only(grain: Grain, example: Path) -> None:
    said = grain("show", example, "-o", "regions.txt", "--format", "json")
    assert (said.code, said.codes) == (1, ["G310"])


def test_plan_prints_and_saves(grain: Grain, example: Path, tmp_path: Path) -> None:
    said = grain("plan", example, "-o", tmp_path / "p.safetensors")
    assert (said.code, said.err) == (0, "")
    for words in ("green robot", "left", "modulated: 1 of 2 steps"):
        assert words in said.out
    plan = load_plan(tmp_path / "p.safetensors")
    assert [edit.phrase for edit in plan.edits] == ["green robot", "yellow bear", "cherry trees"]
    facts = grain("plan", example, "--format", "json").json
    assert facts["digest"] == plan.digest
    assert facts["diagnostics"] == []


def test_run_writes_a_folder_and_other_words_start_from_the_cache(
    grain: Grain, example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = grain("run", example, "--device", "cpu")
    assert said.code == 0, said.err
    assert "edited 2 frames" in said.out
    assert "from the cache" not in said.out
    folder = tmp_path / "runs" / "instance"
    assert (folder / "spec.grain").read_text() == example.read_text()
    for name in ("edited.mp4", "side_by_side.mp4", "overlay.png", "plan.safetensors", "run.json"):
        assert (folder / name).stat().st_size > 500
    example.write_text(example.read_text().replace("yellow bear", "orange cat"))
    again = grain("run", example, "-o", "other", "--format", "json")
    assert again.code == 0
    assert again.json["inversion_cached"]
    assert again.json["output"] == "other"
    assert again.json["spec"]["target"].count("orange cat") == 1
    assert not grain("run", example, "--no-cache", "--format", "json").json["inversion_cached"]


VARIANTS = """
variant robot { target "a green robot and a blue man on grass before green trees"
    without right, trees }
variant swapped { target "a yellow bear and a green robot on grass before cherry trees"
    edit instance left -> "yellow bear"  edit instance right -> "green robot" }
"""


def test_variants_run_from_one_inversion(
    grain: Grain, example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example.write_text(example.read_text() + VARIANTS)
    monkeypatch.chdir(tmp_path)
    inversions: list[int] = []
    from grainspec_runtime.processes import inversions as module

    invert = module.invert
    monkeypatch.setattr(
        module, "invert", lambda *args, **kw: (inversions.append(1), invert(*args, **kw))[1]
    )
    said = grain("run", example, "--variant", "all", "--no-cache", "--set", "sampler.steps=3")
    assert said.code == 0, said.err
    assert len(inversions) == 1
    folder = tmp_path / "runs" / "instance"
    assert probe(folder / "variants.mp4").frames == 2
    with Image.open(folder / "variants.png") as image:
        assert image.size[1] == 3 * (144 + 48 + 20)  # the clip and two variants, labelled
    for name, phrases in {"robot": ["green robot"], "swapped": None}.items():
        manifest = json.loads((folder / name / "run.json").read_text())
        assert (manifest["variant"], manifest["spec"]["sampler"]["steps"]) == (name, 3)
        plan = load_plan(folder / name / "plan.safetensors")
        if phrases:
            assert [edit.phrase for edit in plan.edits] == phrases
    # The spec itself goes beside them, and leaves them alone.
    assert grain("run", example).code == 0
    assert (folder / "edited.mp4").exists()
    assert (folder / "robot" / "edited.mp4").exists()
    found = grain("run", example, "--variant", "robot", "--format", "json").json["runs"]
    assert [run["variant"] for run in found] == ["robot"]


def test_variants_are_chosen_by_name(grain: Grain, example: Path, tmp_path: Path) -> None:
    example.write_text(example.read_text() + VARIANTS)
    said = grain("plan", example, "--variant", "robott")
    assert said.code == 2
    assert "Did you mean `robot`?" in said.err
    said = grain("plan", example, "--variant", "robot", "--set", "left.weight=0.5")
    assert (said.code, said.err) == (0, "")
    assert "green robot" in said.out
    assert "yellow bear" not in said.out
    facts = grain("show", example, "--variant", "robot", "--format", "json").json
    assert [region["name"] for region in facts["regions"]] == ["left", "ground"]
    text = example.read_text()
    example.write_text("".join(line for line in text.splitlines(True) if "edit trees" not in line))
    said = grain("run", example, "--variant", "robot")
    assert (said.code, "error[G110]" in said.err) == (1, True)


def test_a_spec_of_variants_only_wants_one_named(grain: Grain, example: Path) -> None:
    kept = ("target", "edit instance", "edit trees")
    lines = [line for line in example.read_text().splitlines() if not line.startswith(kept)]
    text = "\n".join(lines) + VARIANTS.replace("without right, trees", 'edit left -> "green robot"')
    example.write_text(text)
    assert grain("check", example).code == 0
    for command in ("run", "plan", "show"):
        said = grain(command, example)
        assert said.code == 2
        assert "--variant NAME`: robot, swapped" in said.err
    assert grain("plan", example, "--variant", "swapped").code == 0


def test_pairs_are_drawn(grain: Grain, example: Path, tmp_path: Path) -> None:
    said = grain("plan", example, "--dense", tmp_path / "pairs")
    names = [f"level{index}.png" for index in range(3)]
    assert said.code == 0
    assert all(f"wrote {tmp_path / 'pairs' / name}" in said.out for name in names)
    assert sorted(path.name for path in (tmp_path / "pairs").iterdir()) == names
    found = grain("plan", example, "--dense", tmp_path / "pairs", "--format", "json").json
    assert found["pictures"] == [str(tmp_path / "pairs" / name) for name in names]
    (tmp_path / "file").write_text("")
    assert grain("plan", example, "--dense", tmp_path / "file").code == 2


def test_plans_are_compared(grain: Grain, example: Path, tmp_path: Path) -> None:
    example.write_text(example.read_text() + VARIANTS)
    said = grain("plan", example, "--diff", example)
    assert (said.code, said.out) == (0, "no difference\n")
    said = grain("plan", example, "--variant", "swapped", "--diff-variant", "robot")
    assert said.code == 0
    assert "right\n  edit: edit “green robot” → none" in said.out
    changed = example.with_name("other.grain")
    changed.write_text(example.read_text() + "attention { self 0.5 }")
    found = grain("plan", example, "--diff", changed, "--format", "json").json["differences"]
    assert {change["what"] for change in found} == {"self attract", "self repel"}
    changed.write_text(example.read_text() + "attention { unbound 0.5 }")
    assert "unbound: 0.3 → 0.5" in grain("plan", example, "--diff", changed).out


def test_values_that_are_set_wrong(grain: Grain, example: Path) -> None:
    said = grain("plan", example, "--set", "attention.self=2")
    assert said.code == 1
    assert "--set:1:16" in said.err
    assert "invalid value `2` for `self`: a number from 0 to 1" in said.err
    said = grain("plan", example, "--set", "left.phrase=dog", "--format", "json")
    assert said.codes == ["G104"]


def test_warnings_of_the_demo_model_name_the_line_to_change(grain: Grain, example: Path) -> None:
    example.write_text(example.read_text().replace("yellow bear", "tuxedo cat"))
    said = grain("plan", example)
    assert said.code == 0
    assert "G510" in said.err
    assert "“tuxedo”" in said.err
    assert 'model "stable-diffusion' in said.err


def test_doctor_finds_this_machine_fit(grain: Grain) -> None:
    said = grain("doctor")
    assert said.code == 0, said.out
    assert "this machine can run edits" in said.out
    facts = grain("doctor", "--format", "json").json
    assert facts["can_run"]
    assert {"python", "torch", "demo model", "cache"} <= {f["what"] for f in facts["findings"]}


def test_doctor_lists_the_engines_with_licences(
    grain: Grain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grainspec_runtime.tracking.engines import needs

    def found() -> dict[str, str]:
        findings = grain("doctor", "--format", "json").json["findings"]
        return {finding["what"]: finding["found"] for finding in findings}

    assert found()["finder owlv2"].endswith("google/owlv2-base-patch16-ensemble (Apache-2.0)")
    monkeypatch.setattr(needs, "version", lambda name: "4.48.0")
    assert "transformers 4.56 or later; 4.48.0 is installed: pip" in found()["tracker sam2"]
    assert found()["finder owlv2"].startswith("can run here")
    assert {f"tracker {name}" for name in ("colour", "sam2", "edgetam", "sam3")} < set(found())


# --- bad input: a coded error before any model loads, and nothing written -----------------------


@pytest.fixture
def refused(grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grain]:
    """A `grain` that must not load a model, in an empty folder that stays empty."""
    from grainspec_runtime.editing import editor

    def load(*args: object, **kwargs: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(editor, "load_checkpoint", load)
    place = tmp_path / "empty"
    place.mkdir()
    monkeypatch.chdir(place)
    yield grain
    assert list(place.iterdir()) == []


def run(grain: Grain, clip: ClipFolder, *arguments: str, **replaced: str) -> Said:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(**replaced))
    return grain("run", path, "--format", "json", *arguments)


def cut_off(clip: ClipFolder) -> None:
    whole = (EXAMPLES / "clips" / "two_men.mp4").read_bytes()
    (clip.root / "bad.mp4").write_bytes(whole[: len(whole) * 2 // 3])


BROKEN_VIDEOS = {
    "missing": (lambda clip: None, "G301"),
    "text": (lambda clip: (clip.root / "bad.mp4").write_text("no video at all\n" * 9), "G302"),
    "empty": (lambda clip: (clip.root / "bad.mp4").write_bytes(b""), "G302"),
    "cut off": (cut_off, "G302"),
}


@pytest.mark.parametrize("kind", BROKEN_VIDEOS)
def test_broken_videos(refused: Grain, clip: ClipFolder, kind: str) -> None:
    spoil, code = BROKEN_VIDEOS[kind]
    spoil(clip)  # type: ignore[no-untyped-call]
    said = run(refused, clip, video='video "bad.mp4"')
    assert (said.code, said.codes) == (1, [code])
    assert "bad.mp4" in said.out


def test_fewer_frames_than_asked_for(refused: Grain, clip: ClipFolder) -> None:
    said = run(refused, clip, video='video "clip" { frames 0..9 size 64x48 }')
    assert (said.code, said.codes) == (1, ["G303"])
    assert "frame 9 is past the end of the video: it has 4 frames, 0 to 3" in said.out


def remove_a_mask(clip: ClipFolder) -> None:
    (clip.root / "left" / "00002.png").unlink()


def resize_a_mask(clip: ClipFolder) -> None:
    Image.new("L", (32, 24), 255).save(clip.root / "left" / "00001.png")


def blacken(clip: ClipFolder) -> None:
    clip.write_masks("left", [clip.mask(0, 0, 0, 0)] * clip.frames)


def spoil_a_mask(clip: ClipFolder) -> None:
    (clip.root / "left" / "00003.png").write_bytes(b"\x89PNG no, not really")


def remove_the_folder(clip: ClipFolder) -> None:
    shutil.rmtree(clip.root / "left")


@pytest.mark.parametrize(
    ("spoil", "code", "place"),
    [
        (remove_the_folder, "G304", "left"),
        (remove_a_mask, "G305", "frame 2"),
        (resize_a_mask, "G306", "00001.png"),
        (blacken, "G307", "left"),
        (spoil_a_mask, "G308", "00003.png"),
    ],
)
def test_broken_masks(
    refused: Grain, clip: ClipFolder, spoil: object, code: str, place: str
) -> None:
    spoil(clip)  # type: ignore[operator]
    said = run(refused, clip)
    assert (said.code, said.codes) == (1, [code])
    assert place in said.out


@pytest.mark.parametrize(
    ("replaced", "code"),
    [
        ({"edits": 'edit lfet -> "green robot"'}, "G101"),
        ({"edits": 'edit left -> "red robot"'}, "G104"),
        ({"edits": 'edit left -> "green robot" { weight -1 }'}, "G203"),
        ({"settings": "sampler ddim { stesp 30 }"}, "G201"),
        ({"settings": 'model "./nowhere"'}, "G502"),
        ({"settings": 'model "owner/name"'}, "G503"),
        ({"video": 'video "clip" { size 62x48 }'}, "G314"),
    ],
)
def test_specs_at_fault(
    refused: Grain, clip: ClipFolder, replaced: dict[str, str], code: str
) -> None:
    said = run(refused, clip, **replaced)
    assert said.code == 1
    assert code in said.codes
    assert said.json["files"][0]["diagnostics"][0]["line"] > 0


def test_output_folders_that_cannot_be_written(
    refused: Grain, clip: ClipFolder, tmp_path: Path
) -> None:
    file = tmp_path / "a file"
    file.write_text("kept")
    for place in (file, file / "below", Path("/proc/grain")):
        if place.parts[1] == "proc" and not Path("/proc").is_dir():
            continue
        said = run(refused, clip, "-o", str(place))
        assert (said.code, said.codes) == (1, ["G310"]), place
    assert file.read_text() == "kept"


def test_pictures_and_plans_that_cannot_be_written(grain: Grain, example: Path) -> None:
    for command in ("show", "plan"):
        said = grain(command, example, "-o", example.parent, "--format", "json")
        assert (said.code, said.codes) == (1, ["G310"]), command
    assert grain("show", example, "--columns", "0").code == 2
    assert not list(example.parent.glob(".*"))


def test_more_steps_than_the_model_has(refused: Grain, clip: ClipFolder) -> None:
    said = run(refused, clip, settings="sampler ddim { steps 1000 }")
    assert (said.code, said.codes) == (1, ["G203"])


def test_a_device_that_is_not_there(refused: Grain, clip: ClipFolder) -> None:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text())
    said = refused("run", path, "--device", "abacus")
    assert said.code == 2
    assert "abacus" in said.err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_runs_leave_nothing(
    example: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    example.write_text(example.read_text().replace("steps 2", "steps 15"))
    cache, place = tmp_path / "cache", tmp_path / "place"
    place.mkdir()
    started = subprocess.Popen(
        [sys.executable, "-m", "grainspec", "run", str(example), "-o", "result"],
        cwd=place,
        env={**os.environ, "GRAINSPEC_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background is born deaf to SIGINT, and so are its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for _ in range(6000):  # until the inversion is kept: sampling has begun
            if list(cache.rglob("*.safetensors")) or started.poll() is not None:
                break
            time.sleep(0.02)
        assert started.poll() is None, started.stderr
        started.send_signal(sent)
        _, said = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert list(place.iterdir()) == []
