"""Editing methods of other papers in whole edits: models, regions, run keys and manifests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from clips import EXAMPLES
from command import Grain
from tiny_models import save_net
from tiny_runs import STEPS, loaded, noise
from wan import WanVariant

from grainspec import GrainError, parse
from grainspec.checking import outlined_model
from grainspec.checks.method import TRAITS
from grainspec.model.settings.method import MethodName
from grainspec.model.spec import Sampler
from grainspec_runtime import Editor
from grainspec_runtime.backbones.registry import families
from grainspec_runtime.editing.edit import edit, share
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.known import known
from grainspec_runtime.models import locate
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.passes import denoiser_passes
from grainspec_runtime.prepare import prepare, prepare_variants
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.registry import METHODS
from grainspec_runtime.processes.sample import SolverStep, sample

Folders = Callable[[WanVariant], Path]
SPEC = """grain 1
video "clips/two_men.mp4" {{ frames 0..4 size 64x64 }}
model "{model}"
source "a red man and a blue man on grass"
target "a green robot and a blue man on grass"
region left = masks("masks/two_men/left")
edit instance left -> "green robot"
sampler {{ steps 6 }}
{more}
"""


def run(model: Path, more: str) -> EditResult:
    editor = Editor(str(model), device="cpu", use_cache=False)
    return editor.run(parse(SPEC.format(model=model, more=more)), base=EXAMPLES)


def written(folder: Path, model: Path, more: str) -> Path:
    """The spec in a file, which may be anywhere."""
    path = folder / "edit.grain"
    text = SPEC.format(model=model, more=more)
    for name in ("clips", "masks"):
        text = text.replace(f'"{name}', f'"{EXAMPLES / name}')
    path.write_text(text)
    return path


def test_every_method_has_a_family() -> None:
    assert {name for family in families() for name in family.methods} == METHODS.keys()


def test_a_model_of_another_kind_is_refused_before_loading(tiny_sd: Path) -> None:
    spec = parse(SPEC.format(model=tiny_sd, more="method dfvedit"))
    for model in (known(spec, Path()), outlined_model(spec, Path())):
        assert model is not None
        with pytest.raises(GrainError) as caught:
            model.check(spec, Path())
        (finding,) = caught.value.diagnostics
        assert finding.code == "G504"
        assert finding.message.startswith("`method dfvedit` is not supported by Stable Diffusion")
        assert finding.cure.startswith("Use a model of Wan 2.1 or 2.2")
        assert 'model "Wan-AI/' in finding.cure
        assert finding.span == spec.method.span if spec.method else None


@pytest.mark.parametrize(
    ("model", "method", "cure"),
    [
        ("demo", "dmt", 'Write `model "demo-motion"`, use a model of AnimateDiff'),
        ("demo-image", "dfvedit", 'Write `model "demo-video"`, use a model of Wan'),
        ("demo-video", "fatezero", 'Write `model "demo-image"` or `model "demo-motion"`, use a'),
    ],
)
def test_a_demo_model_of_another_kind_is_named_first(model: str, method: str, cure: str) -> None:
    spec = parse(SPEC.format(model=model, more=f"method {method}"))
    known_model = outlined_model(spec, Path())
    assert known_model is not None
    with pytest.raises(GrainError) as caught:
        known_model.check(spec, Path())
    (finding,) = caught.value.diagnostics
    assert finding.code == "G504"
    assert finding.cure.startswith(cure)


def test_a_demo_model_that_is_not_installed_is_not_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(locate._ADDED, "demo-motion", (tmp_path, "motion_training"))
    spec = parse(SPEC.format(model="demo", more="method dmt"))
    with pytest.raises(GrainError, match=r"G504") as caught:
        known(spec, Path()).check(spec, Path())
    assert "demo-motion" not in caught.value.diagnostics[0].cure


def test_regions_blend_and_modulate(wan_folder: Folders) -> None:
    """Where nothing blends, all pixels may change; the plan acts where attention is modulated."""
    model = wan_folder("2.1")
    edited = {}
    for regions in ("off", "blend", "attention", "both"):
        more = f"blend {{ space both }} method dfvedit {{ regions {regions} }}"
        more += " attention { cross 1 until 100% until_timestep 0 }"
        result = run(model, more)
        assert result.prepared.process == "dfvedit"
        inside = result.prepared.bound.edits.bits_FHW != 0
        same = (result.edited == result.source)[~inside].all()
        assert same == (regions in {"blend", "both"}), regions
        edited[regions] = result
    assert len({result.run_key for result in edited.values()}) == 4
    assert (edited["off"].edited != edited["attention"].edited).any()
    assert (edited["blend"].edited != edited["both"].edited).any()


@pytest.mark.parametrize("name", get_args(MethodName))
def test_a_study_records_a_method_or_is_refused_before_the_model_loads(
    name: MethodName, tiny_sd: Path, tiny_animatediff: Path, wan_folder: Folders, tmp_path: Path
) -> None:
    model = {"dmt": tiny_animatediff, "dfvedit": wan_folder("2.1")}.get(name, tiny_sd)
    settings = "{ updates 1  motion 20%  restart 50% }" if name == "dmt" else ""
    control = ""
    if TRAITS[name].needs_control:
        control = f'control canny {{ net "{save_net(loaded(tiny_sd).unet, tmp_path / "net")}" }}'
    spec = parse(SPEC.format(model=model, more=f"method {name} {settings} {control}"))
    editor = Editor(str(model), device="cpu", use_cache=False, study=True)
    if why := TRAITS[name].unstudied:
        with pytest.raises(GrainError, match=f"G571: .* of `method {name}`: {why}") as caught:
            editor.run(spec, base=EXAMPLES)
        (finding,) = caught.value.diagnostics
        assert spec.method is not None
        assert (finding.span, finding.cure) == (spec.method.span, "Run it without `--study`.")
        assert editor._checkpoint is None
        return
    study = editor.run(spec, base=EXAMPLES).study
    assert study is not None
    assert study.steps == tuple(range(len(study.steps)))  # DMT takes steps twice: one record each
    assert study.tally.shape[0] == len(study.steps) > 0
    assert np.isfinite(study.maps).all()
    assert np.abs(study.maps[1] - study.maps[0]).max() > 0


def test_variants_may_have_methods_of_their_own(wan_folder: Folders) -> None:
    more = "variant plain { sampler { guidance 3 } } variant other { method dfvedit }"
    spec = parse(SPEC.format(model=wan_folder("2.1"), more=more))
    prepared = prepare_variants(spec, spec.variant_names, EXAMPLES)
    assert [one.process for one in prepared] == ["flow_edit", "dfvedit"]
    results = Editor(spec.model, device="cpu", use_cache=False).run_all(prepared)
    assert len({one.run_key for one in results}) == 2


def test_an_inversion_is_made_ahead_of_the_edits(two_levels: Path, wan_folder: Folders) -> None:
    """As a batch does; methods without an inversion have nothing to share."""
    for method, made in (("tokenflow", (False, True)), ("dfvedit", (None, None))):
        model = two_levels if method == "tokenflow" else wan_folder("2.1")
        one = prepare(parse(SPEC.format(model=model, more=f"method {method}")), EXAMPLES)
        with Editor(str(model), device="cpu").session([one]) as session:
            (key, first), again = share(session, one), share(session, one)
            assert (first, again) == (made[0], (key, made[1]))
            assert edit(session, one).inversion_cached == bool(made[1])


def test_the_manifest_and_the_plan_name_it(
    wan_folder: Folders, grain: Grain, tmp_path: Path
) -> None:
    path = written(tmp_path, wan_folder("2.1"), "method dfvedit { regions blend }")
    plan = grain("plan", str(path), "--format", "json").json
    assert plan["process"] == "dfvedit"
    done = grain("run", str(path), "--output", str(tmp_path / "out"), "--device", "cpu")
    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert manifest["process"] == "dfvedit"
    assert manifest["spec"]["method"]["regions"] == "blend"
    assert manifest["denoiser_passes"] == plan["denoiser_passes"] > 0
    report = (tmp_path / "out" / "report.html").read_text()
    assert "DFVEdit (arXiv 2506.20967)" in report
    assert "by `method dfvedit { regions blend }`" in done.out


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("fatezero", "`method fatezero` uses regions as masks of its own"),
        ("ground_a_video", "`method ground_a_video` uses regions as masks of its own"),
        ("dmt { regions off }", "`regions off`"),
    ],
)
def test_a_plan_without_modulation_has_no_strengths(
    method: str, why: str, grain: Grain, tiny_sd: Path, tiny_animatediff: Path, tmp_path: Path
) -> None:
    model = tiny_animatediff if method.startswith("dmt") else tiny_sd
    path = written(tmp_path, model, f"method {method}")
    plan = grain("plan", str(path), "--format", "json", "--dense", str(tmp_path / "pairs")).json
    assert (plan["modulates"], plan["schedule"]["modulated_steps"]) == (False, 0)
    assert not any(step["modulated"] for step in plan["run"])
    levels = [level for edit in plan["edits"] for level in edit["levels"]]
    assert levels
    for level in levels:
        assert (level["modulated"], level["cross_attract"], level["self_repel"]) == (False, {}, {})
    assert plan["pictures"] == []
    text = grain("plan", str(path)).out
    assert f"{why}: attention is not modulated" in text
    assert "6 steps, attention is not modulated" in text
    assert "attraction" not in text
    changes = grain("plan", str(path), "--set", "method.name=tokenflow", "--diff", str(path)).out
    assert ("modulates: True → False" in changes) == (model == tiny_sd)


def test_the_report_of_a_method_shows_what_it_did(
    grain: Grain, tiny_sd: Path, tmp_path: Path
) -> None:
    path = written(tmp_path, tiny_sd, "method fatezero { self_steps 50% }")
    done = grain("run", str(path), "--output", str(tmp_path / "out"), "--device", "cpu")
    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert manifest["modulates"] is False
    settings = {"cross_steps": 0.8, "self_steps": 0.5, "words": "refine", "local_blend": 1.0}
    assert manifest["method"].items() >= settings.items()
    assert manifest["spec"]["method"]["cross_steps"] is None
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Attention is not modulated" in report
    for words in ("Modulated:", "attraction", "Cross, first", "query by key"):
        assert words not in report
    for name, value in {"cross_steps": "0.8", "words": "refine"}.items():
        assert f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' in report


@pytest.mark.parametrize(
    ("more", "covered"),
    [
        ("method tokenflow", "all key frames, whose tokens the other frames take"),
        ("method controlvideo control pose", "all frames"),
        (
            "method controlvideo { interval 2 } control pose context { frames 3 }",
            "all key frames, and between two of them these two",
        ),
        ("method ground_a_video", "all frames"),
        ("method ground_a_video context { frames 4 keys 0 overlap 1 }", "all frames of a window"),
    ],
)
def test_a_plan_says_which_frames_a_method_relates(
    more: str, covered: str, grain: Grain, tmp_path: Path
) -> None:
    path = written(tmp_path, Path("demo"), more)
    modulates = "ground_a_video" not in more
    said = grain("plan", str(path)).out
    follows = "; its strengths follow from the frames of each pass" if modulates else ""
    assert f"\nself-attention covers {covered}{follows}\n" in said
    for wrong in ("frames each", "cross                    self", "its own areas"):
        assert wrong not in said, wrong
    plan = grain("plan", str(path), "--format", "json").json
    assert (plan["self_attention"], plan["schedule"]["frames"]) == (covered, None)
    for level in (level for change in plan["edits"] for level in change["levels"]):
        assert level["self_attract"] == level["self_repel"] == {}
        assert bool(level["cross_attract"]) == modulates
    if "interval" in more:
        frames = [window["frames"] for window in plan["windows"]]
        assert frames == [[0, 2, 4], [0, 1, 2], [2, 3, 4]]
        assert "runs in 3 windows of 3 frames\n" in said


def test_key_frames_run_together_whatever_context_says(grain: Grain, tmp_path: Path) -> None:
    path = written(tmp_path, Path("demo"), "method tokenflow { interval 2 } context { frames 3 }")
    said = grain("plan", str(path)).out
    assert "key frames are processed together, the other frames in batches of 3" in said
    assert "windows" not in said
    plan = grain("plan", str(path), "--format", "json").json
    assert ("windows" in plan, plan["schedule"]["norm"]) == (False, "each")
    plain = written(tmp_path, Path("demo"), "")
    changes = grain("plan", str(plain), "--set", "method.name=tokenflow", "--diff", str(plain)).out
    assert "self attention: “all key frames, whose tokens the other frames take” → none" in changes
    assert "frames: none → “each”" in changes


def test_the_report_says_which_frames_a_method_relates(
    grain: Grain, tiny_sd: Path, tmp_path: Path
) -> None:
    path = written(tmp_path, tiny_sd, "method tokenflow")
    done = grain("run", str(path), "--output", str(tmp_path / "out"), "--device", "cpu")
    assert done.code == 0, done.err
    report = (tmp_path / "out" / "report.html").read_text()
    covered = "all key frames, whose tokens the other frames take"
    assert f"Self-attention covers {covered}; its strengths follow from" in report
    assert f'<tr><th scope="row">frames</th><td>{covered}</td></tr>' in report
    assert "Group norm statistics: per frame. " in report
    assert "Cross, first" in report
    for wrong in (
        "Self, first",
        "Self-attention over frames",
        '<th scope="row">frames</th><td>each',
    ):
        assert wrong not in report


def test_dfvedit_leaves_out_pure_noise(wan_folder: Folders) -> None:
    """`until` and the passes count the steps that are taken."""
    spec = parse(SPEC.format(model=wan_folder("2.1"), more="method dfvedit"))
    prepared = prepare(spec, EXAMPLES)
    whole = prepare(spec.replaced({}, method=None), EXAMPLES, sets=["sampler.skip=0%"])
    assert prepared.timesteps == whole.timesteps[1:]
    assert denoiser_passes(prepared) == 4 * 5


# --- the places of `sample` for methods -----------------------------------------------------------


@pytest.fixture
def sampled(tiny_sd: Path) -> Callable[..., torch.Tensor]:
    """Samples a tiny model's latents from a made-up trajectory, with settings of `sample`."""
    checkpoint = loaded(tiny_sd)
    trajectory = torch.stack([noise() * (1 + step) for step in range(STEPS + 1)])

    def sampled(**settings: Any) -> torch.Tensor:
        return sample(
            Denoiser(checkpoint),
            trajectory,
            FoldedAttention(len(noise())),
            [checkpoint.encode_prompt("a man")],
            scheduler=checkpoint.schedule.solver(Sampler(steps=STEPS), checkpoint.device),
            guidance=1.0,
            **settings,
        )

    return sampled


