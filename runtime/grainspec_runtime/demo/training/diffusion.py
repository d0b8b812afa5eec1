"""What UNet and ControlNet learn from: captions as tokens, noisy latents, what to predict."""

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

    def drawn(self, rows: Tensor) -> Tensor:
        """One caption, of its alternatives, for each of these renders: ids ``[B, MAX_TOKENS]``."""
        which = torch.randint(self._ids.shape[1], (len(rows),), device=rows.device)
        return self._ids[rows, which].long()


class Noising:
    """Latents at random timesteps, and their v (Salimans and Ho, 2022)."""

    def __init__(self, device: torch.device) -> None:
        self._signal = build_scheduler().alphas_cumprod.to(device)

    def __call__(self, clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For latents ``[B, c, h, w]``: noisy ones, timesteps ``[B]``, and v at them."""
        t = torch.randint(1000, (len(clean),), device=clean.device)
        a, s = (x.sqrt()[:, None, None, None] for x in (self._signal[t], 1 - self._signal[t]))
        noise = torch.randn_like(clean)
        return a * clean + s * noise, t, a * noise - s * clean
