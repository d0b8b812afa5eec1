"""One clip in several processes on the CPU: the same as in one, to rounding."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from clips import EXAMPLES, ClipFolder
from command import Grain
from programs import printed
from wan import tiny_wan

from grainspec import GrainError, parse
from grainspec_runtime.backbones.families.wan.parallel import division_of
from grainspec_runtime.commands.parts import check_prepared
from grainspec_runtime.demo import __file__ as demo
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import prepare
from grainspec_runtime.runs.read import read_run


def test_predictions_are_those_of_one_process(tmp_path: Path) -> None:
    models = [Path(demo).parent / "video", tiny_wan(tmp_path / "ti2v", "ti2v")]
    changed, *lines = printed("divided.py", *models)
    assert changed > 1e-3  # the plan and its columns do something
    of_two = [[2, "Ulysses"], [2, "ring attention"]] * len(models) * 2
    of_three = [[3, "ring attention"]] * len(models) * 3  # of 4 heads, or 2
    assert [line[:2] for line in lines] == of_two + of_three
    assert max(max(line[2:]) for line in lines) < 1e-5, lines


def test_all_processes_resume_at_the_same_step(tmp_path: Path) -> None:
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


def test_what_cannot_be_divided_is_refused() -> None:
    assert division_of("wan", {12}, 4, "ulysses", is_vace=False) == (4, 1)
    assert division_of("wan", {12}, 8, "auto", is_vace=False) == (4, 2)
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
            check_prepared([prepared])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--study",), "`--gpus` does not work with `--study`"),
        (("--compile",), "`--gpus` does not work with `--compile`"),
        (("--parallel", "both"), "'both' is not one of 'auto', 'ulysses', 'ring'"),
        ((), "Stable Diffusion"),  # G748
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
    assert (manifest["division"], first.manifest["division"]) == ({"ulysses": 1, "ring": 2}, None)
    # not bit-identical, so that neither resumes the other
    assert manifest["run_key"] != first.manifest["run_key"]
    assert "ulysses 1, ring 2" in (two / "report.html").read_text()
