"""Whole edits with tiny checkpoints of Wan: by the editor, and by the commands."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import EXAMPLES, ClipFolder
from command import Grain
from wan import VARIANTS, WanVariant

from grainspec import EditSpec, GrainError, parse
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.wan.checkpoint import Wan
from grainspec_runtime.cache.store import entries
from grainspec_runtime.editing import resume
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.memory.estimate import needs_of
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.passes import denoiser_passes
from grainspec_runtime.prepare import Prepared, prepare, prepare_variants

Folders = Callable[[WanVariant], Path]
SPEC = """grain 1
video "clips/two_men.mp4" {{ frames 0..4 size 64x64 }}
model "{model}"
source "a red man and a blue man on grass"
target "a green robot and a blue man on grass"
region left = masks("masks/two_men/left")
edit instance left -> "green robot"
sampler {method} {{ steps 6 {sampler} }}
{more}
"""


def written(model: Path, sampler: str = "", more: str = "", method: str = "ddim") -> str:
    return SPEC.format(model=model, method=method, sampler=sampler, more=more)


def edit_of(model: Path, sampler: str = "", more: str = "") -> EditSpec:
    return parse(written(model, sampler, more))


def prepared_of(model: Path, sampler: str = "", more: str = "") -> Prepared:
    return prepare(edit_of(model, sampler, more), EXAMPLES)


def editor_of(model: Path, **options: Any) -> Editor:
    return Editor(str(model), device="cpu", **options)


def run(model: Path, sampler: str = "", more: str = "", **options: Any) -> EditResult:
    return editor_of(model, **options).run(edit_of(model, sampler, more), base=EXAMPLES)


def outside(result: EditResult) -> np.ndarray:
    """The pixels of no edit."""
    return result.prepared.bound.edits.bits_FHW == 0


# --- the editor ---


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_edits_a_clip(wan_folder: Folders, variant: WanVariant) -> None:
    model = wan_folder(variant)
    begun = time.process_time()
    result = run(model, more="blend { space both }", use_cache=False)
    assert time.process_time() - begun < 10
    assert result.edited.shape == (5, 64, 64, 3)
    assert {"edit", "decode"} <= result.seconds.keys()
    assert not {"invert", "sample"} & result.seconds.keys()
    away = np.abs(result.edited.astype(int) - result.source)
    assert away[outside(result)].max() == 0
    assert away[~outside(result)].max() > 0
    assert not result.inversion_cached


def test_the_process_is_the_specs_or_the_models(wan_folder: Folders, tiny_sd: Path) -> None:
    model = wan_folder("2.1")
    assert prepared_of(model).process == "flow_edit"
    inverts = prepared_of(model, "process invert_and_sample")
    assert inverts.process == "invert_and_sample"
    assert len(inverts.timesteps) == 6
    half = prepared_of(model, "skip 50%")
    assert half.timesteps == inverts.timesteps[3:]
    assert prepared_of(tiny_sd).process == "invert_and_sample"
    result = run(model, "process invert_and_sample", use_cache=False)
    assert {"invert", "sample"} <= result.seconds.keys()


def test_words_of_the_source_give_the_source(wan_folder: Folders) -> None:
    """The clip's latents, bit for bit; the plan modulates nothing here."""
    model = wan_folder("2.1")
    text = written(
        model,
        "guidance 3 source_guidance 3",
        "attention { until_timestep 1000 phrases in_context }",
    )
    text = text.replace('source "a red man', 'source "a green robot')
    prepared = prepare(parse(text), EXAMPLES)
    editor = editor_of(model, use_cache=False)
    with editor.session([prepared]) as session:
        from grainspec_runtime.editing.edit import edit

        result = edit(session, prepared)
        assert (result.edited == session.checkpoint.decode_clip(session.latents)).all()


