"""Encode prompts: embeddings of tokens and, for SDXL, of the whole text.

Dimensions: T text tokens, C width of the text, D width of the pooled embedding, P passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan


@dataclass(frozen=True)
class EncodedPrompt:
    """An encoded prompt: ``words`` ``[1, T, C]`` and, with SDXL, ``pooled`` ``[1, D]``.

    ``for_controls`` are words that ControlNets read instead, if they are others.
    """

    words: Tensor
    pooled: Tensor | None = None
    for_controls: Tensor | None = None


@torch.no_grad()
def encode_prompt(
    pipe: DiffusionPipeline,
    text: str,
    *,
    device: torch.device,
    clip_skip: int | None = None,
    lora_scale: float | None = None,
) -> EncodedPrompt:
    """Encode a prompt with the pipeline's own ``encode_prompt``.

    For SDXL, the penultimate states of both encoders are concatenated along C, and the pooled
    embedding is the second encoder's. An empty text is encoded as zeros if the checkpoint was
    trained that way (``force_zeros_for_empty_prompt``), as diffusers does for a missing negative
    prompt. ``lora_scale`` scales the LoRAs of the text encoders.
    """
    given = {"clip_skip": clip_skip, "lora_scale": lora_scale}
    words, _, *pooled = pipe.encode_prompt(
        text,
        device=device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
        **{name: value for name, value in given.items() if value is not None},
    )
    if not text and pooled and pipe.config.get("force_zeros_for_empty_prompt"):
        return EncodedPrompt(torch.zeros_like(words), torch.zeros_like(pooled[0]))
    return EncodedPrompt(words, pooled[0] if pooled else None)


def encode_target(
    pipe: DiffusionPipeline, plan: MaskPlan, *, device: torch.device
) -> EncodedPrompt:
    """Encode a plan's target prompt, with isolated phrases if the plan isolates them.

    The pooled embedding is always that of the whole prompt. With `unconditional empty_prompt`, so
    are the words that ControlNets read.
    """
    whole = encode_prompt(pipe, plan.target, device=device)
    if plan.attention.phrases == "in_context":
        return whole
    words = isolate_phrases(pipe, plan, whole.words.clone(), device=device)
    own = plan.attention.unconditional == "empty_prompt"
    return replace(whole, words=words, for_controls=whole.words if own else None)


def encode_unconditional(
    pipe: DiffusionPipeline, negative: str, plan: MaskPlan, *, device: torch.device
) -> EncodedPrompt:
    """Encode the prompt of the unconditional pass under a plan.

    With `unconditional empty_prompt` the words that cross-attention reads are those of the empty
    prompt. The pooled embedding is that of the negative prompt, and ControlNets read its words.
    """
    prompt = encode_prompt(pipe, negative, device=device)
    if plan.attention.unconditional == "negative_prompt":
        return prompt
    empty = encode_prompt(pipe, "", device=device)
    return replace(prompt, words=empty.words, for_controls=prompt.words)


def isolate_phrases(
    pipe: DiffusionPipeline,
    plan: MaskPlan,
    words_1TC: Tensor,
    *,
    device: torch.device,
    clip_skip: int | None = None,
    lora_scale: float | None = None,
) -> Tensor:
    """Replace the words of each edit in an encoded target prompt, in place, and return it.

    The words of an edit, as they are written in the prompt, are encoded by themselves; all others
    stay encoded within the whole prompt, and so do words that are other tokens by themselves
    (G521). This covers both text encoders of SDXL, whose embeddings are concatenated along C.
    """
    encoded: dict[str, Tensor] = {}  # a phrase may occur several times
    for edit in plan.edits:  # `free` has no words
        for (start, end), positions in zip(edit.spans, edit.tokens, strict=True):
            phrase = plan.target[start:end]
            count = len(positions)
            if not _has_tokens(pipe, phrase, count):
                continue
            if phrase not in encoded:
                encoded[phrase] = encode_prompt(
                    pipe, phrase, device=device, clip_skip=clip_skip, lora_scale=lora_scale
                ).words
            # position 0 is the start token
            words_1TC[:, list(positions)] = encoded[phrase][:, 1 : 1 + count]
    return words_1TC


def _has_tokens(pipe: DiffusionPipeline, text: str, count: int) -> bool:
    """Whether a text is this many tokens by itself, besides the start and the end token."""
    # SDXL's refiner has the second tokenizer only
    tokenizer = pipe.tokenizer_2 if pipe.tokenizer is None else pipe.tokenizer
    if hasattr(pipe, "maybe_convert_prompt"):  # textual inversions of several tokens
        text = pipe.maybe_convert_prompt(text, tokenizer)
    return len(tokenizer(text, truncation=True).input_ids) == count + 2


def denoiser_inputs(prompts: list[EncodedPrompt], *, width: int, height: int) -> dict[str, Any]:
    """Return the keyword arguments of a UNet for one frame and one pass per prompt.

    These are ``encoder_hidden_states`` ``[P, T, C]`` and, for SDXL, ``added_cond_kwargs``: the
    pooled embeddings ``[P, D]``, and the time ids ``[P, 6]`` with this width and height in pixels
    as the original and the target size, without a crop. If ControlNets read other words, theirs are
    ``for_controls``: see :func:`apart`.
    """
    inputs: dict[str, Any] = {"encoder_hidden_states": torch.cat([p.words for p in prompts])}
    pooled = [prompt.pooled for prompt in prompts if prompt.pooled is not None]
    if pooled:
        text = torch.cat(pooled)
        times = text.new_tensor([[height, width, 0, 0, height, width]]).expand(len(text), -1)
        inputs["added_cond_kwargs"] = {"text_embeds": text, "time_ids": times}
    if any(prompt.for_controls is not None for prompt in prompts):
        inputs["for_controls"] = torch.cat(
            [p.words if p.for_controls is None else p.for_controls for p in prompts]
        )
    return inputs


def apart(inputs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the keyword arguments of a UNet, and those of its ControlNets."""
    own = {name: value for name, value in inputs.items() if name != "for_controls"}
    if len(own) == len(inputs):
        return own, own
    return own, {**own, "encoder_hidden_states": inputs["for_controls"]}


def repeated(inputs: dict[str, Any], frames: int) -> dict[str, Any]:
    """Repeat each row of keyword arguments ``frames`` times, for passes of several frames."""
    return {
        name: repeated(value, frames)
        if isinstance(value, dict)
        else value.repeat_interleave(frames, 0)
        for name, value in inputs.items()
    }
