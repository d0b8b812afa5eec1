"""Check that this release runs a Wan checkpoint, and that its components fit together.

All from configurations; free of torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from grainspec.diagnostics import GrainError, fail
from grainspec_runtime.backbones.families.wan.configs import WanConfigs, read_configs, setting_of
from grainspec_runtime.models.config import number_in, numbers_in
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.schedules.flow_sigmas import EULER, MULTISTEP

_PUBLISHED = "Use all components of one checkpoint, as it was published."
_BASE = "Use a checkpoint of Wan 2.1 or 2.2: text to video, TI2V, VACE or image to video."

Fault = tuple[str, str, str]
"""Code, message and cure."""


def checked_configs(model: ModelFolder, parts: Collection[str]) -> WanConfigs:
    """Read configurations, and check that this release runs them.

    Raises GrainError: G502 if one is missing or broken, G528 if one is not accepted, G504 for
    another architecture or noise schedule, G507 if components do not fit together.
    """
    configs = read_configs(model, parts)
    for check in (_numbers, _architecture, _schedule, _experts, _text, _latents, _image, _vace):
        for code, message, cure in check(configs):
            raise _error(model, code, message, cure)
    return configs


def _error(model: ModelFolder, code: str, message: str, cure: str) -> GrainError:
    if code == "G507":
        message = f"the components of {model.name} do not fit together: {message}"
    else:
        message = f"{model.name}: {message}"
    return fail(code, message, cure, model.span)


def _numbers(configs: WanConfigs) -> Iterator[Fault]:
    """Check values that others are computed from."""
    for part, config in configs.experts.items():
        patch = config.get("patch_size")
        if patch is not None and not (isinstance(patch, list) and len(patch) == 3 and min(patch)):
            yield "G528", f"the {part} has `patch_size` {patch}", "Write three numbers from 1."
    sized = {**configs.parts, "scheduler": configs.scheduler}
    for part, names in _AT_LEAST_ONE.items():
        for name in names:
            value = sized.get(part, {}).get(name)
            if value is not None and not (_is_number(value) and value >= 1):
                yield "G528", f"the {part} has `{name}` {value}", "Write a number from 1."
    halvings = configs.vae.get("temperal_downsample", [])
    if not isinstance(halvings, list):
        yield "G528", f"the VAE has `temperal_downsample` {halvings}", "It must be a list."
    switches = [("model_index.json", "expand_timesteps", configs.index)]
    switches += [(f"the {part}", "cross_attn_norm", it) for part, it in configs.experts.items()]
    for place, name, config in switches:
        if not isinstance(config.get(name), bool | None):
            yield "G528", f"{place} has `{name}` {config[name]!r}", "Write `true` or `false`."
    for name in ("latents_mean", "latents_std"):
        values = configs.vae.get(name, [])
        if not isinstance(values, list) or not all(map(_is_number, values)):
            yield "G528", f"the VAE's `{name}` is not a list of numbers", _PUBLISHED
            continue
        for value in values:
            least = _LEAST_STD if name == "latents_std" else -_MAX_LATENT
            if not least <= value <= _MAX_LATENT:  # nor is NaN
                message = f"the VAE has {value} in `{name}`"
                yield "G528", message, f"Numbers from {least} to {_MAX_LATENT} are accepted."
    for name in ("flow_shift", "shift"):
        shift = configs.scheduler.get(name, 1.0)
        if not _is_number(shift) or not 0 < shift <= _MAX_SHIFT:
            message = f"the scheduler has `{name}` {shift!r}"
            yield "G528", message, f"It must be a number above 0, up to {_MAX_SHIFT}."
    for part, config in configs.parts.items():
        for name in _EPSILONS & config.keys():
            value = config[name]
            if value is not None and not (_is_number(value) and 0 < value < 1):
                message = f"the {part} has `{name}` {value!r}"
                yield "G528", message, "It must be a number between 0 and 1, such as 1e-6."
    ratio = configs.index.get("boundary_ratio")
    if ratio is not None and not (_is_number(ratio) and 0 <= ratio <= 1):
        yield "G528", f"model_index.json has `boundary_ratio` {ratio!r}", "Write one from 0 to 1."


_SIZES = (
    *("num_attention_heads", "attention_head_dim", "num_layers", "in_channels", "out_channels"),
    *("ffn_dim", "freq_dim", "text_dim", "rope_max_seq_len"),
)
_AT_LEAST_ONE = {
    "transformer": _SIZES,
    "transformer_2": _SIZES,
    "vae": ("scale_factor_spatial", "scale_factor_temporal", "z_dim", "patch_size"),
    "scheduler": ("num_train_timesteps",),
}
"""Settings that must not be 0, nor a list."""
_MAX_SHIFT = 1000
_MAX_LATENT = 1000
_LEAST_STD = 0.001
"""Bounds of what latents are normalised by; of published VAEs it is below 10, and above 0.2."""
_EPSILONS = {"eps", "layer_norm_eps", "layer_norm_epsilon"}
"""Settings of norms: what is added to a variance."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _architecture(configs: WanConfigs) -> Iterator[Fault]:
    frames, rows, columns = configs.patch
    if frames != 1 or rows != columns:
        patch = "x".join(map(str, configs.patch))
        message = f"a latent token is {patch} latents; this release supports squares of one frame"
        yield "G504", message, _BASE
    norm = configs.transformer.get("qk_norm", _QK_NORM)
    if norm != _QK_NORM:
        yield "G504", f"its attention has `qk_norm` {norm}; this release supports {_QK_NORM}", _BASE


