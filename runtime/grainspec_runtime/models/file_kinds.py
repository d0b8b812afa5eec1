"""What a safetensors file is, from the names and shapes of its tensors.

Checkpoints in one file keep the names of the program they were trained with. Only some of them
name a family whose pipelines this release runs; the others are named, so that an error can say what
the file is and where it belongs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from grainspec_runtime.models.weights import WeightsHeader

UNET = "model.diffusion_model."
"""How names of a UNet's tensors begin in a checkpoint in one file."""


@dataclass(frozen=True)
class CheckpointKind:
    """A kind of checkpoint that comes in one file.

    ``pipeline`` is the class of diffusers that loads it; ``configuration`` is the hub id of a
    checkpoint of this kind in diffusers' format, whose configuration fits all of them.
    """

    name: str
    pipeline: str
    configuration: str
    parts: tuple[str, ...]
    """How names of tensors begin, one prefix for every component that such a file must have."""


@dataclass(frozen=True)
class OtherFile:
    """A file that is no checkpoint that this release runs, and what to do with it."""

    name: str
    cure: str


_VAE = "first_stage_model."
_CLIP_1 = "cond_stage_model.transformer.text_model."
_CLIP_XL = "conditioner.embedders.0.transformer.text_model."

CHECKPOINTS = (
    CheckpointKind(
        "Stable Diffusion XL",
        "StableDiffusionXLPipeline",
        "stabilityai/stable-diffusion-xl-base-1.0",
        (UNET, _VAE, _CLIP_XL, "conditioner.embedders.1.model."),
    ),
    CheckpointKind(
        "Stable Diffusion 2.x",
        "StableDiffusionPipeline",
        "stabilityai/stable-diffusion-2-1",
        (UNET, _VAE, "cond_stage_model.model."),
    ),
    CheckpointKind(
        "Stable Diffusion 1.x",
        "StableDiffusionPipeline",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        (UNET, _VAE, _CLIP_1),
    ),
)

_WAN_SIZES = {
    1536: "Wan2.1-T2V-1.3B-Diffusers",
    3072: "Wan2.2-TI2V-5B-Diffusers",
    5120: "Wan2.1-T2V-14B-Diffusers",
}
"""Published checkpoints by the width of their transformer."""
_WAN = (
    "It is one of Wan's networks, without tokenizer and configuration; name a folder in diffusers' "
    'format or a hub id, such as `model "Wan-AI/{checkpoint}"`.'
)
_USE_SD = "Use a checkpoint of Stable Diffusion 1.x, 2.x or XL."
_REFINER = "The refiner is not supported; use the base model."
_LORA = "Load it with a checkpoint: `--lora {path}`."
_WORD = "Load it with a checkpoint: `--embedding WORD={path}`."
_MOTION = (
    "Convert it with diffusers: `MotionAdapter.from_single_file(FILE)`, then "
    '`save_pretrained(FOLDER)`; name the folder beside an image model: `motion_adapter "FOLDER"`.'
)
_NET = "Name it in the spec's control: `control canny { net \"FOLDER\" }`, in diffusers' format."
_PART = "It is one component; name the folder of the checkpoint that it belongs to."

_OTHERS = (
    (r"lora_|.*[._]lora[._]|.*\.(hada_w1_a|lokr_w1|lokr_w1_a|oft_blocks)$", "a LoRA", _LORA),
    (r"emb_params$|clip_[lg]$|<.*>$|string_to_param", "a textual inversion", _WORD),
    (r"(control_model|controlnet_\w+|input_hint_block)\.", "a ControlNet", _NET),
    (r"(image_proj|ip_adapter)\.", "an IP-Adapter", "IP-Adapters are not supported."),
    (r".*motion_modules\.", "an AnimateDiff motion module", _MOTION),
    (r"(model\.diffusion_model\.)?double_blocks\.", "a FLUX or HunyuanVideo checkpoint", _USE_SD),
    (r"(model\.diffusion_model\.)?joint_blocks\.", "a Stable Diffusion 3 checkpoint", _USE_SD),
    (r"edm_mean$", "a Playground 2.5 checkpoint, whose noise schedule is EDM", _USE_SD),
    (r"conditioner\.embedders\.0\.model\.", "Stable Diffusion XL's refiner", _REFINER),
    (r"(clip_txt_mapper|down_blocks\.\d+\.\d+\.channelwise)\.", "a Stable Cascade file", _USE_SD),
    (
        r"(model\.diffusion_model\.)?blocks\.\d+\.(attn1\.to_q|self_attn\.q)\.",
        "a transformer of Wan alone",
        _WAN,
    ),
    (r"(encoder\.downsamples|decoder\.upsamples)\.\d+\.", "a VAE of Wan alone", _WAN),
    (r"(encoder\.block\.0\.layer\.0\.SelfAttention|blocks\.0\.attn\.q)\.", "a T5 encoder", _PART),
    (
        r"(model\.diffusion_model\.)?(blocks|layers|transformer_blocks)\.\d+\.",
        "a diffusion transformer",
        _USE_SD,
    ),
    (r"(down_blocks|up_blocks)\.\d+\.", "a UNet alone", _PART),
    (r"(first_stage_model|encoder|decoder|quant_conv|post_quant_conv)\.", "a VAE alone", _PART),
    (r"(text_model|transformer\.resblocks|text_projection)", "a text encoder", _PART),
    (r"vision_model\.", "an image encoder", _PART),
)
"""Names of tensors that tell a file, what it is, and what to do with it; the first match counts."""


def identify(header: WeightsHeader) -> CheckpointKind | OtherFile:
    """Return what a file is: a checkpoint in one file, or something else with its cure."""
    told = _other(header)
    complete = [kind for kind in CHECKPOINTS if all(map(header.has, kind.parts))]
    if complete and not (told and told.name.startswith("a Playground")):
        return complete[0]
    if header.has(f"{UNET}input_blocks.") and not header.has("conditioner.embedders.0.model."):
        names = {_VAE: "VAE", "cond_stage_model.": "text encoder", "conditioner.": "text encoder"}
        lacking = {name for start, name in names.items() if not header.has(start)}
        if header.has("cond_stage_model.", "conditioner."):
            lacking.discard("text encoder")
        what = " and no ".join(sorted(lacking)) or "text encoder that diffusers can read"
        cure = "Use a file with all components, or a folder in diffusers' format."
        return OtherFile(f"a checkpoint that contains no {what}", cure)
    if told:
        return told
    if len(header.shapes) == 1:
        (shape,) = header.shapes.values()
        if len(shape) <= 2:
            return OtherFile("a textual inversion", _WORD)
    return OtherFile("no checkpoint that this release knows", _USE_SD)


def _other(header: WeightsHeader) -> OtherFile | None:
    for pattern, name, cure in _OTHERS:
        if any(re.match(pattern, tensor) for tensor in header.shapes):
            known = {"{path}": str(header.path), "{checkpoint}": _wan_checkpoint(header)}
            for word, value in known.items():
                cure = cure.replace(word, value)
            return OtherFile(name, cure)
    return None


def _wan_checkpoint(header: WeightsHeader) -> str:
    """Return the name of the published checkpoint that a file of Wan's is most likely of."""
    if header.has("vace_blocks.", "model.diffusion_model.vace_blocks."):
        return "Wan2.1-VACE-14B-diffusers"
    embeddings = (
        shape for name, shape in header.shapes.items() if name.endswith("patch_embedding.weight")
    )
    width = next((shape[0] for shape in embeddings if shape), 1536)
    return _WAN_SIZES.get(width, "Wan2.1-T2V-1.3B-Diffusers")
