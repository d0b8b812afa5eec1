"""Folders of clips and masks, as published data sets and users have them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

PUBLISHED = """
pretrained_model_path: "./ckpt/stable-diffusion-v1-5"
logdir: ./result/two_men

dataset_config:
    path: "data/two_men/frames"
    prompt: two men are jogging
    start_sample_frame: 0
    n_sample_frame: 3
    sampling_rate: 1
    layout_mask_dir: "./data/two_men/layout_masks"
    layout_mask_order: ['left','right-man']
    negative_promot: "ugly, blurry"

control_config:
    control_type: "depth_zoe"
    pretrained_controlnet_path: ./ckpt/control_v11f1p_sd15_depth
    controlnet_conditioning_scale: 0.7
    hand: True
    face: False

editing_config:
    use_invertion_latents: true
    inject_step: 10
    old_qk: 1
    flatten_res: [1]
    guidance_scale: 7.5
    use_pnp: true
    use_freeu: true
    editing_prompts: [
            ['A robot and a bear are jogging', 'A robot','a bear'],
    ]
    clip_length: "${..dataset_config.n_sample_frame}"
    sample_seeds: [3]
    num_inference_steps: 50
    blending_percentage: 0
    modulated_percentage: 0.3
    vis_cross_attn: True

model_config:

test_pipeline_config:
    target: video_diffusion.pipelines.ddim_spatial_temporal.DDIMSpatioTemporalStableDiffusionPipeline
    num_inference_steps: "${..validation_sample_logger.num_inference_steps}"

seed: 42
"""
"""A configuration of VideoGrain with all settings of the published ones, in their form."""


def write_published(folder: Path, **changed: str) -> Path:
    """VideoGrain's layout with this configuration; ``changed`` are other values of settings."""
    write_frames(folder / "data/two_men/frames")
    write_masks(folder / "data/two_men/layout_masks/left", 4, 28)
    write_masks(folder / "data/two_men/layout_masks/right-man", 36, 60)
    text = PUBLISHED
    for key, value in changed.items():
        text, count = re.subn(rf"(?m)^( *){key}:.*$", rf"\g<1>{key}: {value}", text)
        assert count, key
    (folder / "config").mkdir()
    (folder / "config/two_men.yaml").write_text(text)
    return folder


def write_frames(folder: Path, frames: int = 3, *, suffix: str = "png", first: int = 0) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(frames):
        picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
        picture.save(folder / f"{number + first:05}.{suffix}")


def write_masks(
    folder: Path, left: int, right: int, *, suffix: str = "png", first: int = 0
) -> None:
    folder.mkdir(parents=True)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, left:right] = 255
    for number in range(3):
        Image.fromarray(mask).save(folder / f"{number + first:05}.{suffix}")
