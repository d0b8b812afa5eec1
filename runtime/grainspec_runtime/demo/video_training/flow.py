"""Stage 6: train transformer and text encoder together, by flow matching.

Dimensions: B clips, z channels, t latent frames, h x w latents, T text tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

from grainspec_runtime.demo.training.trainer import save_half
from grainspec_runtime.demo.video_training.footage import Library
from grainspec_runtime.demo.video_training.latents import Latents, encode_clips
from grainspec_runtime.demo.video_training.loop import Loop, Schedule
from grainspec_runtime.demo.video_training.networks import (
    build_text_encoder,
    build_transformer,
    parameters_of,
)
from grainspec_runtime.demo.video_training.run import Run
from grainspec_runtime.demo.video_training.words import (
    Captions,
    encode_text,
    pad_text,
    padding_scores,
)

_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""The sigmas at which held-out clips are measured."""


class TextToClip(nn.Module):
    """Text encoder and transformer as one module, for one optimizer and one moving average."""

    def __init__(self, text_encoder: UMT5EncoderModel, transformer: WanTransformer3DModel) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.transformer = transformer
        self._padding = pad_text(transformer)

    def forward(self, noisy_Bzthw: Tensor, sigma_B: Tensor, ids_BT: Tensor) -> Tensor:
        """Predict the velocity at noise levels ``sigma`` for token ids."""
        words_BTC, attended_BT = encode_text(self.text_encoder, ids_BT)
        self._padding.scores_B11T = padding_scores(attended_BT)
        velocity: Tensor = self.transformer(
            noisy_Bzthw, 1000 * sigma_B, words_BTC, return_dict=False
        )[0]
        return velocity


def train_flow(
    run: Run, library: Library, vae: AutoencoderKLWan, tokenizer: PreTrainedTokenizerBase
) -> TextToClip:
    """Train on the latents of all clips: rectified flow (Liu et al.), v = noise - clip.

    The result is also written to ``flow.safetensors`` in ``--work``.
    """
    o = run.options
    torch.manual_seed(o.seed + 2)
    model = TextToClip(build_text_encoder(o, tokenizer), build_transformer(o)).to(run.device)
    path = run.work / "flow.safetensors"
    if path.exists():
        model.load_state_dict(load_file(path))
        return model.eval()
    if o.flow_start:
        model.load_state_dict(load_file(o.flow_start))
    run.log("flow", parameters=parameters_of(model))
    latents = encode_clips(run, vae, library.clips)
    captions = Captions(library.clips.captions, tokenizer, run.device)
    measure = HeldOut(run, encode_clips(run, vae, library.held), library, tokenizer)
    schedule = Schedule(o.flow_steps, o.flow_minutes, o.flow_rate, decay=o.flow_decay)
    loop = Loop(run, "flow", model.train(), schedule)
    if o.compile:
        for block in model.transformer.blocks:
            block.compile(dynamic=False)
    batch, count = o.flow_batch // run.ranks, len(library.clips)
    for _ in loop:
        rows = torch.randint(2 * count, (batch,), device=run.device)  # half of them mirrored
        clean, sigma = latents.sample(rows), random_levels(batch, o.uniform, o.shift, run.device)
        noise = torch.randn_like(clean)
        noisy = torch.lerp(clean, noise, sigma.view(-1, 1, 1, 1, 1))
        with run.autocast():
            velocity = model(noisy, sigma, captions.sample(rows % count))
        loop.descend(F.mse_loss(velocity.float(), noise - clean))
        if loop.is_due:
            loop.pause()
            loop.log(held_out=measure(loop.average))
    loop.finish()
    if run.is_first:
        save_half(model, path)
    return model.eval()


def random_levels(count: int, uniform: float, shift: float, device: torch.device) -> Tensor:
    """Draw noise levels sigma ``[count]`` in (0, 1).

    They are logit-normal, or uniform for a share ``uniform`` of them, and then shifted as the
    scheduler shifts its own: ``s u / (1 + (s - 1) u)``.
    """
    level = torch.randn(count, device=device).sigmoid()
    flat = torch.rand(count, device=device) < uniform
    level = torch.where(flat, torch.rand(count, device=device), level)
    return shift * level / (1 + (shift - 1) * level)


class HeldOut:
    """The loss on held-out clips, always with the same noise, at fixed noise levels."""

    def __init__(
        self, run: Run, latents: Latents, library: Library, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        held = library.held
        count = min(run.options.measured, len(held))
        self._run = run
        self._clean = latents.means[:count].float()
        generator = torch.Generator().manual_seed(1)
        self._noise = torch.randn(self._clean.shape, generator=generator).to(run.device)
        captions = Captions(held.captions, tokenizer, run.device)
        self._ids = captions.first(torch.arange(count, device=run.device))

    @torch.no_grad()
    def __call__(self, model: TextToClip) -> float:
        """Return the mean loss of a model."""
        losses = []
        for sigma in _LEVELS:
            noisy = torch.lerp(self._clean, self._noise, sigma)
            levels = torch.full((len(noisy),), sigma, device=noisy.device)
            with self._run.autocast():
                velocity = model(noisy, levels, self._ids)
            losses.append(F.mse_loss(velocity.float(), self._noise - self._clean))
        return float(torch.stack(losses).mean())
