"""The demo video model's networks: small instances of Wan's own classes."""

from __future__ import annotations

import argparse

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanTransformer3DModel,
)
from transformers import PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

HEAD = 64
"""Channels of an attention head."""
PATCH = (1, 2, 2)
SPACE = 4
"""Pixels per latent, in width and height."""


def build_vae(o: argparse.Namespace) -> AutoencoderKLWan:
    """Build the VAE; the default has 4x downsampling, 16 latent channels and 2.6 M parameters.

    Its convolutions begin as those of an image VAE: see :func:`begin_with_frames`.
    """
    vae = AutoencoderKLWan(
        base_dim=o.vae_width,
        decoder_base_dim=o.decoder_width,
        z_dim=o.latent_channels,
        dim_mult=o.vae_levels,
        num_res_blocks=1,
        temperal_downsample=[o.frames_per_latent == 4, True],
        is_residual=o.residual,
        scale_factor_temporal=o.frames_per_latent,
        scale_factor_spatial=SPACE,
        latents_mean=[0.0] * o.latent_channels,
        latents_std=[1.0] * o.latent_channels,
    )
    begin_with_frames(vae)
    return vae


@torch.no_grad()
def begin_with_frames(vae: AutoencoderKLWan) -> None:
    """Let a new VAE treat every frame alike, whatever came before it.

    The kernels of 3D convolutions are zero but for the present frame, whose weights get the scale
    of a 2D convolution. Convolutions that change the number of frames begin with the last frame of
    a group, and repeat it. Training on single frames then trains an image VAE, and training on
    clips begins with it.
    """
    for name, module in vae.named_modules():
        if not isinstance(module, torch.nn.Conv3d) or module.kernel_size[0] == 1:
            continue
        if name.endswith("time_conv"):
            identity = torch.eye(module.in_channels).repeat(
                module.out_channels // module.in_channels, 1
            )
            module.weight.zero_()
            module.weight[:, :, -1, 0, 0] = identity
            if module.bias is not None:
                module.bias.zero_()
        else:
            module.weight[:, :, -1] *= module.kernel_size[0] ** 0.5
            module.weight[:, :, :-1] = 0


def build_transformer(o: argparse.Namespace) -> WanTransformer3DModel:
    """Build the transformer; the default has 8 layers of width 256 and 8.6 M parameters.

    Its rotary position embedding has as many places as the training clips are wide, or long.
    """
    latent_frames = (o.frames - 1) // o.frames_per_latent + 1
    transformer = WanTransformer3DModel(
        patch_size=PATCH,
        num_attention_heads=o.width // HEAD,
        attention_head_dim=HEAD,
        in_channels=o.latent_channels,
        out_channels=o.latent_channels,
        text_dim=o.text_width,
        freq_dim=256,
        ffn_dim=o.ffn_width,
        num_layers=o.layers,
        cross_attn_norm=True,
        rope_max_seq_len=max(o.size // (SPACE * PATCH[1]), latent_frames),
    )
    torch.nn.init.zeros_(transformer.proj_out.weight)  # begins with no velocity
    torch.nn.init.zeros_(transformer.proj_out.bias)
    return transformer


def build_text_encoder(
    o: argparse.Namespace, tokenizer: PreTrainedTokenizerBase
) -> UMT5EncoderModel:
    """Build the text encoder; the default has three layers and 0.5 M parameters."""
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=len(tokenizer),
            d_model=o.text_width,
            d_kv=o.text_width // 4,
            d_ff=2 * o.text_width,
            num_layers=o.text_layers,
            num_heads=4,
            dropout_rate=0.0,
            is_encoder_decoder=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def build_scheduler(o: argparse.Namespace) -> FlowMatchEulerDiscreteScheduler:
    """Build the scheduler: flow matching, with the shift of training."""
    return FlowMatchEulerDiscreteScheduler(shift=o.shift)


def parameters_of(network: torch.nn.Module) -> int:
    """The number of a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
