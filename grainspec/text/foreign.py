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
    """A setting of grainspec, or a value of one, for a name of another tool."""

    keyword: str
    convert: Convert | None = None
    """By default the value stays as it is."""
    why: str = ""
    """Why it is the same thing, where that is not plain."""

    @property
    def cure(self) -> str:
        """What messages advise."""
        return f"Write `{self.keyword}`{f': {self.why}' if self.why else ''}."


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
    **dict.fromkeys(
        "motion motion_module motion_modules motion_model animatediff mm".split(), "motion_adapter"
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
        **dict.fromkeys(
            "target_guidance target_guidance_scale tar_guidance tar_guidance_scale tgt_guidance "
            "tgt_guidance_scale tar_cfg cfg_tar tgt_cfg cfg_tgt target_cfg cfg_target".split(),
            Ours("guidance"),
        ),
        **dict.fromkeys(
            "source_guidance_scale src_guidance src_guidance_scale src_cfg cfg_src source_cfg "
            "cfg_source".split(),
            Ours("source_guidance"),
        ),
        **dict.fromkeys(
            "guidance_scale_2 guidance_2 low_noise_guidance_scale cfg_low_noise".split(),
            Ours("low_noise_guidance"),
        ),
        **dict.fromkeys("n_avg num_avg n_average".split(), Ours("average")),
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
        **dict.fromkeys(
            "blocks block transformer_blocks block_ids layer_ids".split(), Ours("layers")
        ),
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
    "find": {
        **dict.fromkeys(
            "threshold confidence box_threshold score_threshold min_score conf".split(),
            Ours("score", _share),
        ),
        **dict.fromkeys("index id nth instance object".split(), Ours("number")),
        **dict.fromkeys("left from_left".split(), Ours("leftmost")),
        **dict.fromkeys("right from_right".split(), Ours("rightmost")),
        **dict.fromkeys("biggest big large".split(), Ours("largest")),
    },
    "tracker": dict.fromkeys("checkpoint ckpt model model_id path".split(), Ours("weights")),
    "finder": dict.fromkeys("checkpoint ckpt model model_id path".split(), Ours("weights")),
}
"""For each block: names that other tools have for its settings."""

ELSEWHERE: dict[str, dict[str, str]] = {
    "finder": dict.fromkeys(
        [name for name, ours in SETTINGS_OF_OTHERS["find"].items() if ours.keyword == "score"]
        + ["score"],
        'The least score is an option of each `find`: `find("…", score 30%)`.',
    ),
}
"""For each block: settings that have their place elsewhere, and where."""

COUNTS_OF_SKIPPED = frozenset("skip_steps num_skip num_skip_steps n_skip skipped_steps".split())
"""Names of a number of steps that FlowEdit skips; here `skip` is their share of the steps."""
COUNTS_OF_EDITED = frozenset("n_max nmax".split())
"""Names of a number of steps that FlowEdit does not skip."""

VALUES_OF_OTHERS: dict[str, dict[str, Ours]] = {
    "method": {
        **dict.fromkeys(
            "euler euler_discrete flow_match_euler flow_match_euler_discrete k_euler".split(),
            Ours("ddim", why="for a flow-matching model DDIM is Euler's step"),
        ),
        **dict.fromkeys("dpm_solver dpmsolver dpmpp_2m dpm_2m".split(), Ours("dpmpp")),
        "uni_pc": Ours("unipc"),
    },
    "process": {
        "flowedit": Ours("flow_edit"),
        **dict.fromkeys(
            "invert inversion ddim_inversion flow_inversion".split(), Ours("invert_and_sample")
        ),
    },
}
"""For settings of `sampler`: values that other tools have, and ours for the same thing."""

WITHOUT_EQUAL: dict[str, str] = {
    **dict.fromkeys(
        COUNTS_OF_SKIPPED,
        "Write the share of the steps that are skipped: 17 of 50 steps are `skip 34%`.",
    ),
    **dict.fromkeys(
        COUNTS_OF_EDITED,
        "Write the share of the steps that are skipped: 33 of 50 steps remain with `skip 34%`.",
    ),
    "n_min": "FlowEdit's steps go on to the last one here, which is `n_min 0`: remove it.",
    **dict.fromkeys(
        "shift flow_shift sigma_shift".split(),
        "The shift of a flow-matching schedule is the model's own, in "
        "`scheduler/scheduler_config.json`: remove it.",
    ),
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
