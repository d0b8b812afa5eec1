"""When numbers or memory run out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from clips import EXAMPLES
from command import Grain
from tiny_runs import FRAMES, STEPS, TARGET, loaded, noise, plan_for, sampled

from grainspec import GrainError, parse
from grainspec_runtime import Editor
from grainspec_runtime.backbones.families.sd_unet.checkpoint import StableDiffusion
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.memory.out_of_memory import is_out_of_memory, out_of_memory
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.invert import invert

LAYER = "up_blocks.1.resnets.0.conv1"


def spoil_weights(layer: torch.nn.Module) -> None:
    layer.weight.data[0] = float("nan")


def overflow(layer: torch.nn.Module) -> None:
    layer.weight.data.fill_(3e38)  # finite, but what it makes is not


@pytest.mark.parametrize("how", [spoil_weights, overflow])
def test_step_and_layer_are_named(tiny_model: Path, how: object) -> None:
    checkpoint = loaded(tiny_model)
    how(checkpoint.unet.get_submodule(LAYER))  # type: ignore[operator]
    with pytest.raises(GrainError) as raised:
        sampled(checkpoint, plan_for(tiny_model), noise())
    (found,) = raised.value.diagnostics
    assert found.code == "G505"
    assert f"sampling step 1 of {STEPS} " in found.message
    assert f"first in the denoiser's layer {LAYER}" in found.message
    with pytest.raises(GrainError, match=f"inversion step 1 of 3 .* layer {LAYER}"):
        checkpoint.scheduler.set_timesteps(3)
        invert(
            Denoiser(checkpoint),
            noise(),
            FoldedAttention(FRAMES),
            prompt=TARGET,
            scheduler=checkpoint.scheduler,
        )
    assert not any(module._forward_hooks for module in checkpoint.unet.modules())


def test_a_later_step_and_finite_weights(tiny_sd: Path) -> None:
    checkpoint = loaded(tiny_sd)
    layer, calls = checkpoint.unet.get_submodule(LAYER), []

    def spoil(*_: object) -> torch.Tensor | None:
        calls.append(1)
        return torch.full((), float("inf")) * _[2] if len(calls) > 2 else None

    layer.register_forward_hook(spoil)
    with pytest.raises(
        GrainError, match=f"sampling step 3 of {STEPS} .* layer {LAYER}\\."
    ) as raised:
        sampled(checkpoint, plan_for(tiny_sd), noise())
    assert len(calls) == 4  # three steps, and one look
    assert "float32" in raised.value.diagnostics[0].cure


def test_attention_itself_is_named(tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = loaded(tiny_sd)
    whole = FoldedAttention.cross_attention

    def spoilt(self: FoldedAttention, *arguments: Any) -> torch.Tensor:
        return whole(self, *arguments) * float("nan")

    monkeypatch.setattr(FoldedAttention, "cross_attention", spoilt)
    with pytest.raises(
        GrainError, match=r"attention down_blocks\.0\.attentions\.0\.transformer_blocks\.0\.attn2\."
    ):
        sampled(checkpoint, plan_for(tiny_sd), noise())


def test_guidance_that_overflows_is_not_the_unets(tiny_sd: Path) -> None:
    with pytest.raises(GrainError, match="but the output of the denoiser is finite") as raised:
        sampled(loaded(tiny_sd), plan_for(tiny_sd), noise(), guidance=1e39)
    assert "guidance" in raised.value.diagnostics[0].cure


def test_broken_weights_are_told_from_overflow(tiny_sd: Path) -> None:
    for how, told in ((spoil_weights, True), (overflow, False)):
        checkpoint = loaded(tiny_sd)
        how(checkpoint.unet.get_submodule(LAYER))
        with pytest.raises(GrainError) as raised:
            sampled(checkpoint, plan_for(tiny_sd), noise())
        assert (
            "its weights contain NaN or infinity" in raised.value.diagnostics[0].message
        ) == told


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has …")


def edit_of(model: Path, more: str = "") -> Any:
    return parse(
        f'grain 1 video "clips/two_men.mp4" {{ frames 0..1 size 128x64 }} model "{model}" '
        'target "a green robot on grass" region r = box(0%, 0%, 50%, 100%) '
        f'edit r -> "green robot" sampler ddim {{ steps 2 }} {more}'
    )


@pytest.mark.parametrize(
    ("place", "stage"),
    [("unet.forward", "sample"), ("vae.encode", "read clip"), ("vae.decode", "decode")],
)
def test_a_run_without_memory_says_what_to_lower(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, stage: str
) -> None:
    shutil.copytree(EXAMPLES / "clips", tmp_path / "clips")
    editor = Editor(str(tiny_model), device="cpu")
    checkpoint = editor.checkpoint(tmp_path)
    part, name = place.split(".")
    module = getattr(checkpoint, part)
    whole = getattr(module, name)

    def scarce(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if part == "unet" and len(sample) == 2:
            return whole(sample, *args, **kwargs)  # inversion, of one pass, fits
        raise CUDA

    with monkeypatch.context() as tight, pytest.raises(GrainError, match="G506") as raised:
        tight.setattr(module, name, scarce)
        editor.run(edit_of(tiny_model), base=tmp_path)
    (found,) = raised.value.diagnostics
    assert f"on cpu in the stage “{stage}”: 2 frames of 128x64, float32" in found.message
    assert "(2.50 GiB more requested)" in found.message
    wanted = {"sample": "`video { step 2 }`"}.get(stage, "`--vae-slicing`")
    assert wanted in found.cure
    assert "`video { size 96x48 }`" in found.cure
    assert "--offload" not in found.cure  # there is no GPU to spare
    assert editor.run(edit_of(tiny_model), base=tmp_path).inversion_cached == (stage != "read clip")


def test_what_to_lower_is_of_the_edit_that_ran_out(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EXAMPLES / "clips", tmp_path / "clips")
    editor = Editor(str(tiny_sd), device="cpu")
    edits = [prepare(edit_of(tiny_sd, more), tmp_path) for more in ("", "inject")]

    def scarce(*_: Any, **__: Any) -> Any:
        raise CUDA

    with editor.session(edits) as session:
        edit(session, edits[0])
        monkeypatch.setattr(session.checkpoint.unet, "forward", scarce)
        with pytest.raises(GrainError, match="in the stage “sample”") as raised:
            edit(session, edits[1])
    assert "`inject { self 0% }`" in raised.value.diagnostics[0].cure


def test_what_is_no_lack_of_memory_stays_as_it_is(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EXAMPLES / "clips", tmp_path / "clips")
    editor = Editor(str(tiny_sd), device="cpu")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("of another kind")

    monkeypatch.setattr(editor.checkpoint(tmp_path).unet, "forward", broken)
    with pytest.raises(RuntimeError, match="of another kind"):
        editor.run(edit_of(tiny_sd), base=tmp_path)


def test_the_machines_own_lack_is_known_by_what_torch_says() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(ValueError("out of memory"))


def on_gpu(checkpoint: StableDiffusion) -> StableDiffusion:
    """As if it were on a GPU: nothing is run."""
    return replace(checkpoint, device=torch.device("cuda"))


def test_smoothing_uses_the_vae_while_it_samples(tiny_sdxl: Path) -> None:
    checkpoint, plan = on_gpu(loaded(tiny_sdxl)), plan_for(tiny_sdxl)

    def cure(stage: str, *, smooths: bool) -> str:
        return out_of_memory(stage, plan, checkpoint, CUDA, smooths=smooths).diagnostics[0].cure

    assert "`--vae-slicing` saves" in cure("sample", smooths=True)
    assert cure("sample", smooths=True).count("`video { size") == 1
    assert "--vae" not in cure("sample", smooths=False)
    assert "--vae" not in cure("invert", smooths=True)


def test_savings_of_weights_are_counted(tiny_sdxl: Path) -> None:
    checkpoint, plan = on_gpu(loaded(tiny_sdxl)), plan_for(tiny_sdxl)
    sizes = checkpoint.memory.weights()
    assert sizes["unet"] == 4 * sum(p.numel() for p in checkpoint.unet.parameters())
    assert set(sizes) == {"unet", "vae", "text_encoder", "text_encoder_2"}

    def cure(stage: str, **options: Any) -> str:
        loading = LoadOptions(**options)
        error = out_of_memory(stage, plan, checkpoint, CUDA, loading=loading)
        return error.diagnostics[0].cure

    assert "`--offload model` saves" in cure("sample")
    assert "`--offload model`" not in cure("sample", offload="model")
    assert "`--offload sequential`" in cure("sample", offload="model")
    assert "--offload" not in cure("sample", offload="sequential")
    assert "`--dtype float16`" in cure("decode")
    assert "--vae-slicing" not in cure("decode", vae_slicing=True)
    half = on_gpu(loaded(tiny_sdxl, dtype=torch.bfloat16))
    assert "float16" not in out_of_memory("decode", plan, half, CUDA).diagnostics[0].cure
    loading = out_of_memory("load model", plan, None, CUDA).diagnostics[0]
    assert "loading" in loading.message
    assert "--offload" in loading.cure


def test_estimates_of_work_are_of_the_true_order(tiny_model: Path) -> None:
    """Against what torch really allocates at once while the networks work on larger frames."""
    checkpoint, side = loaded(tiny_model), 256
    latents = torch.zeros(1, 4, side // 8, side // 8)
    given = checkpoint.condition([checkpoint.encode_prompt("a")], latents)

    with torch.no_grad():
        found = most_held(lambda: checkpoint.unet(latents, 10, **given))
        guess = checkpoint.memory.denoiser_frame(passes=1, height=side, width=side)
        assert found / 4 < guess < found * 4
        found = most_held(lambda: checkpoint.vae.decode(latents))
        guess = checkpoint.memory.vae_frame(height=side, width=side)
        assert found / 4 < guess < found * 4


def most_held(work: Any) -> int:
    """The most bytes that are held at once, of those that ``work`` allocates."""
    with torch.profiler.profile(
        profile_memory=True, activities=[torch.profiler.ProfilerActivity.CPU]
    ) as seen:
        work()
    held = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    assert most > 0
    return most


def test_a_full_disk_is_an_error_and_loses_nothing(grain: Grain, tmp_path: Path) -> None:
    """By a limit on the size of files: the same errors, of the system itself, as a full disk's."""
    resource = pytest.importorskip("resource")
    out = tmp_path / "out"
    few = ("--set", "sampler.steps=2", "--output", out)
    assert grain("run", EXAMPLES / "instance.grain", *few).code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        said = grain("run", EXAMPLES / "instance.grain", *few, "--set", "attention.self=0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert said.code == 1
    assert "G310" in said.err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []
