"""Shared by all training stages: device, renders, batches, optimizer and log."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from grainspec.whole_file import whole_file
from grainspec_runtime.demo.dataset import Renders, render_many

HELD_OUT = 2000
"""The last renders are held out from training."""


class Trainer:
    """A training run: its options, folders and renders."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device = torch.device(options.device)
        self.work = Path(options.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self.out = Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self._renders: Renders | None = None
        self._frames: Tensor | None = None
        self.started = time.time()

    def log(self, stage: str, **facts: Any) -> None:
        """Print facts, and append them to ``log.jsonl``."""
        facts = {k: round(v, 5) if isinstance(v, float) else v for k, v in facts.items()}
        line = {"stage": stage, "seconds": round(time.time() - self.started, 1), **facts}
        with (self.work / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(" ".join(f"{k}={v}" for k, v in line.items()), flush=True)

    @property
    def renders(self) -> Renders:
        """The renders, made on first use and saved under ``--work``."""
        if self._renders is None:
            o, folder = self.options, self.work / "renders"
            if folder.exists():
                self._renders = Renders.load(folder)
            else:
                self._renders = render_many(o.renders, size=96, seed=o.seed, workers=o.workers)
                self._renders.save(folder)
            self.log("renders", count=len(self._renders.frames))
        return self._renders

    @property
    def frames_N3HW(self) -> Tensor:
        """All frames, uint8 ``[N, 3, H, W]``."""
        if self._frames is None:
            frames = torch.from_numpy(self.renders.frames).to(self.device)
            self._frames = frames.permute(0, 3, 1, 2).contiguous()
        return self._frames

    def autocast(self) -> torch.autocast:
        """Autocast to bfloat16 on a GPU only: CPUs without such instructions are 30x slower."""
        on_gpu = self.device.type != "cpu"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=on_gpu)

    def batches(self, size: int, steps: int, *, first: int = 0, count: int) -> Iterator[Tensor]:
        """Random indices below ``count``; those of step ``i`` depend only on the seed and ``i``."""
        for step in range(first, steps):
            generator = torch.Generator().manual_seed(self.options.seed * 1_000_003 + step)
            yield torch.randint(count, (size,), generator=generator).to(self.device)

    def optimizer(
        self, parameters: list[nn.Parameter], rate: float, steps: int
    ) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
        """AdamW with a short warm-up and a cosine to nearly zero."""
        fused = self.device.type == "cuda"
        adam = torch.optim.AdamW(
            parameters, lr=rate, betas=(0.9, 0.99), weight_decay=0.01, fused=fused
        )
        warm = max(1, min(500, steps // 20))

        def factor(step: int) -> float:
            done = min(1.0, step / steps)
            return min(1.0, (step + 1) / warm) * (0.51 + 0.49 * math.cos(math.pi * done))

        return adam, torch.optim.lr_scheduler.LambdaLR(adam, factor)


class Pace:
    """Logs a stage's mean loss and samples per second, every 500 steps."""

    def __init__(self, trainer: Trainer, stage: str, batch: int) -> None:
        self._trainer, self._stage, self._batch = trainer, stage, batch
        self._begin()

    def _begin(self) -> None:
        self._clock, self._losses = time.time(), list[Tensor]()

    def note(self, step: int, loss: Tensor) -> None:
        """Add a step's loss; it stays on the device until it is logged."""
        self._losses.append(loss.detach())
        if step % 500 == 499:
            mean = torch.stack(self._losses).mean().item()
            speed = len(self._losses) * self._batch / (time.time() - self._clock)
            self._trainer.log(self._stage, step=step + 1, loss=mean, per_second=speed)
            self._begin()


def save_half(module: nn.Module, path: Path) -> None:
    """Save a module's state as safetensors, with floating-point tensors in float16."""
    state = module.state_dict().items()
    halves = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state}
    with whole_file(path) as partial:
        save_file(halves, partial)


def descend(
    loss: Tensor,
    adam: torch.optim.Optimizer,
    rates: torch.optim.lr_scheduler.LRScheduler,
    *,
    clip: float = math.inf,
) -> None:
    """Take one optimizer step, with the gradient norm clipped to ``clip``."""
    adam.zero_grad(set_to_none=True)
    loss.backward()
    if clip < math.inf:
        parameters = [p for group in adam.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, clip)
    adam.step()
    rates.step()


def to_unit(frames: Tensor) -> Tensor:
    """Convert uint8 frames to float in [-1, 1]."""
    return frames.float() / 127.5 - 1


def degraded(x: Tensor) -> Tensor:
    """Add a random amount of blur and noise to each frame ``[N, 3, H, W]``."""
    blur, noise = torch.rand(2, len(x), 1, 1, 1, device=x.device)
    blurred = torch.lerp(x, F.avg_pool2d(x, 3, 1, 1), blur)
    noisy: Tensor = blurred + 0.05 * noise * torch.randn_like(x)
    return noisy


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of float frames in [-1, 1], averaged over frames."""
    error = ((a.clamp(-1, 1) - b) / 2).square().flatten(1).mean(1)
    return float((-10 * torch.log10(error)).mean())


_AVERAGED = 0.999
"""The decay of the moving average of weights, which begins lower."""
_Tensors = list[Tensor] | tuple[Tensor, ...]


def move_average(averaged: _Tensors, current: _Tensors, updates: Tensor | int) -> None:
    """Move averaged weights to the current ones, in the first steps almost all the way.

    It is an ``AveragedModel``'s ``multi_avg_fn``.
    """
    done = float(updates)
    decay = min(_AVERAGED, (1 + done) / (10 + done))
    torch._foreach_lerp_(list(averaged), list(current), 1 - decay)