def test_variants_of_a_spec_may_have_processes_of_their_own(wan_folder: Folders) -> None:
    model = wan_folder("2.1")
    more = """
    variant flows { sampler { process flow_edit } }
    variant inverts { sampler { process invert_and_sample } }
    variant again { sampler { process invert_and_sample  guidance 3 } }
    """
    spec = edit_of(model, more=more)
    prepared = prepare_variants(spec, spec.variant_names, EXAMPLES)
    flows, inverts, again = editor_of(model).run_all(prepared)
    assert [one.prepared.process for one in (flows, inverts, again)] == [
        "flow_edit",
        *["invert_and_sample"] * 2,
    ]
    assert again.inversion_cached
    assert not inverts.inversion_cached
    assert len({one.run_key for one in (flows, inverts, again)}) == 3
    assert [entry.kind for entry in entries(lambda finding: None)] == ["inversion"]


def test_both_experts_edit(wan_folder: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at timesteps from 875, the second below, with a guidance of its own."""
    model = wan_folder("2.2")
    seen: list[tuple[str, float]] = []
    editor = editor_of(model, use_cache=False)
    checkpoint = editor.checkpoint(EXAMPLES)
    assert isinstance(checkpoint, Wan)
    for name, network in zip(("first", "second"), checkpoint.experts.networks, strict=True):
        network.register_forward_pre_hook(
            lambda module, args, given, name=name: seen.append(
                (name, float(given["timestep"].flatten()[0]))
            ),
            with_kwargs=True,
        )
    sampler = "skip 0% source_guidance 1 guidance 4 low_noise_guidance 1"
    editor.run(edit_of(model, sampler), base=EXAMPLES)
    assert {name for name, t in seen if t >= 875} == {"first"}
    assert {name for name, t in seen if t < 875} == {"second"}
    per_step = {t: [at for _, at in seen].count(t) for _, t in seen}
    assert {calls for t, calls in per_step.items() if t >= 875} == {3}
    assert {calls for t, calls in per_step.items() if t < 875} == {2}


def test_a_few_steps_without_guidance_take_two_passes_each(wan_folder: Folders) -> None:
    model = wan_folder("2.1")
    calls: list[int] = []
    editor = editor_of(model, use_cache=False)
    checkpoint = editor.checkpoint(EXAMPLES)
    checkpoint.denoiser.register_forward_hook(lambda *_: calls.append(1))
    sampler = "skip 0% source_guidance 1 guidance 1"
    editor.run(edit_of(model, sampler), base=EXAMPLES)
    assert len(calls) == 12 == denoiser_passes(prepared_of(model, sampler))


@pytest.mark.parametrize(
    "sampler",
    [
        "skip 30%",
        "average 2 source_guidance 1",
        "process invert_and_sample",
        "process invert_and_sample guidance 1",
        "skip 50% guidance 1 source_guidance 1",
    ],
)
def test_passes_are_counted_before_a_run(wan_folder: Folders, sampler: str) -> None:
    model = wan_folder("2.1")
    calls: list[int] = []
    editor = editor_of(model, use_cache=False)
    editor.checkpoint(EXAMPLES).denoiser.register_forward_hook(lambda *_: calls.append(1))
    result = editor.run(edit_of(model, sampler), base=EXAMPLES)
    assert len(calls) == denoiser_passes(result.prepared)


def test_sampling_without_guidance_takes_one_pass_a_step(wan_folder: Folders) -> None:
    model, sampler = wan_folder("2.1"), "process invert_and_sample"
    plain, guided = (prepared_of(model, f"{sampler} guidance {scale}") for scale in (1, 1.0001))
    assert denoiser_passes(plain) == 7 + 6
    assert denoiser_passes(guided) == 7 + 2 * 6
    result, other = (editor_of(model).run_prepared(one) for one in (plain, guided))
    assert np.abs(result.edited.astype(int) - other.edited).max() <= 1


def test_no_trajectory_is_held_in_memory(wan_folder: Folders) -> None:
    model, cpu = wan_folder("2.1"), LoadOptions(device="cpu")
    flows, inverts = (
        needs_of(prepared_of(model, f"process {name}"), cpu).main_parts
        for name in ("flow_edit", "invert_and_sample")
    )
    assert "latents of the inversion" not in flows
    assert flows["latents"] == 8 * 2 * 16 * 8 * 8 * 4
    assert inverts["latents of the inversion"] == 7 * 2 * 16 * 8 * 8 * 4


def test_eta_is_not_for_flow_matching(wan_folder: Folders) -> None:
    with pytest.raises(GrainError, match=r"G504: `eta 0.5` is not supported by Wan") as raised:
        prepared_of(wan_folder("2.1"), "process invert_and_sample eta 0.5")
    assert raised.value.diagnostics[0].span is not None


class Stopped(Exception):
    """The run is interrupted."""


def stop_after(step: int) -> Callable[[str, int, int], None]:
    """A progress callback that interrupts a run of 6 steps at the beginning of the next."""

    def progress(stage: str, done: int, total: int) -> None:
        if stage in ("edit", "sample") and total > 1 and done == total * step // 6:
            raise Stopped

    return progress


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize(
    ("method", "sampler"),
    [
        ("ddim", "skip 0% average 2"),
        ("ddim", "process invert_and_sample"),
        ("unipc", "process invert_and_sample"),
    ],
)
def test_a_stopped_run_continues_with_the_same_bits(
    wan_folder: Folders, monkeypatch: pytest.MonkeyPatch, method: str, sampler: str, step: int
) -> None:
    monkeypatch.setattr(resume, "_SECONDS_BETWEEN", 0.0)
    model = wan_folder("2.1")
    spec, editor = parse(written(model, sampler, method=method)), editor_of(model)
    straight = editor.run(spec, base=EXAMPLES)
    with pytest.raises(Stopped):
        editor.run(spec, base=EXAMPLES, progress=stop_after(step))
    other = spec.replaced({}, sampler=spec.sampler.replaced({}, guidance=2.0))
    assert editor.run(other, base=EXAMPLES).resumed_at == 0
    again = editor.run(spec, base=EXAMPLES)
    assert again.resumed_at in (step - 1, step)  # FlowEdit shows predictions, then keeps the step
    assert (again.edited == straight.edited).all()


def test_the_settings_of_an_edit_are_in_its_key(wan_folder: Folders) -> None:
    model = wan_folder("2.1")
    ways = [
        ("", ""),
        ("skip 20%", ""),
        ("source_guidance 2", ""),
        ("guidance 3", ""),
        ("average 2", ""),
        ("seed 1", ""),
        ("amplify 1", ""),
        ("", "attention { columns 0.3 }"),
        ("", "attention { layers 0 }"),
        ("process invert_and_sample", ""),
    ]
    prepared = [prepared_of(model, *way) for way in ways]
    results = editor_of(model, use_cache=False).run_all(prepared)
    assert len({result.run_key for result in results}) == len(ways)
    pictures = {result.edited.tobytes() for result in results}
    assert len(pictures) == len(ways)


@pytest.mark.parametrize("process", ["flow_edit", "invert_and_sample"])
def test_a_long_clip_is_edited_in_windows(
    wan_folder: Folders, tmp_path: Path, process: str
) -> None:
    """Five latent frames, three at a time: the masks stay exact, and passes are counted."""
    clip = ClipFolder(tmp_path, frames=17, size=(64, 64))
    text = (
        f'grain 1 video "clip" {{ size 64x64 }} model "{wan_folder("2.1")}" source "a red man" '
        'target "a green robot" region left = masks("left") edit left -> "green robot" '
        f"sampler {{ steps 4 process {process} }} blend {{ space both }} "
        "context { frames 9 overlap 4 keys 1 }"
    )
    prepared = prepare(parse(text), clip.root)
    assert len(prepared.windows) > 1
    assert all(window.frames[0] == 0 for window in prepared.windows)
    calls: list[int] = []
    editor = editor_of(wan_folder("2.1"), use_cache=False)
    editor.checkpoint(clip.root).denoiser.register_forward_hook(lambda *_: calls.append(1))
    result = editor.run_prepared(prepared)
    away = np.abs(result.edited.astype(int) - result.source)
    assert away[outside(result)].max() == 0
    assert away[~outside(result)].max() > 0
    assert len(calls) == denoiser_passes(prepared)


def test_a_study_of_averaged_noises_changes_nothing(wan_folder: Folders) -> None:
    model = wan_folder("2.1")
    plain = run(model, "average 2", use_cache=False)
    studied = run(model, "average 2", use_cache=False, study=True)
    assert (plain.edited == studied.edited).all()
    assert studied.study is not None
    assert np.isfinite(studied.study.maps).all()
    assert studied.study.maps.max() <= 1 + 1e-5


def test_nan_is_found_in_the_expert_that_made_it(wan_folder: Folders) -> None:
    model = wan_folder("2.2")
    editor = editor_of(model, use_cache=False)
    checkpoint = editor.checkpoint(EXAMPLES)
    assert isinstance(checkpoint, Wan)
    checkpoint.experts.networks[1].blocks[0].ffn.net[2].weight.data.fill_(float("nan"))
    layer = "transformer_2.blocks.0.ffn.net.2"
    found = f"G505: edit step . of 6 .* first in the denoiser's layer {layer}: its weights contain"
    with pytest.raises(GrainError, match=found):
        editor.run(edit_of(model), base=EXAMPLES)


def test_running_out_of_memory_names_the_stage(
    wan_folder: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    model = wan_folder("2.1")
    editor = editor_of(model)
    checkpoint = editor.checkpoint(EXAMPLES)
    monkeypatch.setattr(checkpoint.denoiser, "forward", full)
    with pytest.raises(GrainError, match="G506: out of memory on cpu in the stage “edit”"):
        editor.run(edit_of(model), base=EXAMPLES)


# --- the commands ---


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wan_folder: Folders) -> Path:
    """A folder with the example's clip and a spec for Wan 2.1."""
    for part in ("clips", "masks"):
        shutil.copytree(EXAMPLES / part, tmp_path / part)
    (tmp_path / "edit.grain").write_text(written(wan_folder("2.1"), "skip 30%"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_written_measured_and_reported(grain: Grain, place: Path) -> None:
    said = grain("run", "edit.grain", "-o", "out", "--reconstruct")
    assert said.code == 0, said.err
    assert "edited 5 frames by FlowEdit in " in said.out
    manifest = json.loads((place / "out" / "run.json").read_text())
    assert manifest["process"] == "flow_edit"
    assert manifest["denoiser_passes"] == 4 * 4
    assert len(manifest["timesteps"]) == 4
    back = manifest["reconstruction"]
    assert back["psnr"] == back["vae_psnr"]
    page = (place / "out" / "report.html").read_text()
    for words in (
        "FlowEdit (arXiv 2412.08629)",
        "4 of 6, without the noisiest",
        "for the source prompt",
    ):
        assert words in page
    said = grain("measure", "out", "--clip", "none", "--format", "json")
    assert said.code == 0, said.err
    assert said.json["runs"][0]["frames"] == 5
    assert grain("report", "out").code == 0


def test_a_plan_shows_what_an_edit_costs(grain: Grain, place: Path) -> None:
    said = grain("plan", "edit.grain")
    assert said.code == 0, said.err
    assert "flow_edit: 16 passes through the denoiser" in said.out
    shown = grain("plan", "edit.grain", "--format", "json").json
    assert (shown["process"], shown["denoiser_passes"]) == ("flow_edit", 16)
    assert shown["schedule"]["steps"] == 4


def test_an_interrupted_run_is_listed_by_its_process(
    grain: Grain, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_SECONDS_BETWEEN", 0.0)
    decode = Wan.decode_clip
    monkeypatch.setattr(Wan, "decode_clip", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert grain("run", "edit.grain", "-o", "out").code != 0
    listed = grain("cache").out
    assert "unfinished run" in listed
    assert "flow_edit, after step 6 of 6" in listed
    monkeypatch.setattr(Wan, "decode_clip", decode)
    said = grain("run", "edit.grain", "-o", "out")
    assert "resumed an interrupted run after step 6 of 6" in said.out
    assert torch.is_grad_enabled()