def test_latents_change_after_a_step_and_before_blending(
    sampled: Callable[..., torch.Tensor],
) -> None:
    seen = []

    def after(step: SolverStep) -> torch.Tensor:
        seen.append((step.number, float(step.t)))
        return step.after_Fchw + (1 if step.number == STEPS - 1 else 0)

    edited = torch.ones(len(noise()), 1, 8, 8)
    edited[..., :4] = 0
    plain, changed = sampled(edited_F1hw=edited), sampled(edited_F1hw=edited, after_step=after)
    assert [number for number, _ in seen] == list(range(STEPS))
    assert [t for _, t in seen] == sorted((t for _, t in seen), reverse=True)
    assert torch.equal(changed[..., 4:], plain[..., 4:] + 1)
    assert torch.equal(changed[..., :4], noise()[..., :4])


def test_sampling_begins_where_it_is_told(sampled: Callable[..., torch.Tensor]) -> None:
    assert torch.equal(sampled(start_Fchw=noise() * (STEPS + 1)), sampled())
    assert not torch.allclose(sampled(start_Fchw=noise()), sampled())


def test_a_run_with_both_resumes(sampled: Callable[..., torch.Tensor]) -> None:
    states: dict[int, Any] = {}

    def after(step: SolverStep) -> torch.Tensor:
        return step.after_Fchw * (1 + step.number / 100)

    def keep(done: int, state: Any) -> None:
        states[done] = {name: value.clone() for name, value in state.items()}

    settings = {"start_Fchw": noise(), "after_step": after}
    whole = sampled(**settings, keep=keep)
    for done, state in states.items():
        assert torch.equal(sampled(**settings, begin=(done, state)), whole)
