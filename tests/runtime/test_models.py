"""Finding and loading models, and the errors a user deserves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from clips import ClipFolder
from command import Grain
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from grainspec import GrainError
from grainspec_runtime.backbones.registry import describe, find_model, load_checkpoint
from grainspec_runtime.models.locate import DEMO_FOLDER, find_weights
from grainspec_runtime.models.options import LoadOptions


def code_of(model: str, base: Path, *, weights: bool = True) -> str:
    with pytest.raises(GrainError) as raised:
        found, family = find_model(model, base)
        if weights:
            find_weights(found, base, family.weighted, family.parts[found.pipeline])
    return raised.value.diagnostics[0].code


def test_the_demo_is_a_stock_checkpoint() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(DEMO_FOLDER)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a red robot on grass", num_inference_steps=2, height=96, width=96).images[0]
    assert picture.size == (96, 96)
    size = sum(path.stat().st_size for path in DEMO_FOLDER.rglob("*") if path.is_file())
    assert size < 40e6


def test_facts_of_the_demo() -> None:
    facts = describe("demo", Path())
    assert facts.grids(96, 96) == [(24, 24), (12, 12), (6, 6)]
    assert facts.max_tokens == 48
    assert (facts.native_size.width, facts.training_steps) == (96, 1000)
    spans = facts.tokenize("a red robot")
    assert len(spans) == 48
    assert spans[:5] == [(0, 0), (0, 1), (2, 5), (6, 11), (0, 0)]


def test_facts_of_a_folder_with_another_shape(tiny_sd: Path) -> None:
    facts = describe("tiny-sd", tiny_sd.parent)
    assert facts.pixels_per_latent == 8
    assert facts.grids(128, 64) == [(8, 16), (4, 8), (2, 4), (1, 2)]


def test_facts_need_no_torch() -> None:
    source = (
        "import sys; from pathlib import Path\n"
        "from grainspec_runtime.backbones.registry import describe\n"
        "describe('demo', Path()).tokenize('a red robot')\n"
        "assert not {'torch', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source], check=True)


def test_models_that_are_not_there(tmp_path: Path) -> None:
    assert code_of("./none", tmp_path) == "G502"
    assert code_of("/no/such/folder", tmp_path) == "G502"
    assert code_of("just-a-name", tmp_path) == "G502"
    assert code_of("owner/name", tmp_path) == "G503"  # tests never reach a hub
    (tmp_path / "empty").mkdir()
    assert code_of("empty", tmp_path) == "G502"


def test_models_that_are_not_whole(tiny_sd: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(tiny_sd, tmp_path / name))

    index = json.loads((tiny_sd / "model_index.json").read_text())
    other = copy("other")
    index["_class_name"] = "FluxPipeline"
    (other / "model_index.json").write_text(json.dumps(index))
    assert code_of("other", tmp_path) == "G504"

    (copy("broken") / "model_index.json").write_text("{")
    assert code_of("broken", tmp_path) == "G502"

    pickled = copy("pickled")
    weights = next((pickled / "unet").glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    assert code_of("pickled", tmp_path) == "G502"

    shutil.rmtree(copy("wordless") / "tokenizer")
    with pytest.raises(GrainError, match="tokenizer"):
        describe("wordless", tmp_path)
    assert code_of("~nobody-of-that-name/model", tmp_path) == "G502"

    cut = copy("cut")
    weights = next((cut / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(GrainError, match="G502"):
        load_checkpoint("cut", tmp_path, LoadOptions(device="cpu"))

    for part in ("text_encoder", "unet", "vae"):
        weights = next((copy(f"poor {part}") / part).glob("*.safetensors"))
        tensors = load_file(weights)
        tensors.pop(sorted(tensors)[3])
        save_file(tensors, weights, metadata={"format": "pt"})
        with pytest.raises(GrainError, match="G502"):
            load_checkpoint(f"poor {part}", tmp_path, LoadOptions(device="cpu"))


@pytest.mark.parametrize("left", ["nothing", "a pickle"])
@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_weights_that_are_not_there_are_told_before_loading(
    grain: Grain, tiny_sd: Path, clip: ClipFolder, part: str, left: str
) -> None:
    model = Path(shutil.copytree(tiny_sd, clip.root / "mine"))
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(source='model "mine"'))
    assert "G502" not in grain("check", path, "--format", "json").codes
    (weights,) = (model / part).glob("*.safetensors")
    kept = weights.rename(weights.with_suffix(".bin"))
    if left == "nothing":
        kept.unlink()
    said = grain("check", path, "--format", "json")
    (finding,) = [one for one in said.json["files"][0]["diagnostics"] if one["code"] == "G502"]
    assert (finding["line"], said.code) == (3, 1)
    assert finding["message"] == f"{model / part} has no safetensors weights"
    assert f"{model / part} has no safetensors weights" in grain("plan", path).err
    assert "has no safetensors weights" in grain("run", path, "-o", clip.root / "out").err


def test_dtypes(tiny_sd: Path) -> None:
    checkpoint = load_checkpoint(str(tiny_sd), Path(), LoadOptions(device="cpu"))
    assert (
        checkpoint.dtype
        == checkpoint.pipe.text_encoder.dtype
        == checkpoint.unet.dtype
        == torch.float32
    )
    half = load_checkpoint("demo", Path(), LoadOptions(device="cpu", dtype=torch.bfloat16))
    assert half.encode_prompt("a robot").words.dtype == torch.bfloat16


def test_the_noise_schedule_is_the_checkpoints_own(tiny_sd: Path) -> None:
    """PNDM's configuration says nothing of clipping; DDIM's default would clip latents to 1."""
    scheduler = load_checkpoint(str(tiny_sd), Path(), LoadOptions(device="cpu")).scheduler
    assert not scheduler.config.clip_sample
    assert not scheduler.config.thresholding
    assert scheduler.config.steps_offset == 1
    assert not scheduler.config.set_alpha_to_one
    assert scheduler.config.beta_schedule == "scaled_linear"


def test_weights_saved_as_a_variant_load(tiny_sd: Path, tmp_path: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(tiny_sd)
    pipe.save_pretrained(tmp_path / "half", variant="fp16")
    assert load_checkpoint("half", tmp_path, LoadOptions(device="cpu")).unet.dtype == torch.float32
