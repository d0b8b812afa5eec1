"""The whole road at reduced steps, on the embedded demo model."""

from __future__ import annotations

import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import diffusers
import numpy as np
import pytest
import torch
from clips import EXAMPLES
from command import Grain

from grainspec import EditSpec, GrainError, load, override, parse
from grainspec.model.spec import DEMO, FrameRange, Size, Video
from grainspec.plan.save import load_plan
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.backbones.unets.prompts import encode_target
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.editing.options import EditorSettings, RunOptions
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.media.decode import decode_frames
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.prepare import prepare, prepare_variants
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.invert import invert
from grainspec_runtime.runs.write import check_writable, save_run
from grainspec_runtime.whole_folder import claimed, whole_folder

SIZE = Size(width=64, height=64)
SPECS = {path.stem: load(path) for path in sorted(EXAMPLES.glob("*.grain"))}


def shortened(name: str, steps: int = 4, frames: int = 2) -> EditSpec:
    """An example of fewer steps and frames."""
    spec = SPECS[name]
    video = spec.video.model_copy(update={"frames": FrameRange(first=0, last=frames - 1)})
    sampler = spec.sampler.model_copy(update={"steps": steps})
    return spec.model_copy(update={"video": video, "sampler": sampler})


@pytest.fixture(scope="module")
def demo() -> StableDiffusion:
    return load_checkpoint("demo", Path(), LoadOptions(device="cpu"))


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor(device="cpu")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.square(a.astype(float) - b.astype(float)).mean()
    return float(10 * np.log10(255**2 / error))


def test_the_parts_edit_changes_only_its_part(editor: Editor) -> None:
    result = editor.run(shortened("part", steps=8), base=EXAMPLES)
    assert result.edited.shape == result.source.shape == (2, 96, 96, 3)
    assert result.warnings == ()
    eyes = result.prepared.bound.edits.mask("eyes")
    grown = np.zeros_like(eyes)
    rows, columns = eyes[0].any(1).nonzero()[0], eyes[0].any(0).nonzero()[0]
    grown[:, rows[0] - 10 : rows[-1] + 11, columns[0] - 10 : columns[-1] + 11] = True
    assert psnr(result.edited[~grown], result.source[~grown]) > 30
    inside = np.abs(result.edited[eyes].astype(int) - result.source[eyes]).mean()
    assert inside > 20


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.model == DEMO])
def test_every_example_runs_with_all_its_variants(editor: Editor, name: str) -> None:
    spec = shortened(name, steps=2)
    prepared = [prepare(spec, EXAMPLES), *prepare_variants(spec, spec.variant_names, EXAMPLES)]
    results = list(editor.run_all(prepared))
    assert [result.prepared.variant for result in results] == [None, *spec.variant_names]
    assert [result.inversion_cached for result in results] == [False] + [True] * len(spec.variants)
    for result in results:
        assert result.warnings == ()
        changed = np.abs(result.edited.astype(int) - result.source).mean(axis=(0, 3))
        edited = result.prepared.plan.edited_FHW.any(axis=0).repeat(4, 0).repeat(4, 1)
        assert changed[edited].mean() > 2 * changed[~edited].mean()
    pictures = [result.edited.tobytes() for result in results]
    assert len(set(pictures)) == len(pictures)


@pytest.mark.skipif(not hasattr(diffusers, "WanVACEPipeline"), reason="this diffusers has no Wan")
@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.model != DEMO])
def test_every_example_of_a_video_model_runs(name: str) -> None:
    spec = shortened(name, steps=5, frames=5)
    result = Editor(spec.model, device="cpu").run(spec, base=EXAMPLES)
    assert result.warnings == ()
    changed = np.abs(result.edited.astype(int) - result.source).mean(axis=3)
    edited = result.prepared.bound.edits.bits_FHW != 0
    assert changed[edited].mean() > 10 * changed[~edited].mean()


