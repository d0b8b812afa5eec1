"""Text embeddings that a pipeline gives its UNet: those of a plan's target, or not.

Dimensions: P passes, F frames, T text tokens, C width of the text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.families.sd_unet.prompts import encode_prompt, isolate_phrases

_TOLERANCE = 0.05
"""How far a token's embedding may be from the target's, in units of its length. Another word
moves at least one token by 0.75 with the demo's encoder, and by 0.15 with random ones; the room is
for half precision, which rounds differently in batches of other sizes on a GPU."""


class TargetWords:
    """Compares the embeddings of a pipeline's calls with the target's, and isolates phrases.

    With ``trusted``, embeddings of the conditional pass are the target's, whatever they are.
    """

    def __init__(self, plan: MaskPlan, pipe: Any, *, trusted: bool) -> None:
        self._plan = plan
        self._pipe = pipe
        self._trusted = trusted
        self._encoded: dict[tuple[Any, ...], Tensor] = {}
        self._checked: tuple[Tensor, int] | None = None  # and its version, which counts changes

    def begin_run(self) -> None:
        """Forget what was encoded: LoRAs of the text encoder may have changed."""
        self._encoded.clear()
        self._checked = None

    def check(self, words_PFTC: Tensor) -> None:
        """Raise GrainError if the conditional embeddings are not the target's.

        G404: they differ, or have another number of tokens. G411: the pipeline has no text encoder
        to compare with.
        """
        planned = self._plan.words_ET.shape[1]
        if not isinstance(words_PFTC, Tensor) or words_PFTC.shape[1] != planned:
            length = words_PFTC.shape[1] if isinstance(words_PFTC, Tensor) else "other inputs"
            message = f"the plan is for {planned} text tokens, but the UNet receives {length}"
            raise fail("G404", message, "Compile the plan for this model, with its own tokenizer.")
        if self._trusted or self._is_checked(words_PFTC):
            return
        if not can_encode(self._pipe):
            message = "the pipeline has no text encoder to compare its embeddings with the target's"
            cure = (
                "If they are those of `plan.target`, say so: "
                "`plan_applied(plan, pipe, trust_embeds=True)`."
            )
            raise fail("G411", message, cure)
        target = self._whole(words_PFTC)
        conditional = words_PFTC[-len(self._plan.frames) :]
        if not _alike(conditional, target):
            raise self._other_words(words_PFTC, target)
        self._checked = (words_PFTC, words_PFTC._version)

    def with_phrases(self, words_PFTC: Tensor) -> Tensor:
        """Insert the plan's isolated phrases in the conditional pass."""
        alone = self._phrases(words_PFTC).to(words_PFTC)
        device = words_PFTC.device
        tokens = torch.from_numpy(self._plan.words_ET.any(axis=0)).to(device)
        first = len(words_PFTC) - len(self._plan.frames)  # where the conditional pass begins
        conditional = torch.arange(len(words_PFTC), device=device) >= first
        return torch.where(conditional[:, None, None] & tokens[:, None], alone, words_PFTC)

    def _is_checked(self, words: Tensor) -> bool:
        if self._checked is None:
            return False
        tensor, version = self._checked
        return tensor is words and version == words._version

    def _whole(self, words: Tensor) -> Tensor:
        settings = self._settings()
        key = ("whole", *settings.items())
        if key not in self._encoded:
            encoded = encode_prompt(self._pipe, self._plan.target, device=words.device, **settings)
            self._encoded[key] = encoded.words
        return self._encoded[key].to(words)

    def _phrases(self, words: Tensor) -> Tensor:
        settings = self._settings()
        key = ("phrases", *settings.items())
        if key not in self._encoded:
            whole = self._whole(words).clone()
            self._encoded[key] = isolate_phrases(
                self._pipe, self._plan, whole, device=words.device, **settings
            )
        return self._encoded[key]

    def _settings(self) -> dict[str, Any]:
        """Return how the pipeline's call encodes: its `clip_skip`, and the scale of its LoRAs."""
        scale = (getattr(self._pipe, "cross_attention_kwargs", None) or {}).get("scale")
        return {"clip_skip": getattr(self._pipe, "clip_skip", None), "lora_scale": scale}

    def _other_words(self, words: Tensor, target: Tensor) -> Exception:
        frames = len(self._plan.frames)
        conditional, other = words[-frames:], words[:-frames]
        wrong = sum(not _alike(row[None], target) for row in conditional)
        where = f"in {wrong} of {frames} images"
        what = f"another prompt, or other embeddings, than the plan's target {where}"
        if len(other) and _alike(other, target):
            what = "the plan's target as its negative prompt, and another prompt"
        elif self._differs_in_second(conditional, target):
            what = "another `prompt_2` than the plan's target"
        cure = (
            "Call it with `prompt=plan.target` alone. If you pass `prompt_embeds` of the target "
            "that you changed, say so: `plan_applied(plan, pipe, trust_embeds=True)`."
        )
        return fail("G404", f"the pipeline has {what}: “{self._plan.target}”", cure)

    def _differs_in_second(self, conditional: Tensor, target: Tensor) -> bool:
        """Return whether only the second encoder of SDXL had another prompt."""
        first = getattr(self._pipe, "text_encoder", None)
        if first is None or getattr(self._pipe, "text_encoder_2", None) is None:
            return False
        width = first.config.hidden_size
        return _alike(conditional[..., :width], target[..., :width])


def can_encode(pipe: Any) -> bool:
    """Return whether a pipeline has a text encoder, and no tokenizer without one."""
    pairs = [("tokenizer", "text_encoder"), ("tokenizer_2", "text_encoder_2")]
    present = [
        getattr(pipe, encoder, None) is not None
        for tokenizer, encoder in pairs
        if getattr(pipe, tokenizer, None) is not None
    ]
    return bool(present) and all(present)


def _alike(words: Tensor, target: Tensor) -> bool:
    """Return whether every token of ``[B, T, C]`` is near that of ``[1, T, C]``."""
    target = target.float()
    distance = (words.float() - target).norm(dim=-1)
    return bool((distance <= _TOLERANCE * target.norm(dim=-1)).all())
