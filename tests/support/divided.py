"""A program that compares a network's predictions in 2, 3 and 8 processes with those of one.

    python divided.py MODEL…

Prints a line of JSON for each process, model and way to divide the clip: how it is divided, and the
largest relative differences without modulation, with it, with a pull along columns, and of a
prediction of one pass. First comes a line with the least of what modulation, and columns, change in
one process.
"""

from __future__ import annotations

import gc
import json
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from forked import in_forks
from torch import Tensor
from wan_runs import plan_for

from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.models.options import LoadOptions, Parallel

CALLS = (("", 3, 300.0), ("", 0, 900.0), ("columns 0.7", 0, 900.0))
"""Settings, step and timestep; the step 3 of 4 is plain."""
WAYS: dict[int, tuple[Parallel, ...]] = {
    2: ("auto", "ring", "guidance"),
    3: ("auto",),
    8: ("guidance",),
}


class Call(NamedTuple):
    """A prediction of both passes, or of one."""

    plan: MaskPlan
    prompts: tuple[Any, ...]
    step: int
    timestep: float

    def predicted(self, checkpoint: Any) -> Tensor:
        plan, frames = self.plan, range(len(self.plan.groups))
        channels, grid = checkpoint.pipe.vae.config.z_dim, plan.edited_FHW.shape[1:]
        generator = torch.Generator().manual_seed(1)
        latents = torch.randn(len(frames), channels, *grid, generator=generator)
        latents = latents.repeat(len(self.prompts), 1, 1, 1)
        if torch.distributed.is_initialized():  # all have to predict for the first one's
            latents = latents + torch.distributed.get_rank() / 8
        checkpoint._inputs.begin(None)
        attention = checkpoint.attention(len(frames), plan.attention, plan=plan)
        with torch.no_grad(), checkpoint.installed(attention):
            attention.begin_step(self.step, 4, self.timestep)
            where = {"step": self.step, "steps": 4}
            t = torch.tensor(self.timestep)
            out: Tensor = checkpoint.predict(latents, t, self.prompts, frames, **where)
            return out


Cases = dict[Path, list[tuple[Call, Tensor]]]


def loaded(model: Path, how: Parallel | None) -> Any:
    return load_checkpoint(str(model), Path(), LoadOptions(device="cpu", parallel=how))


def calls_of(model: Path) -> list[tuple[Call, Tensor]]:
    """The calls, and what one process predicts in each."""
    checkpoint = loaded(model, None)
    unit = checkpoint.pipe.vae_scale_factor_spatial
    calls = []
    for settings, step, timestep in CALLS:
        # 5 tokens in each of 5 latent frames: a multiple of neither 2 nor 3
        plan = plan_for(model, f"until 50% {settings}", frames=17, size=(10 * unit, 2 * unit))
        prompts = (checkpoint.encode_prompt("trees"), checkpoint.encode_target(plan))
        call = Call(plan, prompts, step, timestep)
        calls.append((call, call.predicted(checkpoint)))
    alone = call._replace(prompts=call.prompts[1:])
    calls.append((alone, alone.predicted(checkpoint)))
    return calls


def differences(cases: Cases) -> list[list[Any]]:
    found = []
    for model, calls in cases.items():
        for how in WAYS[torch.distributed.get_world_size()]:
            checkpoint = loaded(model, how)
            pairs = [(call.predicted(checkpoint), expected) for call, expected in calls]
            differ = [float((part - one).abs().max() / one.abs().max()) for part, one in pairs]
            found.append([str(checkpoint.division), *differ])
    return found


def main() -> None:
    cases = {model: calls_of(model) for model in map(Path, sys.argv[1:])}
    changes = [
        float((first - second).abs().max())
        for calls in cases.values()
        for (_, first), (_, second) in pairwise(calls[: len(CALLS)])
    ]
    print(json.dumps(min(changes)))
    gc.freeze()
    for processes in WAYS:
        for lines in in_forks(processes, partial(differences, cases)):
            for line in lines:
                print(json.dumps([processes, *line]))


if __name__ == "__main__":
    main()
