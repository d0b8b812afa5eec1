"""What is kept between runs: inversions, where interrupted runs stood; its limits and damages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from clips import EXAMPLES
from command import Grain
from wan import WanVariant

from grainspec import EditSpec, GrainError, load
from grainspec.diagnostics import Diagnostic
from grainspec.file_lock import locked_file
from grainspec.model.spec import FrameRange, Size, Video
from grainspec_runtime import Editor
from grainspec_runtime.cache.folder import cache_folder
from grainspec_runtime.cache.limit import (
    DEFAULT_LIMIT,
    cache_limit,
    set_cache_limit,
    size_in_bytes,
)
from grainspec_runtime.cache.store import (
    entries,
    entry_path,
    load_entry,
    prune,
    save_entry,
    using,
)
from grainspec_runtime.editing import resume
from grainspec_runtime.media.decode import decode_lossless
from grainspec_runtime.prepare import prepare_variants

SOLVERS = ("dpmpp", "unipc", "deis")
VARIANTS = """
variant robot { target "a green robot and a blue man on grass before green trees"
    without right, trees }
variant swapped { target "a yellow bear and a green robot on grass before cherry trees"
    edit instance left -> "yellow bear"  edit instance right -> "green robot" }
"""


def no_warning(finding: Diagnostic) -> None:
    raise AssertionError(finding)


def keep(key: str, *, kind: str = "inversion", age: float = 0.0) -> Path:
    """An entry of some 4 kB, last used so many seconds ago."""
    save_entry(kind, key, {"trajectory": torch.arange(1000.0)}, {"clip": f"{key}.mp4"})
    path = entry_path(kind, key)
    os.utime(path, (time.time() - age,) * 2)
    return path


def keys() -> list[str]:
    return [entry.path.stem for entry in entries(no_warning)]


# --- the store ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "GB", "-1", "4 XB", "1e9", "４GB", "9" * 20, "1.5.2MB"])
def test_what_is_no_size(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        size_in_bytes(text)
    monkeypatch.setenv("GRAINSPEC_CACHE_LIMIT", text)
    if text:
        with pytest.raises(GrainError, match="G202"):
            cache_limit()


def test_the_limit_is_from_the_environment_else_set_else_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cache_limit() == DEFAULT_LIMIT
    set_cache_limit(5000)
    assert cache_limit() == 5000
    monkeypatch.setenv("GRAINSPEC_CACHE_LIMIT", "2 kB")
    assert cache_limit() == 2000
    monkeypatch.delenv("GRAINSPEC_CACHE_LIMIT")
    (cache_folder() / "limit").write_text("lots")
    assert cache_limit() == DEFAULT_LIMIT


def test_what_was_used_longest_ago_goes_first() -> None:
    size = keep("a", age=30).stat().st_size
    keep("b", age=20, kind="unfinished")
    keep("c", age=10)
    assert keys() == ["a", "b", "c"]
    assert load_entry("inversion", "a", no_warning) is not None  # now the latest
    set_cache_limit(int(2.5 * size))
    assert prune(cache_limit()) > 0
    assert keys() == ["c", "a"]
    keep("d")  # keeping another makes room by itself
    assert keys() == ["a", "d"]
    set_cache_limit(0)
    keep("e")
    assert keys() == ["e"]  # what was just kept stays


def test_nothing_goes_that_is_in_use() -> None:
    for key in "abc":
        keep(key, age=30)
    with using("inversion", "a"):
        prune(0)
        assert keys() == ["a"]
    prune(0)
    assert keys() == []
    assert list((cache_folder() / "inversions").iterdir()) == []  # no locks stay behind


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_nothing_goes_that_another_process_uses_until_it_is_killed() -> None:
    keep("a", age=30)
    keep("b", age=20)
    program = (
        "from grainspec_runtime.cache.store import using\n"
        "with using('inversion', 'a'), using('inversion', 'a'):\n"
        "    print('held', flush=True)\n"
        "    input()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with using("inversion", "a"):  # our letting go of it does not free it
            pass
        prune(0)
        assert keys() == ["a"]
    finally:
        other.kill()
        other.communicate(timeout=60)
    prune(0)
    assert keys() == []


def test_half_written_files_are_swept_away_unless_they_are_being_written() -> None:
    dead, alive = (keep("a").with_name(f".{name}.1.part") for name in ("dead", "alive"))
    dead.write_bytes(b"half")
    writer = locked_file(alive)
    assert writer is not None
    keep("b")
    assert (dead.exists(), alive.exists()) == (False, True)
    writer.close()
    keep("c")
    assert not alive.exists()


@pytest.mark.parametrize("damage", ["cut", "one bit", "empty", "no safetensors", "no checksum"])
def test_damaged_entries_are_dropped_with_a_warning(damage: str) -> None:
    path = keep("a")
    whole = bytearray(path.read_bytes())
    if damage == "one bit":
        whole[-100] ^= 1
    damaged = {
        "cut": whole[:-400],
        "one bit": whole,
        "empty": b"",
        "no safetensors": b"\xff" * 5000,
        "no checksum": bytes(whole).replace(b"checksum", b"chocksum"),
    }[damage]
    path.write_bytes(damaged)
    found: list[Diagnostic] = []
    assert load_entry("inversion", "a", found.append) is None
    assert [finding.code for finding in found] == ["G512"]
    assert "inversions/a.safetensors" in found[0].message
    assert not path.exists()
    assert load_entry("inversion", "a", no_warning) is None


def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    keep("a")
    monkeypatch.setenv("GRAINSPEC_CACHE", "/proc/nowhere")
    with using("inversion", "a"):
        save_entry("inversion", "a", {"trajectory": torch.zeros(1)}, {})
    assert load_entry("inversion", "a", no_warning) is None
    assert entries(no_warning) == []


# --- the command ----------------------------------------------------------------------------------


def test_the_command_lists_and_makes_room(grain: Grain) -> None:
    said = grain("cache")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{cache_folder()}: 0 entries, 0 B of at most 4.0 GB\n"
    save_entry(
        "unfinished",
        "u",
        {"latents": torch.zeros(10)},
        {"clip": "wolf\x1b[31m.mp4", "target": "a pig", "step": "7 of 50"},
    )
    keep("a", age=7300)
    said = grain("cache")
    lines = said.out.splitlines()
    assert lines[0].startswith("unfinished run")
    assert lines[0].endswith("just now    wolf\\x1b[31m.mp4, after step 7 of 50, target “a pig”")
    assert lines[1].startswith("inversion        4.2 kB  2 hours ago a.mp4")
    found = grain("cache", "--format", "json").json
    assert [entry["about"]["clip"] for entry in found["entries"]] == ["a.mp4", "wolf\x1b[31m.mp4"]
    assert found["bytes"] == sum(entry["bytes"] for entry in found["entries"])
    assert found["folder"] == str(cache_folder())
    found = grain("cache", "--limit", "2kB", "--format", "json").json
    assert [entry["kind"] for entry in found["entries"]] == ["unfinished"]
    assert found["freed_bytes"] > 4000
    assert grain("cache", "--format", "json").json["limit_bytes"] == 2000
    with using("unfinished", "u"):
        assert "1 entry" in grain("cache", "--clear").out
    assert "0 entries" in grain("cache", "--clear").out


def test_the_command_drops_what_is_damaged(grain: Grain) -> None:
    keep("a").write_bytes(b"\xff" * 100)
    keep("b")
    said = grain("cache")
    assert said.code == 0
    assert "warning[G512]" in said.err
    assert "1 entry" in said.out
    assert keys() == ["b"]


def test_sizes_that_are_none(grain: Grain, monkeypatch: pytest.MonkeyPatch) -> None:
    said = grain("cache", "--limit", "lots")
    assert said.code == 2
    assert "500MB" in said.err
    monkeypatch.setenv("GRAINSPEC_CACHE_LIMIT", "lots")
    for command in ("cache", "run"):
        extra = [EXAMPLES / "part.grain", "-o", cache_folder() / "out"] if command == "run" else []
        said = grain(command, *extra, "--format", "json")
        assert (said.code, said.codes) == (1, ["G202"]), command


# --- runs -----------------------------------------------------------------------------------------


def short(model: Path, name: str = "part", steps: int = 5) -> EditSpec:
    """Two small frames of an example, for a tiny model."""
    spec = load(EXAMPLES / f"{name}.grain")
    video = Video(
        path=spec.video.path,
        size=Size(width=64, height=64),
        frames=FrameRange(first=0, last=1),
    )
    sampler = spec.sampler.model_copy(update={"steps": steps})
    return spec.model_copy(update={"video": video, "sampler": sampler, "model": str(model)})


@pytest.fixture
def editor(tiny_sd: Path) -> Editor:
    return Editor(str(tiny_sd), device="cpu")


class Stopped(Exception):
    pass


def stop_after(step: int, variant: str | None = None) -> object:
    stage = f"sample {variant}" if variant else "sample"

    def progress(name: str, done: int, total: int) -> None:
        if (name, done) == (stage, step) and total > 1:
            raise Stopped

    return progress


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the state after every step, however quick they are."""
    monkeypatch.setattr(resume, "_SECONDS_BETWEEN", 0.0)


