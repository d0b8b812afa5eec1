"""Train a motion adapter with v-prediction, with the image model frozen.

Dimensions: B clips, F frames, c channels, h rows and w columns of latents, T text tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from transformers import CLIPTextModel, CLIPTokenizerFast

from grainspec.whole_file import whole_file
from grainspec_runtime.demo.motion_training.adapter import build_adapter, demo_unet, with_adapter
from grainspec_runtime.demo.motion_training.clips import ClipLatents
from grainspec_runtime.demo.training.networks import build_scheduler
from grainspec_runtime.demo.training.trainer import Pace, Trainer, descend, move_average
from grainspec_runtime.models.locate import DEMO_FOLDER


class Words:
    """The text embeddings of captions, by the shipped text encoder."""

    def __init__(self, trainer: Trainer, captions: Sequence[Sequence[str]]) -> None:
        tokenizer = CLIPTokenizerFast.from_pretrained(DEMO_FOLDER / "tokenizer")
        encoder = CLIPTextModel.from_pretrained(DEMO_FOLDER / "text_encoder", use_safetensors=True)
        self._encoder = encoder.float().eval().requires_grad_(False).to(trainer.device)
        texts = [text for alternatives in captions for text in alternatives]
        length = tokenizer.model_max_length
        ids = tokenizer(texts, padding="max_length", max_length=length, truncation=True).input_ids
        self._ids = torch.tensor(ids, dtype=torch.int32).view(len(captions), -1, length)

    @torch.no_grad()
    def of(self, clips: Tensor, which: Tensor) -> Tensor:
        """Encode one caption of each clip: ``[B, T, C]``, for indices of clips and captions."""
        ids = self._ids[clips, which % self._ids.shape[1]].long()
        encoded: Tensor = self._encoder(ids.to(self._encoder.device))[0]
        return encoded


@dataclass(frozen=True)
class Batch:
    """Noisy latents ``[B, c, F, h, w]`` at timesteps ``[B]``, words, and the v to predict."""

    noisy: Tensor
    t: Tensor
    words_BTC: Tensor
    v: Tensor


def noised(clean_BFchw: Tensor, noise: Tensor, t: Tensor, words_BTC: Tensor) -> Batch:
    """Add noise to clips, as much to all frames of one, with the target of v-prediction."""
    signal = build_scheduler().alphas_cumprod.to(clean_BFchw.device)[t]
    a, s = (x.sqrt().view(-1, 1, 1, 1, 1) for x in (signal, 1 - signal))
    noisy, v = a * clean_BFchw + s * noise, a * noise - s * clean_BFchw
    return Batch(noisy.transpose(1, 2), t, words_BTC, v.transpose(1, 2))


def loss_of(model: UNetMotionModel, batch: Batch) -> Tensor:
    """Return the mean squared error of the predicted v."""
    words = batch.words_BTC.repeat_interleave(batch.noisy.shape[2], dim=0)
    predicted = model(batch.noisy, batch.t, words, return_dict=False)[0]
    return F.mse_loss(predicted.float(), batch.v)


class HeldOut:
    """The loss on clips held out from training, always with the same noise and timesteps."""

    def __init__(self, trainer: Trainer, clips: ClipLatents, words: Words) -> None:
        self._trainer, count = trainer, trainer.options.held_out
        draw = torch.Generator().manual_seed(1)
        clean = clips.latents[-count:].cpu().float()
        noise = torch.randn(clean.shape, generator=draw)
        t = ((torch.arange(count) + 0.5) / count * 1000).long()
        places = torch.arange(len(clips.latents) - count, len(clips.latents))
        self._parts = [
            noised(
                clean[part].to(trainer.device),
                noise[part].to(trainer.device),
                t[part].to(trainer.device),
                words.of(places[part], torch.zeros_like(part)),
            )
            for part in torch.randperm(count, generator=draw).split(trainer.options.batch)
        ]

    @torch.no_grad()
    def loss(self, model: UNetMotionModel) -> float:
        """Return the mean loss of a model."""
        with self._trainer.autocast():
            losses = [loss_of(model, part) * len(part.t) for part in self._parts]
        return float(torch.stack(losses).sum()) / sum(len(part.t) for part in self._parts)


class AdapterTraining:
    """A training run of an adapter: weights, their moving average, optimizer and step."""

    def __init__(self, trainer: Trainer, unet: UNet2DConditionModel, adapter: MotionAdapter):
        o = trainer.options
        self._trainer = trainer
        self.adapter = adapter.to(trainer.device)
        self.average = AveragedModel(self.adapter, multi_avg_fn=move_average)
        self.model = with_adapter(unet, self.adapter).to(trainer.device)
        self.averaged_model = with_adapter(unet, self.average.module).to(trainer.device)
        parameters = [weight for weight in self.adapter.parameters() if weight.requires_grad]
        self._adam, self._rates = trainer.optimizer(parameters, o.rate, o.steps)
        self._checkpoint = trainer.work / "motion-checkpoint.pt"
        self.step = 0

    def resume(self) -> None:
        """Continue from the last checkpoint, if there is one."""
        if not self._checkpoint.exists():
            return
        device = self._trainer.device
        state = torch.load(self._checkpoint, map_location=device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = state["step"]
        self._trainer.log("motion", resumed_at=self.step)

    def save(self) -> None:
        """Write a checkpoint to resume from."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        with whole_file(self._checkpoint) as partial:
            torch.save({**state, "step": self.step}, partial)

    def descend(self, batch: Batch) -> Tensor:
        """Take a step, and return its loss."""
        with self._trainer.autocast():
            loss = loss_of(self.model, batch)
        descend(loss, self._adam, self._rates, clip=1.0)
        self.average.update_parameters(self.adapter)
        self.step += 1
        return loss

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | _Rates]:
        return {
            "adapter": self.adapter,
            "average": self.average,
            "adam": self._adam,
            "rates": self._rates,
        }


