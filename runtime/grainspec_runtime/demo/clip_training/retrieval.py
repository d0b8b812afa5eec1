"""How well a CLIP tells held-out frames and captions apart that differ in one word.

Each held-out scene is rendered as it is, and with one thing changed in several ways. To find the
caption of a frame, or the frame of a caption, among N, the candidates are the right one, those with
one thing changed, and those of other scenes. Candidates that are true as well are left out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import CLIPModel

from grainspec_runtime.demo.clip_training.data import Data, is_true
from grainspec_runtime.demo.clip_training.statements import CHANGES, Change
from grainspec_runtime.demo.training.trainer import Trainer, to_unit

WAYS = 2 * len(CHANGES)
"""In how many ways one thing of a held-out scene is changed."""
AMONG = (64, 256)


def embed_pixels(model: CLIPModel, frames_N3HW: Tensor) -> Tensor:
    """Embed frames in [-1, 1]: float ``[N, D]`` of length 1."""
    pooled = model.vision_model(pixel_values=frames_N3HW).pooler_output
    return torch.nn.functional.normalize(model.visual_projection(pooled).float(), dim=-1)


def embed_texts(model: CLIPModel, ids_NT: Tensor) -> Tensor:
    """Embed token ids: float ``[N, D]`` of length 1; padding after the end has no influence."""
    pooled = model.text_model(input_ids=ids_NT.long()).pooler_output
    return torch.nn.functional.normalize(model.text_projection(pooled).float(), dim=-1)


@torch.no_grad()
def retrieval(
    trainer: Trainer, model: CLIPModel, data: Data, changes: Sequence[Change]
) -> dict[str, float]:
    """Measure retrieval on held-out scenes, of which each has ``1 + WAYS`` frames in ``data``.

    Returns the share of scenes whose caption is nearest to the frame (``image_to_text_64`` and
    ``_256``) and the reverse, and per change, in how many of the scenes the right caption is nearer
    to the frame than the changed one (``told_colour`` and so on).
    """
    with trainer.autocast():
        frames = torch.cat([embed_pixels(model, to_unit(part)) for part in data.frames.split(512)])
        texts = torch.cat([embed_texts(model, part) for part in data.ids[:, 0].split(512)])
    likeness = (texts @ frames.T).cpu()  # [captions, frames]
    true = is_true(data.facts[:, 0], data.truths).cpu()
    block = 1 + WAYS
    found: dict[str, list[float]] = {}
    for start in range(0, len(frames), block):
        for count in AMONG:
            others = _candidates(len(frames), start, count)
            for name, scores, truths in (
                ("image_to_text", likeness[:, start], true[:, start]),
                ("text_to_image", likeness[start], true[start]),
            ):
                wrong = [other for other in others if not truths[other]][: count - 1]
                best = float(scores[wrong].max())
                found.setdefault(f"{name}_{count}", []).append(float(scores[start] > best))
        for way in range(WAYS):
            name = f"told_{changes[start // block * WAYS + way]}"
            nearer = likeness[start, start] > likeness[start + 1 + way, start]
            found.setdefault(name, []).append(float(nearer))
    return {name: sum(values) / len(values) for name, values in found.items()}


def _candidates(frames: int, start: int, count: int) -> list[int]:
    """The scene's changed frames, then frames of other scenes as they are, then changed ones."""
    block = 1 + WAYS
    own = list(range(start + 1, start + block))
    rng = random.Random(start)
    plain = [first for first in range(0, frames, block) if first != start]
    other = [i for i in range(frames) if i % block and not start <= i < start + block]
    rng.shuffle(plain)
    rng.shuffle(other)
    return own + plain[: 2 * count] + other[:count]