def test_a_stopped_run_continues_with_the_same_result(every_step: None, editor: Editor) -> None:
    spec = short(Path(editor.model))
    straight = editor.run(spec, base=EXAMPLES)
    assert straight.resumed_at == 0
    assert "unfinished" not in {entry.kind for entry in entries(no_warning)}  # all done
    with pytest.raises(Stopped):
        editor.run(spec, base=EXAMPLES, progress=stop_after(3))
    other = spec.model_copy(update={"sampler": spec.sampler.model_copy(update={"guidance": 3.0})})
    assert editor.run(other, base=EXAMPLES).resumed_at == 0  # another run altogether
    seen: list[tuple[str, int]] = []
    again = editor.run(
        spec, base=EXAMPLES, progress=lambda stage, done, total: seen.append((stage, done))
    )
    assert again.resumed_at == 3
    assert [done for stage, done in seen if stage == "sample"] == [0, 3, 4, 5, 1]
    assert (again.edited == straight.edited).all()
    assert editor.run(spec, base=EXAMPLES).resumed_at == 0  # it is over


def test_fresh_looks_nothing_up(every_step: None, editor: Editor) -> None:
    spec = short(Path(editor.model))
    with pytest.raises(Stopped):
        editor.run(spec, base=EXAMPLES, progress=stop_after(3))
    result = Editor(editor.model, device="cpu", fresh=True).run(spec, base=EXAMPLES)
    assert (result.resumed_at, result.inversion_cached) == (0, False)


