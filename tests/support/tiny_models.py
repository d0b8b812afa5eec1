"""Random checkpoints of Stable Diffusion's true architectures, tiny, saved in diffusers' format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    MotionAdapter,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizerFast,
)
from wan import save_wan_of_videos, tiny_wan

from grainspec_runtime.models.locate import DEMO_FOLDER

NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def save_sd15(folder: Path) -> Path:
    """Four levels, a VAE that halves three times, CLIP text encoder, epsilon prediction, PNDM."""
    return _save_sd(folder, PNDMScheduler(**NOISE, skip_prk_steps=True, steps_offset=1))


def save_net(unet: UNet2DConditionModel, folder: Path) -> Path:
    """A ControlNet of a UNet's shape that says something: its last layers are random."""
    torch.manual_seed(1)
    made = ControlNetModel.from_unet(unet)
    last = made.controlnet_cond_embedding.conv_out
    for layer in [*made.controlnet_down_blocks, made.controlnet_mid_block, last]:
        torch.nn.init.normal_(layer.weight, std=0.3)
    made.save_pretrained(folder)
    return folder


def save_two_levels(folder: Path) -> Path:
    """As 1.5 with two levels for four: as much to compile as a test of compiling needs."""
    levels = {
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2,
    }
    return _save_sd(
        folder, PNDMScheduler(**NOISE, skip_prk_steps=True, steps_offset=1), unet=levels
    )


def save_sd21(folder: Path) -> Path:
    """As 1.5, with v-prediction, OpenCLIP's activation, heads by level and linear projections."""
    return _save_sd(
        folder,
        DDIMScheduler(
            **NOISE,
            prediction_type="v_prediction",
            steps_offset=1,
            set_alpha_to_one=False,
            clip_sample=False,
        ),
        text={"hidden_act": "gelu", "num_hidden_layers": 2},
        unet={
            "attention_head_dim": [1, 2, 4, 4],
            "use_linear_projection": True,
            "upcast_attention": True,
        },
    )


def save_sdxl(folder: Path, **index: Any) -> Path:
    """Three levels, the finest without attention; two text encoders, pooled embeddings, time ids.

    ``index`` goes to the pipeline: ``force_zeros_for_empty_prompt=False``, say.
    """
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    other = _tokenizer()
    other.pad_token = "!"  # OpenCLIP pads with another token than CLIP
    wide = _text_config(
        tokenizer, hidden_size=24, hidden_act="gelu", num_hidden_layers=3, projection_dim=12
    )
    pipe = StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025),
        text_encoder=CLIPTextModel(_text_config(tokenizer, num_hidden_layers=2)),
        text_encoder_2=CLIPTextModelWithProjection(wide),
        tokenizer=tokenizer,
        tokenizer_2=other,
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            attention_head_dim=[1, 2, 4],
            transformer_layers_per_block=[1, 1, 2],
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=4 * 6 + 12,
            cross_attention_dim=16 + 24,
            norm_num_groups=4,
        ),
        scheduler=EulerDiscreteScheduler(**NOISE, timestep_spacing="leading", steps_offset=1),
        add_watermarker=False,
        **index,
    )
    pipe.save_pretrained(folder)
    return folder


def _save_sd(folder: Path, scheduler: Any, *, text: Any = None, unet: Any = None) -> Path:
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    pipe = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config(tokenizer, **(text or {}))),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            **{
                "sample_size": 8,
                "block_out_channels": (8, 8, 16, 16),
                "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
                "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
                "layers_per_block": 1,
                "attention_head_dim": 2,
                "cross_attention_dim": 16,
                "norm_num_groups": 4,
                **(unet or {}),
            }
        ),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def save_gligen(folder: Path) -> Path:
    """As 1.5 with two levels and the gated layers of GLIGEN, whose gates are open."""
    pipe = StableDiffusionPipeline.from_pretrained(
        save_two_levels(folder.with_name(f"{folder.name} without boxes"))
    )
    pipe.unet = UNet2DConditionModel.from_config(pipe.unet.config, attention_type="gated")
    for name, weight in pipe.unet.named_parameters():
        if name.endswith(("alpha_attn", "alpha_dense")):
            weight.data.fill_(1.0)
    pipe.save_pretrained(folder)
    return folder


def tiny_adapter(*, frames: int = 6, silent: bool = False) -> MotionAdapter:
    """Motion modules for the UNet of :func:`save_two_levels`; silent ones change nothing."""
    torch.manual_seed(1)
    adapter = MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=frames,
    )
    for name, weight in adapter.named_parameters():
        if ".proj_out." in name:
            weight.data *= 0 if silent else 0.5
    return adapter


def save_animatediff(folder: Path) -> Path:
    """The image model of two levels with motion modules for clips of up to 6 frames."""
    image_model = StableDiffusionPipeline.from_pretrained(
        save_two_levels(folder.with_name(f"{folder.name} of images"))
    )
    parts = {
        name: part
        for name, part in image_model.components.items()
        if name in {"vae", "text_encoder", "tokenizer", "unet"}
    }
    noise = {**NOISE, "beta_schedule": "linear"}
    scheduler = DDIMScheduler(**noise, steps_offset=1, clip_sample=False)
    AnimateDiffPipeline(
        **parts, motion_adapter=tiny_adapter(), scheduler=scheduler
    ).save_pretrained(folder)
    return folder


def _tokenizer() -> CLIPTokenizerFast:
    return CLIPTokenizerFast.from_pretrained(DEMO_FOLDER / "tokenizer")


def _vae(**settings: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        **settings,
    )


def _text_config(tokenizer: CLIPTokenizerFast, **settings: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 48,
            "projection_dim": 16,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **settings,
        }
    )


TINY: dict[str, Callable[[Path], Path]] = {
    "StableDiffusionPipeline": save_sd15,
    "StableDiffusionXLPipeline": save_sdxl,
    "AnimateDiffPipeline": save_animatediff,
    "WanPipeline": tiny_wan,
    "WanPipeline, two experts": partial(tiny_wan, variant="2.2"),
    "WanPipeline, a timestep for every token": partial(tiny_wan, variant="ti2v"),
    "WanVideoToVideoPipeline": save_wan_of_videos,
    "WanVACEPipeline": partial(tiny_wan, variant="vace"),
    "WanImageToVideoPipeline": partial(tiny_wan, variant="i2v"),
}
"""Tiny checkpoints of every pipeline class that a family runs: what its contract is tested on. The
names begin with those of the classes."""
