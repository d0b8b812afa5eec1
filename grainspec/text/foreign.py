"""Names of other tools, such as diffusers, ComfyUI and AUTOMATIC1111, and ours for the same thing.

A value is converted where the other tool counts differently: a share of the steps is a percentage
here, a number of frames a range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from grainspec.model.numbers import percent_text

Convert = Callable[[str], str | None]
"""From a value as another tool writes it to ours; None if it does not fit."""


class Ours(NamedTuple):
    """A setting of grainspec for a name of another tool."""

    keyword: str
    convert: Convert | None = None
    """By default the value stays as it is."""


def _last(count: str) -> str | None:
    return f"0..{int(count) - 1}" if count.isdecimal() and int(count) > 0 else None


def _share(number: str) -> str | None:
    try:
        share = float(number)
    except ValueError:
        return number if number.endswith("%") else None
    return percent_text(share) if 0 <= share <= 1 else None


def _pixels(number: str) -> str | None:
    return f"{number}px" if number.isdecimal() else None


def _square(number: str) -> str | None:
    return f"{number}x{number}" if number.isdecimal() else number


STATEMENTS_OF_OTHERS: dict[str, str] = {
    **dict.fromkeys(
        "prompt positive positive_prompt prompts text target_prompt edit_prompt".split(),
        "target",
    ),
    **dict.fromkeys(
        "negative_prompt neg neg_prompt n_prompt uncond unconditional negative_prompts".split(),
        "negative",
    ),
    **dict.fromkeys(
        "source_prompt src src_prompt original_prompt inversion_prompt caption".split(), "source"
    ),
    **dict.fromkeys(
        "input clip movie footage source_video input_video video_path source_path".split(), "video"
    ),
    **dict.fromkeys(
        "checkpoint ckpt ckpt_name base_model model_id model_path model_name sd_model "
        "pretrained_model pretrained_model_path pretrained_model_name_or_path".split(),
        "model",
    ),
    **dict.fromkeys("controlnet control_net controls".split(), "control"),
    **dict.fromkeys("scheduler sampling ksampler".split(), "sampler"),
    **dict.fromkeys("replace change swap transform modify".split(), "edit"),
    **dict.fromkeys("preserve protect freeze lock".split(), "keep"),
    **dict.fromkeys("mask layer object".split(), "region"),
}
"""Words that begin a statement elsewhere, and the keyword that begins it here."""

SETTINGS_OF_OTHERS: dict[str, dict[str, Ours]] = {
    "sampler": {
        **dict.fromkeys(
            "num_inference_steps inference_steps sampling_steps num_steps ddim_steps n_steps "
            "ddim_inv_steps num_inversion_steps".split(),
            Ours("steps"),
        ),
        **dict.fromkeys(
            "guidance_scale cfg cfg_scale scale text_guidance".split(), Ours("guidance")
        ),
        **dict.fromkeys("random_seed manual_seed noise_seed generator".split(), Ours("seed")),
        "ddim_eta": Ours("eta"),
    },
    "video": {
        **dict.fromkeys(
            "num_frames n_frames frame_count video_length frames_count n_sample_frame".split(),
            Ours("frames", _last),
        ),
        "length": Ours("frames", _last),
        **dict.fromkeys(
            "frame_stride stride frame_interval sample_rate sampling_rate skip every "
            "sample_frame_rate".split(),
            Ours("step"),
        ),
        **dict.fromkeys("resolution image_size image_resolution".split(), Ours("size", _square)),
        "range": Ours("frames"),
    },
    "control": {
        **dict.fromkeys(
            "controlnet_conditioning_scale conditioning_scale control_scale control_weight "
            "strength weight".split(),
            Ours("scale"),
        ),
        **dict.fromkeys(
            "control_guidance_start guidance_start start_percent start".split(),
            Ours("from", _share),
        ),
        **dict.fromkeys(
            "control_guidance_end guidance_end end_percent end stop".split(), Ours("until", _share)
        ),
        **dict.fromkeys("preprocessor detector module".split(), Ours("annotator")),
        **dict.fromkeys("model controlnet checkpoint".split(), Ours("net")),
        **dict.fromkeys("image images video hint".split(), Ours("clip")),
    },
    "blend": {
        **dict.fromkeys("mask_blur blur feathering softness".split(), Ours("feather", _pixels)),
        **dict.fromkeys("start start_percent".split(), Ours("from", _share)),
        "mode": Ours("space"),
    },
    "edit": {
        **dict.fromkeys("strength scale attract attention".split(), Ours("weight")),
        **dict.fromkeys("negative_weight repulsion neg_weight repulse".split(), Ours("repel")),
    },
    "attention": {
        **dict.fromkeys("cross_attention cross_strength cross_replace".split(), Ours("cross")),
        **dict.fromkeys("self_attention self_strength self_replace".split(), Ours("self")),
        **dict.fromkeys("end stop end_percent".split(), Ours("until", _share)),
        "blocks": Ours("layers"),
        "scope": Ours("frames"),
    },
    "context": {
        **dict.fromkeys("context_length window window_size length".split(), Ours("frames")),
        **dict.fromkeys("context_overlap overlapping".split(), Ours("overlap")),
        **dict.fromkeys("keyframes key_frames".split(), Ours("keys")),
    },
    "masks": {
        **dict.fromkeys("inverted invert_mask inverse negate reverse".split(), Ours("invert")),
        **dict.fromkeys("color rgb".split(), Ours("colour")),
        **dict.fromkeys("id label palette value class_id instance".split(), Ours("index")),
        **dict.fromkeys("offset start first".split(), Ours("from")),
        **dict.fromkeys("resized rescale scale fit".split(), Ours("scaled")),
    },
}
"""For each block: names that other tools have for its settings."""

WITHOUT_EQUAL: dict[str, str] = {
    **dict.fromkeys(
        "strength denoise denoising_strength".split(),
        "How far an edit may depart from the source is set by `blend`, `inject` and `control`.",
    ),
    **dict.fromkeys(
        "lora loras lora_path lora_scale".split(), "Give a LoRA to `grain run` with `--lora PATH`."
    ),
    **dict.fromkeys(
        "device dtype precision fp16 half xformers offload cpu_offload batch_size".split(),
        "A spec does not say where it runs: see `grain run --help`.",
    ),
    **dict.fromkeys(
        "output out output_path save_path output_dir out_dir".split(),
        "A spec does not say where results go: use `grain run -o FOLDER`.",
    ),
    **dict.fromkeys(
        "clip_skip hires_fix upscale refiner".split(), "grainspec has nothing like it."
    ),
}
"""Names without a counterpart in a spec, and where to turn instead."""
