"""Text embeddings that a pipeline gives its denoiser: those of a plan's target, or not.

Dimensions: B batch, T text tokens, C width of the text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from grainspec.diagnostics import GrainError, fail
from grainspec.plan.mask_plan import MaskPlan

_TOLERANCE = 0.05
"""How far a token's embedding may be from the target's, in units of its length. Another word
moves at least one token by 0.75 with the demo's encoder, and by 0.15 with random ones; the room is
for half precision, which rounds differently in batches of other sizes on a GPU."""


class TargetWords(ABC):
    """The embeddings of a plan's target by a pipeline's own encoders, to compare others with.

    With ``trusted``, embeddings of the conditional pass are the target's, whatever they are.
    ``what`` is what the denoiser is called in messages.
    """

    what = "denoiser"

    def __init__(self, plan: MaskPlan, pipe: Any, *, trusted: bool) -> None:
        self._plan = plan
        self._pipe = pipe
        self._trusted = trusted
        self._encoded: dict[tuple[Any, ...], Tensor] = {}
        self._checked: tuple[Tensor, int] | None = None  # and its version, which counts changes

    @abstractmethod
    def _encode(self, text: str, device: torch.device, settings: dict[str, Any]) -> Tensor:
        """Encode a text, ``[1, T, C]``."""

    @abstractmethod
    def _isolate(self, words_1TC: Tensor, device: torch.device, settings: dict[str, Any]) -> Tensor:
        """Insert isolated phrases in a copy of the encoded target, and return it."""

    @abstractmethod
    def _can_encode(self) -> bool:
        """Return whether the pipeline has the text encoders that it needs."""

    def _settings(self) -> dict[str, Any]:
        """Return the settings of the pipeline's call that change how it encodes."""
        return {}

    def begin_run(self) -> None:
        """Forget what was encoded: LoRAs of the text encoder may have changed."""
        self._encoded.clear()
        self._checked = None

    def whole(self, words: Tensor) -> Tensor:
        """Return the target's embeddings ``[1, T, C]``, on others' device and in their dtype."""
        settings = self._settings()
        key = ("whole", *settings.items())
        if key not in self._encoded:
            self._encoded[key] = self._encode(self._plan.target, words.device, settings)
        return self._encoded[key].to(words)

    @property
    def replaces_unconditional(self) -> bool:
        """Whether the unconditional pass reads the empty prompt; trusted embeddings are left."""
        return self._plan.attention.unconditional == "empty_prompt" and not self._trusted

    def empty(self, words: Tensor) -> Tensor:
        """Return the embeddings of the empty prompt, as :meth:`whole` does."""
        settings = self._settings()
        key = ("empty", *settings.items())
        if key not in self._encoded:
            self._encoded[key] = self._encode("", words.device, settings)
        return self._encoded[key].to(words)

    def phrases(self, words: Tensor) -> Tensor:
        """Return the target's embeddings with isolated phrases, as :meth:`whole` does."""
        settings = self._settings()
        key = ("phrases", *settings.items())
        if key not in self._encoded:
            whole = self.whole(words).clone()
            self._encoded[key] = self._isolate(whole, words.device, settings)
        return self._encoded[key].to(words)

    def _is_checked(self, words: Tensor) -> bool:
        if self._checked is None:
            return False
        tensor, version = self._checked
        return tensor is words and version == words._version

    def _is_now_checked(self, words: Tensor) -> None:
        self._checked = (words, words._version)

    def _check_count(self, words: Any) -> None:
        """Raise GrainError (G404) if a call has another number of text tokens than the plan."""
        planned = self._plan.words_ET.shape[1]
        if not isinstance(words, Tensor) or words.shape[1] != planned:
            length = words.shape[1] if isinstance(words, Tensor) else "other inputs"
            message = (
                f"the plan is for {planned} text tokens, but the {self.what} receives {length}"
            )
            raise fail("G404", message, self._cure_of_count(planned))

    def _cure_of_count(self, planned: int) -> str:
        return "Compile the plan for this model, with its own tokenizer."

    def _check_can_encode(self) -> None:
        """Raise GrainError (G411) if there is nothing to compare embeddings with."""
        if not self._can_encode():
            message = "the pipeline has no text encoder to compare its embeddings with the target's"
            cure = (
                "If they are those of `plan.target`, say so: "
                "`plan_applied(plan, pipe, trust_embeds=True)`."
            )
            raise fail("G411", message, cure)

    def _other_words(self, what: str) -> GrainError:
        """Return the error (G404) of a pipeline that has ``what`` instead of the target."""
        cure = (
            "Call it with `prompt=plan.target` alone. If you pass `prompt_embeds` of the target "
            "that you changed, say so: `plan_applied(plan, pipe, trust_embeds=True)`."
        )
        return fail("G404", f"the pipeline has {what}: “{self._plan.target}”", cure)


def are_alike(words: Tensor, target: Tensor) -> bool:
    """Return whether every token of ``[B, T, C]`` is near that of ``[1, T, C]``."""
    target = target.float()
    distance = (words.float() - target).norm(dim=-1)
    return bool((distance <= _TOLERANCE * target.norm(dim=-1)).all())
