"""Plans for tiny checkpoints of Wan, calls of diffusers' pipelines, and attention by definition.

Dimensions: F latent frames, N latent tokens of the clip, M keys, H heads, d head size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, WanPipeline
from PIL import Image
from torch import Tensor

from grainspec import parse
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec_runtime.backbones.registry import describe
from grainspec_runtime.modulation.layers import AttentionLayer

FRAMES, LATENT_FRAMES, STEPS = 9, 3, 4
TARGET = "a green robot and a yellow bear on grass"


def plan_for(
    model: Path,
    settings: str = "until 100%",
    frames: int = FRAMES,
    size: tuple[int, int] = (64, 32),
) -> MaskPlan:
    """Compile a plan with a robot on the left and a bear below on the right, who moves."""
    width, height = size
    spec = parse(
        f'grain 1 video "c" model "{model.name}" target "{TARGET}" '
        "region left = all region right = all "
        'edit left -> "green robot" { weight 0.8 } edit right -> "yellow bear" '
        f"attention videograin {{ resize any {settings} }}"
    )
    masks = {name: np.zeros((frames, height, width), bool) for name in ("left", "right")}
    masks["left"][:, :, : width // 2] = True
    masks["right"][:, height // 2 :, width // 2 :] = True
    masks["right"][frames // 2 :, :, -width // 4 :] = True
    return compile_plan(spec, Layout.of(masks), describe(str(model), Path())).plan


def stock(model: Path) -> DiffusionPipeline:
    """diffusers' pipeline for a folder."""
    pipe = DiffusionPipeline.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def size_for(pipe: DiffusionPipeline) -> tuple[int, int]:
    """Width and height of 8 x 4 latents."""
    unit = pipe.vae_scale_factor_spatial
    return 8 * unit, 4 * unit


def embedded(pipe: DiffusionPipeline, prompt: str = TARGET, negative: str = "") -> dict[str, Any]:
    """The prompts as embeddings: some pipelines of Wan need the package ftfy to encode."""
    encoder = WanPipeline(pipe.tokenizer, pipe.text_encoder, vae=None, scheduler=None)
    words, others = encoder.encode_prompt(prompt, negative, max_sequence_length=512)
    return {"prompt_embeds": words, "negative_prompt_embeds": others}


def call(pipe: DiffusionPipeline, **changes: Any) -> Tensor:
    """Latents of the target ``[1, c, F, h, w]``, from the same noise each time."""
    width, height = size_for(pipe)
    settings: dict[str, Any] = {
        "height": height,
        "width": width,
        "num_frames": FRAMES,
        "num_inference_steps": STEPS,
        "generator": torch.Generator().manual_seed(0),
        "output_type": "latent",
    }
    if not {"prompt", "prompt_embeds"} & changes.keys():
        settings |= embedded(pipe)
    if "image_processor" in pipe.components and "image" not in changes:
        settings["image"] = Image.new("RGB", (width, height), "red")
    return pipe(**(settings | changes)).frames


def inputs(transformer: Any, seed: int = 0, frames: int = LATENT_FRAMES) -> dict[str, Tensor]:
    """Random inputs of a transformer: 8 x 4 latents, 512 text tokens, and what it needs else."""
    random = torch.Generator().manual_seed(seed)
    config = transformer.config
    given = {
        "hidden_states": torch.randn(1, config.in_channels, frames, 4, 8, generator=random),
        "timestep": torch.tensor([900.0]),
        "encoder_hidden_states": torch.randn(1, 512, config.text_dim, generator=random),
    }
    if config.image_dim is not None:
        given["encoder_hidden_states_image"] = torch.randn(1, 5, config.image_dim, generator=random)
    if "vace_in_channels" in config:
        shape = (1, config.vace_in_channels, frames, 4, 8)
        given["control_hidden_states"] = torch.randn(shape, generator=random)
    return given


@torch.no_grad()
def output(transformer: Any, given: dict[str, Tensor] | None = None) -> Tensor:
    return transformer(**(given or inputs(transformer))).sample


def by_definition(
    plan: MaskPlan, kind: str, query: Tensor, key: Tensor, value: Tensor, timestep: float
) -> Tensor:
    """Modulated attention with N x M masks and scores in float64, as the equations say."""
    q, k, v = (tensor.double() for tensor in (query, key, value))
    level = plan.levels[0]
    labels_N = torch.from_numpy(level.labels_FHW.astype(np.int64)).flatten()
    frames_N = torch.arange(len(level.labels_FHW)).repeat_interleave(level.tokens)
    members_NE = torch.from_numpy(plan.members_CE)[labels_N]
    words_ET = torch.from_numpy(plan.words_ET)
    time = max(timestep - plan.attention.timestep_offset, 0)
    xi = (time / plan.training_steps) ** plan.attention.decay
    tables = {
        "self": (level.self_attract_FC, level.self_repel_FC),
        "cross": (level.cross_attract_FC, level.cross_repel_FC),
    }[kind]
    attract_N1, repel_N1 = (
        (torch.from_numpy(table)[frames_N, labels_N].double() * xi).clamp(max=1)[:, None]
        for table in tables
    )
    keys = members_NE.T if kind == "self" else words_ET
    positive_NM = (members_NE.double() @ keys.double()) > 0
    share_M = torch.ones(key.shape[2], dtype=torch.float64)
    neutral_M = torch.zeros(key.shape[2], dtype=torch.bool)
    columns_M = torch.zeros(key.shape[2], dtype=torch.float64)
    if kind == "cross":
        share_M[~words_ET.any(0)] = plan.attention.unbound
        neutral_M = torch.from_numpy(plan.neutral_T)
        weights_E = torch.tensor([edit.weight for edit in plan.edits]).double()
        strongest_M = (words_ET * weights_E[:, None]).amax(0)
        columns_M = (plan.attention.columns * strongest_M * xi).clamp(max=1)
    scores = q @ k.mT / q.shape[-1] ** 0.5
    largest = scores.masked_fill(neutral_M, -torch.inf).amax(-1, keepdim=True)
    smallest = scores.masked_fill(neutral_M, torch.inf).amin(-1, keepdim=True)
    raised = scores + attract_N1 * (largest - scores)
    lowered = scores + share_M * repel_N1 * (smallest - scores)
    moved = torch.where(positive_NM, raised, lowered)
    most, least = moved.amax(-2, keepdim=True), moved.amin(-2, keepdim=True)
    moved = moved + columns_M * (torch.where(positive_NM, most, least) - moved)
    moved = torch.where(neutral_M, scores, moved)
    return moved.softmax(-1) @ v


class ByDefinition:
    """The attention of a plan's conditional pass by :func:`by_definition`, in every layer."""

    norm = "each"

    def __init__(self, plan: MaskPlan, timestep: float) -> None:
        self.plan = plan
        self.frames = len(plan.groups)
        self.timestep = timestep
        self.seen: list[AttentionLayer] = []

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        self.timestep = timestep

    def begin_pass(self, index: int, passes: int) -> None:
        pass

    def reaches(self, layer: AttentionLayer) -> bool:
        return True

    def is_plain(self, layer: AttentionLayer) -> bool:
        layers = self.plan.attention.layers
        return layers != "all" and layer.block not in layers

    def self_attention(self, layer: AttentionLayer, *received: Tensor) -> Tensor:
        self.seen.append(layer)
        out = by_definition(self.plan, layer.kind, *received, self.timestep)
        return out.to(received[0].dtype)

    cross_attention = self_attention
