"""Train the demo world's CLIP with a contrastive loss and captions with one word changed.

Dimensions: B frames, D the dimension of the embeddings.
"""

from __future__ import annotations

import math
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from transformers import CLIPModel, CLIPTokenizer

from grainspec.whole_file import whole_file
from grainspec_runtime.demo.clip_training.data import Data, data_of, is_true
from grainspec_runtime.demo.clip_training.examples import held_out_examples, training_examples
from grainspec_runtime.demo.clip_training.networks import build_clip
from grainspec_runtime.demo.clip_training.retrieval import (
    WAYS,
    embed_pixels,
    embed_texts,
    retrieval,
)
from grainspec_runtime.demo.training.trainer import (
    Pace,
    Trainer,
    degraded,
    descend,
    move_average,
    to_unit,
)

_HELD_OUT_SEED = 50_000_000
_LARGEST_SCALE = math.log(100)
"""CLIP's bound for the logarithm of the scale of its logits (Radford et al., arXiv 2103.00020)."""


def contrastive_loss(model: CLIPModel, data: Data, rows: Tensor, which: Tensor) -> Tensor:
    """CLIP's loss (arXiv 2103.00020, section 2.3) for frames ``rows`` with captions ``which``.

    Each frame's captions with one word changed are further candidates for all frames. Candidates
    that are true of a frame, without being its own, count neither as right nor as wrong.
    """
    truths = data.truths[rows]
    image_BD = _embed_degraded(model, data.frames[rows])
    right_BD = embed_texts(model, data.ids[rows, which])
    false_BD = embed_texts(model, data.false_ids[rows, which])
    scale = model.logit_scale.clamp(max=_LARGEST_SCALE).exp()
    own = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    also_true = is_true(data.facts[rows, which], truths) & ~own  # [captions, frames]
    not_false = is_true(data.false_facts[rows, which], truths)
    to_right = (scale * image_BD @ right_BD.T).masked_fill(also_true.T, -math.inf)
    to_false = (scale * image_BD @ false_BD.T).masked_fill(not_false.T, -math.inf)
    to_image = (scale * right_BD @ image_BD.T).masked_fill(also_true, -math.inf)
    answers = torch.arange(len(rows), device=rows.device)
    of_images = F.cross_entropy(torch.cat([to_right, to_false], 1), answers)
    return (of_images + F.cross_entropy(to_image, answers)) / 2


def _embed_degraded(model: CLIPModel, frames_B3HW: Tensor) -> Tensor:
    """Embed frames, mirrored, blurred and made noisy at random."""
    x = degraded(to_unit(frames_B3HW))
    if torch.rand(()) < 0.5:
        x = x.flip(-1)
    return embed_pixels(model, x)


class ClipTraining:
    """A training run: weights, their moving average, optimizer and step."""

    def __init__(self, trainer: Trainer, tokenizer: CLIPTokenizer) -> None:
        o = trainer.options
        torch.manual_seed(o.seed)
        self._trainer = trainer
        self.model = nn.Module.to(build_clip(tokenizer, o.patch), trainer.device)
        self.average = AveragedModel(self.model, multi_avg_fn=move_average)
        self._adam, self._rates = trainer.optimizer(list(self.model.parameters()), o.rate, o.steps)
        self._checkpoint = trainer.work / f"clip-checkpoint-{o.patch}.pt"
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
        self._trainer.log("clip", resumed_at=self.step)

    def save(self) -> None:
        """Write a checkpoint to resume from."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        with whole_file(self._checkpoint) as partial:
            torch.save({**state, "step": self.step}, partial)

    def descend(self, data: Data) -> Tensor:
        """Take a step on random pairs of frames, which depend on the seed and the step alone."""
        o, device = self._trainer.options, self._trainer.device
        seed = o.seed * 1_000_003 + self.step
        draw = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        pairs = torch.randint(len(data.frames) // 2, (o.batch // 2,), generator=draw)
        rows = torch.stack([2 * pairs, 2 * pairs + 1], 1).flatten().to(device)
        which = torch.randint(data.ids.shape[1], (len(rows),), generator=draw).to(device)
        with self._trainer.autocast():
            loss = contrastive_loss(self.model, data, rows, which)
        descend(loss, self._adam, self._rates, clip=1.0)
        self.average.update_parameters(self.model)
        self.step += 1
        return loss

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | _Rates]:
        return {
            "model": self.model,
            "average": self.average,
            "adam": self._adam,
            "rates": self._rates,
        }


_Rates = torch.optim.lr_scheduler.LRScheduler


class HeldOut:
    """Held-out renders and frames of clips, as they are and decoded by the VAE."""

    def __init__(self, trainer: Trainer, tokenizer: CLIPTokenizer) -> None:
        o = trainer.options
        self._trainer = trainer
        self._sets = []
        for name, from_clips in (("renders", False), ("clips", True)):
            examples = held_out_examples(
                o.held_out,
                changed_ways=WAYS,
                seed=_HELD_OUT_SEED + from_clips * 1_000_000,
                from_clips=from_clips,
                workers=o.workers,
            )
            for suffix, decoded in (("", 0.0), (" decoded", 1.0)):
                data = data_of(trainer, examples, tokenizer, decoded=decoded, seed=0)
                self._sets.append((f"{name}{suffix}", data, examples.changes))

    def measure(self, model: CLIPModel, step: int) -> None:
        """Log the retrieval on every set."""
        for name, data, changes in self._sets:
            found = retrieval(self._trainer, model, data, changes)
            self._trainer.log(f"held-out {name}", step=step, **found)


def train_clip(trainer: Trainer, tokenizer: CLIPTokenizer) -> CLIPModel | None:
    """Train, and return the averaged model; resumes from the last checkpoint.

    Returns None if ``--stop-after`` stopped it before its last step; the next run resumes there.
    """
    o = trainer.options
    examples = training_examples(o.renders // 2, seed=o.seed, workers=o.workers)
    trainer.log("examples", frames=len(examples.frames))
    data = data_of(trainer, examples, tokenizer, decoded=o.decoded, seed=o.seed)
    held_out = HeldOut(trainer, tokenizer)
    trainer.log("data", decoded=o.decoded)
    training = ClipTraining(trainer, tokenizer)
    training.resume()
    if o.compile:
        training.model.vision_model.compile()
        training.model.text_model.compile()
    pace, saved = Pace(trainer, "clip", o.batch), time.time()
    while training.step < o.steps:
        loss = training.descend(data)
        pace.note(training.step - 1, loss)
        if training.step % o.judge_every == 0 or training.step == o.steps:
            held_out.measure(training.average.module, training.step)
        stopped = time.time() - trainer.started > o.stop_after
        if stopped or time.time() - saved > o.save_every or training.step == o.steps:
            training.save()
            saved = time.time()
        if stopped and training.step < o.steps:
            trainer.log("clip", saved_at=training.step)
            return None
    averaged: CLIPModel = training.average.module
    return averaged.eval()