def test_a_real_architecture_continues_too(tiny_model: Path, every_step: None) -> None:
    spec = short(tiny_model, steps=4)
    editor = Editor(str(tiny_model), device="cpu", dtype=torch.bfloat16)
    straight = editor.run(spec, base=EXAMPLES)
    with pytest.raises(Stopped):
        editor.run(spec, base=EXAMPLES, progress=stop_after(1))
    again = editor.run(spec, base=EXAMPLES)
    assert again.resumed_at == 1
    assert (again.edited == straight.edited).all()


@pytest.mark.parametrize("changes", [{"eta": 1.0, "seed": 3}, *({"method": m} for m in SOLVERS)])
@pytest.mark.parametrize("step", [1, 3, 6])
def test_what_solvers_remember_is_kept(
    every_step: None, editor: Editor, changes: dict[str, object], step: int
) -> None:
    """The noise drawn so far, and earlier steps of solvers that look back."""
    spec = short(Path(editor.model), steps=7)
    spec = spec.model_copy(update={"sampler": spec.sampler.model_copy(update=changes)})
    straight = editor.run(spec, base=EXAMPLES)
    with pytest.raises(Stopped):
        editor.run(spec, base=EXAMPLES, progress=stop_after(step))
    again = editor.run(spec, base=EXAMPLES)
    assert again.resumed_at == step
    assert (again.edited == straight.edited).all()


