"""AnimateDiff: motion modules in the checkpoint, and motion adapters that a spec adds."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AnimateDiffControlNetPipeline,
    AnimateDiffPipeline,
    AnimateDiffVideoToVideoPipeline,
    ControlNetModel,
)
from PIL import Image
from safetensors.torch import save_file
from single_files import save_single_file
from tiny_models import save_animatediff, save_sdxl, tiny_adapter

from grainspec import dumps, override, parse
from grainspec.diagnostics import GrainError
from grainspec.model.spec import EditSpec, Sampler
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec_runtime.applied import plan_applied
from grainspec_runtime.backbones.families.animatediff.checkpoint import AnimateDiff
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.backbones.registry import describe, find_model, load_checkpoint
from grainspec_runtime.backbones.unets.layers import attention_layers
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.models.additions import Lora
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import prepare

TARGET = "a green robot and a yellow bear on grass"
SIZE, FRAMES = 64, 3
CPU = LoadOptions(device="cpu")


@dataclass(frozen=True)
class Folders:
    """An image model, motion adapters for it, and the image model saved with the first of them."""

    image: Path
    adapter: Path
    silent: Path
    moving: Path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    base = tmp_path_factory.mktemp("animatediff")
    save_animatediff(base / "moving")
    for name, silent in (("adapter", False), ("silent", True)):
        tiny_adapter(silent=silent).save_pretrained(base / name)
    return Folders(base / "moving of images", base / "adapter", base / "silent", base / "moving")


def spec_for(model: Path, motion_adapter: Path | str = "", more: str = "") -> EditSpec:
    text = f"""
    grain 1  video "clip" {{ size {SIZE}x{SIZE} }}  model "{model.as_posix()}"
    {f'motion_adapter "{Path(motion_adapter).as_posix()}"' if motion_adapter else ""}
    target "{TARGET}"
    region left = box(0%, 0%, 50%, 100%)  region right = box(50%, 0%, 100%, 100%)
    edit left -> "green robot"  edit right -> "yellow bear"  sampler {{ steps 2 }} {more}
    """
    return parse(text)


def layout(frames: int = FRAMES) -> Layout:
    left = np.zeros((frames, SIZE, SIZE), bool)
    left[..., : SIZE // 2] = True
    return Layout.of({"left": left, "right": ~left})


def plan_for(folder: Path, frames: int = FRAMES, more: str = "") -> MaskPlan:
    spec = spec_for(folder, more=more)
    return compile_plan(spec, layout(frames), describe(str(folder), Path())).plan


def write_clip(base: Path, frames: int) -> None:
    (base / "clip").mkdir()
    random = np.random.default_rng(0)
    for number in range(frames):
        pixels = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(base / "clip" / f"{number:05}.png")


@cache
def loaded(model: Path, adapter: Path | str = "") -> Any:
    """Load a model once for all tests, which leave it as it is."""
    return load_checkpoint(str(model), Path(), CPU, motion_adapter=str(adapter))


def predicted(model: Path, adapter: Path | str = "", **more: Any) -> torch.Tensor:
    checkpoint = loaded(model, adapter)
    x = torch.randn(2 * FRAMES, 4, 8, 6, generator=torch.Generator().manual_seed(0))
    prompts = [checkpoint.encode_prompt(text) for text in ("", TARGET)]
    with torch.no_grad():
        conditioning = checkpoint.condition(prompts, x)
        t = torch.tensor(500)
        return checkpoint.predict(x, t, conditioning, range(FRAMES), step=0, steps=2, **more)


def rates_of(checkpoint: Checkpoint) -> list[Any]:
    schedule, device = checkpoint.schedule, torch.device("cpu")
    solver = schedule.solver(Sampler(steps=3), device)
    return schedule.rates(solver, torch.zeros(1))


# --- the model ---------------------------------------------------------------------------------


def test_with_silent_motion_modules_it_is_the_image_model_frame_by_frame(folders: Folders) -> None:
    image = predicted(folders.image)
    torch.testing.assert_close(predicted(folders.image, folders.silent), image, rtol=0, atol=1e-6)
    assert (predicted(folders.image, folders.adapter) - image).abs().max() > 1e-3


def test_an_adapter_added_to_an_image_model_is_the_checkpoint_saved_with_it(
    folders: Folders,
) -> None:
    saved, added = loaded(folders.moving), loaded(folders.image, folders.adapter)
    assert isinstance(added, AnimateDiff)
    assert isinstance(added.pipe, AnimateDiffPipeline)
    weights = saved.denoiser.state_dict()
    assert weights.keys() == added.denoiser.state_dict().keys()
    for name, weight in added.denoiser.state_dict().items():
        assert torch.equal(weight, weights[name]), name
    settings = spec_for(folders.image).modulation
    assert rates_of(saved) == rates_of(added)
    assert saved.pass_facts(settings).keys() < added.pass_facts(settings).keys()


def test_the_noise_is_that_of_the_adapters_training(folders: Folders, tmp_path: Path) -> None:
    tiny_adapter().save_pretrained(tmp_path)
    own = json.loads((folders.image / "scheduler" / "scheduler_config.json").read_text())
    (tmp_path / "scheduler_config.json").write_text(json.dumps(own))
    image, own_noise, usual = (
        rates_of(loaded(folders.image, adapter)) for adapter in ("", tmp_path, folders.adapter)
    )
    assert own_noise == image != usual


def test_motion_modules_are_no_layers_of_a_plan(folders: Folders) -> None:
    unet = loaded(folders.moving).denoiser
    names = [name for name, module in unet.named_modules() if hasattr(module, "processor")]
    planned = attention_layers(unet)
    assert {name for name in names if "motion_modules" not in name} == set(planned)
    assert len(names) > len(planned) > 0


def test_memory_before_loading_is_that_after(folders: Folders) -> None:
    for model, adapter in ((folders.moving, ""), (folders.image, str(folders.adapter))):
        located, family = find_model(str(model), Path(), motion_adapter=adapter)
        before = family.memory(located, itemsize=4)
        after = loaded(model, adapter).memory
        # files have the table of positions, too
        assert before.denoiser_weights() == pytest.approx(after.denoiser_weights(), rel=0.01)
        sizes = {"passes": 2, "height": SIZE, "width": SIZE}
        assert before.denoiser_frame(**sizes) == after.denoiser_frame(**sizes)


def test_controlnets_see_the_frames_that_the_unet_folds(folders: Folders, tmp_path: Path) -> None:
    """Silent motion modules and a ControlNet are the image model with the ControlNet."""
    torch.manual_seed(2)
    net = ControlNetModel.from_unet(loaded(folders.image).unet)
    for name, weight in net.named_parameters():
        if name.startswith(("controlnet_down", "controlnet_mid")):
            weight.data += 0.05 * torch.randn(weight.shape)
    net.save_pretrained(tmp_path / "net")
    spec = spec_for(folders.image, more='control canny { net "net" }')
    pictures = [np.random.default_rng(0).integers(0, 256, (FRAMES, 64, 48, 3), dtype=np.uint8)]
    image = loaded(folders.image)
    controls = image.load_controls(spec.controls, pictures, tmp_path)
    with_net = predicted(folders.image, controls=controls)
    assert (with_net - predicted(folders.image)).abs().max() > 1e-3
    moving = predicted(folders.image, folders.silent, controls=controls)
    torch.testing.assert_close(moving, with_net, rtol=0, atol=1e-5)


@pytest.mark.parametrize("part", ["motion_modules", "attentions"])
def test_loras_of_motion_and_of_the_image_model_are_fused(
    folders: Folders, tmp_path: Path, part: str
) -> None:
    plain = loaded(folders.moving).denoiser
    tensors = {}
    for name, module in plain.named_modules():
        if part in name and name.endswith("attn1.to_q"):
            tensors[f"unet.{name}.lora_A.weight"] = torch.ones(1, module.in_features)
            tensors[f"unet.{name}.lora_B.weight"] = torch.ones(module.out_features, 1)
    save_file(tensors, tmp_path / "motion.safetensors")
    options = LoadOptions(device="cpu", loras=[Lora(tmp_path / "motion.safetensors")])
    fused = load_checkpoint(str(folders.moving), Path(), options)
    assert fused.findings == ()
    before = plain.state_dict()
    changed = {
        name
        for name, weight in fused.denoiser.state_dict().items()
        if not torch.equal(weight, before[name])
    }
    assert len(changed) == len(tensors) // 2 > 0
    assert all(part in name for name in changed)


# --- specs -------------------------------------------------------------------------------------


def test_a_spec_adds_an_adapter_and_runs(folders: Folders, tmp_path: Path) -> None:
    write_clip(tmp_path, FRAMES)
    spec = spec_for(folders.image, folders.adapter)
    editor = Editor(
        str(folders.image), motion_adapter=str(folders.adapter), device="cpu", use_cache=False
    )
    edited = editor.run(spec, base=tmp_path).edited
    saved = Editor(str(folders.moving), device="cpu", use_cache=False)
    assert np.array_equal(edited, saved.run(spec_for(folders.moving), base=tmp_path).edited)
    with pytest.raises(GrainError, match=r"Use `Editor\(.*, motion_adapter="):
        saved_as = Editor(str(folders.image), device="cpu")
        saved_as.run(spec, base=tmp_path)


def test_the_statement_is_written_read_and_overridden(folders: Folders) -> None:
    spec = spec_for(folders.image, "owner/adapter")
    assert 'motion_adapter "owner/adapter"' in dumps(spec)
    assert parse(dumps(spec)) == spec
    assert override(spec, "motion_adapter=other").motion_adapter == "other"


def test_attention_is_within_frames_by_default(folders: Folders) -> None:
    assert plan_for(folders.moving).attention.frames == "each"
    assert plan_for(folders.image).attention.frames == "full"
    told = plan_for(folders.moving, more="attention videograin")
    assert told.attention.frames == "full"


def test_clips_longer_than_the_modules_need_windows(folders: Folders, tmp_path: Path) -> None:
    write_clip(tmp_path, 8)
    with pytest.raises(GrainError) as caught:
        prepare(spec_for(folders.image, folders.adapter), tmp_path)
    [finding] = caught.value.diagnostics
    assert (finding.code, "clips of more than 6 frames" in finding.message) == ("G314", True)
    cure = "context { frames 6  overlap 1  keys 0 }"
    assert cure in (finding.cure or "")
    prepared = prepare(spec_for(folders.image, folders.adapter, cure), tmp_path)
    assert (len(prepared.windows), prepared.warnings) == (2, ())
    keyed = cure.replace("keys 0", "keys 1")
    prepared = prepare(spec_for(folders.image, folders.adapter, keyed), tmp_path)
    assert [finding.code for finding in prepared.warnings] == ["G555"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"block_out_channels": [8, 32]}, "channels 8 32, but the model's UNet 8 16"),
        ({"motion_layers_per_block": 2}, "layers a block 2 2, but the model's UNet 1 1"),
        ({"motion_norm_num_groups": 8}, "groups a norm 8, but the model's UNet 4"),
        ({"conv_in_channels": 9}, "is for PIA"),
        ({"_class_name": "T2IAdapter"}, "is a T2IAdapter, not a MotionAdapter"),
    ],
)
def test_adapters_that_do_not_fit(
    folders: Folders, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    config = json.loads((folders.adapter / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changed}))
    with pytest.raises(GrainError, match="G554") as caught:
        find_model(str(folders.image), Path(), motion_adapter=str(tmp_path))
    assert message in caught.value.diagnostics[0].message


def test_adapters_go_with_image_models_of_one_text_encoder(
    folders: Folders, tmp_path: Path
) -> None:
    save_sdxl(tmp_path / "xl")
    for model in (tmp_path / "xl", folders.moving):
        with pytest.raises(GrainError, match="G554") as caught:
            find_model(str(model), Path(), motion_adapter=str(folders.adapter))
        assert "remove `motion_adapter`" in (caught.value.diagnostics[0].cure or "")


def test_an_adapter_is_no_model(folders: Folders) -> None:
    with pytest.raises(GrainError, match="G502") as caught:
        find_model(str(folders.adapter), Path())
    assert f'  motion_adapter "{folders.adapter}"`' in (caught.value.diagnostics[0].cure or "")
    file = folders.adapter / "diffusion_pytorch_model.safetensors"
    for what in ({"model": file}, {"model": folders.image, "motion_adapter": file}):
        with pytest.raises(GrainError, match=r"from_single_file\(FILE\)"):
            find_model(base=Path(), **{name: str(place) for name, place in what.items()})


def test_a_checkpoint_in_one_file_takes_an_adapter(folders: Folders, tmp_path: Path) -> None:
    save_single_file(folders.image, tmp_path / "one.safetensors")
    shutil.copytree(folders.image, tmp_path / "one", ignore=shutil.ignore_patterns("*.safetensors"))
    one = loaded(tmp_path / "one.safetensors", folders.adapter)
    whole = loaded(folders.image, folders.adapter).denoiser.state_dict()
    for name, weight in one.denoiser.state_dict().items():
        assert torch.equal(weight, whole[name]), name


def test_an_adapter_without_safetensors_is_refused(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folders.adapter / "config.json").read_text())
    with pytest.raises(GrainError, match="no safetensors weights"):
        load_checkpoint(str(folders.image), Path(), CPU, motion_adapter=str(tmp_path))


# --- pipelines of the user ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipe(folders: Folders) -> AnimateDiffPipeline:
    made = AnimateDiffPipeline.from_pretrained(folders.moving)
    made.set_progress_bar_config(disable=True)
    return made


def call(pipe: Any, plan: MaskPlan, **more: Any) -> np.ndarray[Any, Any]:
    arguments = {
        "prompt": plan.target,
        "num_frames": len(plan.frames),
        "width": plan.width,
        "height": plan.height,
        "num_inference_steps": 2,
        "generator": torch.Generator().manual_seed(0),
        "output_type": "np",
        **more,
    }
    return np.asarray(pipe(**arguments).frames[0])


def test_a_plan_steers_a_pipeline_and_leaves_it(pipe: Any, folders: Folders) -> None:
    plan = plan_for(folders.moving, more="attention { until 100% decay 0 }")
    before = call(pipe, plan)
    with plan_applied(plan, pipe):
        assert not np.array_equal(call(pipe, plan), before)
        unguided = call(pipe, plan, guidance_scale=1.0)
        with pytest.raises(GrainError, match=f"a clip of {FRAMES} frames.*makes 5"):
            call(pipe, plan, num_frames=5)
        with pytest.raises(GrainError, match="the plan is for one clip, but the pipeline makes 2"):
            call(pipe, plan, prompt=[plan.target] * 2)
        with pytest.raises(GrainError, match="G404"):
            call(pipe, plan, prompt="a red cat")
    assert np.array_equal(call(pipe, plan), before)
    assert not np.array_equal(call(pipe, plan, guidance_scale=1.0), unguided)


def test_strength_zero_leaves_a_pipeline_as_it_is(pipe: Any, folders: Folders) -> None:
    off = "attention { cross 0 self 0 until 100% phrases in_context }"
    plan = plan_for(folders.moving, more=off)
    with plan_applied(plan, pipe):
        applied = call(pipe, plan)
    np.testing.assert_allclose(applied, call(pipe, plan), atol=1e-4)


def test_a_plan_is_followed_from_clip_to_clip(pipe: Any, folders: Folders, tmp_path: Path) -> None:
    plan = plan_for(folders.moving)
    other = AnimateDiffVideoToVideoPipeline(**pipe.components)
    other.set_progress_bar_config(disable=True)
    clip = [Image.new("RGB", (SIZE, SIZE), (60 * n, 90, 30)) for n in range(FRAMES)]

    def run(**more: Any) -> np.ndarray[Any, Any]:
        arguments = {
            "prompt": plan.target,
            "video": clip,
            "width": SIZE,
            "height": SIZE,
            "num_inference_steps": 2,
            "strength": 1.0,
            "generator": torch.Generator().manual_seed(0),
            "output_type": "np",
            **more,
        }
        return np.asarray(other(**arguments).frames[0])

    before = run()
    with plan_applied(plan, other):
        assert not np.array_equal(run(), before)
        with pytest.raises(GrainError, match="or a `video` of 3"):
            run(video=clip[:2])
    other.save_pretrained(tmp_path)  # the same components, under another name
    assert find_model(str(tmp_path), Path())[1].name == "AnimateDiff"


def test_controlnets_of_a_pipeline_leave_the_plan_in_place(pipe: Any, folders: Folders) -> None:
    plan = plan_for(folders.moving)
    torch.manual_seed(2)
    net = ControlNetModel.from_unet(loaded(folders.image).unet)
    other = AnimateDiffControlNetPipeline(**pipe.components, controlnet=net)
    other.set_progress_bar_config(disable=True)
    shown = [Image.new("RGB", (SIZE, SIZE), (90, 60 * n, 30)) for n in range(FRAMES)]
    before = call(other, plan, conditioning_frames=shown)
    with plan_applied(plan, other):
        assert not np.array_equal(call(other, plan, conditioning_frames=shown), before)
    assert np.array_equal(call(other, plan, conditioning_frames=shown), before)
