"""The training inputs and targets of UNet and ControlNet: token ids, noisy latents and v."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from grainspec_runtime.demo.training.networks import build_scheduler
from grainspec_runtime.demo.training.tokenizer import MAX_TOKENS
from grainspec_runtime.demo.training.trainer import Trainer


class Captions:
    """Token ids of all captions, ``[renders, alternatives, MAX_TOKENS]``."""

    def __init__(self, trainer: Trainer, tokenizer: CLIPTokenizer) -> None:
        words = trainer.renders.captions
        encoded = tokenizer(
            [text for texts in words for text in texts],
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
        )
        ids = torch.tensor(encoded.input_ids, device=trainer.device, dtype=torch.int32)
        self._ids = ids.view(len(words), -1, MAX_TOKENS)

    def sample(self, rows: Tensor) -> Tensor:
        """Draw one of each render's alternative captions at random: ids ``[B, MAX_TOKENS]``."""
        which = torch.randint(self._ids.shape[1], (len(rows),), device=rows.device)
        return self._ids[rows, which].long()


class Noising:
    """Adds noise to latents at random timesteps, with the v-prediction target (Salimans and Ho)."""

    def __init__(self, device: torch.device) -> None:
        self._signal = build_scheduler().alphas_cumprod.to(device)

    def __call__(self, clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return noisy latents, timesteps ``[B]`` and v for clean latents ``[B, c, h, w]``."""
        t = torch.randint(1000, (len(clean),), device=clean.device)
        a, s = (x.sqrt()[:, None, None, None] for x in (self._signal[t], 1 - self._signal[t]))
        noise = torch.randn_like(clean)
        return a * clean + s * noise, t, a * noise - s * clean