def test_variants_that_were_sampled_are_only_decoded(every_step: None, editor: Editor) -> None:
    spec = short(Path(editor.model), "variants", steps=3)
    names = list(spec.variant_names)[:2]
    prepared = prepare_variants(spec, names, EXAMPLES)
    straight = list(editor.run_all(prepared))
    with pytest.raises(Stopped):
        list(editor.run_all(prepared, progress=stop_after(2, names[1])))
    found = list(editor.run_all(prepared))
    assert [result.resumed_at for result in found] == [3, 2]
    for one, other in zip(found, straight, strict=True):
        assert (one.edited == other.edited).all()


def test_a_damaged_state_or_inversion_is_made_again(every_step: None, editor: Editor) -> None:
    spec = short(Path(editor.model))
    straight = editor.run(spec, base=EXAMPLES)
    with pytest.raises(Stopped):
        editor.run(spec, base=EXAMPLES, progress=stop_after(3))
    for entry in entries(no_warning):
        content = bytearray(entry.path.read_bytes())
        content[-5] ^= 4
        entry.path.write_bytes(content)
    again = editor.run(spec, base=EXAMPLES)
    assert [finding.code for finding in again.warnings].count("G512") == 2
    assert (again.resumed_at, again.inversion_cached) == (0, False)
    assert (again.edited == straight.edited).all()


STEPS = 100
"""Enough to be killed amidst them, quick as they are."""


def grain_run(spec: Path, place: Path, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "grainspec", "run", str(spec), "--variant", "all", "-o", "out"],
        cwd=place,
        env={**os.environ, "GRAINSPEC_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow  # three processes that load torch, and 100 steps
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("model", "frames"), [("sd", 2), ("wan", 5)])
def test_a_killed_run_continues_with_the_same_bits(
    model: str,
    frames: int,
    tiny_sd: Path,
    wan_folder: Callable[[WanVariant], Path],
    tmp_path: Path,
) -> None:
    """Killed outright while its second variant is sampled; Wan's is made by FlowEdit."""
    checkpoint = tiny_sd if model == "sd" else wan_folder("2.1")
    folder = tmp_path / "examples"
    for part in ("clips", "masks"):
        shutil.copytree(EXAMPLES / part, folder / part)
    text = (EXAMPLES / "instance.grain").read_text() + VARIANTS
    spec = folder / "instance.grain"
    video = f'two_men.mp4" {{ frames 0..{frames - 1}  size 64x64 }}\nmodel "{checkpoint}"'
    text = text.replace('two_men.mp4"', video).replace("steps 30", f"steps {STEPS}")
    spec.write_text(text)
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    for place in (killed, straight):
        place.mkdir()
    started = grain_run(spec, killed, tmp_path / "cache")
    unfinished = tmp_path / "cache" / "unfinished"
    try:
        deadline = time.monotonic() + 200
        while len(list(unfinished.glob("[!.]*.safetensors"))) < 2:
            assert started.poll() is None, started.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(started.pid, signal.SIGKILL)
    finally:
        started.kill()
        started.communicate(timeout=60)
    assert started.returncode == -signal.SIGKILL
    first = killed / "out" / "robot" / "run.json"
    written = first.stat().st_mtime_ns
    assert not (killed / "out" / "swapped").exists()
    said, errors = (again := grain_run(spec, killed, tmp_path / "cache")).communicate(timeout=250)
    assert again.returncode == 0, errors
    assert "kept out/robot: already finished by the interrupted run" in said
    assert "resumed an interrupted run after step " in said
    assert first.stat().st_mtime_ns == written
    assert not list(unfinished.glob("[!.]*.safetensors"))  # nothing is left to continue
    manifest = json.loads((killed / "out" / "swapped" / "run.json").read_text())
    assert 0 < manifest["resumed_at_step"] <= STEPS  # all, if only decoding was left
    said, errors = (whole := grain_run(spec, straight, tmp_path / "other")).communicate(timeout=250)
    assert whole.returncode == 0, errors
    assert "continued" not in said
    assert "kept" not in said
    for name in ("robot", "swapped"):  # by their frames: Matroska gives every file an identity
        one, other = (
            decode_lossless(place / "out" / name / "edited.mkv", frames)
            for place in (killed, straight)
        )
        assert (one == other).all(), name
    pictures = [(place / "out" / "variants.png").read_bytes() for place in (killed, straight)]
    assert pictures[0] == pictures[1]
