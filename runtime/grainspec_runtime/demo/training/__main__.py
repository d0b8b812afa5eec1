"""Train the demo model from scratch: VAE, judge, UNet with text encoder, phrases, and poses.

    python -m grainspec_runtime.demo.training --out demo-model

Each stage writes its result and is skipped if the result exists; the UNet stage also resumes from
its last checkpoint. The result is a folder in diffusers' format, float16 safetensors, that
``from_pretrained`` loads.

The defaults are those of the shipped weights; training takes about 35 minutes on one H200 or H100.
On a CPU, divide ``--renders``, ``--vae-steps`` and ``--unet-steps`` by twenty: training then takes
some hours on two cores, and samples are blurrier.
"""

from __future__ import annotations

import argparse
import math
import os

import torch

from grainspec_runtime.demo.training.help import HelpWithDefaults
from grainspec_runtime.demo.training.judge import train_judge
from grainspec_runtime.demo.training.phrases import tune_clip_phrases
from grainspec_runtime.demo.training.pose import PoseTrainer
from grainspec_runtime.demo.training.save import save_pipeline
from grainspec_runtime.demo.training.tokenizer import build_tokenizer
from grainspec_runtime.demo.training.trainer import Trainer
from grainspec_runtime.demo.training.unet import train_unet
from grainspec_runtime.demo.training.vae import train_vae


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpWithDefaults)
    parser.add_argument("--out", required=True, help="folder for the model")
    parser.add_argument(
        "--work", default="demo-training", help="folder for the log, renders and checkpoints"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--renders", type=int, default=160_000)
    parser.add_argument("--kl-weight", type=float, default=5e-4, help="weight of the VAE's KL term")
    parser.add_argument("--vae-steps", type=int, default=5_500)
    parser.add_argument("--vae-batch", type=int, default=64)
    parser.add_argument("--judge-steps", type=int, default=2_500)
    parser.add_argument("--phrase-steps", type=int, default=3_000)
    parser.add_argument("--unet-steps", type=int, default=6_300)
    parser.add_argument("--unet-batch", type=int, default=512)
    parser.add_argument("--unet-rate", type=float, default=1e-3)
    parser.add_argument(
        "--posed", type=int, default=121_000, help="renders for pose detector and ControlNet"
    )
    parser.add_argument("--detector-steps", type=int, default=3_000)
    parser.add_argument("--control-steps", type=int, default=12_000)
    parser.add_argument("--control-batch", type=int, default=256)
    parser.add_argument(
        "--compile", action="store_true", help="use torch.compile, which is faster on a GPU"
    )
    parser.add_argument(
        "--stop-after",
        type=float,
        default=math.inf,
        help="stop the UNet stage after this many seconds, with a checkpoint to resume from",
    )
    return parser.parse_args()


def main() -> None:
    """Run every stage whose result does not exist yet."""
    trainer = Trainer(options())
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    if not (trainer.out / "model_index.json").exists() and not train_backbone(trainer):
        return  # stopped by --stop-after; the next run resumes
    poses = PoseTrainer(trainer)
    poses.train_detector()
    poses.train_controlnet()


def train_backbone(trainer: Trainer) -> bool:
    """Train the pipeline and the judge; False if ``--stop-after`` stopped the training early."""
    vae = train_vae(trainer).eval()
    train_judge(trainer)
    tokenizer = build_tokenizer()
    model = train_unet(trainer, vae, tokenizer)
    if model is None:
        return False
    tune_clip_phrases(trainer, model.text_encoder, tokenizer)
    save_pipeline(trainer, model, tokenizer)
    return True


if __name__ == "__main__":
    main()