@pytest.mark.parametrize("levels", [(0,), (1,), (2,)])
def test_odd_latents_are_modulated_at_every_level(editor: Editor, levels: tuple[int]) -> None:
    """19 x 17 latents, whose coarser levels are 10 x 9 and 5 x 5."""
    spec = shortened("instance", steps=2)
    video = spec.video.model_copy(update={"size": Size(width=76, height=68)})
    pictures = []
    for changes in ({"levels": levels}, {"cross": 0.0, "self_": 0.0}):
        attention = spec.attention.model_copy(update=changes)
        wanted = spec.model_copy(update={"video": video, "attention": attention})
        result = editor.run(wanted, base=EXAMPLES)
        assert result.edited.shape == (2, 68, 76, 3)
        pictures.append(result.edited)
    assert (pictures[0] != pictures[1]).any()


def test_a_session_is_used_inside_its_block(editor: Editor, tmp_path: Path) -> None:
    prepared = prepare(shortened("part", steps=2), EXAMPLES)
    session = editor.session([prepared])
    with pytest.raises(RuntimeError, match="not open: edit inside `with"):
        edit(session, prepared)
    with session:
        assert edit(session, prepared).edited.shape == session.frames.shape
        elsewhere = replace(prepared, base=tmp_path)
        with pytest.raises(ValueError, match="same base folder"):
            edit(session, elsewhere)
    with pytest.raises(RuntimeError, match="not open"):
        edit(session, prepared)
    with pytest.raises(RuntimeError, match="open a new one"), session:
        pass


