"""A mask plan on a diffusers pipeline with a UNet that the user already has.

Everything goes through what torch and diffusers offer for it: attention processors, and hooks that
see the UNet's arguments before it runs. The pipeline's classes, scheduler and call stay the user's.
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
from grainspec_runtime.backbones.tokenize import placed_tokens
from grainspec_runtime.modulation.folded import FoldedAttention

_NEEDED = ("unet", "scheduler", "tokenizer", "encode_prompt", "do_classifier_free_guidance")


@contextmanager
def plan_applied(
    plan: MaskPlan, pipe: DiffusionPipeline, *, backend: str = "auto"
) -> Iterator[FoldedAttention]:
    """As :func:`grainspec_runtime.plan_applied`, for a pipeline with a UNet."""
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
    """Keeps a plan's attention in step with the calls of a pipeline."""

    def __init__(self, plan: MaskPlan, pipe: DiffusionPipeline, attention: FoldedAttention) -> None:
        self.plan = plan
        self.pipe = pipe
        self.attention = attention
        self._target = _ids(pipe, plan.target)
        self._seen: set[tuple[int, ...]] = set()  # prompts encoded since the UNet last ran
        self._phrases: dict[int | None, Tensor] = {}  # by clip_skip
        self._encoding = False

    def see_text(self, _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before a text encoder runs: note what it reads."""
        ids = args[0] if args else kwargs.get("input_ids")
        if isinstance(ids, Tensor) and not self._encoding:
            self._seen.update(tuple(row) for row in ids.tolist())

    # In a UNet that was compiled in place, its hooks are too.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def before_unet(
        self, _: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before the UNet runs: check its arguments, set the step, put isolated phrases in."""
        given = dict(zip(("sample", "timestep", "encoder_hidden_states"), args, strict=False))
        given |= kwargs
        sample, words = given["sample"], given["encoder_hidden_states"]
        self._check(sample, words)
        if self._seen:
            self._phrases.clear()
            if self._target not in self._seen:
                message = f"the pipeline was given another prompt than “{self.plan.target}”"
                cure = "Call it with `prompt=plan.target`, or with embeddings for all its prompts."
                raise fail("G404", message, cure)
            self._seen.clear()
        self._set_step(given["timestep"])
        if self.plan.attention.phrases == "isolated":
            given["encoder_hidden_states"] = self._with_phrases(words)
        return (), given

    def _check(self, sample: Tensor, words: Tensor) -> None:
        plan, frames = self.plan, self.attention.frames
        passes = 2 if self.pipe.do_classifier_free_guidance else 1
        if len(sample) != passes * frames:
            message = (
                f"the plan is for {frames} frames, the pipeline makes {len(sample) / passes:g}"
            )
            raise fail("G404", message, f"Call it with `num_images_per_prompt={frames}`.")
        if tuple(sample.shape[-2:]) != plan.edited_FHW.shape[1:]:
            rows, columns = plan.edited_FHW.shape[1:]
            message = (
                f"the plan is for latents of {columns}x{rows}, "
                f"the pipeline's are {sample.shape[-1]}x{sample.shape[-2]}"
            )
            cure = f"Call it with `width={plan.width}, height={plan.height}`."
            raise fail("G404", message, cure)
        if not isinstance(words, Tensor) or words.shape[1] != plan.words_ET.shape[1]:
            length = words.shape[1] if isinstance(words, Tensor) else "other"
            message = f"the plan is for {plan.words_ET.shape[1]} text tokens, the UNet got {length}"
            raise fail("G404", message, "Compile the plan for this model, with its own tokenizer.")

    def _set_step(self, timestep: Tensor | float) -> None:
        """The place of a timestep among the scheduler's, of which it may run some twice."""
        at = float(timestep if not isinstance(timestep, Tensor) else timestep.flatten()[0])
        times = list(dict.fromkeys(float(time) for time in self.pipe.scheduler.timesteps))
        step = min(range(len(times)), key=lambda index: abs(times[index] - at))
        self.attention.begin_step(step, len(times), at)

    def _with_phrases(self, words: Tensor) -> Tensor:
        """``words`` ``[P * F, T, C]`` with the plan's isolated phrases in the conditional pass."""
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
    """A pipeline's UNet; raises GrainError (G504) unless a plan can be installed there."""
    name = type(pipe).__name__
    cure = "Plans go on StableDiffusionPipeline, StableDiffusionXLPipeline and their kin."
    # properties such as `do_classifier_free_guidance` have no value before the first call
    lacks = [part for part in _NEEDED if not (hasattr(pipe, part) or hasattr(type(pipe), part))]
    if lacks:
        raise fail("G504", f"{name} has no `{lacks[0]}` that a plan could be applied to", cure)
    if hasattr(type(pipe), "do_perturbed_attention_guidance"):
        raise fail("G504", f"{name} has a pass of its own that no plan knows", cure)
    unet = getattr(pipe.unet, "_orig_mod", pipe.unet)  # as torch.compile wraps it
    if not isinstance(unet, UNet2DConditionModel):
        raise fail("G504", f"the denoiser of {name} is a {type(unet).__name__}", cure)
    for processor in unet.attn_processors.values():
        if "IPAdapter" in type(processor).__name__:
            message = f"the UNet of {name} has an IP-Adapter, whose attention a plan would replace"
            raise fail("G504", message, "Take it off with `pipe.unload_ip_adapter()`.")
    return unet


def _check_words(plan: MaskPlan, pipe: DiffusionPipeline) -> None:
    """Raises GrainError (G404) unless the target's tokens are the plan's to this pipeline."""
    if pipe.tokenizer is None or pipe.text_encoder is None:
        if plan.attention.phrases == "isolated":
            message = "the pipeline has no text encoder to encode the plan's phrases with"
            raise fail("G404", message, "Load one, or compile with `phrases in_context`.")
        return
    length = plan.words_ET.shape[1]
    if pipe.tokenizer.model_max_length != length:
        message = (
            f"the plan is for {length} text tokens, "
            f"the pipeline's tokenizer yields {pipe.tokenizer.model_max_length}"
        )
        raise fail("G404", message, "Compile the plan for this model, with its own tokenizer.")
    if not pipe.tokenizer.is_fast:
        return  # it does not say where its tokens stand
    places = placed_tokens(pipe.tokenizer, plan.target)
    for edit in plan.edits:
        for (start, end), tokens in zip(edit.spans, edit.tokens, strict=True):
            found = [i for i, (a, b) in enumerate(places) if a < b and a < end and start < b]
            if found != list(tokens):
                message = (
                    f"“{edit.phrase}” is tokens {list(tokens)} in the plan, "
                    f"and {found} to the pipeline's tokenizer"
                )
                raise fail("G404", message, "Compile the plan for this model.")


def _ids(pipe: DiffusionPipeline, text: str) -> tuple[int, ...] | None:
    """The token ids of a text, as the pipeline's first text encoder reads them."""
    if pipe.tokenizer is None:
        return None
    if hasattr(pipe, "maybe_convert_prompt"):  # textual inversions of several tokens
        text = pipe.maybe_convert_prompt(text, pipe.tokenizer)
    length = pipe.tokenizer.model_max_length
    ids = pipe.tokenizer(text, padding="max_length", max_length=length, truncation=True).input_ids
    return tuple(ids)


def _device_of(pipe: DiffusionPipeline) -> torch.device:
    """Where the pipeline computes, wherever its parts wait: `pipe.device` is where they wait."""
    return torch.device(pipe._execution_device)
