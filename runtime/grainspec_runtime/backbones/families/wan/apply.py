"""Apply a mask plan to a diffusers pipeline of the user with Wan's transformers.

:mod:`grainspec_runtime.pipelines.following` says how. Of two experts, both follow the plan.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.families.wan.check_pipeline import (
    check_plan,
    check_words,
    experts_of,
)
from grainspec_runtime.backbones.families.wan.install import Installation
from grainspec_runtime.backbones.families.wan.passes import Passes
from grainspec_runtime.backbones.families.wan.target_words import WanWords
from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.pipelines.calls import around_calls, is_followed
from grainspec_runtime.pipelines.following import AroundOne, Following
from grainspec_runtime.pipelines.in_use import reserved
from grainspec_runtime.schedules.noise_levels import flow_timestep


@contextmanager
def plan_applied(
    plan: MaskPlan, pipe: Any, *, backend: str = "auto", trust_embeds: bool = False
) -> Iterator[ClipAttention]:
    """Apply a plan to a pipeline of Wan; see :func:`grainspec_runtime.plan_applied`."""
    experts = experts_of(pipe)
    check_plan(plan, pipe, experts)
    check_words(plan, pipe)
    attention = ClipAttention(
        len(plan.groups),
        plan=plan,
        backend=backend,
        device=torch.device(pipe._execution_device),
    )
    installations = {
        expert: Installation(expert, attention, name=name) for name, expert in experts.items()
    }
    for installation in installations.values():
        installation.check()
    words = WanWords(plan, pipe, trusted=trust_embeds)
    following = _Following(plan, pipe, attention, installations, words)
    followed = {name: getattr(pipe, name) for name in experts}
    with ExitStack() as stack:
        for expert in experts.values():
            stack.enter_context(reserved(expert, _Following.what))
        stack.callback(following.take_out)  # if a call was interrupted from outside
        for name, expert in experts.items():
            around = AroundOne(following, expert)
            stack.enter_context(around_calls(followed[name], _arguments(expert), around))
        yield attention
        following.end_run()
        for name, expert in followed.items():
            if not is_followed(getattr(pipe, name), expert):
                message = (
                    f"the pipeline's {name} was replaced inside the block, and ran without the plan"
                )
                raise fail("G415", message, "Replace it before `with plan_applied(…)`.")


class _Following(Following):
    """Follows the calls of a pipeline's transformers, and puts the plan in place for each."""

    what = "transformer"

    def __init__(
        self,
        plan: MaskPlan,
        pipe: Any,
        attention: ClipAttention,
        installations: Mapping[nn.Module, Installation],
        words: WanWords,
    ) -> None:
        super().__init__(plan, pipe, words)
        self._attention = attention
        self._installations = installations
        self._embeddings = words
        self._passes = Passes(pipe, words)

    def _begin_run(self) -> None:
        super()._begin_run()
        self._passes.begin_run()

    def _check(self, denoiser: nn.Module, inputs: dict[str, Any], *, in_call: bool) -> None:
        latents = inputs["hidden_states"]
        self._check_gradients(denoiser, latents, inputs["encoder_hidden_states"])
        _check_latents(self._plan, self._pipe, latents)

    def _begin(self, denoiser: nn.Module, inputs: dict[str, Any], *, in_call: bool) -> None:
        words, timestep = inputs["encoder_hidden_states"], _noisiest(inputs["timestep"])
        conditional = self._passes.is_conditional(words, timestep, in_call=in_call)
        self._installations[denoiser].check()
        self._attention.to(inputs["hidden_states"].device)
        level = flow_timestep(self._pipe.scheduler, timestep, self._plan.training_steps)
        self._attention.begin_step(*self._steps.at(timestep, in_call=in_call), level)
        self._attention.begin_pass(int(conditional), 2)
        if conditional:
            self._calls += 1
            self._modulated += self._attention.modulated
            if self._plan.attention.phrases == "isolated":
                inputs["encoder_hidden_states"] = self._embeddings.with_phrases(words)
        elif self._embeddings.replaces_unconditional:
            inputs["encoder_hidden_states"] = self._embeddings.empty(words)
        self._in_place.enter_context(self._installations[denoiser].in_place())


def _check_latents(plan: MaskPlan, pipe: Any, latents: Tensor) -> None:
    """Raise GrainError (G404) for another number of videos, frames or latents than the plan's."""
    if latents.ndim != 5 or len(latents) != 1:
        made = f"{len(latents)} videos" if latents.ndim == 5 else f"inputs {[*latents.shape]}"
        message = f"the plan is for one video, but the transformer receives {made} at once"
        cure = "Call the pipeline with one prompt, and `num_videos_per_prompt=1`."
        raise fail("G404", message, cure)
    frames, rows, columns = latents.shape[2:]
    if frames != len(plan.groups):
        made = (frames - 1) * pipe.vae_scale_factor_temporal + 1
        message = f"the plan is for {len(plan.frames)} frames, but the pipeline makes {made}"
        cure = f"Call it with `num_frames={len(plan.frames)}`, and without reference images."
        raise fail("G404", message, cure)
    if (rows, columns) != plan.edited_FHW.shape[1:]:
        planned_rows, planned_columns = plan.edited_FHW.shape[1:]
        message = (
            f"the plan is for latents of {planned_columns}x{planned_rows}, "
            f"but the pipeline's are {columns}x{rows}"
        )
        cure = f"Call it with `width={plan.width}, height={plan.height}`."
        raise fail("G404", message, cure)


def _noisiest(timestep: Tensor | float) -> float:
    """Return the timestep of a call; of TI2V-5B each token has one, 0 where it is given."""
    return float(timestep.max() if isinstance(timestep, Tensor) else timestep)


def _arguments(expert: nn.Module) -> list[str]:
    """Return the parameters of a transformer's ``forward``."""
    return list(inspect.signature(type(expert).forward).parameters)[1:]