def test_an_editors_arguments_are_the_options_fields() -> None:
    fields = {**get_type_hints(RunOptions)}
    assert EditorSettings.__annotations__.keys() == (
        RunOptions.__dataclass_fields__.keys() | LoadOptions.__dataclass_fields__.keys()
    )
    for name, kind in fields.items():
        assert get_type_hints(EditorSettings)[name] == kind
    for name, field in LoadOptions.__dataclass_fields__.items():
        declared = EditorSettings.__annotations__[name]
        assert getattr(declared, "__forward_arg__", declared) == field.type


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"steps": 3}, TypeError, "unknown option `steps`: use one of `backend`"),
        (
            {"offload": "disk"},
            ValueError,
            "unknown offload `disk`: use `model`, `group` or `sequential`",
        ),
        ({"dtype": "float16"}, TypeError, r"such as `torch\.float16`"),
        ({"backend": "magic"}, ValueError, "unknown backend `magic`: use one of `auto`, `triton`"),
        (
            {"process": "flow_edit"},  # a spec says it
            TypeError,
            "unknown option `process`: use one of `backend`",
        ),
        ({"study": True, "compile": True}, ValueError, "`study` does not work with `compile`"),
    ],
)
def test_options_that_do_not_exist(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Editor(**arguments)


def test_the_editor_expects_prepared_specs(editor: Editor) -> None:
    spec = shortened("part")
    for wrong in (spec, [spec], [], prepare(spec, EXAMPLES)):
        with pytest.raises(GrainError, match="expects prepared specs"):
            editor.session(wrong)
    with pytest.raises(GrainError, match="expects prepared specs.*EditSpec"):
        editor.run_prepared(spec)  # type: ignore[arg-type]


def test_only_edits_of_one_clip_run_together(editor: Editor) -> None:
    prepared = [prepare(shortened(name), EXAMPLES) for name in ("part", "instance")]
    with pytest.raises(ValueError, match="same video"):
        editor.run_all(prepared)


def test_an_inversion_is_found_again_for_other_words(editor: Editor) -> None:
    spec = shortened("part")
    assert not editor.run(spec, base=EXAMPLES).inversion_cached
    other = spec.model_copy(update={"target": spec.target.replace("orange", "green")})
    assert editor.run(other, base=EXAMPLES).inversion_cached
    settings = spec.attention.model_copy(update={"frames": "full"})
    assert not editor.run(
        spec.model_copy(update={"attention": settings}), base=EXAMPLES
    ).inversion_cached


def test_runs_repeat_exactly(editor: Editor) -> None:
    spec = shortened("instance", steps=3)
    first, second = (editor.run(spec, base=EXAMPLES) for _ in range(2))
    assert (first.inversion_cached, second.inversion_cached) == (False, True)
    assert (first.edited == second.edited).all()


def test_an_edit_for_another_model_is_refused(tiny_sd: Path) -> None:
    other = Editor(str(tiny_sd), device="cpu")
    prepared = prepare(shortened("part", steps=2), EXAMPLES)
    attempts = (
        lambda: other.run_prepared(prepared),
        lambda: other.run_all([prepared]),
        lambda: other.session([prepared]),
    )
    for attempt in attempts:
        with pytest.raises(GrainError, match="G404: the spec is for the model demo"):
            attempt()


def test_a_model_that_changed_is_inverted_anew(tiny_sd: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_sd, tmp_path / "model")
    spec = shortened("part", steps=2).model_copy(
        update={"model": str(model), "video": Video(path="clips/two_bears.mp4", size=SIZE)}
    )
    assert not Editor(str(model), device="cpu").run(spec, base=EXAMPLES).inversion_cached
    assert Editor(str(model), device="cpu").run(spec, base=EXAMPLES).inversion_cached
    config = model / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.013"))
    assert not Editor(str(model), device="cpu").run(spec, base=EXAMPLES).inversion_cached


def test_values_that_are_no_numbers_stop_the_run(
    editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = shortened("part", steps=5)
    unet = editor.checkpoint(EXAMPLES).unet
    with monkeypatch.context() as spoilt, pytest.raises(GrainError, match="G505"):
        spoilt.setattr(unet.conv_out.bias, "data", torch.full((4,), float("nan")))
        editor.run(spec, base=EXAMPLES)
    assert not editor.run(spec, base=EXAMPLES).inversion_cached  # nothing spoilt was kept


def test_inversion_leads_back_to_the_clip(demo: StableDiffusion) -> None:
    """Sampling without guidance and with the same words undoes the inversion."""
    steps = 30
    prepared = prepare(shortened("instance", steps=steps), EXAMPLES)
    path = EXAMPLES / prepared.spec.video.path
    frames = decode_frames(path, (0, 1), prepared.bound.crop)
    pixels = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    latents = demo.encode_frames(pixels)
    control = FoldedAttention(2)
    words = prepared.spec.source
    seen: list[tuple[int, int]] = []
    demo.scheduler.set_timesteps(steps)
    trajectory = invert(
        Denoiser(demo),
        latents,
        control,
        prompt=words,
        scheduler=demo.scheduler,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, steps) for i in range(1, steps + 1)]
    assert trajectory.shape == (steps + 1, *latents.shape)
    assert torch.equal(trajectory[0], latents)
    assert 0.8 < float(trajectory[-1].std()) < 1.1
    x, context = trajectory[-1], demo.encode_prompt(words).words.expand(2, -1, -1)
    with torch.inference_mode(), installed(demo.unet, control):
        for t in demo.scheduler.timesteps:
            x = demo.scheduler.step(demo.unet(x, t, context).sample, t, x).prev_sample
    assert float((x - latents).norm() / latents.norm()) < 0.05


def test_phrases_take_the_place_of_their_words(demo: StableDiffusion) -> None:
    spec = override(shortened("instance"), ["attention.phrases=isolated"])
    prepared = prepare(spec, EXAMPLES)
    words = encode_target(demo.pipe, prepared.plan, device=demo.device).words
    whole = demo.encode_prompt(prepared.plan.target).words
    alone = demo.encode_prompt("green robot").words
    (tokens,) = prepared.plan.edits[0].tokens
    assert torch.equal(words[0, list(tokens)], alone[0, 1 : 1 + len(tokens)])
    others = [i for i in range(48) if not prepared.plan.words_ET[:, i].any()]
    assert torch.equal(words[0, others], whole[0, others])
    spec = override(spec, ["attention.phrases=in_context"])
    in_context = encode_target(demo.pipe, prepare(spec, EXAMPLES).plan, device=demo.device)
    assert torch.equal(in_context.words, whole)


def test_strange_words_and_clips_are_warned_about(editor: Editor, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "clip").mkdir()
    for number in range(2):
        noise = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "clip" / f"{number}.png")
    spec = parse(
        'grain 1 video "clip" source "two men" target "Spiderman on gras" region r = all '
        'edit r -> "Spiderman" sampler ddim { steps 1 }'
    )
    prepared = prepare(spec, tmp_path)
    (words,) = prepared.warnings
    assert words.code == "G510"
    assert "“spiderman”, “gras” (it knows “grass”)" in words.message
    assert 'model "' in words.cure
    result = editor.run_prepared(prepared)
    assert [warning.code for warning in result.warnings] == ["G510", "G511"]
    assert 'model "' in result.warnings[1].cure


