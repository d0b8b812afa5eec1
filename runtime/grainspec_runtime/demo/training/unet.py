"""Stage 3: train text encoder and UNet together."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import CLIPTextModel, CLIPTokenizer

from grainspec.whole_file import whole_file
from grainspec_runtime.demo.training.diffusion import Captions, Noising
from grainspec_runtime.demo.training.networks import build_text_encoder, build_unet
from grainspec_runtime.demo.training.trainer import HELD_OUT, Pace, Trainer, descend, to_unit


def encode_renders(trainer: Trainer, vae: AutoencoderKL) -> tuple[Tensor, Tensor]:
    """Encode all frames, then all mirrored frames: posterior means and deviations, float16."""
    means, deviations = [], []
    with torch.inference_mode(), trainer.autocast():
        for mirrored in (False, True):
            for part in trainer.frames_N3HW.split(512):
                x = to_unit(part)
                posterior = vae.encode(x.flip(-1) if mirrored else x).latent_dist
                means.append(posterior.mean.half())
                deviations.append(posterior.std.half())
    trainer.log("latents", count=2 * len(trainer.frames_N3HW))
    return torch.cat(means), torch.cat(deviations)


class TextToLatent(nn.Module):
    """Text encoder and UNet as one module, for one optimizer and one moving average."""

    def __init__(self, text_encoder: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.unet = unet

    def forward(self, noisy: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        """Predict v for noisy latents ``[B, c, h, w]`` and token ids ``[B, T]``."""
        context = self.text_encoder(ids)[0]
        output: Tensor = self.unet(noisy, timesteps, context, return_dict=False)[0]
        return output


def train_unet(
    trainer: Trainer, vae: AutoencoderKL, tokenizer: CLIPTokenizer
) -> TextToLatent | None:
    """Train with v-prediction and uniform timesteps on latents sampled from the VAE's posterior.

    Returns None if ``--stop-after`` stopped it before its last step; the next run resumes there.
    """
    o = trainer.options
    torch.manual_seed(o.seed + 2)
    model = TextToLatent(build_text_encoder(tokenizer), build_unet())
    model = model.to(trainer.device)
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    adam, rates = trainer.optimizer(list(model.parameters()), o.unet_rate, o.unet_steps)
    if o.compile:
        model.unet.compile()
    checkpoint, first = trainer.work / "unet-checkpoint.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=trainer.device, weights_only=True)
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        adam.load_state_dict(state["adam"])
        rates.load_state_dict(state["rates"])
        first = state["step"]
        trainer.log("unet", resumed_at=first)
    means, deviations = encode_renders(trainer, vae)
    captions, noised = Captions(trainer, tokenizer), Noising(trainer.device)
    count = len(trainer.frames_N3HW)
    pace = Pace(trainer, "unet", o.unet_batch)
    step = first
    for step, index in enumerate(
        trainer.batches(o.unet_batch, o.unet_steps, first=first, count=2 * (count - HELD_OUT)),
        start=first,
    ):
        mirrored, row = index % 2, index // 2
        place = mirrored * count + row
        clean = means[place].float() + deviations[place].float() * torch.randn_like(
            means[place], dtype=torch.float32
        )
        noisy, t, wanted = noised(clean)
        with trainer.autocast():
            predicted = model(noisy, t, captions.sample(row))
        loss = F.mse_loss(predicted.float(), wanted)
        descend(loss, adam, rates, clip=1.0)
        ema.update_parameters(model)
        pace.note(step, loss)
        if time.time() - trainer.started > o.stop_after:
            break
    done = step + 1
    if done < o.unet_steps:
        state = {
            "model": model.state_dict(),
            "ema": ema.state_dict(),
            "adam": adam.state_dict(),
            "rates": rates.state_dict(),
            "step": done,
        }
        with whole_file(checkpoint) as partial:
            torch.save(state, partial)
        trainer.log("unet", saved_at=done)
        return None
    model.load_state_dict(ema.module.state_dict())
    return model.eval()
