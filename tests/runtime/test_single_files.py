"""Checkpoints in one file: they load as their folders do, and other files are told from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from clips import ClipFolder
from command import Grain
from huggingface_hub import constants
from model_findings import check_model
from safetensors.torch import load_file, save_file
from single_files import rewrite, save_single_file
from tiny_runs import loaded, noise, plan_for, sampled

from grainspec import GrainError, parse
from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.registry import describe, find_model
from grainspec_runtime.models.locate import locate

SD1 = "stable-diffusion-v1-5/stable-diffusion-v1-5"


@pytest.fixture(scope="session")
def single_files(
    tiny_sd: Path, tiny_sd21: Path, tiny_sdxl: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with each tiny checkpoint as one file, without any configuration."""
    folder = tmp_path_factory.mktemp("files")
    for model in (tiny_sd, tiny_sd21, tiny_sdxl):
        save_single_file(model, folder / f"{model.name}.safetensors", openclip=model == tiny_sd21)
    return folder


def with_configuration(model: Path, files: Path, to: Path) -> Path:
    """The single file of a tiny checkpoint, in a new folder, with its configuration beside it."""
    shutil.copytree(model, to / "mine", ignore=shutil.ignore_patterns("*.safetensors"))
    return Path(shutil.copy(files / f"{model.name}.safetensors", to / "mine.safetensors"))


def spec_of(model: object, base: Path) -> list[Diagnostic]:
    spec = parse(
        f'grain 1 video "c" model "{model}" target "a bear" region r = all edit r -> "bear"'
    )
    return list(check_model(spec, base))


def fault(model: object, base: Path) -> Diagnostic:
    """The one finding of `grain check` about a model."""
    (finding,) = spec_of(model, base)
    assert finding.span is not None
    return finding


def test_a_single_file_samples_as_its_folder(
    tiny_model: Path, single_files: Path, tmp_path: Path
) -> None:
    file = with_configuration(tiny_model, single_files, tmp_path)
    one, folder = describe(str(file), Path()), describe(str(tiny_model), Path())
    assert (one.native_size, one.attended) == (folder.native_size, folder.attended)
    plan = plan_for(tiny_model, "norm each")
    mine = loaded(file)
    assert (mine.file, mine.folder) == (file, tmp_path / "mine")
    theirs = loaded(tiny_model)
    for name, network in theirs.pipe.components.items():
        if isinstance(network, torch.nn.Module):
            weights = mine.pipe.components[name].state_dict()
            assert weights.keys() == network.state_dict().keys()
            for key, weight in network.state_dict().items():
                assert torch.equal(weights[key], weight), key
    # equal weights at other addresses: vector instructions round differently
    torch.testing.assert_close(
        sampled(mine, plan, noise()), sampled(theirs, plan, noise()), atol=1e-4, rtol=1e-4
    )
    assert spec_of(file, tmp_path) == []


def test_its_cache_entries_are_its_own(tiny_sd: Path, single_files: Path, tmp_path: Path) -> None:
    from grainspec_runtime.models.fingerprint import fingerprint

    file = with_configuration(tiny_sd, single_files, tmp_path)
    before = fingerprint(tmp_path / "mine", file)
    assert before == fingerprint(tmp_path / "mine", file)
    tensors = load_file(file)
    rewrite(file, {**tensors, "more": torch.zeros(1)})
    assert fingerprint(tmp_path / "mine", file) != before


def test_without_configuration_the_hub_is_named(single_files: Path) -> None:
    for name, repository in (
        ("tiny-sd", SD1),
        ("tiny-sd21", "stabilityai/stable-diffusion-2-1"),
        ("tiny-sdxl", "stabilityai/stable-diffusion-xl-base-1.0"),
    ):
        with pytest.raises(GrainError, match="G503") as raised:
            find_model(f"{name}.safetensors", single_files)
        (finding,) = raised.value.diagnostics
        assert "checkpoint in one file" in finding.message
        assert f"hf download {repository} --include" in finding.cure
        assert f"--local-dir {single_files / name}`" in finding.cure
        assert ".from_single_file(" in finding.cure
        assert spec_of(f"{name}.safetensors", single_files) == []  # check downloads nothing


