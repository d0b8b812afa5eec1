"""Do a checkpoint's parts fit together? Found in its configuration, before weights are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grainspec.diagnostics import fail
from grainspec.diagnostics.span import Span

_CURE = "Take all parts from one checkpoint, as it was published."
_TIME_IDS = 6
"""SDXL's: the original height and width, the crop's top and left, the wanted height and width."""


def check_fit(
    model: str,
    configs: Mapping[str, Mapping[str, Any]],
    scheduler: Mapping[str, Any],
    prompt_lengths: Sequence[int],
    span: Span | None = None,
) -> None:
    """Raises GrainError unless the parts of a checkpoint can work together.

    ``configs`` are those of the UNet, the VAE and the text encoders, by the names of their folders;
    ``prompt_lengths`` how many tokens each tokenizer yields, in the order of the text encoders.
    G507: parts of different shapes. G504: a UNet or a noise schedule of a kind that is not run.
    """

    def misfit(message: str, cure: str = _CURE) -> Exception:
        return fail("G507", f"{model} does not fit together: {message}", cure, span)

    unet, vae = configs["unet"], configs["vae"]
    encoders = {part: config for part, config in configs.items() if part.startswith("text_encoder")}
    for (part, config), length in zip(encoders.items(), prompt_lengths, strict=True):
        window = config.get("max_position_embeddings", 77)
        if length > window:
            message = f"the tokenizer yields {length} tokens, the {part} reads {window}"
            cure = f"Set `model_max_length` in its tokenizer_config.json to {window}."
            raise misfit(message, cure)
    if len(set(prompt_lengths)) > 1:
        counts = " and ".join(map(str, prompt_lengths))
        raise misfit(f"its text encoders get prompts of {counts} tokens")
    given = sum(config.get("hidden_size", 512) for config in encoders.values())
    wanted = unet.get("cross_attention_dim", 1280)
    for width in set(wanted) if isinstance(wanted, list) else {wanted}:
        if width != given:
            message = f"the UNet reads text of width {width}, the text encoder gives {given}"
            raise misfit(message)
    if unet.get("in_channels", 4) != vae.get("latent_channels", 4):
        message = (
            f"the UNet takes {unet.get('in_channels', 4)} channels, "
            f"the VAE gives {vae.get('latent_channels', 4)}"
        )
        raise misfit(message, "Inpainting and depth models are not run; take the base model.")
    _check_pooled(model, unet, encoders.get("text_encoder_2"), misfit, span)
    kind = str(scheduler.get("_class_name", ""))
    prediction = scheduler.get("prediction_type", "epsilon")
    if kind.startswith(("EDM", "FlowMatch")) or prediction not in _PREDICTIONS:
        message = f"{model} is made for {kind} with prediction type {prediction}"
        cure = f"The noise must be that of DDPM, and predicted as {', '.join(_PREDICTIONS)}."
        raise fail("G504", message, cure, span)


_PREDICTIONS = ("epsilon", "v_prediction", "sample")


def _check_pooled(
    model: str,
    unet: Mapping[str, Any],
    pooling: Mapping[str, Any] | None,
    misfit: Any,
    span: Span | None,
) -> None:
    """SDXL's UNet reads a pooled embedding and time ids; that of 1.x and 2.x reads neither."""
    kind = unet.get("addition_embed_type")
    if kind != (None if pooling is None else "text_time"):
        message = f"the UNet of {model} wants conditions of the kind {kind}"
        raise fail("G504", message, "Choose a Stable Diffusion 1.x, 2.x or XL checkpoint.", span)
    if pooling is None:
        return
    pooled = pooling.get("projection_dim", 512)
    given = unet.get("addition_time_embed_dim", 256) * _TIME_IDS + pooled
    wanted = unet.get("projection_class_embeddings_input_dim")
    if given != wanted:
        raise misfit(
            f"the UNet reads {wanted} added values, text_encoder_2 and the time ids give {given}",
            "SDXL's refiner is not run; take the base model.",
        )
