"""Stages 2 and 3: train the VAE, first on single frames, then on whole clips.

Dimensions: B clips, T frames of H x W pixels, z latent channels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file
from torch import Tensor

from grainspec_runtime.demo.training.trainer import save_half
from grainspec_runtime.demo.video_training.footage import Footage, Library
from grainspec_runtime.demo.video_training.loop import Loop, Schedule
from grainspec_runtime.demo.video_training.networks import build_vae, parameters_of
from grainspec_runtime.demo.video_training.quality import reconstruction
from grainspec_runtime.demo.video_training.run import Run
from grainspec_runtime.demo.video_training.whole_clip import decode, encode, whole_clips


def train_frames(run: Run, library: Library) -> AutoencoderKLWan:
    """Train a new VAE on single frames, which are an image VAE's whole task.

    The result, ``vae-frames.safetensors`` in ``--work``, is where training on clips begins. It also
    serves another ``--frames-per-latent``: the convolutions that change it learn nothing here.
    """
    o = run.options
    torch.manual_seed(o.seed)
    vae = build_vae(o).to(run.device)
    path = run.work / "vae-frames.safetensors"
    if path.exists():
        missing, unknown = vae.load_state_dict(load_file(path), strict=False)
        if any("time_conv" not in name for name in (*missing, *unknown)):
            raise ValueError(f"{path} is of a VAE with other settings")
        return vae
    run.log("vae frames", parameters=parameters_of(vae))
    footage, batch = library.first, o.frame_batch // run.ranks

    def drawn(step: int) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(footage), (batch,), device=run.device)
        frame = torch.randint(o.frames, (batch,), device=run.device)
        return footage.frames(index, frame, mirrored=bool(step % 2))

    schedule = Schedule(o.frame_steps, o.frame_minutes, o.frame_rate, decay=o.vae_decay)
    _train(run, "vae frames", vae, schedule, drawn, library.held)
    if run.is_first:
        save_half(vae, path)
    return vae


def train_clips(run: Run, library: Library, vae: AutoencoderKLWan) -> AutoencoderKLWan:
    """Train a VAE on whole clips."""
    o, footage = run.options, library.clips
    batch = o.clip_batch // run.ranks

    def drawn(step: int) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(footage), (batch,), device=run.device)
        return footage.clips(index, mirrored=bool(step % 2))

    schedule = Schedule(o.clip_steps, o.clip_minutes, o.clip_rate, decay=o.vae_decay)
    _train(run, "vae clips", vae, schedule, drawn, library.held)
    return vae


def _train(
    run: Run,
    stage: str,
    vae: AutoencoderKLWan,
    schedule: Schedule,
    drawn: Callable[[int], tuple[Tensor, Tensor]],
    held: Footage,
) -> None:
    """Train a VAE in place on clips and their figures, as ``drawn`` for each step."""
    o = run.options
    loop = Loop(run, stage, vae.train(), schedule)
    losses = reconstruction_losses
    if o.compile:
        losses = torch.compile(losses, dynamic=False)
    with whole_clips(vae, o.convolution), whole_clips(loop.average, o.convolution):
        for step in loop:
            clips, figures = drawn(step)
            with run.autocast():
                loss, kl = losses(o, vae, clips, figures)
            loop.descend(loss)
            if loop.is_due:
                loop.pause()
                measured = reconstruction(partial(round_trip, loop.average), held, o.measured)
                loop.log(kl=kl.item(), **measured)
    loop.finish()
    vae.eval()


def reconstruction_losses(
    o: argparse.Namespace, vae: AutoencoderKLWan, clips: Tensor, figures: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss of a VAE on clips ``[B, 3, T, H, W]``, and its KL term.

    The error ``e`` of the decoded clip counts as |e|, as e squared, and as the absolute differences
    of ``e`` between neighbours in space (edges) and time (motion); more at the pixels of figures.
    For use in ``whole_clips``.
    """
    mean, logvar = encode(vae, clips)
    mean, logvar = mean.float(), logvar.float()
    z = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
    error = decode(vae, z).float() - clips
    weight = 1 + (o.figure_weight - 1) * figures
    loss = (weight * error.abs()).mean() + o.square_weight * (weight * error.square()).mean()
    for dim, share in ((-1, o.edge_weight), (-2, o.edge_weight), (-3, o.motion_weight)):
        length = error.shape[dim] - 1
        if length and share:
            change = error.diff(dim=dim).abs()
            loss = loss + share * (weight.narrow(dim, 1, length) * change).mean()
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    return loss + o.kl_weight * kl, kl


def round_trip(vae: AutoencoderKLWan, clips: Tensor) -> Tensor:
    """Encode clips to the posterior's means, and decode these; for use in ``whole_clips``."""
    return decode(vae, encode(vae, clips)[0])
