"""Apply a mask plan to a diffusers pipeline of the user with a UNet.

:mod:`grainspec_runtime.pipelines.following` says how.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.unets.check_pipeline import check_words
from grainspec_runtime.backbones.unets.install import Installation
from grainspec_runtime.backbones.unets.norms import norm_scope
from grainspec_runtime.backbones.unets.target_words import UNetWords
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.pipelines.calls import around_calls, is_followed
from grainspec_runtime.pipelines.following import AroundOne, Following
from grainspec_runtime.pipelines.in_use import reserved
from grainspec_runtime.schedules.noise_levels import ddpm_timestep, kind_of_timesteps


@contextmanager
def applied(
    plan: MaskPlan,
    pipe: DiffusionPipeline,
    unet: nn.Module,
    calls: type[UNetCalls],
    *,
    backend: str,
    trust_embeds: bool,
) -> Iterator[FoldedAttention]:
    """Apply a plan to a pipeline whose calls of ``unet`` are of the kind ``calls``."""
    check_words(plan, pipe)
    kind_of_timesteps(pipe.scheduler)
    attention = FoldedAttention(
        len(plan.frames),
        plan=plan,
        scope=plan.attention.frames,
        norm=norm_scope(plan.attention.norm, plan.backbone),
        backend=backend,
        device=_device_of(pipe),
    )
    installation = Installation(unet, attention)
    installation.check()
    words = UNetWords(plan, pipe, trusted=trust_embeds)
    following = calls(plan, pipe, attention, installation, words)
    followed = pipe.unet
    arguments = list(inspect.signature(type(unet).forward).parameters)[1:]
    with ExitStack() as stack:
        stack.enter_context(reserved(unet, calls.what))
        stack.callback(following.take_out)  # if a call was interrupted from outside
        stack.enter_context(around_calls(followed, arguments, AroundOne(following, unet)))
        yield attention
        following.end_run()
        if not is_followed(pipe.unet, followed):
            message = "the pipeline's UNet was replaced inside the block, and ran without the plan"
            raise fail("G415", message, "Replace it before `with plan_applied(…)`.")


class UNetCalls(Following):
    """Follows the calls of a pipeline's UNet, and puts the plan in place for each.

    A subclass knows how frames and passes lie in the sample of a call.
    """

    what = "UNet"

    def __init__(
        self,
        plan: MaskPlan,
        pipe: DiffusionPipeline,
        attention: FoldedAttention,
        installation: Installation,
        words: UNetWords,
    ) -> None:
        super().__init__(plan, pipe, words)
        self._attention = attention
        self._installation = installation
        self._embeddings = words

    def _check(self, denoiser: nn.Module, inputs: dict[str, Any], *, in_call: bool) -> None:
        _check_masks(inputs)
        self._check_gradients(denoiser, inputs["sample"], inputs["encoder_hidden_states"])
        self._check_sample(inputs["sample"], in_call=in_call)

    def _begin(self, denoiser: nn.Module, inputs: dict[str, Any], *, in_call: bool) -> None:
        words = inputs["encoder_hidden_states"]
        self._embeddings.check(words)
        self._installation.check()
        self._attention.to(inputs["sample"].device)
        self._set_step(inputs["timestep"], in_call=in_call)
        if self._plan.attention.phrases == "isolated":
            words = self._embeddings.with_phrases(words)
        if self._embeddings.replaces_unconditional:
            words = self._embeddings.with_empty(words)
        inputs["encoder_hidden_states"] = words
        self._in_place.enter_context(self._installation.in_place())

    @abstractmethod
    def _check_frames(self, sample: Tensor, passes: int) -> None:
        """Raise GrainError (G404) if a call has other frames than the plan, or more passes."""

    @abstractmethod
    def _is_guided(self, sample: Tensor) -> bool:
        """Return whether a sample has two passes, where no pipeline says so."""

    def _check_sample(self, sample: Tensor, *, in_call: bool) -> None:
        plan, pipe = self._plan, self._pipe
        guided = pipe.do_classifier_free_guidance if in_call else self._is_guided(sample)
        self._check_frames(sample, 2 if guided else 1)
        if tuple(sample.shape[-2:]) != plan.edited_FHW.shape[1:]:
            rows, columns = plan.edited_FHW.shape[1:]
            message = (
                f"the plan is for latents of {columns}x{rows}, "
                f"but the pipeline's are {sample.shape[-1]}x{sample.shape[-2]}"
            )
            cure = f"Call it with `width={plan.width}, height={plan.height}`."
            raise fail("G404", message, cure)

    def _set_step(self, timestep: Tensor | float, *, in_call: bool) -> None:
        at = float(timestep if not isinstance(timestep, Tensor) else timestep.flatten()[0])
        level = ddpm_timestep(self._pipe.scheduler, at, self._plan.training_steps)
        self._attention.begin_step(*self._steps.at(at, in_call=in_call), level)
        self._calls += 1
        self._modulated += self._attention.modulated


def _check_masks(inputs: dict[str, Any]) -> None:
    """Remove attention masks that mask nothing; raises GrainError (G414) for others."""
    for name in ("attention_mask", "encoder_attention_mask"):
        mask = inputs.pop(name, None)
        if mask is not None and not bool((mask == 1).all()):
            message = f"the UNet receives an `{name}`, which a plan does not support"
            raise fail("G414", message, f"Call it without `{name}`.")


def _device_of(pipe: DiffusionPipeline) -> torch.device:
    """Return the device that the pipeline runs on; with offloading, `pipe.device` is the CPU."""
    return torch.device(pipe._execution_device)
