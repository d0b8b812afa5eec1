"""One clip in several processes on the CPU, by tokens or by windows: the same as in one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from clips import EXAMPLES, ClipFolder
from command import Grain
from programs import printed
from wan import tiny_wan

from grainspec import GrainError, load, parse
from grainspec.diagnostics import Diagnostic, fail
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.wan.parallel import division_of
from grainspec_runtime.commands import again
from grainspec_runtime.commands.part import LOST, Part, joined, why_lost
from grainspec_runtime.commands.parts import Said, check_gpus
from grainspec_runtime.commands.parts import ended as ended_run
from grainspec_runtime.commands.spec_file import SpecFile
from grainspec_runtime.demo import __file__ as demo
from grainspec_runtime.editing.divided import check_divided
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.part import Division
from grainspec_runtime.prepare import prepare
from grainspec_runtime.ranks import exchanging
from grainspec_runtime.runs.read import read_run


def test_predictions_are_those_of_one_process(tmp_path: Path) -> None:
    models = [Path(demo).parent / "video", tiny_wan(tmp_path / "ti2v", "ti2v")]
    changed, *lines = printed("divided.py", *models)
    assert changed > 1e-3  # the plan and its columns do something
    ways = ("Ulysses", "ring attention", "passes of guidance")
    of_two = [[2, way] for way in ways] * len(models) * 2
    of_three = [[3, "ring attention"]] * len(models) * 3  # of 4 heads, or 2
    ways = ("Ulysses", "Ulysses in groups of 2, ring attention between 2 groups")
    of_eight = [[8, f"passes of guidance, each divided by {way}"] for way in ways] * 8
    assert [line[:2] for line in lines] == of_two + of_three + of_eight
    assert max(max(line[2:]) for line in lines) < 1e-5, lines


def test_frames_are_those_of_one_process(tmp_path: Path) -> None:
    """Of both VAEs of Wan, whole and in tiles, from the same latents."""
    lines = printed("divided_vae.py", *(tiny_wan(tmp_path / it, it) for it in ("2.1", "ti2v")))
    # of the 7 rows of latents, and of the 6 in a tile; 8 processes cannot share so few
    rows = {2: ((3, 4), (3, 3)), 3: ((2, 2, 3), (2, 2, 2)), 8: ((7,) * 8, (6,) * 8)}
    assert len(lines) == (2 + 3 + 8) * 4
    for processes, (whole, tile) in rows.items():
        for rank in range(processes):
            mine = [line[2:] for line in lines if line[:2] == [processes, rank]]
            assert [decoded for *_, decoded in mine] == [whole[rank], tile[rank]] * 2
            assert all(same for same, *_ in mine)
            assert max(apart for _, apart, _ in mine) <= 1


def test_all_processes_resume_at_the_same_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = ClipFolder(tmp_path, frames=5, size=(64, 64))
    spec = tmp_path / "edit.grain"
    spec.write_text(
        f'grain 1 video "{clip.root}/clip" {{ size 64x64 }} model "{tiny_wan(tmp_path / "tiny")}" '
        'source "a red man" target "a green robot" region left = masks("left") '
        'edit left -> "green robot" sampler { steps 4 process invert_and_sample }'
    )
    both = printed("divided_resume.py", spec, tmp_path / "cache")
    assert both[0] == both[1]
    assert both[0] == [[2, True, True], [0, False, True]]
    monkeypatch.setenv("GRAINSPEC_CACHE", str(tmp_path / "cache"))
    alone = Editor(str(tmp_path / "tiny"), device="cpu").run(load(spec), base=tmp_path)
    assert not alone.inversion_cached  # theirs has another rounding


def test_what_cannot_be_divided_is_refused() -> None:
    assert division_of("wan", {12}, 4, "ulysses", is_vace=False) == (4, 1, 1)
    assert division_of("wan", {12}, 8, "auto", is_vace=False) == (4, 2, 1)
    assert division_of("wan", {12}, 8, "guidance", is_vace=False) == (4, 1, 2)
    with pytest.raises(GrainError, match="3 GPUs cannot share the two passes") as refused:
        division_of("wan", {12}, 3, "guidance", is_vace=False)
    assert refused.value.diagnostics[0].code == "G748"
    with pytest.raises(GrainError, match="12 attention heads, which 8 GPUs cannot") as refused:
        division_of("wan", {12}, 8, "ulysses", is_vace=False)
    assert refused.value.diagnostics[0].code == "G748"
    with pytest.raises(GrainError, match="VACE"):
        division_of("wan", {12}, 4, "ring", is_vace=True)
    with pytest.raises(ValueError, match="parallel"):
        LoadOptions(parallel="auto", offload="model")
    with pytest.raises(ValueError, match="unknown `parallel` `both`"):
        LoadOptions(parallel="both")  # type: ignore[arg-type]


def test_a_word_mask_is_refused(tmp_path: Path) -> None:
    text = (EXAMPLES / "crossing.grain").read_text()
    text = text.replace("clips/", f"{EXAMPLES}/clips/").replace("masks/", f"{EXAMPLES}/masks/")
    spec = tmp_path / "crossing.grain"
    for settings, code in (("regions off", "G749"), ("regions off word_mask 0%", ""), ("", "")):
        spec.write_text(text.replace("sampler", f"method dfvedit {{ {settings} }}\nsampler"))
        prepared = prepare(parse(spec.read_text()), tmp_path)
        with pytest.raises(GrainError, match=code) if code else nullcontext():
            check_divided([prepared], 2)


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        ("guidance 1 source_guidance 1", 1),
        ("guidance 1 source_guidance 2", 2),
        ("guidance 2 source_guidance 1", 2),
        ("guidance 1 process invert_and_sample", 1),
        ("guidance 3 process invert_and_sample", 2),
    ],
)
def test_there_has_to_be_guidance_to_divide(tmp_path: Path, settings: str, passes: int) -> None:
    model = tiny_wan(tmp_path / "tiny")
    ClipFolder(tmp_path, frames=5, size=(64, 64))
    text = (
        f'grain 1 video "clip" model "{model}" source "a man" target "a robot" region left = all '
    )
    prepared = prepare(parse(f'{text} edit left -> "robot" sampler {{ {settings} }}'), tmp_path)
    with pytest.raises(GrainError, match="no guidance") if passes == 1 else nullcontext():
        check_divided([prepared], 2, "guidance")
    assert check_divided([prepared], 2) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--study",), "`--gpus` does not work with `--study`"),
        (("--compile",), "`--gpus` does not work with `--compile`"),
        (("--parallel", "both"), "'both' is not one of 'auto', 'ulysses', 'ring', 'guidance'"),
        (("--parallel", "ring"), "`--parallel ring`"),  # G748
        (("--device", "cuda:1"), "`--gpus 2` uses the first 2 GPUs: write `--device cuda`"),
    ],
)
def test_options_that_do_not_go_with_it(grain: Grain, options: tuple[str, ...], said: str) -> None:
    spec = EXAMPLES / "instance.grain"
    result = grain("run", spec, "--gpus", "2", "--device", "cpu", *options)
    assert result.code in (1, 2)
    assert said in result.err


def test_a_way_to_divide_needs_processes(grain: Grain) -> None:
    result = grain("run", EXAMPLES / "crossing.grain", "--parallel", "ring")
    assert result.code == 2
    assert "add `--gpus`" in result.err


def test_edits_in_windows_are_those_of_one_process(tmp_path: Path) -> None:
    """Bit-identical, with random draws, injection, motion modules, smoothing, attention maps."""
    (cases, *codes), (_, *others) = printed("divided_edits.py", tmp_path)
    assert codes == others == ["G505", "G748", "G753"]
    assert list(cases) == [
        "demo-image",
        "resumed",
        "unshared",
        "demo-motion",
        "smoothed",
        "fatezero",
    ]
    for case, (alone, here, apart, resumed_at, same, division) in cases.items():
        assert apart == 0, case
        assert same, case
        assert resumed_at == (case == "resumed")
        assert division == [3, 2], case
        if case != "resumed":
            assert here[0] == alone[0] * 2 // 3, case  # two of three windows
            assert here[1] == alone[1] * 4 // 7, case  # four of seven frames


WINDOWS = ("--set", "context.overlap=1", "--set", "context.keys=0")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((), ["G753", "the clip has one window, which 3 GPUs cannot share", "`context { frames "]),
        (
            (*WINDOWS, "--set", "context.frames=5"),
            ["G753", "the clip has 2 windows", "Write `context { frames 4  overlap 1  keys 0 }`"],
        ),
        (("--set", "method.name=tokenflow"), ["G753", "`method tokenflow` runs on one GPU"]),
    ],
)
def test_windows_that_are_not_enough_are_refused(
    grain: Grain, settings: tuple[str, ...], said: list[str]
) -> None:
    how = ("--gpus", "3", "--device", "cpu")
    result = grain("run", EXAMPLES / "instance.grain", *how, *settings)
    assert result.code == 1
    for words in said:
        assert words in result.err


def test_what_a_message_says_to_write_is_enough() -> None:
    text = (EXAMPLES / "instance.grain").read_text()

    def checked(settings: str, gpus: int) -> list[Diagnostic]:
        return check_divided([prepare(parse(text + settings), EXAMPLES)], gpus)

    one = "context { frames 8  overlap 1  keys 1 }"
    for gpus, frames in ((2, 7), (3, 5), (4, 4)):
        with pytest.raises(GrainError) as refused:
            checked(one, gpus)
        cure = f"context {{ frames {frames}  overlap 1  keys 1 }}"
        assert refused.value.diagnostics[0].cure == f"Write `{cure}`, or remove `--gpus`."
        assert checked(cure, gpus) == []
    [warning] = checked("context { frames 3  overlap 1  keys 0 }", 3)
    assert warning.code == "G754"
    assert warning.cure == "Write `--gpus 2`."


def ended(folder: Path, *programs: str) -> int:
    """Wait for a process for each program; return the exit code of the run."""
    with ExitStack() as opened:
        files = [opened.enter_context(TemporaryFile("w+")) for _ in programs[1:] * 2]
        said = [Said(), *map(Said, files[::2], files[1::2])]
        processes = [
            subprocess.Popen([sys.executable, "-c", program], stdout=one.out, stderr=one.err)
            for program, one in zip(programs, said, strict=True)
        ]
        try:
            return ended_run(processes, said, folder)
        finally:
            for process in processes:
                process.kill()
                process.wait()


@pytest.mark.parametrize("context", ["", "context { frames 5 }"])
def test_what_a_message_says_of_controlvideo_is_enough(context: str) -> None:
    text = (EXAMPLES / "pose.grain").read_text()

    def checked(settings: str, method: str) -> list[Diagnostic]:
        spec = parse(f"{text}\nmethod controlvideo {{ {method} }}\n{settings}")
        return check_divided([prepare(spec, EXAMPLES)], 3)

    with pytest.raises(GrainError) as refused:
        checked(context, "")
    cure = refused.value.diagnostics[0].cure
    more = context or "context { frames 7 }"
    said = "" if context else f", and `{more}`"
    assert cure == f"Write `interval 5` in `method controlvideo`{said}, or remove `--gpus`."
    assert checked(more, "interval 5") == []


@pytest.mark.parametrize(
    ("division", "options"),
    [
        (None, "without `--gpus`"),
        ({"windows": 8, "processes": 4}, "with `--gpus 4`"),
        (Division(4, 2)._asdict(), "with `--gpus 8`"),
        (Division(1, 3)._asdict(), "with `--gpus 3 --parallel ring`"),
        (Division(2, 1, 2)._asdict(), "with `--gpus 4 --parallel guidance`"),
    ],
)
def test_a_run_that_differs_says_how_it_was_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, division: Any, options: str
) -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    monkeypatch.setattr(again, "read_run", lambda _: SimpleNamespace(edited=frames))
    file = SpecFile.read(EXAMPLES / "instance.grain")
    run = again.EarlierRun(tmp_path, {"division": division}, file)
    other = Division(2, 1)
    assert run.verdict(frames, other).startswith("the edit is bit-identical")
    assert options in run.verdict(frames + 1, other)
    same = None if division is None else SimpleNamespace(_asdict=lambda: division)
    assert run.verdict(frames + 1, same) == f"the edit differs from that of {tmp_path}"


KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
LOSES = f"raise SystemExit({LOST})"


def test_the_process_that_failed_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = "import sys; print('{}'); print('it is full', file=sys.stderr); raise SystemExit(1)"
    assert ended(tmp_path, "", "") == 0
    assert ended(tmp_path, "raise SystemExit(1)", LOSES) == 1
    assert capsys.readouterr() == ("", "")  # the first process speaks for itself
    assert ended(tmp_path, LOSES, fails) == 1
    assert ended(tmp_path, KILLED, fails) == 1
    out, err = capsys.readouterr()
    assert err.count("process 1 of the run failed:\nit is full") == 2
    assert out == "{}\n" * 2  # such as findings in JSON
    with pytest.raises(GrainError, match="process 1 of the run was ended by signal 9") as refused:
        ended(tmp_path, LOSES, KILLED)
    assert refused.value.diagnostics[0].code == "G755"


def test_a_process_that_lost_the_others_leaves_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "lo")
    with pytest.raises(SystemExit) as ending, joined(Part(0, 1, tmp_path), "cpu"), exchanging():
        raise RuntimeError("the cable is out")
    assert ending.value.code == LOST
    assert why_lost(tmp_path) == "the cable is out"
    again = tmp_path / "again"
    again.mkdir()
    with pytest.raises(GrainError, match="G506"), joined(Part(0, 1, again), "cpu"):
        raise fail("G506", "no memory", "")


def test_too_little_memory_is_no_lost_process() -> None:
    with pytest.raises(torch.OutOfMemoryError), exchanging():
        raise torch.OutOfMemoryError


@pytest.mark.parametrize(("there", "cure"), [(1, "Remove `--gpus`."), (2, "Write `--gpus 2`.")])
def test_gpus_have_to_be_there(monkeypatch: pytest.MonkeyPatch, there: int, cure: str) -> None:
    loading: Any = SimpleNamespace(offload=None, compiles=False, arguments={"device": None})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    with pytest.raises(GrainError, match=f"needs 4 GPUs, and this machine has {there}") as refused:
        check_gpus(4, loading)
    assert refused.value.diagnostics[0].cure == cure
    check_gpus(there, loading)
    loading.arguments["device"] = "cpu:0"
    check_gpus(4, loading)


def test_a_process_ends_with_its_command(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from grainspec_runtime.commands.part import Part, end_with_command\n"
        "end_with_command(Part(0, 2, Path(sys.argv[1]))); print('here', flush=True)\n"
        "time.sleep(60)"
    )
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program, meeting],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        assert process.poll() is None
        process.stdin.close()  # as the system does if the command is killed
        assert process.wait(20) == -signal.SIGTERM


def test_what_the_first_process_has_written_is_whole(tmp_path: Path) -> None:
    assert ended(tmp_path, "import time; time.sleep(0.5)", KILLED) == 0


def test_processes_that_cannot_exchange_data_say_why(tmp_path: Path) -> None:
    with pytest.raises(GrainError, match="cannot exchange data: one of them has ended"):
        ended(tmp_path, LOSES, LOSES)
    (tmp_path / "lost-1").write_text("the cable is out")
    with pytest.raises(GrainError, match="cannot exchange data: the cable is out") as refused:
        ended(tmp_path, LOSES, LOSES)
    assert refused.value.diagnostics[0].code == "G755"


def test_an_exchange_with_a_process_that_has_ended() -> None:
    [codes] = printed("divided_ended.py")
    assert codes == ["G755"] * 6


@pytest.mark.slow  # seven processes load torch, and three runs make an edit
def test_a_run_of_windows_is_ended_and_resumed(tmp_path: Path, grain: Grain) -> None:
    spec = EXAMPLES / "instance.grain"
    how = ["--set", "sampler.steps=4", "--set", "context.frames=7", "--device", "cpu"]
    one, out = tmp_path / "one", tmp_path / "runs" / "two"
    assert grain("run", spec, *how, "-o", one, "--no-cache").code == 0
    command = [sys.executable, "-m", "grainspec", "run", spec, *how, "-o", out, "--gpus", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["GRAINSPEC_CACHE"] = str(tmp_path / "cache")
    with subprocess.Popen(
        [*command, "--progress", "json"], env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            event = json.loads(line)
            if event.get("stage") == "sample" and event["done"] > event["total"] // 2:
                break
        running.terminate()
        running.stderr.read()  # ends when all processes have
    assert running.returncode != 0
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "one"] == ["cache"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert "inversion from the cache" in ended.stdout
    assert "divided between 2 processes: 4 windows" in ended.stdout
    assert np.array_equal(read_run(one).edited, read_run(out).edited)
    assert read_run(out).manifest["division"] == {"windows": 4, "processes": 2}
    assert read_run(out).manifest["run_key"] == read_run(one).manifest["run_key"]
    assert "processes 2, windows 4" in (out / "report.html").read_text()


@pytest.mark.slow  # three processes load torch, and two runs make an edit
def test_a_run_in_two_processes(tmp_path: Path, grain: Grain) -> None:
    spec = EXAMPLES / "crossing.grain"
    how = ["--set", "sampler.steps=4", "--set", "video.frames=0..4", "--device", "cpu"]
    one, two = tmp_path / "one", tmp_path / "two"
    assert grain("run", spec, *how, "-o", one).code == 0
    command = [sys.executable, "-m", "grainspec", "run", spec, *how, "-o", two, "--gpus", "2"]
    command += ["--parallel", "ring"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("edited") == 2  # the first process prints, as one alone would
    first, second = read_run(one), read_run(two)
    assert np.abs(first.edited.astype(int) - second.edited).max() <= 1
    assert "divided between 2 processes: ring attention" in ended.stdout
    manifest = second.manifest
    assert manifest["plan"] == first.manifest["plan"]
    assert (manifest["division"], first.manifest["division"]) == (
        {"ulysses": 1, "ring": 2, "passes": 1},
        None,
    )
    # not bit-identical, so that neither resumes the other
    assert manifest["run_key"] != first.manifest["run_key"]
    assert "<dd>ring 2</dd>" in (two / "report.html").read_text()
