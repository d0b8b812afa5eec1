"""Encode prompts with Wan's text encoder, which is in memory only while prompts are encoded.

Wan's text encoder is larger than its smaller transformers: 11 GB in bfloat16. It is deleted before
the denoiser or the VAE runs, on the device and in main memory, and loaded again if a prompt is
encoded later. The embeddings of the last prompts are kept, without their padding.

Dimensions: T text tokens, C width of the text.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import WanPipeline
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.families.wan.configs import MAX_TOKENS
from grainspec_runtime.models.options import Offload

KEPT_PROMPTS = 32
"""Number of prompts whose embeddings are kept: each has at most 4 MB, most have 0.2 MB."""


@dataclass(frozen=True)
class EncodedPrompt:
    """An encoded prompt: ``words`` ``[1, T, C]``, of which all from ``length`` on is padding.

    Padding is zeros that the denoiser attends to. ``is_target`` is whether it is a plan's target.
    """

    words: Tensor
    length: int
    is_target: bool = False


Encode = Callable[[str], EncodedPrompt]
"""Encodes a text by itself."""


class TextEncoder:
    """The text encoder for the denoiser of ``pipe``; ``load`` loads it onto the CPU.

    It encodes as a :class:`WanPipeline` of its own, so that no hook of the other networks holds it.
    """

    def __init__(
        self,
        pipe: Any,
        load: Callable[[], Any],
        *,
        device: torch.device,
        dtype: torch.dtype,
        offload: Offload | None,
    ) -> None:
        self._pipe = pipe
        self._load = load
        self._device, self._dtype = device, dtype
        self._offload = offload
        self._network: Any = load()  # errors of its files are found with those of the others
        self._placed = False
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self.size = sum(it.numel() * it.element_size() for it in self._network.parameters())
        """Bytes of its weights."""

    @property
    def is_loaded(self) -> bool:
        """Whether its weights are in memory."""
        return self._network is not None

    def encode(self, text: str) -> EncodedPrompt:
        """Encode a text with the pipeline's own ``encode_prompt``."""
        if text not in self._kept:
            self._kept[text] = self._encoded(text)
            if len(self._kept) > KEPT_PROMPTS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(text)
        words_LC = self._kept[text]
        length = len(words_LC)
        padding = words_LC.new_zeros(MAX_TOKENS - length, words_LC.shape[1])
        return EncodedPrompt(torch.cat([words_LC, padding])[None], length)

    def leave_device(self) -> None:
        """Delete its weights if they are on the device; unused ones are still in main memory."""
        if self._placed:
            self.release()

    def release(self) -> None:
        """Delete its weights, until the next text that is not known."""
        if self._network is None:
            return
        self._network, self._placed = None, False
        gc.collect()  # networks of transformers are parts of reference cycles
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _encoded(self, text: str) -> Tensor:
        tokenizer = self._pipe.tokenizer
        encoder: Any = WanPipeline(tokenizer, self._on_device(), vae=None, scheduler=None)
        prompt = encode_prompt(encoder, text, device=self._device)
        return prompt.words[0, : prompt.length].to(self._dtype, copy=True)

    def _on_device(self) -> Any:
        if self._network is None:
            self._network = self._load()
        if not self._placed:
            self._placed = True
            self._pipe.maybe_free_model_hooks()  # with offloading: room for the text encoder
            if self._offload == "sequential":
                from accelerate import cpu_offload

                cpu_offload(self._network, self._device)
            else:
                torch.nn.Module.to(self._network, self._device)
        return self._network


@torch.no_grad()
def encode_prompt(pipe: Any, text: str, *, device: torch.device) -> EncodedPrompt:
    """Encode a prompt with a pipeline's own ``encode_prompt``."""
    words_1TC, _ = pipe.encode_prompt(
        text,
        do_classifier_free_guidance=False,
        max_sequence_length=MAX_TOKENS,
        device=device,
    )
    ids = pipe.tokenizer(prompt_clean(text), truncation=True, max_length=MAX_TOKENS).input_ids
    return EncodedPrompt(words_1TC, len(ids))


def encode_target(plan: MaskPlan, encode: Encode) -> EncodedPrompt:
    """Encode a plan's target prompt, with isolated phrases if the plan isolates them."""
    whole = replace(encode(plan.target), is_target=True)
    if plan.attention.phrases == "in_context":
        return whole
    return replace(whole, words=isolated_phrases(plan, whole.words, encode))


def isolated_phrases(plan: MaskPlan, words_1TC: Tensor, encode: Encode) -> Tensor:
    """Return an encoded target prompt in which the words of each edit are encoded by themselves.

    All other words stay encoded within the whole prompt, and so do words that are other tokens by
    themselves (G521). T5 has no start token: the tokens of a text begin at position 0.
    """
    words_1TC = words_1TC.clone()
    for edit in plan.edits:  # `free` has no words
        for (start, end), positions in zip(edit.spans, edit.tokens, strict=True):
            phrase, count = encode(plan.target[start:end]), len(positions)
            if phrase.length == count + 1:  # with its end token
                words_1TC[:, list(positions)] = phrase.words[:, :count].to(words_1TC)
    return words_1TC