_QK_NORM = "rms_norm_across_heads"


def _schedule(configs: WanConfigs) -> Iterator[Fault]:
    scheduler = configs.scheduler
    kind = str(scheduler.get("_class_name"))
    prediction = scheduler.get("prediction_type")
    flows = scheduler.get("use_flow_sigmas") and prediction == "flow_prediction"
    if kind != EULER and not (kind in MULTISTEP and flows):
        has = f" with prediction type {prediction}" if prediction else ""
        message = f"its scheduler is a {kind}{has}, which does not have flow matching's schedule"
        yield "G504", message, _USE_SCHEDULER
    for name in _OTHER_LEVELS:
        if scheduler.get(name):
            message = f"its scheduler has `{name}`, which this release does not support"
            yield "G504", message, f"Set it to false in scheduler_config.json, or: {_USE_SCHEDULER}"


_USE_SCHEDULER = (
    "Use the scheduler that was published with Wan: UniPCMultistepScheduler with `use_flow_sigmas` "
    "and the prediction type `flow_prediction`, or FlowMatchEulerDiscreteScheduler."
)
_OTHER_LEVELS = (
    "use_dynamic_shifting",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "shift_terminal",
    "invert_sigmas",
)
"""Settings of a scheduler that give other noise levels."""


def _experts(configs: WanConfigs) -> Iterator[Fault]:
    count = len(configs.experts)
    if count == 2 and configs.boundary is None:
        message = "it has two transformers, and model_index.json has no `boundary_ratio`"
        yield "G507", message, 'Write `"boundary_ratio": 0.875` there, as for Wan 2.2 T2V-A14B.'
    if count == 1 and configs.boundary is not None:
        message = "model_index.json has a `boundary_ratio`, but there is no transformer_2"
        yield "G507", message, "Download both transformers, or set `boundary_ratio` to null."
    if count == 2:
        first, second = configs.experts.values()
        for name in _SHARED:
            if setting_of(first, name) != setting_of(second, name):
                message = (
                    f"`{name}` is {setting_of(first, name)} in the transformer "
                    f"and {setting_of(second, name)} in transformer_2"
                )
                yield "G507", message, _PUBLISHED


_SHARED = (
    *("patch_size", "in_channels", "out_channels", "text_dim", "num_layers"),
    *("num_attention_heads", "attention_head_dim", "image_dim", "vace_in_channels"),
)
"""Settings that two experts have in common."""


