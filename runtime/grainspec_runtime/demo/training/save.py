"""Save the trained model as one folder in diffusers' format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from grainspec_runtime.demo.training.networks import build_scheduler
from grainspec_runtime.demo.training.trainer import Trainer
from grainspec_runtime.demo.training.unet import TextToLatent

_INDEX = "model_index.json"


def save_pipeline(trainer: Trainer, model: TextToLatent, tokenizer: CLIPTokenizer) -> None:
    """Write the pipeline, with VAE and UNet in float16; the judge was saved by its own stage.

    ``model_index.json`` is written last, so that a folder which contains it is complete.
    """
    made = trainer.work / "pipeline"
    vae = AutoencoderKL.from_pretrained(trainer.out / "vae")
    pipe = StableDiffusionPipeline(
        vae=vae.half(),
        # float32: transformers keeps the stored dtype and diffusers loads float32; both must agree
        text_encoder=model.text_encoder.float().cpu(),
        tokenizer=tokenizer,
        unet=model.unet.half().cpu(),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(made)
    # Older versions of transformers read these two files instead of tokenizer.json.
    bpe = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (made / "tokenizer" / "vocab.json").write_text(json.dumps(bpe["vocab"], ensure_ascii=False))
    merges = "\n".join(" ".join(pair) for pair in bpe["merges"])
    (made / "tokenizer" / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    _name_as_checkpoints_do(made / "text_encoder" / "model.safetensors")
    config = made / "vae" / "config.json"
    facts = json.loads(config.read_text())
    facts.pop("_name_or_path", None)
    config.write_text(json.dumps(facts, indent=2) + "\n")
    shutil.copytree(made, trainer.out, ignore=lambda *_: [_INDEX], dirs_exist_ok=True)
    shutil.copy(made / _INDEX, trainer.out)
    shutil.rmtree(made)
    trainer.log("saved", folder=str(trainer.out))


def _name_as_checkpoints_do(weights: Path) -> None:
    """Give the text encoder's weights the name prefix that Stable Diffusion checkpoints have.

    transformers 5 saves without the prefix and reads both; transformers 4 requires it.
    """
    prefix = "text_model."
    named = {prefix + k.removeprefix(prefix): v for k, v in load_file(weights).items()}
    save_file(named, weights, metadata={"format": "pt"})
