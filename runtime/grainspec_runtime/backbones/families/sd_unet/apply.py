"""Apply a mask plan to a diffusers pipeline of the user with a UNet.

This uses extension points of torch and diffusers only: attention processors, and hooks that receive
the UNet's arguments before it runs. The pipeline's classes, scheduler and call are unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline, UNet2DConditionModel
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.families.sd_unet.install import installed
from grainspec_runtime.backbones.families.sd_unet.norms import norm_scope
from grainspec_runtime.backbones.families.sd_unet.prompts import encode_target
from grainspec_runtime.models.tokenize import token_spans
from grainspec_runtime.modulation.folded import FoldedAttention

_NEEDED = ("unet", "scheduler", "tokenizer", "encode_prompt", "do_classifier_free_guidance")
_COMPILE = "Compile the plan for this model, with its own tokenizer."


@contextmanager
def plan_applied(
    plan: MaskPlan, pipe: DiffusionPipeline, *, backend: str = "auto"
) -> Iterator[FoldedAttention]:
    """Apply a plan to a pipeline with a UNet; see :func:`grainspec_runtime.plan_applied`."""
    unet = _unet_of(pipe)
    _check_words(plan, pipe)
    frames = len(plan.frames)
    attention = FoldedAttention(
        frames,
        plan=plan,
        scope=plan.attention.frames,
        norm=norm_scope(plan.attention.norm, plan.backbone),
        backend=backend,
        device=_device_of(pipe),
    )
    following = _Following(plan, pipe, attention)
    with ExitStack() as stack:
        for name in ("text_encoder", "text_encoder_2"):
            encoder = getattr(pipe, name, None)
            if encoder is not None:
                handle = encoder.register_forward_pre_hook(following.see_text, with_kwargs=True)
                stack.callback(handle.remove)
        handle = pipe.unet.register_forward_pre_hook(following.before_unet, with_kwargs=True)
        stack.callback(handle.remove)
        stack.enter_context(installed(unet, attention))
        yield attention


class _Following:
    """Follows the calls of a pipeline, and sets the step of the plan's attention."""

    def __init__(self, plan: MaskPlan, pipe: DiffusionPipeline, attention: FoldedAttention) -> None:
        self.plan = plan
        self.pipe = pipe
        self.attention = attention
        self._target = _ids(pipe, plan.target)
        self._seen: set[tuple[int, ...]] = set()  # prompts encoded since the UNet last ran
        self._phrases: dict[int | None, Tensor] = {}  # by clip_skip
        self._encoding = False

    def see_text(self, _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Record the token ids of a prompt, before a text encoder runs."""
        ids = args[0] if args else kwargs.get("input_ids")
        if isinstance(ids, Tensor) and not self._encoding:
            self._seen.update(tuple(row) for row in ids.tolist())

    # If the UNet was compiled in place, its hooks are compiled too.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def before_unet(
        self, _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Check the UNet's arguments, set the step and insert isolated phrases, before it runs."""
        inputs = dict(zip(("sample", "timestep", "encoder_hidden_states"), args, strict=False))
        inputs |= kwargs
        sample, words = inputs["sample"], inputs["encoder_hidden_states"]
        self._check(sample, words)
        if self._seen:
            self._phrases.clear()
            if self._target not in self._seen:
                message = f"the pipeline has another prompt than the plan: “{self.plan.target}”"
                cure = "Call it with `prompt=plan.target`, or pass embeddings for all its prompts."
                raise fail("G404", message, cure)
            self._seen.clear()
        self._set_step(inputs["timestep"])
        if self.plan.attention.phrases == "isolated":
            inputs["encoder_hidden_states"] = self._with_phrases(words)
        return (), inputs

    def _check(self, sample: Tensor, words: Tensor) -> None:
        plan, frames = self.plan, self.attention.frames
        passes = 2 if self.pipe.do_classifier_free_guidance else 1
        if len(sample) != passes * frames:
            message = (
                f"the plan is for {frames} frames, but the pipeline makes {len(sample) / passes:g}"
            )
            raise fail("G404", message, f"Call it with `num_images_per_prompt={frames}`.")
        if tuple(sample.shape[-2:]) != plan.edited_FHW.shape[1:]:
            rows, columns = plan.edited_FHW.shape[1:]
            message = (
                f"the plan is for latents of {columns}x{rows}, "
                f"but the pipeline's are {sample.shape[-1]}x{sample.shape[-2]}"
            )
            cure = f"Call it with `width={plan.width}, height={plan.height}`."
            raise fail("G404", message, cure)
        if not isinstance(words, Tensor) or words.shape[1] != plan.words_ET.shape[1]:
            length = words.shape[1] if isinstance(words, Tensor) else "other inputs"
            planned = plan.words_ET.shape[1]
            message = f"the plan is for {planned} text tokens, but the UNet receives {length}"
            raise fail("G404", message, _COMPILE)

    def _set_step(self, timestep: Tensor | float) -> None:
        """Find a timestep's index in the scheduler's, where a timestep may occur twice."""
        at = float(timestep if not isinstance(timestep, Tensor) else timestep.flatten()[0])
        times = list(dict.fromkeys(float(time) for time in self.pipe.scheduler.timesteps))
        step = min(range(len(times)), key=lambda index: abs(times[index] - at))
        self.attention.begin_step(step, len(times), at)

    def _with_phrases(self, words: Tensor) -> Tensor:
        """Insert the plan's isolated phrases in the conditional pass of ``[P * F, T, C]``."""
        skip = getattr(self.pipe, "clip_skip", None)
        if skip not in self._phrases:
            self._encoding = True
            try:
                device = words.device
                self._phrases[skip] = encode_target(
                    self.pipe, self.plan, device=device, clip_skip=skip
                ).words
            finally:
                self._encoding = False
        alone = self._phrases[skip].to(words)
        tokens = torch.from_numpy(self.plan.words_ET.any(axis=0)).to(words.device)
        first = len(words) - self.attention.frames  # where the conditional pass begins
        conditional = torch.arange(len(words), device=words.device) >= first
        return torch.where(conditional[:, None, None] & tokens[:, None], alone, words)


def _unet_of(pipe: DiffusionPipeline) -> UNet2DConditionModel:
    """Return a pipeline's UNet; raises GrainError (G504) if a plan cannot be applied to it."""
    name = type(pipe).__name__
    cure = (
        "Use StableDiffusionPipeline, StableDiffusionXLPipeline, or their image-to-image or "
        "ControlNet pipelines."
    )
    # properties such as `do_classifier_free_guidance` have no value before the first call
    missing = [name for name in _NEEDED if not (hasattr(pipe, name) or hasattr(type(pipe), name))]
    if missing:
        message = f"a plan cannot be applied to {name}: it has no `{missing[0]}`"
        raise fail("G504", message, cure)
    if hasattr(type(pipe), "do_perturbed_attention_guidance"):
        message = (
            f"a plan cannot be applied to {name}: it has a third pass, for perturbed attention"
        )
        raise fail("G504", message, cure)
    unet = getattr(pipe.unet, "_orig_mod", pipe.unet)  # as torch.compile wraps it
    if not isinstance(unet, UNet2DConditionModel):
        message = f"a plan cannot be applied to {name}: its denoiser is a {type(unet).__name__}"
        raise fail("G504", message, cure)
    for processor in unet.attn_processors.values():
        if "IPAdapter" in type(processor).__name__:
            message = (
                f"a plan cannot be applied to {name}: it would replace the IP-Adapter's attention"
            )
            raise fail("G504", message, "Remove the adapter with `pipe.unload_ip_adapter()`.")
    return unet


def _check_words(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """Raise GrainError (G404) if the pipeline's tokenizer gives the target other tokens."""
    if pipe.tokenizer is None or pipe.text_encoder is None:
        if plan.attention.phrases == "isolated":
            message = (
                "the plan isolates phrases, but the pipeline has no text encoder to encode them"
            )
            cure = "Load one, or compile the plan with `attention { phrases in_context }`."
            raise fail("G404", message, cure)
        return
    length = plan.words_ET.shape[1]
    if pipe.tokenizer.model_max_length != length:
        message = (
            f"the plan is for {length} text tokens, "
            f"but the pipeline's tokenizer yields {pipe.tokenizer.model_max_length}"
        )
        raise fail("G404", message, _COMPILE)
    if not pipe.tokenizer.is_fast:
        return  # a slow tokenizer does not return character spans
    places = token_spans(pipe.tokenizer, plan.target)
    for edit in plan.edits:
        for (start, end), tokens in zip(edit.spans, edit.tokens, strict=True):
            theirs = [i for i, (a, b) in enumerate(places) if a < b and a < end and start < b]
            if theirs != list(tokens):
                message = (
                    f"“{edit.phrase}” is tokens {list(tokens)} in the plan, "
                    f"but {theirs} in the pipeline's tokenizer"
                )
                raise fail("G404", message, _COMPILE)


def _ids(pipe: DiffusionPipeline, text: str) -> tuple[int, ...] | None:
    """Return the token ids of a text, as the pipeline's first text encoder receives them."""
    if pipe.tokenizer is None:
        return None
    if hasattr(pipe, "maybe_convert_prompt"):  # textual inversions of several tokens
        text = pipe.maybe_convert_prompt(text, pipe.tokenizer)
    length = pipe.tokenizer.model_max_length
    ids = pipe.tokenizer(text, padding="max_length", max_length=length, truncation=True).input_ids
    return tuple(ids)


def _device_of(pipe: DiffusionPipeline) -> torch.device:
    """Return the device that the pipeline runs on; with offloading, `pipe.device` is the CPU."""
    return torch.device(pipe._execution_device)
