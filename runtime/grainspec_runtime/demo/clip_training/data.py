"""Examples as tensors on a device: frames as edits leave them, token ids, and facts.

Dimensions: B frames, K captions of each, T tokens, D the dimension of the embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPTokenizer

from grainspec_runtime.demo.clip_training.examples import SIZE, Examples
from grainspec_runtime.demo.clip_training.statements import FACTS
from grainspec_runtime.demo.training.tokenizer import MAX_TOKENS
from grainspec_runtime.demo.training.trainer import Trainer, to_unit
from grainspec_runtime.models.locate import DEMO_FOLDER


@dataclass(frozen=True)
class Data:
    """``n`` frames with captions, on a device; see :class:`Examples`.

    frames: uint8 ``[n, 3, SIZE, SIZE]``. truths: int16 ``[n, facts]``. ids, false_ids: int16
    ``[n, K, T]``. facts, false_facts: int16 ``[n, K, facts]``. Held-out frames have no false
    captions: K = 0.
    """

    frames: Tensor
    truths: Tensor
    ids: Tensor
    facts: Tensor
    false_ids: Tensor
    false_facts: Tensor


def data_of(
    trainer: Trainer, examples: Examples, tokenizer: CLIPTokenizer, *, decoded: float, seed: int
) -> Data:
    """Make the data of some examples.

    Of the frames, the share ``decoded`` are replaced by what the image model's VAE decodes of them,
    because edits are decoded, too.
    """
    frames = torch.from_numpy(examples.frames).permute(0, 3, 1, 2).contiguous()
    frames = frames.to(trainer.device)
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.rand(len(frames), generator=draw) < decoded
    if bool(chosen.any()):
        where = chosen.nonzero()[:, 0].to(trainer.device)
        frames[where] = _round_trip(trainer, frames[where])
    boxes = torch.from_numpy(examples.boxes).to(trainer.device)
    parts = zip(frames.split(512), boxes.split(512), strict=True)
    return Data(
        frames=torch.cat([_shown(*part) for part in parts]),
        truths=torch.from_numpy(examples.truths).to(trainer.device),
        ids=_tokenized(tokenizer, examples.words).to(trainer.device),
        facts=torch.from_numpy(examples.facts).to(trainer.device),
        false_ids=_tokenized(tokenizer, examples.false_words).to(trainer.device),
        false_facts=torch.from_numpy(examples.false_facts).to(trainer.device),
    )


@torch.inference_mode()
def _round_trip(trainer: Trainer, frames: Tensor) -> Tensor:
    vae = AutoencoderKL.from_pretrained(DEMO_FOLDER / "vae", use_safetensors=True)
    vae = vae.float().eval().requires_grad_(False).to(trainer.device)
    parts = []
    for part in frames.split(64):
        with trainer.autocast():
            decoded = vae.decode(vae.encode(to_unit(part)).latent_dist.mean).sample.float()
        parts.append(_to_bytes(decoded))
    return torch.cat(parts)


def _shown(frames: Tensor, boxes: Tensor) -> Tensor:
    """Resample the parts of frames that are shown to the size of a whole frame."""
    close = ((boxes[:, 2:] - boxes[:, :2]) < 1).any(1)
    if not bool(close.any()):
        return frames
    x0, y0, x1, y1 = boxes[close].unbind(1)
    theta = torch.zeros(len(x0), 2, 3, device=frames.device)
    theta[:, 0, 0], theta[:, 1, 1] = x1 - x0, y1 - y0
    theta[:, 0, 2], theta[:, 1, 2] = x0 + x1 - 1, y0 + y1 - 1
    grid = F.affine_grid(theta, [len(x0), 3, SIZE, SIZE], align_corners=False)
    parts = F.grid_sample(
        to_unit(frames[close]), grid, mode="bicubic", padding_mode="border", align_corners=False
    )
    shown = frames.clone()
    shown[close] = _to_bytes(parts)
    return shown


def _to_bytes(frames: Tensor) -> Tensor:
    return ((frames.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _tokenized(tokenizer: CLIPTokenizer, words: list[list[str]]) -> Tensor:
    texts = [text for some in words for text in some]
    if not texts:
        return torch.zeros(len(words), 0, MAX_TOKENS, dtype=torch.int16)
    ids = tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, truncation=True).input_ids
    return torch.tensor(ids, dtype=torch.int16).view(len(words), -1, MAX_TOKENS)


def is_true(facts: Tensor, truths: Tensor) -> Tensor:
    """Whether captions are true of frames, bool ``[captions, frames]``.

    ``facts`` are those of captions, ``[captions, facts]``, ``truths`` those of frames.

    >>> caption, frames = torch.tensor([[3, -1]]), torch.tensor([[3, 5], [4, 5]])
    >>> is_true(caption, frames).tolist()
    [[True, False]]
    """
    stated, shown = _marked(facts), _marked(truths)
    return stated @ shown.T >= stated.sum(1, keepdim=True)


def _marked(facts: Tensor) -> Tensor:
    """Facts as zeros and ones, float32 ``[n, FACTS]``."""
    marked = torch.zeros(len(facts), FACTS + 1, device=facts.device)
    marked.scatter_(1, torch.where(facts < 0, FACTS, facts).long(), 1.0)
    return marked[:, :FACTS]
