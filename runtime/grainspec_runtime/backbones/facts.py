"""What the compiler has to know of a model, read from its configuration files. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grainspec.diagnostics import GrainError, fail
from grainspec.nodes import Span
from grainspec.plan.backbone import Backbone
from grainspec.spec import Size
from grainspec.words import CharSpan
from grainspec_runtime.backbones.locate import locate, read_json


def backbone_facts(model: str, base: Path, *, span: Span | None = None) -> Backbone:
    """The facts of a Stable Diffusion checkpoint (see :func:`locate` for what ``model`` may be)."""
    folder = locate(model, base, weights=False, span=span)
    unet = read_json(folder / "unet" / "config.json", span)
    vae = read_json(folder / "vae" / "config.json", span)
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json", span)
    per_latent, native = _sizes(unet, vae)
    try:
        tokenizer, tokens = _tokenizer(folder)
    except (OSError, ValueError, TypeError) as error:
        message = f"the tokenizer of {model} is missing or broken"
        raise fail("G502", message, "Was the model downloaded in full?", span) from error
    return Backbone(
        name=model,
        pixels_per_latent=per_latent,
        level_count=len(unet["block_out_channels"]),
        max_tokens=tokens,
        training_steps=int(scheduler.get("num_train_timesteps", 1000)),
        native_size=native,
        tokenize=tokenizer,
        steps_offset=int(scheduler.get("steps_offset", 1)),
    )


def native_size(model: str, base: Path) -> Size | None:
    """The frame size that a checkpoint was trained on; None where it is not at hand."""
    try:
        folder = locate(model, base, weights=False)
        unet, vae = (read_json(folder / part / "config.json") for part in ("unet", "vae"))
    except (GrainError, ImportError):
        return None
    return _sizes(unet, vae)[1]


def _sizes(unet: dict[str, Any], vae: dict[str, Any]) -> tuple[int, Size]:
    """Pixels across one latent, and the native frame size."""
    per_latent = 2 ** (len(vae["block_out_channels"]) - 1)
    side = int(unet.get("sample_size") or 64) * per_latent
    return per_latent, Size(width=side, height=side)


def _tokenizer(folder: Path) -> tuple[Callable[[str], Sequence[CharSpan]], int]:
    from transformers import CLIPTokenizerFast

    tokenizer: Any = CLIPTokenizerFast.from_pretrained(folder / "tokenizer")
    length = int(tokenizer.model_max_length)

    def tokenize(text: str) -> Sequence[CharSpan]:
        encoded = tokenizer(
            text,
            padding="max_length",
            max_length=length,
            truncation=True,
            return_offsets_mapping=True,
        )
        return [(int(start), int(end)) for start, end in encoded["offset_mapping"]]

    return tokenize, length
