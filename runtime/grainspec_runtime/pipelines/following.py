"""Follow the calls of a pipeline's denoiser, and put a plan in place for each.

The plan lives within each call: its attention is put in place when a call begins, and taken out
when it ends. Between calls the pipeline is the user's own, so what is set, loaded, saved or
compiled inside the block is set, loaded, saved or compiled as ever.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from grainspec.diagnostics import Diagnostic, fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.pipelines.in_use import OneThread, in_call_of
from grainspec_runtime.pipelines.steps import RunSteps
from grainspec_runtime.pipelines.target_words import TargetWords


class Following(ABC):
    """Follows the calls of a pipeline's denoiser, which messages call ``what``."""

    what = "denoiser"

    def __init__(self, plan: MaskPlan, pipe: Any, words: TargetWords) -> None:
        self._plan = plan
        self._pipe = pipe
        self._words = words
        self._steps = RunSteps(pipe, self.what)
        self._thread = OneThread(self.what)
        self._in_place = ExitStack()
        self._calls = self._modulated = 0  # steps of this run

    @abstractmethod
    def _check(self, denoiser: nn.Module, inputs: dict[str, Any], *, in_call: bool) -> None:
        """Raise GrainError for inputs that are not the plan's; remove those that say nothing."""

    @abstractmethod
    def _begin(self, denoiser: nn.Module, inputs: dict[str, Any], *, in_call: bool) -> None:
        """Set the step, insert phrases, and enter the plan's attention in ``self._in_place``."""

    def before(self, denoiser: nn.Module, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Check a call's arguments, set the step, insert phrases, and put the plan in place."""
        self._thread.enter()
        self.take_out()
        inputs = dict(kwargs)
        in_call = in_call_of(self._pipe, self.what)
        self._check(denoiser, inputs, in_call=in_call)
        if self._steps.begins_run():
            self.end_run()
            self._begin_run()
        self._begin(denoiser, inputs, in_call=in_call)
        return inputs

    def after(self) -> None:
        """Take the plan out at the end of a call."""
        if self._thread.is_here():
            self.take_out()
            self._thread.leave()

    def take_out(self) -> None:
        """Take the plan out, if a call left it in place."""
        self._in_place.close()

    def end_run(self) -> None:
        """Warn if the plan modulated no step of the run before."""
        if self._calls and not self._modulated and self._plan.attention.until > 0:
            message = f"the plan modulated none of the pipeline's {self._calls} steps"
            cure = "Lower `until_timestep`, or begin the run at a higher noise level."
            warnings.warn(str(Diagnostic("G416", message, cure)), RuntimeWarning, stacklevel=4)
        self._calls = self._modulated = 0

    def _begin_run(self) -> None:
        self._words.begin_run()

    def _check_gradients(self, denoiser: nn.Module, *inputs: Tensor) -> None:
        """Raise GrainError (G414) where gradients of the denoiser seem to be wanted."""
        if not torch.is_grad_enabled():
            return
        if denoiser.training or any(part.requires_grad for part in inputs):
            message = "a plan's attention has no gradients"
            raise fail("G414", message, "Call the pipeline under `torch.no_grad()`, as it does.")


class AroundOne:
    """What runs around the calls of one denoiser, of which a pipeline may have two."""

    def __init__(self, following: Following, denoiser: nn.Module) -> None:
        self._following = following
        self._denoiser = denoiser

    def before(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the call, by name, from those that it was made with."""
        return self._following.before(self._denoiser, kwargs)

    def after(self) -> None:
        """Run at the end of a call that :meth:`before` began, also where it raised."""
        self._following.after()
