"""Check that a checkpoint's components fit together, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec_runtime.models.config import number_in

_CURE = "Use all components of one checkpoint, as it was published."
_TIME_IDS = 6
"""SDXL has six: original height and width, crop top and left, target height and width."""


def check_fit(
    model: str,
    configs: Mapping[str, Mapping[str, Any]],
    scheduler: Mapping[str, Any],
    span: Span | None = None,
) -> None:
    """Raise GrainError if the networks of a checkpoint do not fit together.

    ``configs`` are those of the UNet, the VAE and the text encoders, by the names of their folders.
    G507: the shapes of two components differ. G504: the UNet or the noise schedule is not
    supported.
    """

    def misfit(message: str, cure: str = _CURE) -> Exception:
        return _misfit(model, message, cure, span)

    unet, vae = configs["unet"], configs["vae"]
    encoders = _text_encoders(configs)
    encoded = sum(number_in(config, "hidden_size", 512) for config in encoders.values())
    expected = unet.get("cross_attention_dim", 1280)
    for width in set(expected) if isinstance(expected, list) else {expected}:
        if width != encoded:
            message = (
                f"the UNet expects text embeddings of width {width}, "
                f"but the text encoder outputs {encoded}"
            )
            raise misfit(message)
    if unet.get("in_channels", 4) != vae.get("latent_channels", 4):
        message = (
            f"the UNet expects {unet.get('in_channels', 4)} channels, "
            f"but the VAE outputs {vae.get('latent_channels', 4)}"
        )
        cure = "Inpainting and depth models are not supported; use the base model."
        raise misfit(message, cure)
    _check_pooled(model, unet, encoders.get("text_encoder_2"), misfit, span)
    kind = str(scheduler.get("_class_name", ""))
    prediction = scheduler.get("prediction_type", "epsilon")
    if kind.startswith(("EDM", "FlowMatch")) or prediction not in _PREDICTIONS:
        message = f"{model} uses the scheduler {kind} with prediction type {prediction}"
        types = ", ".join(_PREDICTIONS)
        cure = f"Use a model with DDPM's noise schedule and one of the prediction types {types}."
        raise fail("G504", message, cure, span)


def check_prompt_lengths(
    model: str,
    configs: Mapping[str, Mapping[str, Any]],
    lengths: Sequence[int],
    span: Span | None = None,
) -> None:
    """Raise GrainError (G507) if tokenizers yield more tokens than their text encoders accept.

    ``lengths`` are the numbers of tokens from each tokenizer, in the order of the text encoders.
    """
    for (part, config), length in zip(_text_encoders(configs).items(), lengths, strict=True):
        longest = number_in(config, "max_position_embeddings", 77)
        if length > longest:
            message = f"the tokenizer yields {length} tokens, but the {part} accepts {longest}"
            cure = f"Set `model_max_length` in its tokenizer_config.json to {longest}."
            raise _misfit(model, message, cure, span)
    if len(set(lengths)) > 1:
        counts = " and ".join(map(str, lengths))
        raise _misfit(model, f"the tokenizers yield {counts} tokens", _CURE, span)


def _text_encoders(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {part: config for part, config in configs.items() if part.startswith("text_encoder")}


def _misfit(model: str, message: str, cure: str, span: Span | None) -> GrainError:
    return fail("G507", f"the components of {model} do not fit together: {message}", cure, span)


_PREDICTIONS = ("epsilon", "v_prediction", "sample")


def _check_pooled(
    model: str,
    unet: Mapping[str, Any],
    pooling: Mapping[str, Any] | None,
    misfit: Any,
    span: Span | None,
) -> None:
    """Check SDXL's pooled embedding and time ids; UNets of 1.x and 2.x have neither."""
    kind = unet.get("addition_embed_type")
    if kind != (None if pooling is None else "text_time"):
        message = f"the UNet of {model} expects additional conditioning of the kind {kind}"
        raise fail("G504", message, "Use a Stable Diffusion 1.x, 2.x or XL checkpoint.", span)
    if pooling is None:
        return
    pooled = number_in(pooling, "projection_dim", 512)
    added = number_in(unet, "addition_time_embed_dim", 256) * _TIME_IDS + pooled
    expected = unet.get("projection_class_embeddings_input_dim")
    if added != expected:
        raise misfit(
            f"the UNet expects {expected} additional values, "
            f"but text_encoder_2 and the time ids have {added}",
            "SDXL's refiner is not supported; use the base model.",
        )