def _text(configs: WanConfigs) -> Iterator[Fault]:
    encoded = number_in(configs.parts["text_encoder"], "d_model", 512)
    expected = setting_of(configs.transformer, "text_dim")
    if encoded != expected:
        message = (
            f"the transformer expects text embeddings of width {expected}, "
            f"but the text encoder outputs {encoded}"
        )
        yield "G507", message, _PUBLISHED


def _latents(configs: WanConfigs) -> Iterator[Fault]:
    channels = configs.channels
    vae, scale = configs.vae, configs.pixels_per_latent
    levels = len(numbers_in(vae, "dim_mult") or (1, 2, 4, 4)) - 1
    actual = 2**levels * number_in(vae, "patch_size", 1)
    if actual != scale:
        message = f"the VAE has `scale_factor_spatial` {scale}, but scales frames by {actual}"
        yield "G507", message, _PUBLISHED
    if configs.expands_timesteps and scale < _EXPANDING_SCALE:
        message = (
            "model_index.json has `expand_timesteps`, as TI2V-5B, whose VAE scales frames by "
            f"{_EXPANDING_SCALE}; this one scales them by {scale}"
        )
        yield "G507", message, "Write `false` there, or use all components of TI2V-5B."
    halvings = vae.get("temperal_downsample", (False, True, True))
    times = 2 ** sum(map(bool, halvings[:levels]))
    if times != configs.frames_per_latent:
        name = f"`scale_factor_temporal` {configs.frames_per_latent}"
        message = f"the VAE has {name}, but one latent frame stands for {times} frames"
        yield "G507", message, _PUBLISHED
    for name in ("latents_mean", "latents_std"):
        if vae.get(name) and len(vae[name]) != channels:
            message = f"the VAE has {channels} channels, and {len(vae[name])} numbers in `{name}`"
            yield "G507", message, _PUBLISHED
    inputs = setting_of(configs.transformer, "in_channels")
    expected, what = channels, f"the VAE outputs {channels}"
    if configs.gets_image:
        expected = 2 * channels + configs.frames_per_latent
        what = f"latents, the image and its mask have {expected}"
    if inputs != expected:
        message = f"the transformer expects {inputs} channels, but {what}"
        yield "G507", message, f"Models with other inputs are not supported. {_BASE}"
    outputs = setting_of(configs.transformer, "out_channels")
    if outputs != channels:
        message = f"the transformer predicts {outputs} channels, but the VAE has {channels}"
        yield "G507", message, _PUBLISHED


_EXPANDING_SCALE = 16
"""What the VAE scales by of the one checkpoint that was trained with a timestep for each token."""


def _image(configs: WanConfigs) -> Iterator[Fault]:
    width = configs.transformer.get("image_dim")
    encoder = configs.parts.get("image_encoder")
    if width is None:
        return
    if encoder is None:
        message = f"the transformer expects an image's embeddings of width {width}, and there is no"
        yield "G507", f"{message} image_encoder", "Download the image encoder as well."
    elif number_in(encoder, "hidden_size", 768) != width:
        message = (
            f"the transformer expects an image's embeddings of width {width}, "
            f"but the image_encoder outputs {number_in(encoder, 'hidden_size', 768)}"
        )
        yield "G507", message, _PUBLISHED


def _vace(configs: WanConfigs) -> Iterator[Fault]:
    if not configs.is_vace:
        return
    # the control's latents inside and outside of the mask, and the mask's pixels of a latent
    expected = 2 * configs.channels + configs.pixels_per_latent**2
    inputs = number_in(configs.transformer, "vace_in_channels", 96)
    if inputs != expected:
        message = f"its control blocks expect {inputs} channels; a control has {expected}"
        yield "G507", message, _PUBLISHED
    places = configs.control_layers
    if 0 not in places or max(places) >= configs.layers:
        message = f"`vace_layers` is {places}, and the transformer has {configs.layers} layers"
        yield "G507", message, _PUBLISHED
