"""Distilled checkpoints have no trajectory to invert: refused, or warned of where it is doubtful."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from clips import ClipFolder
from command import Grain
from diffusers import DDIMScheduler
from model_findings import check_model
from safetensors.torch import load_file
from single_files import rewrite, save_single_file

from grainspec import GrainError, parse
from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import Sampler
from grainspec_runtime.backbones.registry import describe
from grainspec_runtime.prepare import prepare
from grainspec_runtime.schedules.ddim import DdimSchedule


def findings(model: Path, sampler: str = "") -> list[Diagnostic]:
    spec = parse(
        f'grain 1 video "c" model "{model}" target "a bear" region r = all edit r -> "bear" '
        + sampler
    )
    return list(check_model(spec, Path()))


def with_scheduler(model: Path, to: Path, **settings: object) -> Path:
    copy = Path(shutil.copytree(model, to))
    path = copy / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return copy


def test_built_in_guidance_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_model, tmp_path / "copy"))
    path = copy / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "time_cond_proj_dim": 256}))
    (finding,) = findings(copy)
    assert (finding.code, "guidance built in" in finding.message) == ("G524", True)
    with pytest.raises(GrainError, match="G524"):
        describe(str(copy), Path())


def test_built_in_guidance_in_one_file(tiny_sd: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_sd, tmp_path / "mine", ignore=shutil.ignore_patterns("*.safetensors"))
    file = save_single_file(tiny_sd, tmp_path / "mine.safetensors")
    tensors = load_file(file)
    tensors["model.diffusion_model.time_embed.cond_proj.weight"] = torch.zeros(8, 256)
    rewrite(file, tensors)
    assert [finding.code for finding in findings(file)] == ["G524"]


@pytest.mark.parametrize(
    ("settings", "sign"),
    [
        ({"_class_name": "LCMScheduler"}, "its scheduler is LCMScheduler"),
        ({"_class_name": "TCDScheduler"}, "its scheduler is TCDScheduler"),
        (
            {"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"},
            "EulerAncestralDiscreteScheduler, has trailing timesteps",
        ),
        ({"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}, "zero terminal SNR"),
    ],
)
def test_schedulers_that_tell(
    tiny_sd: Path, tmp_path: Path, settings: dict[str, object], sign: str
) -> None:
    (finding,) = findings(with_scheduler(tiny_sd, tmp_path / "copy", **settings))
    assert (finding.code, finding.severity) == ("G525", "warning")
    assert sign in finding.message
    assert finding.cure


@pytest.mark.parametrize(
    "name", ["sd-turbo", "SDXL_Lightning", "dreamshaperXL_v2TurboDpmppSDE", "Hyper-SD", "my_lcm"]
)
def test_names_that_hint(tiny_sd: Path, tmp_path: Path, name: str) -> None:
    (finding,) = findings(Path(shutil.copytree(tiny_sd, tmp_path / name)))
    assert finding.code == "G525"
    assert "its name contains" in finding.message


@pytest.mark.parametrize("name", ["sd15", "turbine", "hyperrealistic", "lcmx", "trained-3000steps"])
def test_names_that_do_not(tiny_sd: Path, tmp_path: Path, name: str) -> None:
    assert findings(Path(shutil.copytree(tiny_sd, tmp_path / name))) == []


def test_good_models_have_no_findings(tiny_model: Path) -> None:
    assert findings(tiny_model) == []


def test_the_warning_is_in_the_plan(grain: Grain, clip: ClipFolder, tiny_sd: Path) -> None:
    copy = with_scheduler(tiny_sd, clip.root / "copy", _class_name="LCMScheduler")
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(video='video "clip" { size 64x64 }', source=f'model "{copy}"'))
    checked = grain("check", path, "--format", "json").codes
    planned = [
        finding["code"] for finding in grain("plan", path, "--format", "json").json["diagnostics"]
    ]
    assert checked.count("G525") == planned.count("G525") == 1
    assert sorted(checked) == sorted(planned)


def test_solvers_keep_the_noise_schedule(tiny_sd21: Path, tmp_path: Path, clip: ClipFolder) -> None:
    """A solver with another schedule than the inversion's would draw another picture."""
    copy = with_scheduler(tiny_sd21, tmp_path / "copy", rescale_betas_zero_snr=True)
    schedule = DdimSchedule(DDIMScheduler.from_pretrained(copy / "scheduler"))
    wanted = schedule.scheduler.alphas_cumprod
    for method in schedule.methods:
        solver = schedule.solver(Sampler(method=method, steps=4), torch.device("cpu"))
        same = torch.allclose(solver.alphas_cumprod, wanted, atol=1e-6)
        text = clip.spec_text(
            video='video "clip" { size 64x64 }',
            source=f'model "{copy}"',
            settings=f"sampler {method} {{ steps 4 }}",
        )
        if same:
            prepare(parse(text), clip.root)
        else:
            with pytest.raises(GrainError, match=f"G504: `{method}`"):
                prepare(parse(text), clip.root)
    assert not same or method != "deis"
