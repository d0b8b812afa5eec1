"""The target prompt that a method asks for."""

from __future__ import annotations

from typing import Any

from grainspec.model.settings.method import method_of
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.processes.process import Job


def target_prompt(checkpoint: Checkpoint, job: Job) -> Any:
    """Encode the target prompt: with isolated phrases, as the plan says, only if it modulates."""
    if method_of(job).modulates:
        return checkpoint.encode_target(job.plan)
    return checkpoint.encode_prompt(job.plan.target)