_Rates = torch.optim.lr_scheduler.LRScheduler


def draw_batch(trainer: Trainer, clips: ClipLatents, words: Words, step: int) -> Batch:
    """Draw the clips of a step: their length, direction in time, captions, noise and timesteps.

    They depend on the seed and the step only, so that a resumed training is the same.
    """
    o, device = trainer.options, trainer.device
    draw = torch.Generator().manual_seed(o.seed * 1_000_003 + step)
    places = torch.randint(len(clips.latents) - o.held_out, (o.batch,), generator=draw)
    which = torch.randint(1 << 16, (o.batch,), generator=draw)
    length, start = _span(clips.latents.shape[1], draw)
    clean = clips.latents[places.to(clips.latents.device), start : start + length].float()
    if torch.rand((), generator=draw) < 0.5:
        clean = clean.flip(1)
    t = torch.randint(1000, (o.batch,), generator=draw).to(device)
    torch.manual_seed(o.seed * 1_000_003 + step)
    return noised(
        clean.to(device), torch.randn(clean.shape, device=device), t, words.of(places, which)
    )


def _span(frames: int, draw: torch.Generator) -> tuple[int, int]:
    """Draw the length and the start of a part of a clip: all of it in 6 cases of 10."""
    lengths = (frames, max(1, 2 * frames // 3), max(1, frames // 3))
    length = lengths[int(torch.multinomial(torch.tensor([0.6, 0.2, 0.2]), 1, generator=draw))]
    return length, int(torch.randint(frames - length + 1, (), generator=draw))


def train_adapter(trainer: Trainer, clips: ClipLatents) -> MotionAdapter | None:
    """Train an adapter for the shipped image model; resume from the last checkpoint.

    Logs the loss on held-out clips with the averaged adapter, and without any. Returns None if
    ``--stop-after`` stopped it before its last step; the next run resumes there.
    """
    o = trainer.options
    torch.manual_seed(o.seed)
    unet = demo_unet()
    words = Words(trainer, clips.captions)
    training = AdapterTraining(trainer, unet, build_adapter(unet, o.frames, o.layers))
    held_out = HeldOut(trainer, clips, words)
    without = held_out.loss(training.averaged_model)  # the last projections are still zero
    training.resume()
    if o.compile:
        training.model.compile(dynamic=False)
    pace, saved = Pace(trainer, "motion", o.batch), time.time()
    while training.step < o.steps:
        loss = training.descend(draw_batch(trainer, clips, words, training.step))
        pace.note(training.step - 1, loss)
        if training.step % o.judge_every == 0 or training.step == o.steps:
            now = held_out.loss(training.averaged_model)
            trainer.log(
                "held out", step=training.step, loss=now, without=without, share=now / without
            )
        stopped = time.time() - trainer.started > o.stop_after
        if stopped or time.time() - saved > o.save_every or training.step == o.steps:
            training.save()
            saved = time.time()
        if stopped and training.step < o.steps:
            trainer.log("motion", saved_at=training.step)
            return None
    averaged: MotionAdapter = training.average.module
    return averaged.eval()
