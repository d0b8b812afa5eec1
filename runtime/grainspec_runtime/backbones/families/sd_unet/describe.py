"""What the compiler has to know of a model, read from its configuration files. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec.model.spec import Size
from grainspec.plan.backbone import Backbone
from grainspec.words import CharSpan
from grainspec_runtime.backbones.additions import Embedding, new_word, teach
from grainspec_runtime.backbones.families.sd_unet.fit import check_fit
from grainspec_runtime.backbones.family import ModelFolder
from grainspec_runtime.backbones.locate import read_json
from grainspec_runtime.backbones.tokenize import placed_tokens


def describe(model: ModelFolder, embeddings: Sequence[Embedding], parts: Iterable[str]) -> Backbone:
    """The facts of a Stable Diffusion checkpoint with these ``parts``.

    ``embeddings`` are textual inversions that it will be loaded with. Raises GrainError: G502 for
    files that are missing or broken, G504 for an architecture that is not supported, G507 for parts
    that do not fit together, G508 for textual inversions that do not fit the model.
    """
    folder, span = model.folder, model.span
    parts = list(parts)
    configs = {
        part: read_json(folder / part / "config.json", span)
        for part in parts
        if not part.startswith("tokenizer")
    }
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json", span)
    unet = configs["unet"]
    attended = _attended_levels(unet, model.name, span)
    tokenizers = [
        _tokenizer(folder / part, model.name, span)
        for part in parts
        if part.startswith("tokenizer")
    ]
    lengths = [tokenizer.model_max_length for tokenizer in tokenizers]
    check_fit(model.name, configs, scheduler, lengths, span)
    words = [new_word(embedding, text_widths(configs)) for embedding in embeddings]
    for tokenizer in tokenizers:
        teach(tokenizer, words)
    per_latent, native = _sizes(unet, configs["vae"])
    return Backbone(
        name=model.name,
        pixels_per_latent=per_latent,
        level_count=len(unet["block_out_channels"]),
        max_tokens=lengths[0],
        training_steps=int(scheduler.get("num_train_timesteps", 1000)),
        native_size=native,
        steps_offset=int(scheduler.get("steps_offset", 1)),
        tokenize=_tokenize(tokenizers, model.name, span),
        attended=attended,
    )


def text_widths(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The width of each text encoder of a model, from the configurations of its parts."""
    return {
        part: int(config.get("hidden_size", 512))
        for part, config in configs.items()
        if part.startswith("text_encoder")
    }


def native_size(model: ModelFolder) -> Size:
    """The frame size that a checkpoint was trained on."""
    unet, vae = (read_json(model.folder / part / "config.json") for part in ("unet", "vae"))
    return _sizes(unet, vae)[1]


def text_width(unet: Mapping[str, Any]) -> int:
    """The width of the text that a UNet with this configuration reads."""
    width = unet.get("cross_attention_dim", 1280)
    return int(width[0] if isinstance(width, list) else width)


def _sizes(unet: dict[str, Any], vae: dict[str, Any]) -> tuple[int, Size]:
    """Pixels across one latent, and the native frame size."""
    per_latent = 2 ** (len(vae["block_out_channels"]) - 1)
    side = int(unet.get("sample_size") or 64) * per_latent
    return per_latent, Size(width=side, height=side)


def _attended_levels(unet: dict[str, Any], model: str, span: Span | None) -> tuple[int, ...]:
    """The levels, 0 the finest, at which some block of a UNet has attention."""
    down = unet.get("down_block_types", (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"))
    up = unet.get("up_block_types", ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3))
    middle = unet.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    last = len(down) - 1
    blocks = [*enumerate(down), (last, middle), *((last - i, kind) for i, kind in enumerate(up))]
    for _, kind in blocks:
        if kind not in _BLOCKS:
            known = ", ".join(sorted(name for name in _BLOCKS if name))
            message = f"the UNet of {model} has a {kind}; this release runs {known}"
            cure = "Choose a checkpoint with the parts of Stable Diffusion 1.x, 2.x or XL."
            raise fail("G504", message, cure, span)
    return tuple(sorted({level for level, kind in blocks if kind and "CrossAttn" in kind}))


_BLOCKS = {
    "CrossAttnDownBlock2D",
    "CrossAttnUpBlock2D",
    "DownBlock2D",
    "UNetMidBlock2D",
    "UNetMidBlock2DCrossAttn",
    "UpBlock2D",
    None,  # distilled models have no middle
}


def _tokenizer(folder: Path, model: str, span: Span | None) -> Any:
    from transformers import CLIPTokenizerFast

    try:
        return CLIPTokenizerFast.from_pretrained(folder)
    except (OSError, ValueError, TypeError) as error:
        message = f"the {folder.name} of {model} is missing or broken"
        raise fail("G502", message, "Was the model downloaded in full?", span) from error


def _tokenize(
    tokenizers: Sequence[Any], model: str, span: Span | None
) -> Callable[[str], Sequence[CharSpan]]:
    def tokenize(text: str) -> Sequence[CharSpan]:
        first, *others = (placed_tokens(tokenizer, text) for tokenizer in tokenizers)
        if any(other != first for other in others):
            message = f"the tokenizers of {model} cut “{text}” into different tokens"
            cure = "A plan has one set of tokens for all text encoders; take another checkpoint."
            raise fail("G504", message, cure, span)
        return first

    return tokenize
