"""The configuration of a Stable Diffusion checkpoint: read it, and check it. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec.model.spec import Size
from grainspec_runtime.backbones.unets.distilled import refuse_distilled
from grainspec_runtime.backbones.unets.fit import check_fit
from grainspec_runtime.backbones.unets.schedules import schedule_of
from grainspec_runtime.backbones.unets.single_file import check_file
from grainspec_runtime.models.config import number_in, numbers_in, read_json
from grainspec_runtime.models.folder import ModelFolder

Configs = dict[str, dict[str, Any]]
"""The configuration of every network, by the name of its folder."""


def read_configs(model: ModelFolder, parts: Iterable[str]) -> tuple[Configs, dict[str, Any]]:
    """Read the configurations of a checkpoint's networks, and that of its noise schedule.

    Raises GrainError: G502 if one is missing or broken, G528 if one is not accepted.
    """
    configs = {
        part: read_json(model.folder / part / "config.json", model.span)
        for part in parts
        if not part.startswith("tokenizer")
    }
    place, told = schedule_of(model)
    return configs, {**read_json(place / "scheduler_config.json", model.span), **told}


def checked_configs(model: ModelFolder, parts: Iterable[str]) -> tuple[Configs, dict[str, Any]]:
    """Read configurations as :func:`read_configs`, and check that this release runs them.

    Raises GrainError: G504 for another architecture, G507 if components do not fit together, G524
    for a distilled UNet.
    """
    configs, scheduler = read_configs(model, parts)
    attended_levels(configs["unet"], model.name, model.span)
    refuse_distilled(model, configs["unet"])
    if model.file:
        check_file(model, model.file, configs)
    check_fit(model.name, configs, scheduler, model.span)
    return configs, scheduler


def text_widths(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the width of each text encoder, from the configurations of a model's components."""
    return {
        part: number_in(config, "hidden_size", 512)
        for part, config in configs.items()
        if part.startswith("text_encoder")
    }


def text_width(unet: Mapping[str, Any]) -> int:
    """Return the width of text embeddings that a UNet with this configuration expects."""
    return next(iter(numbers_in(unet, "cross_attention_dim")), 1280)


def sizes(model: ModelFolder, configs: Mapping[str, Mapping[str, Any]]) -> tuple[int, Size]:
    """Return the width in pixels of one latent, and the native frame size; raises G528."""
    per_latent = 2 ** (len(configs["vae"].get("block_out_channels") or _ONE_LEVEL) - 1)
    sample = configs["unet"].get("sample_size") or 64
    height, *rest = sample if isinstance(sample, list) else [sample]
    width = rest[0] if rest else height
    try:
        return per_latent, Size(width=width * per_latent, height=height * per_latent)
    except ValueError as error:
        message = f"the UNet of {model.name} has `sample_size` {sample}, {per_latent} pixels each"
        cure = "Use the configuration that was published with the model."
        raise fail("G528", message, cure, model.span) from error


_ONE_LEVEL = (64,)
"""diffusers' default for the channels of a VAE's levels."""


DOWN_BLOCKS = (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D")
"""diffusers' default for the blocks of a UNet's encoder."""


def attended_levels(unet: Mapping[str, Any], model: str, span: Span | None) -> tuple[int, ...]:
    """Return the levels, 0 being the finest, at which a UNet has attention; raises G504."""
    down = unet.get("down_block_types", DOWN_BLOCKS)
    up = unet.get("up_block_types", ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3))
    middle = unet.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    last = len(down) - 1
    blocks = [*enumerate(down), (last, middle), *((last - i, kind) for i, kind in enumerate(up))]
    for _, kind in blocks:
        if not isinstance(kind, str | None) or kind not in _BLOCKS:
            known = ", ".join(sorted(name for name in _BLOCKS if name))
            message = f"the UNet of {model} has a {kind}; this release supports {known}"
            cure = "Use a checkpoint with the components of Stable Diffusion 1.x, 2.x or XL."
            raise fail("G504", message, cure, span)
    return tuple(sorted({level for level, kind in blocks if kind and "CrossAttn" in kind}))


_BLOCKS = {
    "CrossAttnDownBlock2D",
    "CrossAttnDownBlockMotion",
    "CrossAttnUpBlock2D",
    "CrossAttnUpBlockMotion",
    "DownBlock2D",
    "DownBlockMotion",
    "UNetMidBlock2D",
    "UNetMidBlock2DCrossAttn",
    "UpBlock2D",
    "UpBlockMotion",
    None,  # distilled models have no middle block
}
