"""The options of `python -m grainspec_runtime.demo.video_training`."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence

import torch

from grainspec_runtime.demo.training.help import HelpWithDefaults


def options(description: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=HelpWithDefaults)
    for add in (_run, _clips, _vae, _vae_training, _model, _flow_training):
        add(parser)
    return parser.parse_args(arguments)


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, help="folder for the model")
    parser.add_argument(
        "--work", default="video-training", help="folder for the log, clips and checkpoints"
    )
    parser.add_argument("--export", help="folder for averaged weights and pictures, while training")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="use torch.compile; for GPUs")
    parser.add_argument("--log-every", type=int, default=250, help="steps between measurements")
    parser.add_argument("--save-every", type=float, default=180, help="seconds between checkpoints")
    parser.add_argument("--export-every", type=float, default=180, help="seconds between exports")
    parser.add_argument("--until", choices=("frames", "vae", "flow"), help="stop after this stage")
    parser.add_argument(
        "--stop-after",
        type=float,
        default=math.inf,
        help="stop after this many seconds, with a checkpoint to resume from",
    )


def _clips(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clips")
    group.add_argument("--clips", type=int, default=20_480)
    group.add_argument(
        "--first-clips", type=int, default=4096, help="clips to begin with; the others follow"
    )
    group.add_argument("--held-out", type=int, default=256, help="clips held out from training")
    group.add_argument("--measured", type=int, default=64, help="of these, measured while training")
    group.add_argument("--frames", type=int, default=17, help="frames of a clip")
    group.add_argument("--size", type=int, default=96, help="width and height in pixels")


def _vae(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("VAE")
    group.add_argument("--vae-width", type=int, default=24, help="channels of the encoder's first")
    group.add_argument("--decoder-width", type=int, default=24, help="of the decoder's last level")
    group.add_argument(
        "--vae-levels",
        type=int,
        nargs=3,
        default=[1, 2, 3],
        help="channels of the three levels, as multiples of the width",
    )
    group.add_argument("--latent-channels", type=int, default=16)
    group.add_argument(
        "--frames-per-latent",
        type=int,
        choices=(2, 4),
        default=4,
        help="2 reconstructs better, and has 1.8 times as many latent tokens",
    )
    group.add_argument(
        "--residual", action="store_true", help="shortcuts as in Wan 2.2's VAE, with levels 1 2 2"
    )
    group.add_argument(
        "--convolution",
        choices=("taps", "conv3d"),
        default="taps",
        help="how to compute 3D convolutions: see whole_clip.py, and time both with speed.py",
    )


def _vae_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training of the VAE")
    group.add_argument("--frame-steps", type=int, default=6000, help="0 for --frame-minutes")
    group.add_argument("--frame-minutes", type=float, default=4)
    group.add_argument("--frame-batch", type=int, default=128, help="frames of a step")
    group.add_argument("--frame-rate", type=float, default=2e-3, help="learning rate")
    group.add_argument("--clip-steps", type=int, default=8000, help="0 for --clip-minutes")
    group.add_argument("--clip-minutes", type=float, default=16)
    group.add_argument("--clip-batch", type=int, default=24, help="clips of a step")
    group.add_argument("--clip-rate", type=float, default=1e-3, help="learning rate")
    group.add_argument("--vae-decay", type=float, default=0.999, help="of the averaged weights")
    group.add_argument("--kl-weight", type=float, default=2e-4)
    group.add_argument("--edge-weight", type=float, default=1.0, help="differences in space")
    group.add_argument("--motion-weight", type=float, default=0.5, help="differences in time")
    group.add_argument("--square-weight", type=float, default=2.0, help="squared errors")
    group.add_argument("--figure-weight", type=float, default=3.0, help="pixels of figures")
    group.add_argument(
        "--scaled-clips", type=int, default=2048, help="clips that the latents' scale is taken from"
    )


def _model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("transformer and text encoder")
    group.add_argument("--layers", type=int, default=8)
    group.add_argument("--width", type=int, default=256, help="a multiple of 64")
    group.add_argument("--ffn-width", type=int, default=896)
    group.add_argument("--text-layers", type=int, default=3)
    group.add_argument("--text-width", type=int, default=128)
    group.add_argument("--shift", type=float, default=3.0, help="of the noise levels")


def _flow_training(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("training of transformer and text encoder")
    group.add_argument("--flow-start", help="weights to begin with: flow.safetensors of an export")
    group.add_argument("--flow-steps", type=int, default=14_000, help="0 for --flow-minutes")
    group.add_argument("--flow-minutes", type=float, default=18)
    group.add_argument("--flow-batch", type=int, default=128, help="clips of a step")
    group.add_argument("--flow-rate", type=float, default=1e-3, help="learning rate")
    group.add_argument("--flow-decay", type=float, default=0.9995, help="of the averaged weights")
    group.add_argument(
        "--uniform",
        type=float,
        default=0.3,
        help="share of uniform noise levels; else logit-normal",
    )
    group.add_argument("--phrase-steps", type=int, default=3000)
