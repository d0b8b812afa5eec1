"""Prompts as a denoiser reads them: embeddings of tokens, and for SDXL of the whole text too.

Dimensions: T tokens, C width of the text, D width of the pooled embedding.
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
    """An encoded prompt: ``words`` ``[1, T, C]`` and, with SDXL, ``pooled`` ``[1, D]``."""

    words: Tensor
    pooled: Tensor | None = None


@torch.no_grad()
def encode_prompt(
    pipe: DiffusionPipeline, text: str, *, device: torch.device, clip_skip: int | None = None
) -> EncodedPrompt:
    """Encode a prompt with the pipeline's own ``encode_prompt``.

    SDXL's two encoders' penultimate states stand side by side in C; its pooled embedding is the
    second encoder's. An empty text is zeros where the checkpoint was trained that way
    (``force_zeros_for_empty_prompt``), as in diffusers for a negative prompt that is not given.
    """
    words, _, *pooled = pipe.encode_prompt(
        text,
        device=device,
        num_images_per_prompt=1,
        do_classifier_free_guidance=False,
        clip_skip=clip_skip,
    )
    found = EncodedPrompt(words, pooled[0] if pooled else None)
    if not text and pooled and pipe.config.get("force_zeros_for_empty_prompt"):
        return EncodedPrompt(torch.zeros_like(words), torch.zeros_like(pooled[0]))
    return found


def encode_target(
    pipe: DiffusionPipeline,
    plan: MaskPlan,
    *,
    device: torch.device,
    clip_skip: int | None = None,
) -> EncodedPrompt:
    """A plan's target prompt, encoded.

    With isolated phrases, every edit's words are encoded by themselves and take the place of the
    same words in the encoded prompt; the rest keeps the whole prompt's context. That goes for each
    of several text encoders, since their widths stand side by side; the pooled embedding is always
    the whole prompt's.
    """
    whole = encode_prompt(pipe, plan.target, device=device, clip_skip=clip_skip)
    if plan.attention.phrases == "in_context":
        return whole
    words = whole.words.clone()
    for edit in plan.edits:
        if not edit.tokens:
            continue  # free: no words
        alone = encode_prompt(pipe, edit.phrase, device=device, clip_skip=clip_skip).words
        for positions in edit.tokens:
            count = len(positions)
            words[:, list(positions)] = alone[:, 1 : 1 + count]  # position 0 begins the text
    return replace(whole, words=words)


def denoiser_inputs(prompts: list[EncodedPrompt], *, width: int, height: int) -> dict[str, Any]:
    """The keyword arguments of a UNet for one pass per prompt, of one frame each.

    ``encoder_hidden_states`` ``[P, T, C]`` and, with SDXL, ``added_cond_kwargs``: the pooled
    embeddings ``[P, D]`` and the time ids ``[P, 6]`` that say the picture was made at, and is
    wanted at, this width and height in pixels, uncropped.
    """
    inputs: dict[str, Any] = {"encoder_hidden_states": torch.cat([p.words for p in prompts])}
    pooled = [prompt.pooled for prompt in prompts if prompt.pooled is not None]
    if pooled:
        text = torch.cat(pooled)
        times = text.new_tensor([[height, width, 0, 0, height, width]]).expand(len(text), -1)
        inputs["added_cond_kwargs"] = {"text_embeds": text, "time_ids": times}
    return inputs


def repeated(inputs: dict[str, Any], frames: int) -> dict[str, Any]:
    """The same keyword arguments for passes of ``frames`` frames: every row ``frames`` times."""
    return {
        name: repeated(value, frames)
        if isinstance(value, dict)
        else value.repeat_interleave(frames, 0)
        for name, value in inputs.items()
    }
