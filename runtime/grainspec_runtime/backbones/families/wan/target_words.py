"""Text embeddings that a pipeline gives its Wan transformer: those of a plan's target, or not.

Dimensions: T text tokens, C width of the text.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffusers import WanPipeline
from torch import Tensor

from grainspec_runtime.backbones.families.wan.prompts import encode_prompt, isolated_phrases
from grainspec_runtime.pipelines.target_words import TargetWords, are_alike


class WanWords(TargetWords):
    """Compares the embeddings of a transformer's calls with the target's, and isolates phrases."""

    what = "transformer"

    def begin_run(self) -> None:
        """Keep what was encoded: Wan's LoRAs change no text encoder, which is slow to run."""
        self._checked = None

    def check(self, words_1TC: Tensor) -> None:
        """Raise GrainError if embeddings of the conditional pass are not the target's.

        G404: they differ, or have another number of tokens. G411: the pipeline has no text encoder
        to compare with.
        """
        self._check_count(words_1TC)
        if self._trusted or self._is_checked(words_1TC):
            return
        if not self.are_target(words_1TC):
            raise self._other_words("another prompt, or other embeddings, than the plan's target")
        self._is_now_checked(words_1TC)

    def are_target(self, words_1TC: Tensor) -> bool:
        """Return whether embeddings are the target's; raises GrainError as :meth:`check` does."""
        self._check_count(words_1TC)
        self._check_can_encode()
        return are_alike(words_1TC, self.whole(words_1TC))

    @property
    def trusted(self) -> bool:
        """Whether embeddings are not compared."""
        return self._trusted

    def with_phrases(self, words_1TC: Tensor) -> Tensor:
        """Insert the plan's isolated phrases in the embeddings of the conditional pass."""
        tokens = torch.from_numpy(self._plan.words_ET.any(axis=0)).to(words_1TC.device)
        return torch.where(tokens[:, None], self.phrases(words_1TC), words_1TC)

    def _encode(self, text: str, device: torch.device, settings: dict[str, Any]) -> Tensor:
        return encode_prompt(self._encoder, text, device=device).words

    def _isolate(self, words_1TC: Tensor, device: torch.device, settings: dict[str, Any]) -> Tensor:
        encode = partial(encode_prompt, self._encoder, device=device)
        return isolated_phrases(self._plan, words_1TC, encode)

    @property
    def _encoder(self) -> Any:
        """A pipeline with the text encoder; those of other tasks need ftfy to encode."""
        pipe = self._pipe
        if isinstance(pipe, WanPipeline):
            return pipe
        return WanPipeline(pipe.tokenizer, pipe.text_encoder, vae=None, scheduler=None)

    def _can_encode(self) -> bool:
        return can_encode(self._pipe)

    def _cure_of_count(self, planned: int) -> str:
        return (
            f"Call it with `max_sequence_length={planned}`, or compile the plan for this model, "
            "with its own tokenizer."
        )


def can_encode(pipe: Any) -> bool:
    """Return whether a pipeline has a tokenizer and a text encoder."""
    return all(getattr(pipe, part, None) is not None for part in ("tokenizer", "text_encoder"))
