"""What a method reads from a job: its settings, and the target prompt that they ask for."""

from __future__ import annotations

from typing import Any

from grainspec.model.spec import Method
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.processes.process import Job


def settings_of(job: Job) -> Method:
    """Return the method's settings; raises ValueError for a job without a method."""
    if job.method is None:
        raise ValueError("the job has no method")
    return job.method


def target_prompt(checkpoint: Checkpoint, job: Job) -> Any:
    """Encode the target prompt: with isolated phrases, as the plan says, only if it modulates."""
    if settings_of(job).modulates:
        return checkpoint.encode_target(job.plan)
    return checkpoint.encode_prompt(job.plan.target)
