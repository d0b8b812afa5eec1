"""The demo model's networks: small instances of Stable Diffusion's own classes."""

from __future__ import annotations

from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from grainspec_runtime.demo.training.tokenizer import MAX_TOKENS


def build_vae() -> AutoencoderKL:
    """Build the VAE: 4x downsampling, 4 latent channels, 3.3 M parameters."""
    return AutoencoderKL(
        sample_size=96,
        latent_channels=4,
        block_out_channels=(64, 96, 128),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=16,
        scaling_factor=1.0,
    )


def build_unet() -> UNet2DConditionModel:
    """Build the UNet: three levels with self- and cross-attention, 11.2 M parameters."""
    return UNet2DConditionModel(
        sample_size=24,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128, 192),
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        layers_per_block=1,
        attention_head_dim=(2, 4, 6),  # diffusers' name for the number of heads
        cross_attention_dim=128,
        norm_num_groups=32,
    )


def build_controlnet() -> ControlNetModel:
    """Build the ControlNet: for 96 px control images, without attention, 2.3 M parameters.

    Control images are aligned with the frames, so convolutions are enough.
    """
    return ControlNetModel(
        in_channels=4,
        block_out_channels=(64, 128, 192),
        down_block_types=("DownBlock2D",) * 3,
        mid_block_type="UNetMidBlock2D",
        layers_per_block=1,
        attention_head_dim=(2, 4, 6),
        cross_attention_dim=128,
        norm_num_groups=32,
        conditioning_embedding_out_channels=(32, 64, 128),
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Build the text encoder: two causal layers, 0.5 M parameters."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=128,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_scheduler() -> DDIMScheduler:
    """Build the scheduler: Stable Diffusion's noise schedule, with v-prediction."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
