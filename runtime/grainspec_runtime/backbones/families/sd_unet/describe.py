"""Read what the compiler needs to know about a model from its configuration. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from grainspec.clip.crop import NativeSize
from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span
from grainspec.model.spec import Size
from grainspec.plan.backbone import Backbone
from grainspec.words import CharSpan
from grainspec_runtime.backbones.families.sd_unet.fit import check_fit
from grainspec_runtime.models.additions import Embedding, add_words, new_word
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.locate import read_json
from grainspec_runtime.models.tokenize import token_spans


def describe(model: ModelFolder, embeddings: Sequence[Embedding], parts: Iterable[str]) -> Backbone:
    """Describe a Stable Diffusion checkpoint with these components, its ``parts``.

    ``embeddings`` are textual inversions that it will be loaded with. Raises GrainError: G502 if
    files are missing or broken, G504 if the architecture is not supported, G507 if components do
    not fit together, G508 if textual inversions do not fit the model.
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
        add_words(tokenizer, words)
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
    """Return the width of each text encoder, from the configurations of a model's components."""
    return {
        part: int(config.get("hidden_size", 512))
        for part, config in configs.items()
        if part.startswith("text_encoder")
    }


def native_size(model: ModelFolder) -> NativeSize:
    """Return the frame size that a checkpoint was trained on, and what sides are multiples of."""
    unet, vae = (read_json(model.folder / part / "config.json") for part in ("unet", "vae"))
    per_latent, native = _sizes(unet, vae)
    return NativeSize(native, per_latent)


def text_width(unet: Mapping[str, Any]) -> int:
    """Return the width of text embeddings that a UNet with this configuration expects."""
    width = unet.get("cross_attention_dim", 1280)
    return int(width[0] if isinstance(width, list) else width)


def _sizes(unet: dict[str, Any], vae: dict[str, Any]) -> tuple[int, Size]:
    """Return the width in pixels of one latent, and the native frame size."""
    per_latent = 2 ** (len(vae["block_out_channels"]) - 1)
    side = int(unet.get("sample_size") or 64) * per_latent
    return per_latent, Size(width=side, height=side)


def _attended_levels(unet: dict[str, Any], model: str, span: Span | None) -> tuple[int, ...]:
    """Return the levels, 0 being the finest, at which a UNet has attention."""
    down = unet.get("down_block_types", (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"))
    up = unet.get("up_block_types", ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3))
    middle = unet.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    last = len(down) - 1
    blocks = [*enumerate(down), (last, middle), *((last - i, kind) for i, kind in enumerate(up))]
    for _, kind in blocks:
        if kind not in _BLOCKS:
            known = ", ".join(sorted(name for name in _BLOCKS if name))
            message = f"the UNet of {model} has a {kind}; this release supports {known}"
            cure = "Use a checkpoint with the components of Stable Diffusion 1.x, 2.x or XL."
            raise fail("G504", message, cure, span)
    return tuple(sorted({level for level, kind in blocks if kind and "CrossAttn" in kind}))


_BLOCKS = {
    "CrossAttnDownBlock2D",
    "CrossAttnUpBlock2D",
    "DownBlock2D",
    "UNetMidBlock2D",
    "UNetMidBlock2DCrossAttn",
    "UpBlock2D",
    None,  # distilled models have no middle block
}


def _tokenizer(folder: Path, model: str, span: Span | None) -> Any:
    from transformers import CLIPTokenizerFast

    try:
        return CLIPTokenizerFast.from_pretrained(folder)
    except (OSError, ValueError, TypeError) as error:
        message = f"the {folder.name} of {model} is missing or broken"
        raise fail("G502", message, "Check that the model's download is complete.", span) from error


def _tokenize(
    tokenizers: Sequence[Any], model: str, span: Span | None
) -> Callable[[str], Sequence[CharSpan]]:
    def tokenize(text: str) -> Sequence[CharSpan]:
        first, *others = (token_spans(tokenizer, text) for tokenizer in tokenizers)
        if any(other != first for other in others):
            message = f"the tokenizers of {model} split “{text}” into different tokens"
            cure = "A plan needs the same tokens for all text encoders; use another checkpoint."
            raise fail("G504", message, cure, span)
        return first

    return tokenize
