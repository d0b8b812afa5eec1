"""Time a training step of each stage on this device, on random clips.

    python -m grainspec_runtime.demo.video_training.speed --convolution taps --compile

It takes the options of the training itself, and prints milliseconds a step and the memory at most.
Run it with and without ``--compile``, and with both kinds of ``--convolution``, before a long
training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from grainspec_runtime.demo.video_training.flow import TextToClip
from grainspec_runtime.demo.video_training.networks import (
    build_text_encoder,
    build_transformer,
    build_vae,
)
from grainspec_runtime.demo.video_training.options import options
from grainspec_runtime.demo.video_training.run import Run
from grainspec_runtime.demo.video_training.tokenizer import build_tokenizer
from grainspec_runtime.demo.video_training.vae import reconstruction_losses
from grainspec_runtime.demo.video_training.whole_clip import whole_clips
from grainspec_runtime.demo.video_training.words import ids_of

_STEPS = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each stage."""
    run = Run(options(__doc__ or "", ["--out", "speed", *(arguments or [])]))
    torch.backends.cudnn.benchmark = True
    o = run.options
    vae = build_vae(o).to(run.device)
    losses = reconstruction_losses
    if o.compile:
        losses = torch.compile(losses, dynamic=False)

    def reconstruct(clips: Tensor) -> Tensor:
        return losses(o, vae, clips, clips[:, :1].sign())[0]

    with whole_clips(vae, o.convolution):
        for stage, batch, frames in (
            ("vae frames", o.frame_batch, 1),
            ("vae clips", o.clip_batch, o.frames),
        ):
            clips = torch.rand((batch, frames, o.size, o.size, 3), device=run.device) * 2 - 1
            clips = clips.permute(0, 4, 1, 2, 3)
            _time(run, stage, batch, partial(reconstruct, clips))
    tokenizer = build_tokenizer()
    model = TextToClip(build_text_encoder(o, tokenizer), build_transformer(o)).to(run.device)
    if o.compile:
        for block in model.transformer.blocks:
            block.compile(dynamic=False)
    frames = (o.frames - 1) // o.frames_per_latent + 1
    shape = (o.flow_batch, o.latent_channels, frames, o.size // 4, o.size // 4)
    noisy, ids = torch.randn(shape, device=run.device), ids_of(["a red cat on snow"], tokenizer)
    ids = ids.expand(o.flow_batch, -1).to(run.device)
    sigma = torch.rand(o.flow_batch, device=run.device)
    _time(run, "flow", o.flow_batch, lambda: model(noisy, sigma, ids).float().square().mean())


def _time(run: Run, stage: str, batch: int, loss: Callable[[], Tensor]) -> None:
    """Time forward and backward passes, after three that warm up."""
    began = time.time()
    for step in range(_STEPS + 3):
        if step == 3:
            run.synchronize()
            warm = time.time()
        with run.autocast():
            value = loss()
        value.backward()
    run.synchronize()
    milliseconds = 1000 * (time.time() - warm) / _STEPS
    memory = torch.cuda.max_memory_allocated() / 1e9 if run.device.type == "cuda" else 0.0
    run.log("speed", of=stage, batch=batch, ms=milliseconds, warm_up=warm - began, gigabytes=memory)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
