"""What people paste after `model`: each is what it means, or an error with the cure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from model_findings import check_model
from safetensors.numpy import save_file

from grainspec import GrainError, parse
from grainspec.diagnostics import Diagnostic
from grainspec_runtime.backbones.registry import describe, find_model
from grainspec_runtime.models.address import HubAddress, read_address
from grainspec_runtime.models.locate import locate


def fault(model: str, base: Path) -> Diagnostic:
    with pytest.raises(GrainError) as raised:
        find_model(model, base)
    return raised.value.diagnostics[0]


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("owner/name", None),
        (" owner/name ", None),
        ("owner/name@fp16", "fp16"),
        ("owner/name@refs/pr/3", "refs/pr/3"),
        ("https://huggingface.co/owner/name", None),
        ("https://huggingface.co/owner/name/", None),
        ("http://www.huggingface.co/owner/name", None),
        ("https://huggingface.co/owner/name?library=diffusers", None),
        ("https://huggingface.co/owner/name/tree/main", None),
        ("https://huggingface.co/owner/name/tree/fp16", "fp16"),
        ("https://huggingface.co/owner/name/discussions/4", None),
        ("https://hf.co/owner/name", None),
        ("https://hf-mirror.com/owner/name", None),
        ("huggingface.co/owner/name", None),
        ("hf.co/owner/name", None),
        ("hf://owner/name", None),
        ("hf://models/owner/name", None),
        ("hf://owner/name@v2", "v2"),
        ("https://huggingface.co/owner/name.git", None),
        ("git clone https://huggingface.co/owner/name", None),
        ("git@hf.co:owner/name.git", None),
    ],
)
def test_addresses_of_the_hub(text: str, revision: str | None) -> None:
    assert read_address(text, "the model") == HubAddress("owner/name", revision)


@pytest.mark.parametrize(
    ("text", "code", "cure"),
    [
        (
            "https://huggingface.co/owner/name/blob/main/a/x.safetensors",
            "G503",
            "`hf download owner/name a/x.safetensors --local-dir .`, and write `a/x.safetensors`",
        ),
        (
            "https://huggingface.co/owner/name/resolve/fp16/x.safetensors?download=true",
            "G503",
            "`hf download owner/name x.safetensors --revision fp16 --local-dir .`",
        ),
        ("https://huggingface.co/owner/name/tree/main/unet", "G503", "`owner/name`"),
        ("https://huggingface.co/owner", "G503", "`owner/name`"),
        ("https://huggingface.co/datasets/owner/name", "G503", "id of a model"),
        ("https://huggingface.co/spaces/owner/name", "G503", "id of a model"),
        ("https://civitai.com/models/4384?modelVersionId=1", "G503", "SafeTensor"),
        ("civitai.com/models/4384", "G503", "SafeTensor"),
        ("https://example.com/model.safetensors", "G503", "path of its folder or safetensors"),
        ("s3://bucket/model", "G503", "path of its folder"),
        ("models\\sd15", "G502", "`models/sd15`"),
        ("C:\\Users\\me\\sd15", "G502", "`/mnt/c/Users/me/sd15`"),
        ("D:/models/sd15.safetensors", "G502", "`/mnt/d/models/sd15.safetensors`"),
        ("just-a-name", "G502", "a hub id"),
        ("./owner/name", "G502", "a hub id"),
        ("file:///no/such/folder", "G502", "a hub id"),
        ("runwayml/stable-diffusion-v1-5", "G503", "`stable-diffusion-v1-5/stable-"),
        ("sd\0", "G502", "a hub id"),
        ("x" * 5000, "G502", "a hub id"),
    ],
)
def test_other_addresses(text: str, code: str, cure: str, tmp_path: Path) -> None:
    finding = fault(text, tmp_path)
    assert finding.code == code
    assert cure in finding.cure


def test_paths_come_first(tiny_sd: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_sd, tmp_path / "owner" / "name")
    assert locate("owner/name", tmp_path).folder == tmp_path / "owner" / "name"
    shutil.copytree(tiny_sd, tmp_path / "my models")
    address = (tmp_path / "my models").as_uri()
    assert "%20" in address
    assert describe(address, Path("/")).level_count == 4


def test_folders_that_are_near_a_model(tiny_sd: Path, tmp_path: Path) -> None:
    def cure(name: str) -> str:
        finding = fault(name, tmp_path)
        assert finding.code == "G502"
        return finding.cure

    cached = tmp_path / "models--owner--name" / "snapshots" / "abc"
    shutil.copytree(tiny_sd, cached)
    assert f'`model "{cached.as_posix()}"`' in cure("models--owner--name")
    shutil.copytree(tiny_sd, tmp_path / "all" / "sd")
    assert f'`model "{(tmp_path / "all" / "sd").as_posix()}"`' in cure("all")
    shutil.copytree(tiny_sd / "unet", tmp_path / "unet")
    assert "one UNet2DConditionModel" in cure("unet")
    (tmp_path / "files").mkdir()
    save_file({}, tmp_path / "files" / "x.safetensors")
    assert f'`model "{(tmp_path / "files" / "x.safetensors").as_posix()}"`' in cure("files")


def test_a_clone_without_its_files(tiny_sd: Path, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    clone = Path(shutil.copytree(tiny_sd, tmp_path / "clone"))
    next((clone / "unet").glob("*.safetensors")).write_text(pointer)
    from grainspec_runtime.backbones.registry import load_checkpoint

    with pytest.raises(GrainError, match=r"G502: .*Git LFS pointer.*git lfs pull"):
        load_checkpoint("clone", tmp_path)
    (clone / "vae" / "config.json").write_text(pointer)
    with pytest.raises(GrainError, match=r"G502: .*Git LFS pointer.*git lfs pull"):
        describe("clone", tmp_path)


def test_check_says_nothing_of_what_is_only_partly_cached(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    spec = parse(
        'grain 1 video "c" model "owner/name" target "a bear" region r = all edit r -> "bear"'
    )
    assert check_model(spec, tmp_path) == []
    repository = tmp_path / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    snapshot = repository / "snapshots" / "abc"
    (snapshot / "unet").mkdir(parents=True)
    assert check_model(spec, tmp_path) == []
    shutil.copy(tiny_sd / "model_index.json", snapshot)
    assert check_model(spec, tmp_path) == []
    shutil.copytree(tiny_sd, snapshot, dirs_exist_ok=True)
    assert check_model(spec, tmp_path) == []
    (snapshot / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert [finding.code for finding in check_model(spec, tmp_path)] == ["G504"]
