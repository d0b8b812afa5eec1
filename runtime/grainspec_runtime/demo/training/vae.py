"""Stage 1: train the VAE."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from grainspec_runtime.demo.training.networks import build_vae
from grainspec_runtime.demo.training.trainer import HELD_OUT, Trainer, descend, psnr, to_unit
from grainspec_runtime.whole_folder import whole_folder


def train_vae(trainer: Trainer) -> AutoencoderKL:
    """Train with L1 on pixels and their gradients and a small KL term, then normalise latents."""
    folder = trainer.out / "vae"
    if (folder / "diffusion_pytorch_model.safetensors").exists():
        return AutoencoderKL.from_pretrained(folder).to(trainer.device)
    o = trainer.options
    torch.manual_seed(o.seed)
    vae = build_vae().to(trainer.device)
    ema = AveragedModel(vae, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    adam, rates = trainer.optimizer(list(vae.parameters()), 1.5e-3, o.vae_steps)
    if o.compile:
        vae.encoder.compile()
        vae.decoder.compile()
    frames = trainer.frames_N3HW
    seen = len(frames) - HELD_OUT
    for step, index in enumerate(trainer.batches(o.vae_batch, o.vae_steps, count=seen)):
        x = to_unit(frames[index])
        if step % 2:
            x = x.flip(-1)
        with trainer.autocast():
            posterior = vae.encode(x).latent_dist
            mean, logvar = posterior.mean.float(), posterior.logvar.float()
            z = mean + torch.randn_like(mean) * (0.5 * logvar).exp()
            y = vae.decode(z).sample.float()
        error = (y - x).abs().mean()
        edges = sum((y.diff(dim=d) - x.diff(dim=d)).abs().mean() for d in (-1, -2))
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        loss = error + edges + o.kl_weight * kl
        descend(loss, adam, rates, clip=1.0)
        ema.update_parameters(vae)
        if step % 500 == 499 or step + 1 == o.vae_steps:
            trainer.log("vae", step=step + 1, l1=error.item(), kl=kl.item())
    vae.load_state_dict(ema.module.state_dict())
    normalise_latents(vae, frames[:4096])
    with torch.inference_mode():
        held = to_unit(frames[-512:])
        posterior = vae.encode(held).latent_dist
        quality = psnr(vae.decode(posterior.mean).sample, held)
        trainer.log(
            "vae",
            held_out_psnr=quality,
            latent_std=posterior.mean.std().item(),
            posterior_std=posterior.std.mean().item(),
        )
    with whole_folder(folder) as partial:
        vae.save_pretrained(partial)
    return vae


@torch.no_grad()
def normalise_latents(vae: AutoencoderKL, frames: Tensor) -> None:
    """Give every latent channel mean 0 and standard deviation 1, within the VAE's own weights.

    ``quant_conv`` outputs the posterior's moments and ``post_quant_conv`` takes the latents, so an
    affine change of the latents can be folded into their weights. Stock code needs no special case.
    """
    parts = [vae.encode(to_unit(f)).latent_dist.mean for f in frames.split(256)]
    latents = torch.cat(parts)
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    channels = len(mean)
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:channels] /= std[:, None, None, None]
    quant.bias[:channels] = (quant.bias[:channels] - mean) / std
    quant.bias[channels:] -= 2 * std.log()
    post.bias += (post.weight[:, :, 0, 0] * mean).sum(1)
    post.weight *= std[None, :, None, None]