def test_an_editor_runs_its_own_model_only(editor: Editor) -> None:
    spec = shortened("part").model_copy(update={"model": "other"})
    with pytest.raises(GrainError, match="G404"):
        editor.run(spec, base=EXAMPLES)


@pytest.fixture(scope="module")
def result(editor: Editor) -> EditResult:
    return editor.run(shortened("instance", steps=2), base=EXAMPLES)


def test_a_runs_folder_has_all_that_was_promised(result: EditResult, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    save_run(result, out, spec_text="grain 1", spec_name="a.grain", arguments=["run"])
    assert sorted(path.name for path in out.iterdir()) == [
        "edited.mkv",
        "edited.mp4",
        "overlay.png",
        "overview.png",
        "plan.safetensors",
        "report.html",
        "run.json",
        "side_by_side.mp4",
        "spec.grain",
    ]
    manifest = json.loads((out / "run.json").read_text())
    assert EditSpec.model_validate(manifest["spec"]) == result.prepared.spec
    assert manifest["plan"] == load_plan(out / "plan.safetensors").digest
    assert manifest["seconds"].keys() == {"load model", "read clip", "invert", "sample", "decode"}
    assert manifest["versions"]["torch"] == torch.__version__
    from grainspec.clip.facts import probe

    assert probe(out / "edited.mp4").frames == 2
    assert list(tmp_path.rglob(".*")) == []


def test_an_earlier_run_is_replaced_and_nothing_else(result: EditResult, tmp_path: Path) -> None:
    out = tmp_path / "run"
    save_run(result, out, spec_text="first", spec_name="a.grain", arguments=[])
    save_run(result, out, spec_text="second", spec_name="a.grain", arguments=[])
    assert (out / "spec.grain").read_text() == "second"
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    for place in (precious, precious / "thesis.txt", precious / "thesis.txt" / "run"):
        with pytest.raises(GrainError, match="G310"):
            check_writable(place)
    (out / "b").mkdir()
    with pytest.raises(GrainError, match="such as b"):
        check_writable(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "run"]


def test_equal_results_are_equal_files(result: EditResult, tmp_path: Path) -> None:
    saved = []
    for name in ("one", "other"):
        out = tmp_path / name
        save_run(result, out, spec_text="", spec_name="a.grain", arguments=[])
        saved.append({path.name: path.read_bytes() for path in out.iterdir()})
    one, other = saved
    assert one.keys() == other.keys()
    # run.json states the peak memory, and report.html shows it
    assert {name for name in one if one[name] != other[name]} <= {"run.json", "report.html"}


def test_a_run_waits_for_no_other_in_its_folder(tmp_path: Path, grain: Grain) -> None:
    """It stops before it loads a model, and says which process is there."""
    out, held, done = tmp_path / "out", threading.Event(), threading.Event()

    def write() -> None:
        with claimed(out):
            held.set()
            done.wait(60)

    other = threading.Thread(target=write)
    other.start()
    held.wait(60)
    said = grain("run", EXAMPLES / "instance.grain", "-o", out)
    done.set()
    other.join()
    assert said.code == 1
    assert f"another run is writing {out}: process {os.getpid()}" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_run_goes_where_a_link_leads(result: EditResult, tmp_path: Path) -> None:
    out, link = tmp_path / "run", tmp_path / "latest"
    save_run(result, out, spec_text="first", spec_name="a.grain", arguments=[])
    link.symlink_to(out)
    save_run(result, link, spec_text="{}", spec_name="a.json", arguments=[])
    assert link.is_symlink()
    assert link.resolve() == out
    assert (out / "spec.json").exists()
    assert not (out / "spec.grain").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "run"]
    (tmp_path / "plain").mkdir()
    assert out.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), whole_folder(out) as place:
        (place / "half").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    out.mkdir()
    (out / "run.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt), whole_folder(out) as place:
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (out / "run.json").exists()
