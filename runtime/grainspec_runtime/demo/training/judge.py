"""Stage 2: train the judge on renders."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec_runtime.demo.judge import FIGURE_HEADS, PLACE_HEADS, Judge
from grainspec_runtime.demo.training.trainer import (
    HELD_OUT,
    Trainer,
    degraded,
    descend,
    save_half,
    to_unit,
)


def train_judge(trainer: Trainer) -> Judge:
    """Train the judge with cross-entropy on renders with random blur, noise and box jitter."""
    path = trainer.out / "judge.safetensors"
    if path.exists():
        return Judge.from_pretrained(trainer.out).to(trainer.device)
    o = trainer.options
    torch.manual_seed(o.seed + 1)
    judge = Judge().to(trainer.device)
    adam, rates = trainer.optimizer(list(judge.parameters()), 2e-3, o.judge_steps)
    frames, renders = trainer.frames_N3HW, trainer.renders
    boxes = torch.from_numpy(renders.boxes).to(trainer.device)
    attributes = torch.from_numpy(renders.attributes).to(trainer.device)
    places = torch.from_numpy(renders.places).to(trainer.device)
    seen = len(frames) - HELD_OUT

    def losses(index: Tensor, *, jitter: float) -> tuple[Tensor, dict[str, Tensor]]:
        x = to_unit(frames[index])
        if jitter:
            x = degraded(x)
        which, number = (~boxes[index].isnan().any(-1)).nonzero().unbind(-1)
        chosen = boxes[index][which, number]
        chosen = chosen + jitter * torch.randn_like(chosen)
        logits = judge.figure_logits(x[which], chosen)
        truth = attributes[index][which, number]
        total = x.new_zeros(())
        right = {}
        for column, name in enumerate(FIGURE_HEADS):
            total = total + F.cross_entropy(logits[name], truth[:, column])
            right[name] = (logits[name].argmax(-1) == truth[:, column]).float().mean()
        for column, (name, logit) in enumerate(judge.place_logits(x).items()):
            total = total + F.cross_entropy(logit, places[index][:, column])
            right[name] = (logit.argmax(-1) == places[index][:, column]).float().mean()
        return total, right

    assert tuple(PLACE_HEADS) == ("ground", "background")
    for step, index in enumerate(trainer.batches(256, o.judge_steps, count=seen)):
        loss, _ = losses(index, jitter=0.015)
        descend(loss, adam, rates)
        if step % 500 == 499:
            trainer.log("judge", step=step + 1, loss=loss.item())
    judge.eval()
    with torch.inference_mode():
        held = torch.arange(len(frames) - HELD_OUT, len(frames), device=trainer.device)
        _, right = losses(held, jitter=0.0)
        trainer.log("judge", **{f"held_out_{k}": v.item() for k, v in right.items()})
    save_half(judge, path)
    return judge
