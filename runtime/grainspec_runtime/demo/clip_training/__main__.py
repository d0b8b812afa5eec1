"""Train the demo world's CLIP: render, train, save.

    python -m grainspec_runtime.demo.clip_training --out demo-clip

Frames are renders of random scenes and frames of random clips, some as the image model's VAE
decodes them, and some close-ups of one figure. Training writes a checkpoint every minute and
resumes from it; ``log.jsonl`` has the loss and the retrieval on held-out scenes. The result is a
``CLIPModel`` in transformers' format with its tokenizer and image processor, float16 safetensors.

The defaults are for a GPU, where training takes about six minutes. The shipped weights were trained
on one CPU core in 33 minutes, with ``--renders 24000 --decoded 0.05 --patch 12 --batch 256 --steps
1800``.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from grainspec_runtime.demo.clip_training.networks import save_clip
from grainspec_runtime.demo.clip_training.training import train_clip
from grainspec_runtime.demo.training.tokenizer import build_tokenizer
from grainspec_runtime.demo.training.trainer import Trainer


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, help="folder for the model")
    parser.add_argument(
        "--work", default="clip-training", help="folder for the log and the checkpoint"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--renders", type=int, default=120_000, help="frames to train on")
    parser.add_argument(
        "--decoded", type=float, default=0.4, help="share of the frames that the VAE decodes"
    )
    parser.add_argument("--held-out", type=int, default=320, help="held-out scenes of each kind")
    parser.add_argument("--patch", type=int, choices=(8, 12), default=8, help="side of a patch")
    parser.add_argument("--steps", type=int, default=8_000)
    parser.add_argument("--batch", type=int, default=512, help="frames of a step, an even number")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument(
        "--judge-every", type=int, default=1_000, help="steps between held-out measures"
    )
    parser.add_argument("--save-every", type=float, default=60, help="seconds between checkpoints")
    parser.add_argument(
        "--compile", action="store_true", help="use torch.compile, which is faster on a GPU"
    )
    parser.add_argument(
        "--stop-after",
        type=float,
        default=math.inf,
        help="stop after this many seconds, with a checkpoint to resume from",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Render, train and save; an existing model is left alone."""
    trainer = Trainer(options(arguments))
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    folder = Path(trainer.options.out)
    if (folder / "config.json").exists():
        trainer.log("saved", folder=str(folder))
        return
    tokenizer = build_tokenizer()
    model = train_clip(trainer, tokenizer)
    if model is not None:
        trainer.log("saved", folder=str(folder), bytes=save_clip(model, tokenizer, folder))


if __name__ == "__main__":
    main()