def test_the_configuration_comes_from_the_hubs_cache(
    tiny_sd: Path, single_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / f"models--{SD1.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    shutil.copytree(tiny_sd, repository / "snapshots" / "abc")
    file = single_files / "tiny-sd.safetensors"
    found = locate(str(file), Path())
    assert found.assumed
    assert loaded(file).folder == repository / "snapshots" / "abc"
    assert spec_of(file, Path()) == []


def test_the_conversion_that_is_proposed_works(
    tiny_sd: Path, single_files: Path, tmp_path: Path
) -> None:
    """Run with the configuration that diffusers would take from the hub."""
    from grainspec_runtime.models.single_file import conversion

    file = with_configuration(tiny_sd, single_files, tmp_path)
    program = conversion(file.with_name("out.safetensors")).split('"')[1]
    shutil.copy(file, tmp_path / "out.safetensors")
    program = program.replace(".safetensors')", f".safetensors', config='{tmp_path / 'mine'}')", 1)
    exec(program)
    converted = loaded(tmp_path / "out")
    for name, weight in loaded(tiny_sd).unet.state_dict().items():
        assert torch.equal(converted.unet.state_dict()[name], weight)


def test_what_a_file_says_of_its_schedule(
    tiny_sd: Path, single_files: Path, tmp_path: Path
) -> None:
    file = with_configuration(tiny_sd, single_files, tmp_path)
    assert loaded(file).scheduler.config.prediction_type == "epsilon"
    tensors = load_file(file)
    rewrite(file, {**tensors, "v_pred": torch.tensor([])})
    assert loaded(file).scheduler.config.prediction_type == "v_prediction"
    rewrite(file, {**tensors, "ztsnr": torch.tensor([])})
    assert loaded(file).scheduler.config.rescale_betas_zero_snr
    assert "zero terminal SNR" in fault(file, tmp_path).message


def test_what_cannot_be_told_of_2_is_said(
    tiny_sd21: Path, single_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grainspec_runtime.models.single_file._published", lambda *_: tiny_sd21)
    finding = fault(single_files / "tiny-sd21.safetensors", tmp_path)
    assert finding.code == "G525"
    assert "assumes `v_prediction`" in finding.message
    file = with_configuration(tiny_sd21, single_files, tmp_path)
    assert spec_of(file, tmp_path) == []  # its own configuration says it


def test_two_sets_of_weights_are_said(tiny_sd: Path, single_files: Path, tmp_path: Path) -> None:
    file = with_configuration(tiny_sd, single_files, tmp_path)
    tensors = load_file(file)
    rewrite(file, {**tensors, **{f"model_ema.{i}": torch.zeros(1) for i in range(200)}})
    finding = fault(file, tmp_path)
    assert (finding.code, "EMA" in finding.message) == ("G525", True)


def test_weights_that_are_missing_are_named(
    tiny_model: Path, single_files: Path, tmp_path: Path
) -> None:
    file = with_configuration(tiny_model, single_files, tmp_path)
    tensors = load_file(file)
    for start in ("model.diffusion_model.middle", "first_stage_model.decoder", "cond"):
        lost = max(name for name in tensors if name.startswith(start) and "weight" in name)
        rewrite(file, {k: v for k, v in tensors.items() if k != lost})
        with pytest.raises(GrainError, match="G502"):
            loaded(file)


def test_a_configuration_of_another_kind(
    tiny_sd: Path, tiny_sdxl: Path, single_files: Path, tmp_path: Path
) -> None:
    file = with_configuration(tiny_sdxl, single_files, tmp_path)
    shutil.copy(single_files / "tiny-sd.safetensors", file)
    assert fault(file, tmp_path).code in ("G507", "G528")


@pytest.mark.parametrize("channels", [5, 8, 9])
def test_inpainting_models_are_refused(
    channels: int, tiny_sd: Path, single_files: Path, tmp_path: Path
) -> None:
    file = with_configuration(tiny_sd, single_files, tmp_path)
    tensors = load_file(file)
    first = "model.diffusion_model.input_blocks.0.0.weight"
    tensors[first] = torch.zeros(tensors[first].shape[0], channels, 3, 3)
    rewrite(file, tensors)
    finding = fault(file, tmp_path)
    assert (finding.code, finding.cure.split()[0]) == ("G507", "Inpainting,")
    assert f"has {channels} input channels" in finding.message


UNET, VAE = "model.diffusion_model.", "first_stage_model."
OTHERS = {
    "a LoRA": ["lora_unet_down_blocks_0.lora_down.weight", "lora_unet_down_blocks_0.alpha"],
    "a LoRA ": ["unet.down_blocks.0.attn2.to_k.lora_A.weight"],
    "a LoRA  ": ["lycoris_unet_mid_block.lokr_w1"],
    "a textual inversion": ["emb_params"],
    "a textual inversion ": ["clip_g", "clip_l"],
    "a textual inversion  ": ["<cat-toy>"],
    "a ControlNet": ["control_model.input_hint_block.0.weight"],
    "a ControlNet ": ["controlnet_down_blocks.0.weight", "down_blocks.0.resnets.0.conv1.weight"],
    "an IP-Adapter": ["image_proj.norm.weight", "ip_adapter.1.to_k_ip.weight"],
    "an AnimateDiff": ["down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"],
    "a FLUX": [f"{UNET}double_blocks.0.img_attn.qkv.weight"],
    "a Stable Diffusion 3": [f"{UNET}joint_blocks.0.x_block.attn.qkv.weight"],
    "a Stable Cascade": ["clip_txt_mapper.weight", "down_blocks.0.0.channelwise.0.weight"],
    "a transformer of Wan alone": ["blocks.0.self_attn.q.weight", "patch_embedding.weight"],
    "a diffusion transformer": ["transformer_blocks.0.attn1.to_q.weight", "proj_in.weight"],
    "a UNet alone": ["down_blocks.0.resnets.0.conv1.weight", "conv_in.weight"],
    "a VAE alone": ["encoder.conv_in.weight", "decoder.conv_in.weight"],
    "a VAE alone ": [f"{VAE}encoder.conv_in.weight"],
    "a text encoder": ["text_model.embeddings.token_embedding.weight"],
    "an image encoder": ["vision_model.embeddings.class_embedding"],
    "Stable Diffusion XL's refiner": [
        f"{UNET}input_blocks.0.0.weight",
        f"{VAE}encoder.conv_in.weight",
        "conditioner.embedders.0.model.text_projection",
    ],
    "a checkpoint that contains no VAE and no text encoder": [f"{UNET}input_blocks.0.0.weight"],
    "a checkpoint that contains no VAE": [
        f"{UNET}input_blocks.0.0.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ],
    "no checkpoint that this release knows": ["conv_first.weight", "body.0.weight"],
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_files_are_named(what: str, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_file({name: torch.zeros(2, 2, 1) for name in OTHERS[what]}, path)
    finding = fault("file.safetensors", tmp_path)
    assert finding.code == "G527"
    assert f"{path} is {what.strip()}" in finding.message
    assert finding.cure
    if what.strip() == "a LoRA":
        assert f"`--lora {path}`" in finding.cure


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a safetensors file, or is incomplete"),
        (b"x", "not a safetensors file, or is incomplete"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"PK\x03\x04" + b"0" * 80, "PyTorch pickle"),
        (b"\x80\x02}q\x00." + b"0" * 80, "PyTorch pickle"),
        (b"GGUF" + b"\x00" * 80, "GGUF"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        ((1 << 60).to_bytes(8, "little") + b"{}", "incomplete"),
        ((2).to_bytes(8, "little") + b"[]", "not a safetensors file"),
        ((17 << 20).to_bytes(8, "little") + b"{" + b" " * (18 << 20), "header of 17 MB"),
        ((2).to_bytes(8, "little") + b"{", "incomplete"),
        ((8).to_bytes(8, "little") + b'{"a": 1}', "cannot be read"),
    ],
)
def test_files_that_are_no_safetensors(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "dreamy.safetensors").write_bytes(content)
    finding = fault("dreamy.safetensors", tmp_path)
    assert finding.code == "G527"
    assert says in finding.message


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    for suffix in (".ckpt", ".pt", ".pth", ".bin"):
        path = tmp_path / f"model{suffix}"
        path.write_bytes(b"cposix\nsystem\n(S'touch ran'\ntR.")
        finding = fault(path.name, tmp_path)
        assert finding.code == "G527"
        assert "can run any program" in finding.message
        assert f"P.from_single_file('{path.as_posix()}')" in finding.cure
    assert list(tmp_path.glob("ran")) == []


def test_check_and_plan_tell(grain: Grain, clip: ClipFolder) -> None:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(source='model "dreamy.safetensors"'))
    assert grain("check", path, "--no-files").code == 0
    for content in (b"x", None):
        if content:
            (clip.root / "dreamy.safetensors").write_bytes(content)
        else:
            (clip.root / "dreamy.safetensors").unlink()
        said = grain("check", path, "--format", "json")
        assert said.code == 1
        (finding,) = said.json["files"][0]["diagnostics"]
        assert (finding["code"], finding["line"]) == ("G527" if content else "G502", 3)
        assert grain("plan", path).code == 1
    assert "the file of the model does not exist" in finding["message"]


def test_a_run_of_a_single_file(
    grain: Grain, tiny_sd: Path, single_files: Path, clip: ClipFolder
) -> None:
    with_configuration(tiny_sd, single_files, clip.root)
    path = clip.root / "edit.grain"
    path.write_text(
        clip.spec_text(
            video='video "clip" { frames 0..1 size 64x64 }',
            source='model "mine.safetensors"',
            settings="sampler ddim { steps 2 }",
        )
    )
    assert grain("plan", path).code == 0
    out = clip.root / "out"
    assert grain("run", path, "-o", out, "--device", "cpu").code == 0
    manifest = json.loads((out / "run.json").read_text())
    assert str(clip.root / "mine.safetensors") in json.dumps(manifest)
