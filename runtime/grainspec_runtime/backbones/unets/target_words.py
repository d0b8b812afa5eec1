"""Text embeddings that a pipeline gives its UNet: those of a plan's target, or not.

Dimensions: P passes, F frames, T text tokens, C width of the text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.backbones.unets.prompts import encode_prompt, isolate_phrases
from grainspec_runtime.pipelines.target_words import TargetWords, are_alike


class UNetWords(TargetWords):
    """Compares the embeddings of a UNet's calls with the target's, and isolates phrases."""

    what = "UNet"

    def check(self, words_PFTC: Tensor) -> None:
        """Raise GrainError if the conditional embeddings are not the target's.

        G404: they differ, or have another number of tokens. G411: the pipeline has no text encoder
        to compare with.
        """
        self._check_count(words_PFTC)
        if self._trusted or self._is_checked(words_PFTC):
            return
        self._check_can_encode()
        target = self.whole(words_PFTC)
        frames = len(self._plan.frames)
        if not are_alike(words_PFTC[-frames:], target):
            raise self._other_words(self._difference(words_PFTC, target))
        self._is_now_checked(words_PFTC)

    def with_phrases(self, words_PFTC: Tensor) -> Tensor:
        """Insert the plan's isolated phrases in the conditional pass."""
        alone = self.phrases(words_PFTC)
        device = words_PFTC.device
        tokens = torch.from_numpy(self._plan.words_ET.any(axis=0)).to(device)
        conditional = self._conditional(words_PFTC)
        return torch.where(conditional[:, None, None] & tokens[:, None], alone, words_PFTC)

    def with_empty(self, words_PFTC: Tensor) -> Tensor:
        """Insert the empty prompt in the unconditional pass, if there is one."""
        conditional = self._conditional(words_PFTC)
        if bool(conditional.all()):
            return words_PFTC
        return torch.where(conditional[:, None, None], words_PFTC, self.empty(words_PFTC))

    def _conditional(self, words_PFTC: Tensor) -> Tensor:
        """Return whether rows are those of the conditional pass, the last one."""
        first = len(words_PFTC) - len(self._plan.frames)
        return torch.arange(len(words_PFTC), device=words_PFTC.device) >= first

    def _encode(self, text: str, device: torch.device, settings: dict[str, Any]) -> Tensor:
        return encode_prompt(self._pipe, text, device=device, **settings).words

    def _isolate(self, words_1TC: Tensor, device: torch.device, settings: dict[str, Any]) -> Tensor:
        return isolate_phrases(self._pipe, self._plan, words_1TC, device=device, **settings)

    def _can_encode(self) -> bool:
        return can_encode(self._pipe)

    def _settings(self) -> dict[str, Any]:
        """Return how the pipeline's call encodes: its `clip_skip`, and the scale of its LoRAs."""
        scale = (getattr(self._pipe, "cross_attention_kwargs", None) or {}).get("scale")
        return {"clip_skip": getattr(self._pipe, "clip_skip", None), "lora_scale": scale}

    def _difference(self, words: Tensor, target: Tensor) -> str:
        frames = len(self._plan.frames)
        conditional, other = words[-frames:], words[:-frames]
        if len(other) and are_alike(other, target):
            return "the plan's target as its negative prompt, and another prompt"
        if self._differs_in_second(conditional, target):
            return "another `prompt_2` than the plan's target"
        wrong = sum(not are_alike(row[None], target) for row in conditional)
        where = f"in {wrong} of {frames} images"
        return f"another prompt, or other embeddings, than the plan's target {where}"

    def _differs_in_second(self, conditional: Tensor, target: Tensor) -> bool:
        """Return whether only the second encoder of SDXL had another prompt."""
        first = getattr(self._pipe, "text_encoder", None)
        if first is None or getattr(self._pipe, "text_encoder_2", None) is None:
            return False
        width = first.config.hidden_size
        return are_alike(conditional[..., :width], target[..., :width])


def can_encode(pipe: Any) -> bool:
    """Return whether a pipeline has a text encoder, and no tokenizer without one."""
    pairs = [("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2")]
    present = [
        getattr(pipe, encoder, None) is not None
        for tokenizer, encoder in pairs
        if getattr(pipe, tokenizer, None) is not None
    ]
    return bool(present) and all(present)
