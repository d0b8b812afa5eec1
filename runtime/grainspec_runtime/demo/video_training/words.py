"""Captions as token ids, and the padding of texts to 512 tokens.

Diffusers' pipelines pad Wan's text embeddings with zeros to 512 tokens, which the transformer
attends to as it does to words. All of them have the same key and the same value, so attention to
n of them is attention to one whose score is larger by log(n): with 48 tokens and that, training
computes what 512 tokens give, for a fraction of the time.

Dimensions: B texts, T tokens, C width of the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor, WanTransformer3DModel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

from grainspec_runtime.demo.video_training.tokenizer import MAX_TOKENS

PADDED = 512
"""Tokens that a text is padded to where the model is used."""


class Captions:
    """Token ids of clips' alternative captions; 0 is padding."""

    def __init__(
        self,
        captions: Sequence[Sequence[str]],
        tokenizer: PreTrainedTokenizerBase,
        device: torch.device,
    ) -> None:
        ids = ids_of([text for texts in captions for text in texts], tokenizer)
        self._ids = ids.view(len(captions), -1, MAX_TOKENS).to(device, torch.int16)

    def sample(self, rows: Tensor) -> Tensor:
        """Draw one of each clip's alternatives at random: ids ``[B, T]``."""
        which = torch.randint(self._ids.shape[1], (len(rows),), device=rows.device)
        return self._ids[rows, which].long()

    def first(self, rows: Tensor) -> Tensor:
        """The first of each clip's alternatives: ids ``[B, T]``."""
        return self._ids[rows, 0].long()


def ids_of(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Token ids ``[B, T]`` of texts, each with its end, padded to ``MAX_TOKENS``.

    Raises ValueError for a text that does not leave room for padding.
    """
    ids = tokenizer(
        list(texts), padding="max_length", max_length=MAX_TOKENS, return_tensors="pt"
    ).input_ids
    if ids.shape[1] > MAX_TOKENS or (ids[:, -1] != tokenizer.pad_token_id).any():
        raise ValueError(f"a caption has {MAX_TOKENS} tokens or more")
    read: Tensor = ids
    return read


def encode_text(text_encoder: UMT5EncoderModel, ids_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Encode token ids as the pipeline does: ``[B, T, C]``, with zeros for padding.

    Also returns whether a token is one of the text, ``[B, T]``.
    """
    attended_BT = ids_BT != text_encoder.config.pad_token_id
    hidden_BTC = text_encoder(ids_BT, attended_BT.long())[0]
    return hidden_BTC * attended_BT[..., None], attended_BT


def padding_scores(attended_BT: Tensor) -> Tensor:
    """What is added to the scores of the tokens, ``[B, 1, 1, T]``, for padding to 512 tokens.

    ``attended_BT`` is whether a token is one of the text.
    """
    words = attended_BT.sum(1, keepdim=True)
    shown = attended_BT.shape[1] - words
    scores = torch.log((PADDED - words) / shown)
    return torch.where(attended_BT, 0.0, scores)[:, None, None]


class PaddedText(WanAttnProcessor):  # type: ignore[misc]
    """Cross-attention to a text that stands for one of 512 tokens, with ``padding_scores``."""

    def __init__(self) -> None:
        super().__init__()
        self.scores_B11T: Tensor | None = None

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Attend as the stock processor does, with the scores added."""
        if self.scores_B11T is not None:
            attention_mask = self.scores_B11T.to(hidden_states.dtype)
        attended: Tensor = super().__call__(
            attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb
        )
        return attended


def pad_text(transformer: WanTransformer3DModel) -> PaddedText:
    """Put one :class:`PaddedText` into all cross-attentions of a transformer, and return it."""
    processor = PaddedText()
    for block in transformer.blocks:
        block.attn2.processor = processor
    return processor
