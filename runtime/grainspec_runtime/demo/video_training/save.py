"""Save VAE and pipeline in diffusers' format, float16."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from diffusers import AutoencoderKLWan, WanPipeline
from transformers import PreTrainedTokenizerBase

from grainspec_runtime.demo.video_training.flow import TextToClip
from grainspec_runtime.demo.video_training.networks import build_scheduler
from grainspec_runtime.demo.video_training.run import Run
from grainspec_runtime.whole_folder import whole_folder

_INDEX = "model_index.json"


def save_vae(run: Run, vae: AutoencoderKLWan) -> None:
    """Write the VAE to its folder in ``--out``, in float16."""
    halves = AutoencoderKLWan.from_config(vae.config)
    halves.load_state_dict(vae.state_dict())
    with whole_folder(run.out / "vae") as partial:
        halves.half().save_pretrained(partial)


def save_pipeline(run: Run, model: TextToClip, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write a stock ``WanPipeline`` to ``--out``, which has the VAE.

    ``model_index.json`` is written last, so that a folder which contains it is complete.
    """
    made = run.work / "pipeline"
    shutil.rmtree(made, ignore_errors=True)
    pipe = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=model.text_encoder.half().cpu(),
        vae=AutoencoderKLWan.from_pretrained(run.out / "vae").half(),
        scheduler=build_scheduler(run.options),
        transformer=model.transformer.half().cpu(),
    )
    pipe.save_pretrained(made)
    for part in ("vae", "transformer"):
        _change(made / part / "config.json", {"_name_or_path": None})
    # transformers 4 names the class otherwise: its T5Tokenizer needs a file that this one lacks.
    _change(made / _INDEX, {"tokenizer": ["transformers", "T5TokenizerFast"]})
    shutil.copytree(made, run.out, ignore=lambda *_: [_INDEX], dirs_exist_ok=True)
    shutil.copy(made / _INDEX, run.out)
    shutil.rmtree(made)
    files = [path for path in run.out.rglob("*") if path.is_file()]
    run.log("saved", folder=str(run.out), megabytes=sum(p.stat().st_size for p in files) / 1e6)


def _change(path: Path, settings: dict[str, object]) -> None:
    """Change settings in a JSON file; those that are None are removed."""
    facts = {**json.loads(path.read_text()), **settings}
    kept = {name: value for name, value in facts.items() if name not in settings or value}
    path.write_text(json.dumps(kept, indent=2) + "\n")
